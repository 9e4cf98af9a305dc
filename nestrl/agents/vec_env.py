"""A vector environment of one task as stable-baselines3 wants it: no processes, no copies, no Python per simulation."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from gymnasium.vector import VectorEnv
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import VecEnv

from nestrl.agents.environments import asked, diverged, ended_observations, name_of, succeeded
from nestrl.agents.reward_scaling import RewardScaling
from nestrl.agents.tally import Tally
from nestrl.errors import EnvironmentFault, TrainingDiverged
from nestrl.tasks.union import Observations, UnionSpace

RECENT = 8192
"""Union observations that are kept for the methods: as many as one rollout of the default learner."""

Infos = list[dict[str, Any]]


class Whole(VecEnv):
    """A VecEnv that is stepped as a whole: there are no sub-environments to reach into."""

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        """Return None for every simulation."""
        return [None] * self.num_envs

    def env_is_wrapped(self, wrapper_class: Any, indices: Any = None) -> list[bool]:
        """Return False for every simulation."""
        return [False] * self.num_envs

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        """Refuse: nobody asks for it."""
        raise NotImplementedError(f"{type(self).__name__} has no sub-environments.")

    env_method = set_attr  # type: ignore[assignment]


class TaskVecEnv(Whole):
    """n simulations of task `task_index`, seen through the union space.

    Where an episode ends, `infos` holds what stable-baselines3 reads: episode (r, l, t), terminal_observation,
    TimeLimit.truncated and is_success. Observations or rewards that are not finite raise EnvironmentFault. A simulation
    that says it has diverged (info "diverged") is only counted: it has restarted, and its last good observation stands
    for the one that it ended with. Rewards come scaled (RewardScaling); returns in `infos` are the task's own.
    """

    def __init__(
        self,
        environment: VectorEnv[Any, Any, Any],
        union: UnionSpace,
        task_index: int,
        success_threshold: float | None = None,
        reward_scale: float | str = 1.0,
    ) -> None:
        self.environment: Any = environment  # Any: some can also give and take their state
        self.union, self.task_index = union, task_index
        self.success_threshold = success_threshold
        n = environment.num_envs
        self.scaling = RewardScaling(reward_scale, n)
        super().__init__(n, union.observation_space, union.action_space)
        self.diverged_count = 0
        self._all_rows = np.arange(n)
        self._returns, self._lengths = np.zeros(n), np.zeros(n, np.int64)
        self._succeeded = np.zeros(n, bool)
        self.tally = Tally(n)
        self._recent = np.zeros((max(1, RECENT // n), n, *union.observation_space.shape), np.float32)
        self._n_recent = 0  # rows of _recent begun since the beginning; the ring starts over when it is full
        self._stride = 1  # moments that share a row, of which the newest stays
        self._n_steps = self._longest = 0  # moments so far, and steps of the longest episode
        self._start_seed = 0

    @property
    def resumes_exactly(self) -> bool:
        """Whether the simulations can save and restore their state; if not, loading restarts their episodes."""
        return hasattr(self.environment, "get_state") and hasattr(self.environment, "set_state")

    def seed(self, seed: int | None = None) -> Sequence[int | None]:
        """Give simulation i the seed `seed + i` at the next reset."""
        seeds = super().seed(seed)
        self._start_seed = seeds[0] or 0
        return seeds

    def reset(self) -> Observations:
        """Start an episode in every simulation; return (n, D + N)."""
        seed = self._seeds[0]
        observations, _ = asked(self.environment, "reset", seed=None if seed is None else int(seed))
        self._reset_seeds()
        self._forget(np.ones(self.num_envs, bool))
        self.scaling.begin()
        return self._remembered(self.union.observe(self.task_index, observations), np.zeros(self.num_envs))

    def step_async(self, actions: NDArray[Any]) -> None:
        """Take the union actions (n, A), or (n,) Discrete, of the coming step."""
        if not np.isfinite(actions).all():
            raise TrainingDiverged("The policy's action is NaN or infinite; lower learning_rate or the reward's scale.")
        self._actions = self.union.act(self.task_index, actions)

    def step_wait(self) -> tuple[Observations, NDArray[np.float32], NDArray[np.bool_], Infos]:
        """Advance all simulations; return observations (n, D + N), rewards (n,), dones (n,) and infos."""
        observations, rewards, terminated, truncated, step_infos = asked(self.environment, "step", self._actions)
        self._returns += rewards
        self._lengths += 1
        self._succeeded |= succeeded(step_infos, self.num_envs)
        dones = terminated | truncated
        infos: Infos = [{} for _ in range(self.num_envs)]
        if dones.any():
            self._report(infos, dones, terminated, step_infos)
            self._choose_stride()
            self._forget(dones)
        observations = self._remembered(self.union.observe(self.task_index, observations), rewards)
        return observations, self.scaling.scaled(rewards, dones), dones, infos

    def recent_observations(self) -> Observations:
        """Return late union observations (m, D + N) of training, m up to 8192, in no particular order.

        They are the last ones; but where all episodes run in step, every k-th one, over a whole episode.
        """
        return self._recent[: self._n_recent].reshape(-1, self._recent.shape[-1]).copy()

    def state_dict(self) -> dict[str, Any]:
        """Return arrays and numbers from which `load_state_dict` goes on, exactly where `resumes_exactly`."""
        state: dict[str, Any] = {name: getattr(self, name) for name in _NUMBERS}
        state |= {name: getattr(self, name).copy() for name in _ARRAYS}
        state |= {"tally": list(self.tally), "scaling": self.scaling.state_dict()}
        state["_recent"] = self._recent[: self._n_recent].copy()
        state["simulations"] = self.environment.get_state() if self.resumes_exactly else None
        return state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a `state_dict`; where the simulations cannot, their episodes restart with new seeds."""
        for name in _NUMBERS:
            setattr(self, name, state[name])
        for name in _ARRAYS:
            getattr(self, name)[:] = state[name]
        self.tally = Tally(*state["tally"])
        self.scaling.load_state_dict(state["scaling"])
        self._recent[: self._n_recent] = state["_recent"]
        if self.resumes_exactly:
            self.environment.set_state(state["simulations"])
            if self._n_steps:
                self._reset_seeds()
            else:
                self.seed(self._start_seed)  # trials alone have been made here: no episode has begun
        else:
            self.seed(self._start_seed + self._n_steps * self.num_envs)

    def close(self) -> None:
        """Free the simulations."""
        asked(self.environment, "close")

    def _require_finite(self, observations: Observations, rewards: NDArray[Any], rows: NDArray[np.intp]) -> None:
        """Raise EnvironmentFault at the first simulation, of those in `rows`, that gave NaN or infinity."""
        if np.isfinite(rewards).all() and np.isfinite(observations).all():
            return
        good_reward, good = np.isfinite(rewards), np.isfinite(observations)
        row = int((good_reward & good.all(axis=1)).argmin())
        if good_reward[row]:
            index = int(good[row].argmin())
            what = f"{observations[row, index]} at index {index} of the flattened observation"
        else:
            what = f"the reward {rewards[row]}"
        raise EnvironmentFault(
            f"{name_of(self.environment)} gave {what} in simulation {rows[row]}; every value must be finite. "
            "`nestrl check` shows from which step on."
        )

    def _remembered(self, observations: Observations, rewards: NDArray[Any]) -> Observations:
        """Return the observations of this moment, checked, after a copy of them has gone into the ring."""
        self._require_finite(observations, rewards, self._all_rows)
        self._n_recent += self._n_steps % self._stride == 0
        self._n_steps += 1
        self._newest[:] = observations
        return observations

    @property
    def _newest(self) -> Observations:
        """The row of the ring that holds the last observations (n, D + N)."""
        newest: Observations = self._recent[(self._n_recent - 1) % len(self._recent)]
        return newest

    def _report(
        self, infos: Infos, dones: NDArray[np.bool_], terminated: NDArray[np.bool_], step_infos: dict[str, Any]
    ) -> None:
        """Write what ended into the infos of simulations that are done."""
        rows = np.flatnonzero(dones)
        endings = self.union.observe(self.task_index, ended_observations(self.environment, step_infos, rows))
        broken = diverged(step_infos, self.num_envs)[rows]
        self.diverged_count += int(broken.sum())
        endings[broken] = self._newest[rows[broken]]
        self._require_finite(endings, np.zeros(len(rows)), rows)
        success = self._succeeded if self.success_threshold is None else self._returns >= self.success_threshold
        returns = self._returns[rows]
        sums = float(returns.sum()), float((returns**2).sum()), int(success[rows].sum())
        self.tally = self.tally.plus(Tally(0, len(rows), *sums))
        for row, ending in zip(rows.tolist(), endings, strict=True):
            infos[row] = {
                "episode": {"r": float(self._returns[row]), "l": int(self._lengths[row]), "t": 0.0},
                "terminal_observation": ending,
                "TimeLimit.truncated": not terminated[row],
                "is_success": bool(success[row]),
            }

    def _choose_stride(self) -> None:
        """Let the ring span a whole episode where all episodes are equally old, else as few steps as it may.

        In step they would all show the same phase of an episode, and what is learned from them no other. Not so where
        some have ended before their time limit; there older steps would only show an earlier policy.
        """
        self._longest = max(self._longest, int(self._lengths.max()))
        in_step = bool((self._lengths == self._lengths[0]).all())
        self._stride = math.ceil(self._longest / len(self._recent)) if in_step else 1

    def _forget(self, ended: NDArray[np.bool_]) -> None:
        """Start counting anew for simulations (n,) whose episode has ended."""
        self._returns[ended], self._lengths[ended], self._succeeded[ended] = 0.0, 0, False


_NUMBERS = ("_n_recent", "_stride", "_n_steps", "_longest", "_start_seed", "diverged_count")
_ARRAYS = ("_returns", "_lengths", "_succeeded")
