"""EnvPool's tasks as gymnasium environments: restarts within the step, seeds, starts, and what is said of mistakes."""

import dataclasses
import subprocess
import sys
from collections.abc import Iterator
from ctypes.util import find_library
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, VectorEnv

from nestrl.agents.environments import ended_observations, find_spec, make_environment, make_single, succeeded
from nestrl.agents.vec_env import TaskVecEnv
from nestrl.errors import BadConfig, EnvironmentFault, UnknownName
from nestrl.evaluation.fitness import check_environment
from nestrl.evaluation.rollouts import evaluate
from nestrl.tasks import continual_world
from nestrl.tasks.sequence import Segment, Task, TaskSequence
from nestrl.tasks.union import UnionSpace
from nestrl.training.worlds import Worlds

envpool = pytest.importorskip("envpool", reason="the extra envpool is not installed")

pytestmark = pytest.mark.filterwarnings("ignore:num_threads is 2")
DOOR = "envpool:MetaWorld/DoorOpen-v3"
REACH = "envpool:FetchReachDense-v4"  # the quickest to make
RUNNING_AWAY = "envpool:MetaWorld/ShelfPlace-v3"
HORIZON = 5


def made(env_id: str = REACH, n: int = 3, **kwargs: Any) -> VectorEnv[Any, Any, Any]:
    return make_environment(Task("any", env_id, {"max_episode_steps": HORIZON, **kwargs}), n)


def flat(environment: VectorEnv[Any, Any, Any], observations: Any) -> np.ndarray:
    union = UnionSpace([environment.single_observation_space], [environment.single_action_space])
    return union.observe(0, observations)[:, :-1]


def course(environment: VectorEnv[Any, Any, Any], seed: int, steps: int = 2 * HORIZON + 1) -> Iterator[np.ndarray]:
    """Yield all that fixed random actions lead to, one row a simulation: observation, reward, end; and last ones."""
    environment.reset(seed=seed)
    n, size = environment.num_envs, environment.single_action_space.shape[0]
    every_row_alike = np.random.default_rng(0).uniform(-1, 1, (steps, 1, size)).astype(np.float32)
    for action in every_row_alike:
        observations, rewards, terminated, truncated, infos = environment.step(np.repeat(action, n, axis=0))
        yield np.column_stack([flat(environment, observations), rewards, terminated, truncated])
        if truncated.all():
            yield flat(environment, ended_observations(environment, infos, np.arange(n)))


def same(first: list[np.ndarray], second: list[np.ndarray]) -> bool:
    return len(first) == len(second) and all(map(np.array_equal, first, second))


@pytest.mark.parametrize("env_id", [DOOR, REACH, "envpool:PointMaze_UMazeDense-v3", "envpool:CheetahRun-v1"])
def test_it_is_a_vector_environment_as_gymnasium_means_it(env_id: str) -> None:
    environment = made(env_id)
    assert environment.spec is not None and environment.spec.id == env_id
    assert environment.metadata["autoreset_mode"] == AutoresetMode.SAME_STEP
    environment.action_space.seed(0)
    observations, infos = environment.reset(seed=1)
    for _ in range(HORIZON + 1):
        assert observations in environment.observation_space
        assert all(len(values) == 3 for name, values in infos.items() if name != "final_info")
        observations, rewards, terminated, truncated, infos = environment.step(environment.action_space.sample())
        assert rewards.shape == terminated.shape == truncated.shape == (3,)
        assert terminated.dtype == truncated.dtype == bool
        assert isinstance(succeeded(infos, 3), np.ndarray)
    environment.close()


@pytest.mark.parametrize("env_id", [DOOR, REACH])
def test_the_step_that_ends_an_episode_shows_the_next_start(env_id: str) -> None:
    environment, longer = made(env_id), made(env_id, max_episode_steps=100)
    action = np.full((3, 4), 0.5, np.float32)
    for each in (environment, longer):
        each.reset(seed=4)
    for _ in range(HORIZON):
        observations, rewards, terminated, truncated, infos = environment.step(action)
        unended = longer.step(action)
    assert truncated.all() and not terminated.any()  # a time limit
    assert infos["_final_obs"].all() and infos["_final_info"].all()
    ended = flat(environment, ended_observations(environment, infos, np.arange(3)))
    np.testing.assert_array_equal(ended, flat(longer, unended[0]))
    np.testing.assert_array_equal(rewards, unended[1])
    assert infos["final_info"]["elapsed_step"].tolist() == [HORIZON] * 3
    assert infos["elapsed_step"].tolist() == [0] * 3
    assert not np.isclose(flat(environment, observations), ended).all(axis=1).any()
    assert environment.step(action)[4]["elapsed_step"].tolist() == [1] * 3


def test_only_what_has_ended_restarts() -> None:
    environment, ages, ends = made("envpool:CartPole-v1", n=4, max_episode_steps=500), np.zeros(4, int), 0
    environment.action_space.seed(0)
    environment.reset(seed=0)
    for _ in range(100):
        _, _, terminated, truncated, infos = environment.step(environment.action_space.sample())
        ages = np.where(terminated, 0, ages + 1)  # it falls over, at different times
        assert not truncated.any()
        assert infos["elapsed_step"].tolist() == ages.tolist()
        if terminated.any():
            ends += terminated.sum()
            assert [final is not None for final in infos["final_obs"]] == terminated.tolist()
            assert infos["_final_obs"].tolist() == infos["_final_info"].tolist() == terminated.tolist()
    assert ends > 8


def test_stable_baselines3_is_told_what_it_expects() -> None:
    environment = made()
    union = UnionSpace([environment.single_observation_space], [environment.single_action_space])
    vec_env = TaskVecEnv(environment, union, 0)
    vec_env.seed(2)
    assert vec_env.reset().shape == (3, 10 + 3 + 3 + 1)
    for _ in range(HORIZON):
        observations, rewards, dones, infos = vec_env.step(np.zeros((3, 4), np.float32))
    assert observations.dtype == rewards.dtype == np.float32
    assert dones.all()
    for info, observation in zip(infos, observations, strict=True):
        assert info["episode"]["l"] == HORIZON
        assert info["TimeLimit.truncated"] and isinstance(info["is_success"], bool)
        assert not np.array_equal(info["terminal_observation"], observation)
    assert not vec_env.resumes_exactly


@pytest.mark.parametrize("env_id", [DOOR, REACH, RUNNING_AWAY])
def test_the_seed_alone_decides_whatever_the_threads(env_id: str) -> None:
    one, two = made(env_id), made(env_id, num_threads=2)
    first = list(course(one, seed=7))
    assert same(first, list(course(two, seed=7)))
    assert same(first, list(course(one, seed=7)))  # after all that it has been through
    assert not same(first, list(course(one, seed=8)))


@pytest.mark.parametrize("env_id", [DOOR, RUNNING_AWAY])
def test_simulation_i_has_the_stream_of_seed_plus_i(env_id: str) -> None:
    environment = made(env_id)
    first, second = list(course(environment, seed=7)), list(course(environment, seed=8))
    assert same([rows[1:] for rows in first], [rows[:-1] for rows in second])
    largest = environment.reset(seed=2**31 - 1)[0]  # the seeds of the others begin at 0 again
    assert np.isfinite(largest).all()


@pytest.mark.parametrize("task", continual_world.SEQUENCES["cw10"]().tasks, ids=lambda task: task.name)
def test_goals_and_objects_differ_between_simulations_and_between_episodes(task: Task) -> None:
    environment = make_environment(task, 2)
    starts = np.concatenate([environment.reset(seed=0)[0], environment.reset()[0], environment.reset()[0]])
    environment.close()
    assert len(np.unique(starts.round(6), axis=0)) == 6
    assert np.ptp(starts[:, 36:39], axis=0).max() > 0.01 or np.ptp(starts[:, 4:7], axis=0).max() > 0.01  # in m
    assert starts[:, 36:39].any()  # the goal is observed


@pytest.mark.parametrize("task", continual_world.SEQUENCES["cw10"]().tasks, ids=lambda task: task.name)
def test_goals_stay_where_they_can_be_reached_in_later_episodes(task: Task) -> None:
    environment = make_environment(dataclasses.replace(task, env_kwargs={"max_episode_steps": 1}), 2)
    first = environment.reset(seed=0)[0]
    later = [environment.step(np.zeros((2, 4), np.float32))[0] for _ in range(3)] + [environment.reset()[0]]
    environment.close()
    assert np.abs(np.stack(later)[..., 36:39] - first[:, 36:39]).max() < 0.3  # in m


def test_without_a_seed_the_starts_are_random() -> None:
    assert not np.array_equal(*(made(DOOR, n=1).reset()[0] for _ in range(2)))


def test_meta_world_is_set_as_in_continual_world_unless_told_otherwise() -> None:
    options = make_environment(Task("door", DOOR), 1)._options  # type: ignore[attr-defined]
    assert options["max_episode_steps"] == 200 and options["partially_observable"] is False
    hidden = make_environment(Task("door", DOOR, {"partially_observable": True}), 1)
    assert not hidden.reset(seed=0)[0][:, 36:39].any()


class Hand:
    """Brings Fetch's hand to the goal, and after `leaves` steps away from it."""

    def __init__(self, leaves: int) -> None:
        self.leaves, self.steps = leaves, 0

    def act(self, observations: np.ndarray) -> np.ndarray:
        self.steps += 1
        achieved, desired = observations[:, :3], observations[:, 3:6]  # keys of the Dict in order
        towards = 10.0 * (desired - achieved) if self.steps <= self.leaves else np.full_like(desired, -1.0)
        return np.clip(np.column_stack([towards, np.zeros(len(towards))]), -1, 1)


@pytest.mark.parametrize(("leaves", "stays"), [(50, True), (30, False)])
def test_success_at_any_step_and_at_the_last(leaves: int, stays: bool) -> None:
    environment = make_environment(Task("reach", REACH), 2)
    union = UnionSpace([environment.single_observation_space], [environment.single_action_space])
    episodes = evaluate(Hand(leaves), environment, union, 0, seed=0)
    assert episodes.lengths.tolist() == [50, 50]
    assert episodes.success.all()
    assert (episodes.success_at_end == stays).all()


def test_an_ordinary_environment_of_it_does_the_same() -> None:
    single, vector = make_single(find_spec(DOOR), {"max_episode_steps": 200}), made(DOOR, n=2, max_episode_steps=200)
    observation, info = single.reset(seed=3)
    rows, _ = vector.reset(seed=3)
    np.testing.assert_array_equal(observation, rows[0])
    assert info["success"] == 0
    action = np.full(4, 0.3, np.float32)
    for _ in range(200):
        observation, reward, terminated, truncated, info = single.step(action)
        rows, rewards, _, _, infos = vector.step(np.tile(action, (2, 1)))
    assert truncated and not terminated
    np.testing.assert_array_equal(observation, infos["final_obs"][0])
    assert (reward, info["elapsed_step"]) == (rewards[0], 200)
    with pytest.raises(gym.error.ResetNeeded, match="has ended"):
        single.step(action)
    observation, info = single.reset()  # the second episode, too
    np.testing.assert_array_equal(observation, rows[0])
    assert info["elapsed_step"] == infos["elapsed_step"][0] == 0


@pytest.mark.skipif(not all(map(find_library, ("EGL", "GL"))), reason="no offscreen OpenGL (libegl1 and libgl1)")
def test_a_picture_shows_the_robot_also_where_an_episode_has_ended() -> None:
    code = f"""
import gymnasium, numpy as np
from nestrl.agents.environments import find_spec
world = gymnasium.make(find_spec({DOOR!r}), render_mode="rgb_array", max_episode_steps=None)
world.reset(seed=0)
first, over = world.render().astype(int), False
for step in range(200):
    before = world.render().astype(int) if step == 199 else None
    *_, over, _ = world.step(np.array([0, 1, 0, 0], np.float32))
last = world.render().astype(int)
print(over, first.shape == (480, 640, 3), (first[..., 0] - first[..., 2] > 80).sum())
print(np.abs(last - before).mean() / np.abs(last - first).mean())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    over, shape, red, change = done.stdout.split()
    assert (over, shape) == ("True", "True")
    assert int(red) > 1000  # the arm
    assert float(change) < 0.2  # it shows no new start


@pytest.mark.parametrize(
    ("before", "says"),
    [
        ("import envpool", "leave that import to nestrl"),
        ("import ctypes; ctypes.CDLL = lambda *rest: open('/no/libEGL.so.1')", "install libegl1, libgl1"),
    ],
    ids=["too late", "missing"],
)
def test_where_nothing_can_be_drawn_the_remedy_is_named(before: str, says: str) -> None:
    code = f"""
{before}
import gymnasium
from nestrl.agents.environments import find_spec
gymnasium.make(find_spec({DOOR!r}), render_mode="rgb_array")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "RuntimeError: rendering needs OpenGL" in done.stderr and says in done.stderr


def test_check_says_whether_success_is_told() -> None:
    told = {finding.what for finding in check_environment(REACH)}
    assert {'info["is_success"] tells success', "the same seed gives the same episode"} <= told
    untold = [finding for finding in check_environment("envpool:Pendulum-v1") if finding.level == "warn"]
    assert any(finding.remedy.startswith("Give the task a success_threshold") for finding in untold)


def test_myosuites_tasks_tell_success_in_a_word_of_their_own() -> None:
    environment = make_environment(Task("finger", "envpool:MyoSuite/myoFingerReachFixed-v0"), 2)
    environment.reset(seed=0)
    infos = environment.step(np.zeros((2, *environment.single_action_space.shape), np.float32))[4]
    assert infos["solved"].shape == (2,) and succeeded(infos, 2) is not None
    environment.close()


@pytest.mark.parametrize("steps", [250, 3])
def test_check_makes_episodes_as_long_as_they_are_trained(steps: int) -> None:
    findings = {finding.what for finding in check_environment(REACH, {"max_episode_steps": steps})}
    assert f"episodes end after at most {steps} steps" in findings
    single = make_single(find_spec(REACH), {"max_episode_steps": steps})
    single.reset(seed=0)
    ends = [single.step(np.zeros(4, np.float32))[3] for _ in range(steps)]
    assert ends == [False] * (steps - 1) + [True]


def test_check_finds_a_limit_that_does_not_hold() -> None:
    findings = [finding.what for finding in check_environment("envpool:LaneKeeping-v0") if finding.level == "error"]
    assert any("though its limit is said to be 200" in what for what in findings), findings


def test_unknown_task_names_the_nearest() -> None:
    with pytest.raises(UnknownName, match="Did you mean 'MetaWorld/DoorOpen-v3'"):
        find_spec("envpool:MetaWorld/DoorOpn-v3")
    with pytest.raises(UnknownName, match=r"no task 'zzzz'; envpool.list_all_envs\(\) has its \d+\.$"):
        find_spec("envpool:zzzz")


def test_without_envpool_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "envpool", None)
    with pytest.raises(UnknownName, match=r"pip install 'nestrl\[envpool\]'.*Python 3.11 to 3.14"):
        find_spec(DOOR)


@pytest.mark.parametrize(
    "wrong",
    [
        {"gravity": 3},
        {"frame_skip": "fast"},
        {"seed": 3},
        {"batch_size": 1},
        {"reward_threshold": 9.0},
        {"max_num_players": 2},
        {"max_episode_steps": 0},
    ],
    ids=lambda wrong: next(iter(wrong)),
)
def test_a_wrong_argument_is_answered_with_what_there_is(wrong: dict[str, Any]) -> None:
    with pytest.raises(BadConfig, match=rf"{next(iter(wrong))}.*frame_skip=5.*partially_observable=True"):
        made(DOOR, **wrong)


def test_a_wrong_value_is_answered_with_what_envpool_says() -> None:
    environment = make_environment(Task("none", DOOR, {"task_name": "no-such"}), 1)
    union = UnionSpace([environment.single_observation_space], [environment.single_action_space])
    with pytest.raises(EnvironmentFault, match="Unknown MetaWorld task_name: no-such"):
        TaskVecEnv(environment, union, 0).reset()


def test_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    for wrong in (0, True, 100_000, 2.0):
        with pytest.raises(BadConfig, match=f"num_threads is {wrong}; it must be a whole number from 1 to 1024"):
            made(num_threads=wrong)
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0})
    with pytest.warns(UserWarning, match="num_threads is 2, but this process may use 1"):
        made(num_threads=2)


def test_it_steps_only_after_a_reset() -> None:
    with pytest.raises(gym.error.ResetNeeded):
        made().step(np.zeros((3, 4), np.float32))


def test_no_simulation_is_held_from_one_evaluation_to_the_next() -> None:
    task = Task("reach", REACH, {"max_episode_steps": HORIZON})
    worlds = Worlds(TaskSequence("one", (task,), (Segment("reach", 10),)), 2)
    (environment,) = worlds._examined

    class Constant:
        def act(self, observations: Any) -> Any:
            return np.full((len(observations), 4), 0.5, np.float32)

    before = worlds.examine(0, Constant(), 3)
    with pytest.raises(gym.error.ResetNeeded):
        environment.step(np.zeros((2, 4), np.float32))
    after = worlds.examine(0, Constant(), 3)
    assert before.lengths.tolist() == [HORIZON] * 3 and np.array_equal(before.returns, after.returns)


@pytest.mark.parametrize("name", ["fetch-4", "pointmaze-4"])
def test_the_tasks_of_other_sequences_step_and_tell_success(name: str) -> None:
    for task in continual_world.SEQUENCES[name]().tasks:
        environment = make_environment(task, 1)
        environment.reset(seed=0)
        infos = environment.step(np.zeros((1, *environment.single_action_space.shape), np.float32))[4]
        assert {"is_success", "success"} & infos.keys()
        environment.close()
