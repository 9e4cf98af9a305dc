"""Mistakes with the worlds get one clear sentence."""

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.error import ResetNeeded

import nestrl_envs
from nestrl_envs.dynamics import Dynamics, DynamicsError, dynamics_from
from nestrl_envs.manipulation.reach import RoverReach
from nestrl_envs.single import SingleEnv
from nestrl_envs.vector import BatchVectorEnv


def test_actions_of_wrong_shape_or_not_finite_are_refused() -> None:
    env = gym.make("nestrl/RoverReach-v0").unwrapped
    env.reset(seed=0)
    with pytest.raises(ValueError, match=r"shape \(1, 5\), expected \(1, 6\)"):
        env.step(np.zeros(5))
    with pytest.raises(ValueError, match="NaN or infinite"):
        env.step(np.full(6, np.nan))


def test_bad_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match="num_simulations must be a whole number, at least 1"):
        RoverReach(0)
    with pytest.raises(ValueError, match="render_mode"):
        SingleEnv(RoverReach, render_mode="human")


@pytest.mark.parametrize(
    ("task", "arguments", "says"),
    [
        ("Maze", {"layouts": "none"}, "layouts must be one of"),
        ("Maze", {"layouts": [1]}, "layouts must be one of"),
        ("Maze", {"gap": 0.2}, "gap must be a number from"),
        ("Dock", {"bay_width": 0.3}, "bay_width must be a number from"),
        ("Drawer", {"resistance": -2}, "resistance must be a number from 0"),
        ("Drawer", {"pull": 0.4}, r"pull must be a number from 0\.01 to 0\.3"),
        ("Ice", {"friction_range": 0.05}, "friction_range must be a pair"),
        ("Ice", {"friction_range": [0.08, 0.04]}, "the higher one first"),
        ("Ice", {"friction_range": [-0.08, -0.04]}, "each number of friction_range"),
        ("PickPlace", {"grasped_starts": None}, "grasped_starts must be a number from 0 to 1, not None"),
        ("Reach", {"radius": float("nan")}, "radius must be a number"),
        ("Reach", {"room": 0.5}, r"room must be a number from 1\.5"),
        ("Reach", {"horizon": 50.5}, "horizon must be a whole number"),
        ("Reach", {"horizon": True}, "horizon must be a whole number"),
        ("Reach", {"dynamics": 0.5}, "dynamics takes a mapping"),
    ],
)
def test_bad_arguments_of_tasks_are_refused(task: str, arguments: dict, says: str) -> None:
    env_id = next(known for known in nestrl_envs.TASKS if f"Rover{task}-" in known)
    with pytest.raises(ValueError, match=says):
        gym.make(env_id, **arguments)


@pytest.mark.parametrize("seeds", [[7], [1, 2, 3, 4, 5]])
def test_seeds_are_one_each(seeds: list[int]) -> None:
    with pytest.raises(ValueError, match=f"{len(seeds)} seeds for 4 simulations"):
        BatchVectorEnv(RoverReach, 4).reset(seed=seeds)


@pytest.mark.parametrize("seed", [-1, 1.5, 2**63, [0, 1, -2, 3], [0, 1, 2, None]])
def test_a_seed_is_a_whole_number(seed: Any) -> None:
    with pytest.raises(ValueError, match="a seed is a whole number from 0"):
        BatchVectorEnv(RoverReach, 4).reset(seed=seed)


def test_nothing_is_stepped_before_it_was_reset() -> None:
    with pytest.raises(ResetNeeded, match=r"call reset\(\) before"):
        BatchVectorEnv(RoverReach, 4).step(np.zeros((4, 6)))


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
