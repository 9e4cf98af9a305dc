"""The adapter to stable-baselines3: what it reports when episodes end, what it refuses, and what it keeps."""

from collections.abc import Callable, Sequence
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv
from stable_baselines3.common.vec_env import VecNormalize

from nestrl.agents.environments import make_environment
from nestrl.agents.vec_env import TaskVecEnv
from nestrl.errors import EnvironmentFault, TrainingDiverged
from nestrl.tasks.sequence import Task
from nestrl.tasks.union import UnionSpace

ACTIONS = np.zeros((2, 1), np.float32)


class Countdown(gymnasium.Env[dict[str, Any], np.ndarray]):
    """Observes the step it is in; ends after 3 steps or `length`; reports success at the second one if told to."""

    observation_space = spaces.Dict({"step": spaces.Box(-1, 9, (1,)), "even": spaces.Discrete(2)})
    action_space = spaces.Box(-1, 1, (1,))

    def __init__(
        self,
        reward: float = 1.0,
        succeed: bool = False,
        truncate: bool = False,
        fail: bool = False,
        length: int = 3,
    ) -> None:
        self.reward, self.succeed, self.truncate, self.fail = reward, succeed, truncate, fail
        self.length = length

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[dict[str, Any], dict[str, Any]]:
        super().reset(seed=seed)
        self.steps = 0
        return self.observe(), {}

    def step(self, action: np.ndarray) -> tuple[dict[str, Any], float, bool, bool, dict[str, Any]]:
        if self.fail:
            raise RuntimeError("the motor is on fire")
        self.steps += 1
        ended = self.steps == self.length
        info = {"success": float(self.succeed and self.steps == 2)}
        return self.observe(), self.reward, ended and not self.truncate, ended and self.truncate, info

    def observe(self) -> dict[str, Any]:
        return {"step": np.array([self.steps], np.float32), "even": self.steps % 2}


def countdowns(reward_scale: float | str = 1.0, **options: Any) -> TaskVecEnv:
    """Two simulations; the second gets the options."""
    makers: list[Callable[[], Countdown]] = [Countdown, lambda: Countdown(**options)]
    environment = SyncVectorEnv(makers, autoreset_mode=AutoresetMode.SAME_STEP)
    return adapted(environment, reward_scale=reward_scale)


def adapted(environment: VectorEnv, **options: Any) -> TaskVecEnv:
    union = UnionSpace([environment.single_observation_space], [environment.single_action_space])
    return TaskVecEnv(environment, union, 0, **options)


def steps(vec_env: TaskVecEnv, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[dict[str, Any]]]:
    for _ in range(count):
        result = vec_env.step(ACTIONS)
    return result


def test_nothing_is_reported_within_an_episode() -> None:
    vec_env = countdowns()
    assert vec_env.reset().tolist() == [[1, 0, 0, 1]] * 2  # even: one-hot of 0; step 0; task 0
    observations, rewards, dones, infos = steps(vec_env, 1)
    assert observations.tolist() == [[0, 1, 1, 1]] * 2
    assert rewards.dtype == np.float32
    assert not dones.any()
    assert infos == [{}, {}]


def test_the_end_of_an_episode() -> None:
    vec_env = countdowns(reward=2.0, succeed=True, truncate=True)
    vec_env.reset()
    observations, _, dones, infos = steps(vec_env, 3)
    assert dones.all()
    assert observations.tolist() == [[1, 0, 0, 1]] * 2  # already the next episode
    for info, total, success, truncated in zip(infos, (3.0, 6.0), (False, True), (False, True), strict=True):
        assert info["episode"] == {"r": total, "l": 3, "t": 0.0}
        assert info["terminal_observation"].tolist() == [0, 1, 3, 1]
        assert (info["is_success"], info["TimeLimit.truncated"]) == (success, truncated)
    _, _, _, infos = steps(vec_env, 3)
    assert infos[1]["episode"]["r"] == 6.0  # counted anew


def test_success_by_threshold() -> None:
    vec_env = countdowns(reward=2.0)
    vec_env.success_threshold = 5.0
    vec_env.reset()
    assert [info["is_success"] for info in steps(vec_env, 3)[3]] == [False, True]


def test_the_learner_gets_scaled_rewards_and_returns_stay_the_tasks_own() -> None:
    vec_env = countdowns(reward=2.0, reward_scale=0.1)
    vec_env.reset()
    _, rewards, _, infos = steps(vec_env, 3)
    assert rewards.tolist() == pytest.approx([0.1, 0.2])
    assert [info["episode"]["r"] for info in infos] == [3.0, 6.0]


def test_automatic_scaling_is_that_of_vec_normalize_also_after_a_restart() -> None:
    vec_env, plain = countdowns(reward=7.0, reward_scale="auto"), countdowns(reward=7.0)
    theirs = VecNormalize(plain, norm_obs=False, gamma=0.99)
    vec_env.reset(), theirs.reset()
    for _ in range(10):  # episodes are of three steps
        np.testing.assert_allclose(vec_env.step(ACTIONS)[1], theirs.step(ACTIONS)[1], rtol=1e-6)
    again = countdowns(reward=7.0, reward_scale="auto")
    again.reset()
    again.load_state_dict(vec_env.state_dict())
    np.testing.assert_array_equal(again.step(ACTIONS)[1], vec_env.step(ACTIONS)[1])


def test_bad_values_name_the_place() -> None:
    vec_env = countdowns(reward=float("nan"))
    vec_env.reset()
    with pytest.raises(EnvironmentFault, match="reward nan in simulation 1"):
        vec_env.step(ACTIONS)


def test_bad_observations_name_the_index(monkeypatch: pytest.MonkeyPatch) -> None:
    vec_env = countdowns()
    vec_env.reset()
    monkeypatch.setattr(Countdown, "observe", lambda self: {"step": np.array([np.inf], np.float32), "even": 0})
    with pytest.raises(EnvironmentFault, match="inf at index 2 of the flattened observation in simulation 0"):
        vec_env.step(ACTIONS)


def test_an_environment_that_raises() -> None:
    vec_env = countdowns(fail=True)
    vec_env.reset()
    with pytest.raises(EnvironmentFault, match="RuntimeError: the motor is on fire"):
        vec_env.step(ACTIONS)


def test_bad_actions_blame_the_policy() -> None:
    vec_env = countdowns()
    vec_env.reset()
    with pytest.raises(TrainingDiverged, match="action is NaN"):
        vec_env.step(np.full((2, 1), np.nan, np.float32))


def test_recent_observations_are_the_last_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nestrl.agents.vec_env.RECENT", 20)
    vec_env = countdowns()
    vec_env.reset()
    steps(vec_env, 4)
    assert sorted(vec_env.recent_observations()[:, 2].tolist()) == [0, 0, 0, 0, 1, 1, 1, 1, 2, 2]
    steps(vec_env, 50)
    assert vec_env.recent_observations().shape == (20, 4)


@pytest.mark.parametrize(
    ("lengths", "seen"),
    [((9, 9, 9), [2, 5, 6]), ((9, 9, 2), [4, 5, 6]), (range(9, 30), [4, 5, 6])],
    ids=["all in step", "most in step", "each by itself"],
)
def test_where_all_episodes_run_in_step_recent_observations_are_of_a_whole_one(
    monkeypatch: pytest.MonkeyPatch, lengths: Sequence[int], seen: list[int]
) -> None:
    n, n_rows = len(lengths), 3
    monkeypatch.setattr("nestrl.agents.vec_env.RECENT", n_rows * n)
    makers = [lambda length=length: Countdown(length=length) for length in lengths]
    vec_env = adapted(SyncVectorEnv(makers, autoreset_mode=AutoresetMode.SAME_STEP))
    vec_env.reset()
    for _ in range(9 * 5 + 6):
        observations, *_ = vec_env.step(np.zeros((n, 1), np.float32))
    assert observations[0, 2] == 6
    assert sorted(vec_env.recent_observations()[::n, 2]) == seen  # by the first simulation


class Exploding(VectorEnv):
    """Simulation 1 diverges in its second step, and says so."""

    metadata = {"autoreset_mode": AutoresetMode.SAME_STEP}  # noqa: RUF012
    num_envs, spec = 2, None
    single_observation_space, single_action_space = spaces.Box(-9, 9, (1,)), spaces.Box(-1, 1, (1,))

    def reset(self, *, seed: Any = None, options: Any = None) -> Any:
        self.steps = 0
        return np.zeros((2, 1), np.float32), {}

    def step(self, actions: np.ndarray) -> Any:
        self.steps += 1
        diverged = np.array([False, self.steps == 2])
        infos: dict[str, Any] = {"diverged": diverged}
        if diverged.any():
            infos["final_obs"] = np.where(diverged, np.nan, 5.0)[:, None]
        observations = np.where(diverged, 0.0, self.steps)[:, None]
        return observations, np.ones(2), np.zeros(2, bool), diverged, infos


def test_a_diverged_simulation_is_counted_and_the_others_go_on() -> None:
    vec_env = adapted(Exploding())
    vec_env.reset()
    observations, _, dones, infos = steps(vec_env, 2)
    assert observations[:, 0].tolist() == [2, 0]
    assert dones.tolist() == [False, True]
    assert vec_env.diverged_count == 1
    assert infos[1]["terminal_observation"].tolist() == [1, 1]  # the last good one
    assert infos[1]["TimeLimit.truncated"]


@pytest.mark.parametrize("env_id", ["nestrl_envs:nestrl/RoverReach-v0", "nestrl_envs:nestrl/RoverPush-v0"])
def test_rovers_resume_exactly(env_id: str) -> None:
    task = Task("rover", env_id, {"horizon": 10})
    vec_env, other = (adapted(make_environment(task, 6)) for _ in range(2))
    actions = np.random.default_rng(0).uniform(-1, 1, (30, 6, 6)).astype(np.float32)
    vec_env.seed(3)
    vec_env.reset()
    for action in actions[:13]:
        vec_env.step(action)
    assert other.resumes_exactly
    other.seed(77)
    other.reset()
    other.load_state_dict(vec_env.state_dict())
    for action in actions[13:]:
        first, second = vec_env.step(action), other.step(action)
        for one, two in zip(first[:3], second[:3], strict=True):
            np.testing.assert_array_equal(one, two)
        assert [info.get("episode") for info in first[3]] == [info.get("episode") for info in second[3]]
    np.testing.assert_array_equal(vec_env.recent_observations(), other.recent_observations())
