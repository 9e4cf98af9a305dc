"""Environments that gymnasium allows and that a vector of them, or we, could stumble over."""

from collections.abc import Iterator
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from nestrl.agents.environments import _one_bool, make_environment
from nestrl.agents.vec_env import TaskVecEnv
from nestrl.errors import BadConfig, EnvironmentFault
from nestrl.tasks.sequence import Segment, Task, TaskSequence
from nestrl.tasks.union import UnionSpace
from nestrl.training.worlds import Worlds

ID = "odd/Odd-v0"
STEPS = 12


class Odd(gymnasium.Env[np.ndarray, np.ndarray]):
    """Observes the step it is in, in one buffer for good; each episode is a step longer than the one before."""

    observation_space = spaces.Box(-1, 99, (1,))

    def __init__(self, said: str = "nothing", force: float = 1.0, scale: Any = None) -> None:
        self.said, self.length, self.buffer = said, 2, np.zeros(1, np.float32)
        self.action_space = spaces.Box(-force, force, (1,))
        if scale is not None:
            self.observation_scale = scale

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        self.steps, self.length = 0, self.length + 1 + (seed or 0) % 2
        self.buffer[:] = 0
        return self.buffer, {"start": object()}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        self.steps += 1
        self.buffer[:] = self.steps
        ended = self.steps == self.length
        says: dict[str, Any] = {
            "nothing": None,
            "ragged": {"contacts": np.zeros(self.steps)},
            "none": {"touched": None if self.steps % 2 else 3},
            "number": {"diverged": 0, "is_success": np.float32(1)},
            "numpy": {"diverged": np.bool_(ended)},
            "vector": {"is_success": np.ones(3)},
        }
        return self.buffer, 1.0, np.bool_(False), np.bool_(ended), says[self.said] or {}  # type: ignore[return-value]

    def close(self) -> None:
        if self.said == "nothing" and self.action_space.high[0] == 7:
            raise RuntimeError("the plug is stuck")


@pytest.fixture(autouse=True)
def registered() -> Iterator[None]:
    gymnasium.register(ID, entry_point=Odd)
    yield
    del gymnasium.registry[ID]


def trained(said: str) -> TaskVecEnv:
    environment = make_environment(Task("odd", ID, {"said": said}), 2)
    union = UnionSpace([environment.single_observation_space], [environment.single_action_space])
    vec_env = TaskVecEnv(environment, union, 0)
    vec_env.seed(0)
    vec_env.reset()
    return vec_env


def ended(vec_env: TaskVecEnv) -> list[dict[str, Any]]:
    """Return the infos of all episodes that end within some steps."""
    stepped = [vec_env.step(np.zeros((2, 1), np.float32))[3] for _ in range(STEPS)]
    return [info for infos in stepped for info in infos if info]


@pytest.mark.parametrize("said", ["nothing", "ragged", "none", "number"])
def test_episodes_end_with_what_was_last_seen_whatever_info_says(said: str) -> None:
    infos = ended(trained(said))
    assert len(infos) > 3
    assert [info["terminal_observation"][0] for info in infos] == [info["episode"]["l"] for info in infos]
    assert {info["is_success"] for info in infos} == {said == "number"}


def test_any_environment_may_say_that_it_has_diverged() -> None:
    vec_env = trained("numpy")
    infos = ended(vec_env)
    assert vec_env.diverged_count == len(infos)
    assert [info["terminal_observation"][0] for info in infos] == [info["episode"]["l"] - 1 for info in infos]


def test_success_must_be_one_bool() -> None:
    with pytest.raises(EnvironmentFault, match=r"^info\['is_success'\] has shape \(3,\); it must be one bool"):
        ended(trained("vector"))


@pytest.mark.parametrize(("said", "means"), [(True, True), (np.int64(0), False), (np.ones(1), True), (None, False)])
def test_what_success_may_be(said: Any, means: bool) -> None:
    assert _one_bool("is_success", said) is means


@pytest.mark.parametrize("said", [np.nan, "False", "yes", object()])
def test_what_is_no_bool_is_no_success(said: Any) -> None:
    with pytest.raises(EnvironmentFault, match="it must be one bool"):
        _one_bool("is_success", said)


def test_a_vector_class_that_cannot_be_made_is_done_without() -> None:
    gymnasium.register("odd/Vector-v0", entry_point=Odd, vector_entry_point=lambda **kwargs: kwargs["nothing"])
    try:
        with pytest.warns(UserWarning, match="its vector class could not be made"):
            assert make_environment(Task("odd", "odd/Vector-v0"), 3).num_envs == 3
    finally:
        del gymnasium.registry["odd/Vector-v0"]


def worlds(**task: Any) -> Worlds:
    return Worlds(TaskSequence("odd", (Task("odd", ID, **task),), (Segment("odd", 10),)), 2)


def test_training_and_evaluation_have_the_same_spaces() -> None:
    both = worlds(env_kwargs={"force": 2.0}, evaluation_kwargs={"force": 0.5})
    with pytest.raises(BadConfig, match="'odd' has other spaces in training.*evaluation_kwargs must not change them"):
        both.training(0, 2)
    assert worlds(evaluation_kwargs={"said": "ragged"}).training(0, 2).num_envs == 2


@pytest.mark.parametrize("scale", [[1.0, 1.0], [0.0], [float("inf")]])
def test_a_declared_scale_must_be_one(scale: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    odd = worlds()
    monkeypatch.setattr(odd._examined[0], "observation_scale", np.array(scale), raising=False)
    with pytest.raises(EnvironmentFault, match="observation_scale"):
        odd.normalizer_rows()


def test_an_environment_that_cannot_close_is_named() -> None:
    with pytest.raises(EnvironmentFault, match="Odd-v0 raised in close: RuntimeError: the plug is stuck"):
        worlds(env_kwargs={"force": 7.0}).close()
