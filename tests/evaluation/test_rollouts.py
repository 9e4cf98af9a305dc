"""Whole episodes from fixed starts."""

from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nestrl.agents.environments import make_environment
from nestrl.errors import EnvironmentFault
from nestrl.evaluation import rollouts
from nestrl.evaluation.rollouts import Episodes, evaluate, packed, unpacked
from nestrl.tasks.sequence import Task
from nestrl.tasks.union import UnionSpace

REACH = "nestrl_envs:nestrl/RoverReach-v0"


class Constant:
    """Always does the same."""

    def __init__(self, action: Any) -> None:
        self.action = action

    def act(self, observations: np.ndarray) -> np.ndarray:
        return np.tile(self.action, (len(observations), 1))


def played(
    env_id: str, n: int, action: Any = (0.02,), seed: int = 5, kwargs: dict[str, Any] | None = None, **options: Any
) -> Episodes:
    environment = make_environment(Task("any", env_id, kwargs or {}), n)
    union = UnionSpace([environment.single_observation_space], [environment.single_action_space])
    return evaluate(Constant(np.resize(action, union.action_space.shape)), environment, union, 0, seed, **options)


@given(st.lists(st.booleans(), min_size=1, max_size=40))
def test_what_is_packed_is_unpacked(success: list[bool]) -> None:
    text = packed(np.array(success))
    assert unpacked(text, len(success)).tolist() == success
    with pytest.raises(ValueError, match="does not tell of"):
        unpacked(text, len(success) + 8)


@pytest.mark.parametrize("env_id", ["InvertedPendulum-v5", REACH])
def test_an_episode_depends_on_its_seed_alone(env_id: str) -> None:
    together = played(env_id, 6)
    in_rounds = played(env_id, 2, episodes=6)
    np.testing.assert_array_equal(together.returns, in_rounds.returns)
    np.testing.assert_array_equal(together.lengths, in_rounds.lengths)
    assert len(set(together.returns.tolist())) > 1


def test_the_last_round_may_be_short() -> None:
    five, six = played(REACH, 4, episodes=5), played(REACH, 3, episodes=6)
    np.testing.assert_array_equal(five.returns, six.returns[:5])


def test_only_the_first_episode_counts() -> None:
    episodes = played("InvertedPendulum-v5", 4)  # falls over long before the horizon, after different times
    np.testing.assert_array_equal(episodes.returns, episodes.lengths - 1)  # 1 a step, 0 in the step it falls


def test_threshold_decides_success() -> None:
    returns = played("Pendulum-v1", 4).returns
    middle = float(np.median(returns))
    np.testing.assert_array_equal(played("Pendulum-v1", 4, success_threshold=middle).success, returns >= middle)


class SucceedsAt(gymnasium.Env[np.ndarray, np.ndarray]):
    """Three steps long, solved at one of them only."""

    observation_space = action_space = gymnasium.spaces.Box(-1, 1, (1,))

    def __init__(self, step: int) -> None:
        self.solved_at = step

    def reset(self, **_: Any) -> tuple[np.ndarray, dict[str, Any]]:
        self.steps = 0
        return np.zeros(1, np.float32), {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        self.steps += 1
        return np.zeros(1, np.float32), 1.0, False, self.steps == 3, {"success": self.steps == self.solved_at}


@pytest.mark.parametrize(("step", "any_step", "last"), [(2, True, False), (3, True, True), (4, False, False)])
def test_success_at_any_step_and_at_the_last(
    step: int, any_step: bool, last: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = gymnasium.envs.registration.EnvSpec("SucceedsAt-v0", entry_point=SucceedsAt)
    monkeypatch.setitem(gymnasium.registry, "SucceedsAt-v0", spec)
    episodes = played("SucceedsAt-v0", 2, kwargs={"step": step})
    assert (episodes.success == any_step).all() and (episodes.success_at_end == last).all()
    by_return = played("SucceedsAt-v0", 2, kwargs={"step": step}, success_threshold=3.0)
    assert by_return.success.all() and by_return.success_at_end.all()


def test_it_says_whether_anything_judges_the_episodes() -> None:
    assert played(REACH, 2).judged
    assert not played("Pendulum-v1", 2).judged
    assert played("Pendulum-v1", 2, success_threshold=-200.0).judged


def test_no_global_random_number_is_drawn() -> None:
    torch_before, numpy_before = torch.get_rng_state(), np.random.get_state()[1].copy()
    played("Pendulum-v1", 2)
    assert torch.equal(torch_before, torch.get_rng_state())
    np.testing.assert_array_equal(numpy_before, np.random.get_state()[1])


def test_simulations_are_all_awake_afterwards() -> None:
    environment = make_environment(Task("reach", REACH), 3)
    union = UnionSpace([environment.single_observation_space], [environment.single_action_space])
    evaluate(Constant(np.zeros(6)), environment, union, 0, seed=0)
    assert environment.active.all()


def test_an_environment_that_raises_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def burn(self: Any, action: Any) -> None:
        raise RuntimeError("the motor is on fire")

    monkeypatch.setattr("gymnasium.envs.classic_control.pendulum.PendulumEnv.step", burn)
    with pytest.raises(EnvironmentFault, match="Pendulum-v1 raised in step: RuntimeError: the motor is on fire"):
        played("Pendulum-v1", 2)


def test_an_endless_episode_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rollouts, "LONGEST_EPISODE", 20)
    with pytest.raises(EnvironmentFault, match=r"within 20 steps.*max_episode_steps"):
        played("Pendulum-v1", 2)


class Blind(gymnasium.Env[Any, Any]):
    """Sees nothing; its actions are Discrete, so that an action can be had all the same."""

    observation_space, action_space = gymnasium.spaces.Box(-1, 1, (2,)), gymnasium.spaces.Discrete(2)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        return np.full(2, np.nan, np.float32), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        return np.full(2, np.nan, np.float32), 0.0, False, True, {"is_success": False}


def test_an_observation_that_is_nan_is_no_failure_of_the_policy() -> None:
    environment = gymnasium.vector.SyncVectorEnv([Blind] * 2, autoreset_mode=gymnasium.vector.AutoresetMode.SAME_STEP)
    union = UnionSpace([environment.single_observation_space], [environment.single_action_space])
    with pytest.raises(EnvironmentFault, match="NaN or infinite observation"):
        evaluate(Constant(np.zeros(2)), environment, union, 0, 5)
