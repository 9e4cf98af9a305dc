"""Mistakes with the worlds get one clear sentence."""

import gymnasium as gym
import numpy as np
import pytest

import nestrl_envs
from nestrl_envs.dynamics import Dynamics, DynamicsError, dynamics_from
from nestrl_envs.manipulation.reach import RoverReach
from nestrl_envs.single import SingleEnv


def test_actions_of_wrong_shape_or_not_finite_are_refused() -> None:
    env = gym.make("nestrl/RoverReach-v0").unwrapped
    env.reset(seed=0)
    with pytest.raises(ValueError, match=r"shape \(1, 5\), expected \(1, 6\)"):
        env.step(np.zeros(5))
    with pytest.raises(ValueError, match="NaN or infinite"):
        env.step(np.full(6, np.nan))


def test_bad_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one simulation"):
        RoverReach(0)
    with pytest.raises(ValueError, match="layouts must be one of"):
        gym.make("nestrl/RoverMaze-v0", layouts="none")
    with pytest.raises(ValueError, match="render_mode"):
        SingleEnv(RoverReach, render_mode="human")


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"grip": 1}, "unknown name"),
        ({"friction": 0}, "must lie in"),
        ({"friction": [1, 2, 3]}, "a number or a pair"),
        ({"friction": "high"}, "a number or a pair"),
        ({"payload": float("nan")}, "a number or a pair"),
        ({"motor_strength": {"wheel": 1}}, "unknown motor"),
    ],
)
def test_bad_dynamics_are_refused(values: dict, says: str) -> None:
    with pytest.raises(DynamicsError, match=says):
        dynamics_from(values)


def test_dynamics_change_linearly_over_the_episode() -> None:
    drift = Dynamics(friction=[1.0, 0.5])
    assert drift.at("friction", np.array([0.0, 0.5, 1.0])).tolist() == [1.0, 0.75, 0.5]
    assert drift.changes("friction") and drift.is_nominal("payload") and not drift.changes("payload")


def test_mujoco_4_0_0_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ImportError, match="3767.*pip"):
        nestrl_envs.refuse_bad_mujoco("4.0.0")
    with pytest.raises(ImportError, match="needs mujoco >= 3.17"):
        nestrl_envs.refuse_bad_mujoco("3.9.1")
    nestrl_envs.refuse_bad_mujoco("4.0.1")
