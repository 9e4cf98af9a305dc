"""Whole evaluation episodes from fixed starts, on the batch, drawing no random numbers of training's streams."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from gymnasium.vector import VectorEnv
from numpy.typing import NDArray

from nestrl.agents.environments import asked, name_of, succeeded, tells_success
from nestrl.errors import EnvironmentFault
from nestrl.tasks.union import Observations, UnionSpace

LONGEST_EPISODE = 10_000
"""An episode that has not ended after so many steps never will."""


def endless(name: str) -> EnvironmentFault:
    """Return the error for an environment, by its name, whose episode has not ended by then."""
    return EnvironmentFault(
        f"{name}: an episode did not end within {LONGEST_EPISODE} steps; register the environment with "
        f"max_episode_steps of at most {LONGEST_EPISODE}."
    )


class Actor(Protocol):
    """Whatever acts deterministically on union observations; every policy does."""

    def act(self, observations: Observations) -> NDArray[Any]:
        """Return one action a row."""
        ...


@dataclass(frozen=True)
class Episodes:
    """What came of n episodes."""

    success: NDArray[np.bool_]
    """(n,), at any step."""
    success_at_end: NDArray[np.bool_]
    """(n,), at the last step."""
    returns: NDArray[np.float64]
    """(n,), sum of rewards, undiscounted."""
    lengths: NDArray[np.int64]
    """(n,), steps."""
    judged: bool
    """Whether anything told of success or failure: the environment in a step's info, or a threshold on the return."""


def evaluate(
    policy: Actor,
    environment: VectorEnv[Any, Any, Any],
    union: UnionSpace,
    task_index: int,
    seed: int,
    episodes: int | None = None,
    success_threshold: float | None = None,
) -> Episodes:
    """Return `episodes` episodes (default: one a simulation) of a task; episode i starts from `seed + i`.

    Only the first episode of each simulation after a reset counts, so that short episodes are not counted more often
    than long ones; more episodes than simulations are played in rounds. Success as in Task; a threshold on the return
    decides about both kinds.

    Raises EnvironmentFault if the environment raises, an episode does not end within 10,000 steps, or a reward is not
    finite.
    """
    n = environment.num_envs
    episodes = n if episodes is None else episodes
    rounds = [
        _first_episodes(policy, environment, union, task_index, seed + start, min(n, episodes - start))
        for start in range(0, episodes, n)
    ]
    whole = _joined(rounds)
    if success_threshold is None:
        return whole
    success = whole.returns >= success_threshold
    return replace(whole, success=success, success_at_end=success, judged=True)


def packed(success: NDArray[np.bool_]) -> str:
    """Return the success (n,) of n episodes as hexadecimal digits, eight episodes in two of them."""
    return np.packbits(success).tobytes().hex()


def unpacked(text: str, episodes: int) -> NDArray[np.bool_]:
    """Return the success (episodes,) that `packed` made a text of. Raises ValueError for a text of another length."""
    bits = np.unpackbits(np.frombuffer(bytes.fromhex(text), np.uint8)).astype(bool)
    if episodes < 1 or not 0 <= len(bits) - episodes < 8:
        raise ValueError(f"{text!r} does not tell of {episodes} episodes")
    return bits[:episodes]


def _joined(rounds: Sequence[Episodes]) -> Episodes:
    success, at_end, returns, lengths = (
        np.concatenate([getattr(one, name) for one in rounds])
        for name in ("success", "success_at_end", "returns", "lengths")
    )
    return Episodes(success, at_end, returns, lengths, any(one.judged for one in rounds))


def _first_episodes(
    policy: Actor, environment: Any, union: UnionSpace, task_index: int, seed: int, count: int
) -> Episodes:
    """Return what came of `count` simulations' first episodes."""
    n = environment.num_envs
    running = np.arange(n) < count
    success, at_end, returns, lengths = np.zeros(n, bool), np.zeros(n, bool), np.zeros(n), np.zeros(n, np.int64)
    observations, _ = asked(environment, "reset", seed=seed)
    can_rest, judged = hasattr(environment, "active"), False
    for _ in range(LONGEST_EPISODE):
        if can_rest:
            environment.active = running
        rows = union.observe(task_index, observations)
        if not np.isfinite(rows[running]).all():
            raise EnvironmentFault(f"{name_of(environment)} gave a NaN or infinite observation; mend the environment.")
        actions = policy.act(rows)
        observations, rewards, terminated, truncated, infos = asked(environment, "step", union.act(task_index, actions))
        returns[running] += rewards[running]
        lengths += running
        at_end[running] = succeeded(infos, n)[running]
        success |= at_end
        judged = judged or tells_success(infos)
        running &= ~(terminated | truncated)
        if not running.any():
            break
    if can_rest:
        environment.active = np.ones(n, bool)
    _raise_if_unusable(environment, running, returns)
    return Episodes(success[:count], at_end[:count], returns[:count], lengths[:count], judged)


def _raise_if_unusable(
    environment: VectorEnv[Any, Any, Any], running: NDArray[np.bool_], returns: NDArray[np.float64]
) -> None:
    name = name_of(environment)
    if running.any():
        raise endless(name)
    if not np.isfinite(returns).all():
        raise EnvironmentFault(
            f"{name} gave a reward that is NaN or infinite; `nestrl check` shows from which step on."
        )
