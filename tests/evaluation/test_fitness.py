"""Environments that are fit, and tiny ones with one fault each: the finding names the fault."""

import time
from collections.abc import Iterator
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from nestrl.errors import EnvironmentFault, UnknownName
from nestrl.evaluation.fitness import Finding, check_environment


class Point(gym.Env[np.ndarray, np.ndarray]):
    """A point on a line that should end near 0; fit, and the parent of the broken ones."""

    observation_space = gym.spaces.Box(-10, 10, (2,), np.float32)
    action_space = gym.spaces.Box(-1, 1, (1,), np.float32)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict]:
        super().reset(seed=seed)
        self.place, self.speed = self.np_random.uniform(2, 3, size=2)
        return self.observe(), {}

    def observe(self) -> np.ndarray:
        return np.array([self.place, self.speed], np.float32)

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict]:
        self.speed = float(np.clip(self.speed + 0.1 * action[0], -1, 1))
        self.place = float(np.clip(self.place + 0.1 * self.speed, -10, 10))
        return self.observe(), -abs(self.place), False, False, {"is_success": abs(self.place) < 0.005}


class OwnRandomness(Point):
    def reset(self, **kwargs: Any) -> tuple[np.ndarray, dict]:
        super().reset(**kwargs)
        self.place = float(np.random.uniform(2, 3))
        return self.observe(), {}


class SlipperyRandomness(Point):
    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict]:
        return super().step(action + np.random.uniform(size=1))


class Remembers(Point):
    steps = 0

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict]:
        self.steps += 1
        return super().step(action / self.steps)


class OneStart(Point):
    def reset(self, **kwargs: Any) -> tuple[np.ndarray, dict]:
        super().reset(**kwargs)
        self.place, self.speed = 2.0, 0.0
        return self.observe(), {}


class NoSuccess(Point):
    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict]:
        return (*super().step(action)[:4], {})


class NanReward(Point):
    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict]:
        observation, _, *rest = super().step(action)
        return observation, float("nan"), *rest


class NanObservation(Point):
    def observe(self) -> np.ndarray:
        return np.array([self.place, np.nan if self.place > 4 else self.speed], np.float32)


class Millimetres(Point):
    observation_space = gym.spaces.Box(-1e4, 1e4, (2,), np.float32)

    def observe(self) -> np.ndarray:
        return np.array([1000 * self.place, self.speed], np.float32)


class Constant(Point):
    def observe(self) -> np.ndarray:
        return np.array([self.place, 1], np.float32)


class WrongShape(Point):
    def observe(self) -> np.ndarray:
        return np.zeros(3, np.float32)


class Breaks(Point):
    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict]:
        if self.place > 5:
            raise ValueError("the motor is gone")
        return super().step(action)


class SlowReset(Point):
    def reset(self, **kwargs: Any) -> tuple[np.ndarray, dict]:
        time.sleep(0.05)
        return super().reset(**kwargs)


class EndsByItself(Point):
    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict]:
        observation, reward, _, truncated, info = super().step(action)
        return observation, reward, self.place > 5, truncated, info


class Easy(Point):
    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict]:
        return (*super().step(action)[:4], {"success": True})


class TupleSpace(Point):
    observation_space = gym.spaces.Tuple([Point.observation_space, Point.observation_space])  # type: ignore[assignment]

    def observe(self) -> Any:
        return super().observe(), super().observe()


class Picture(Point):
    observation_space = gym.spaces.Box(0, 255, (32, 32, 3), np.uint8)  # type: ignore[assignment]

    def observe(self) -> np.ndarray:
        return np.random.default_rng(int(1e6 * self.place)).integers(0, 256, (32, 32, 3), np.uint8)


class CannotBeMade(Point):
    def __init__(self) -> None:
        raise OSError("no robot at /dev/ttyUSB0")


class WithoutSpace(Point):
    def __getattribute__(self, name: str) -> Any:
        if name == "observation_space":
            raise AttributeError("no observation_space")
        return super().__getattribute__(name)


class CannotBeClosed(Point):
    def close(self) -> None:
        raise RuntimeError("motors hot")


class Sized(Point):
    def __init__(self, size: float) -> None:
        super().__init__()


class Astronomic(Point):
    observation_space = gym.spaces.Box(-np.inf, np.inf, (2,), np.float64)

    def observe(self) -> np.ndarray:
        return super().observe().astype(np.float64) + 1e300


class NumpyTypes(Point):
    def step(self, action: np.ndarray) -> Any:
        observation, reward, terminated, truncated, info = super().step(action)
        return observation, np.float32(reward), np.bool_(terminated), truncated, info


@pytest.fixture
def check(request: pytest.FixtureRequest) -> Iterator[Any]:
    """Register a class for one test and check it."""
    ids: list[str] = []

    def register_and_check(environment: type[Point], limit: int | None = 200) -> list[Finding]:
        ids.append(f"fitness/{environment.__name__}-v0")
        gym.register(ids[-1], entry_point=environment, max_episode_steps=limit)
        return check_environment(ids[-1])

    yield register_and_check
    for name in ids:
        del gym.registry[name]


def having(findings: list[Finding], level: str) -> str:
    return "\n".join(f"{finding.what} -> {finding.remedy}" for finding in findings if finding.level == level)


def test_a_fit_environment_has_only_ok(check: Any) -> None:
    findings = check(Point)
    assert {finding.level for finding in findings} == {"ok"}, findings
    assert any("steps/s" in finding.what for finding in findings)


@pytest.mark.parametrize("env_id", ["Pendulum-v1", "Reacher-v5"])
def test_gymnasium_environments_lack_only_a_success_signal(env_id: str) -> None:
    findings = check_environment(env_id)
    assert not having(findings, "error")
    warnings = [finding for finding in findings if finding.level == "warn" and "steps/s" not in finding.what]
    assert ["nothing tells whether" in finding.what for finding in warnings] == [True]
    assert "success_threshold" in warnings[0].remedy


@pytest.mark.parametrize(
    ("environment", "level", "what"),
    [
        (OwnRandomness, "error", "same seed gave different starts"),
        (SlipperyRandomness, "error", "same seed and actions gave different episodes"),
        (Remembers, "error", "depends on the one before"),
        (OneStart, "warn", "every seed gives the same start"),
        (NoSuccess, "warn", "nothing tells whether an episode succeeded"),
        (NanReward, "error", "a reward was NaN"),
        (NanObservation, "error", "NaN or infinite at index 1"),
        (Millimetres, "warn", "exceeds 1000 at index 0"),
        (Constant, "warn", "never changes at index 1"),
        (WrongShape, "error", "checker"),
        (Breaks, "error", "the motor is gone"),
        (Easy, "warn", "random actions succeed in 100%"),
        (TupleSpace, "error", "Tuple"),
        (NumpyTypes, "warn", "stable-baselines3's checker"),
        (Picture, "warn", "an observation is 3,072 numbers"),
    ],
)
def test_a_fault_is_named(check: Any, environment: type[Point], level: str, what: str) -> None:
    findings = check(environment)
    assert what in having(findings, level), findings
    assert all(finding.remedy for finding in findings if finding.level != "ok")


@pytest.mark.parametrize("environment", [NanReward, NanObservation])
def test_nan_is_a_finding_with_its_step_and_no_randomness(check: Any, environment: type[Point]) -> None:
    findings = check(environment)
    assert sum("first in step" in finding.what for finding in findings if finding.level == "error") == 1, findings
    assert "the same seed gives the same episode" in having(findings, "ok")


def test_endless_episodes(check: Any) -> None:
    assert "no episode ended" in having(check(Point, limit=None), "error")


def test_a_reset_that_takes_all_the_time(check: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nestrl.evaluation.fitness.SAMPLE_SECONDS", 0.04)
    assert "no step within 0.04 s" in having(check(SlowReset), "error")


def test_episodes_without_a_time_limit(check: Any) -> None:
    assert "no time limit" in having(check(EndsByItself, limit=None), "warn")


def test_what_only_stable_baselines3_minds_is_no_error(check: Any) -> None:
    assert not having(check(NumpyTypes), "error")


def test_a_time_limit_beyond_the_longest_episode(check: Any) -> None:
    assert "may have 10001 steps" in having(check(Point, limit=10_001), "error")


def test_an_unknown_id_gets_the_nearest() -> None:
    with pytest.raises(UnknownName, match=r"Pendulum-v1"):
        check_environment("Pendulun-v1")


def test_an_unknown_package_is_named() -> None:
    with pytest.raises(UnknownName, match="no_such_package"):
        check_environment("no_such_package:Arm-v0")


def test_an_environment_that_cannot_be_made(check: Any) -> None:
    with pytest.raises(EnvironmentFault, match="no robot at"):
        check(CannotBeMade)


def test_an_error_that_says_nothing_is_shown_where_it_was_raised(check: Any) -> None:
    class Silent(Point):
        def __init__(self) -> None:
            raise AssertionError

    with pytest.raises(EnvironmentFault, match=r"AssertionError in .*fitness.py, line \d+: raise AssertionError\."):
        check(Silent)


@pytest.mark.parametrize(("environment", "what"), [(WithoutSpace, "observation_space"), (CannotBeClosed, "motors hot")])
def test_what_a_first_look_meets_is_one_clear_error(check: Any, environment: type[Point], what: str) -> None:
    with pytest.raises(EnvironmentFault, match=f"cannot be made, asked for its spaces and closed: .*{what}"):
        check(environment)


def test_arguments_reach_the_environment(check: Any) -> None:
    with pytest.raises(EnvironmentFault, match="'size'.*--set NAME=VALUE"):
        check(Sized)
    gym.register("fitness/Again-v0", entry_point=Sized, max_episode_steps=200)
    try:
        assert {finding.level for finding in check_environment("fitness/Again-v0", {"size": 2.0})} == {"ok"}
    finally:
        del gym.registry["fitness/Again-v0"]


def test_numbers_beyond_32_bits_are_found_as_a_learner_meets_them(check: Any) -> None:
    assert "the observation was NaN or infinite at" in having(check(Astronomic), "error")


def test_what_did_not_end_in_the_time_for_samples_may_end(check: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    class SlowStep(Point):
        def step(self, action: Any) -> Any:
            time.sleep(0.005)
            return super().step(action)

    monkeypatch.setattr("nestrl.evaluation.fitness.SAMPLE_SECONDS", 1.0)
    assert "no episode ended" in having(check(SlowStep, limit=None), "warn")
