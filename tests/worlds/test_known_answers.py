"""What counts as success, and where potential and slots point: cases whose answer is known, one task each."""

from typing import Any

import numpy as np
import pytest

from nestrl_envs.fields import OBSERVATION, spans
from nestrl_envs.geometry import length
from nestrl_envs.manipulation.button import RoverButton
from nestrl_envs.manipulation.door import RoverDoor
from nestrl_envs.manipulation.drawer import RoverDrawer
from nestrl_envs.manipulation.pick_place import RoverPickPlace
from nestrl_envs.manipulation.push import RoverPush
from nestrl_envs.manipulation.reach import RoverReach
from nestrl_envs.navigation.dock import RoverDock
from nestrl_envs.navigation.ice import RoverIce
from nestrl_envs.navigation.maze import RoverMaze
from nestrl_envs.navigation.slalom import RoverSlalom
from nestrl_envs.rover import RoverTask
from nestrl_envs.shaping import reward_terms
from nestrl_envs.vector import BatchVectorEnv

AT = spans(OBSERVATION)


def started(kind: type[Any], **options: object) -> Any:
    task = kind(**options)
    task.reset(seeds=np.array([0]))
    return task


def put(task: RoverTask, position: Any, yaw: float = 0.0) -> None:
    task.place(np.array([0]), np.atleast_2d(position), np.array([yaw]))


def slot(task: RoverTask, name: str) -> np.ndarray:
    return task.observe()[0, AT[name]]


def test_a_reward_is_progress_and_success_less_time_and_effort() -> None:
    before, after, success = np.array([-2.0, -1.0]), np.array([-1.5, -1.0]), np.array([False, True])
    rewards = sum(reward_terms(before, after, success, np.array([[0.0] * 6, [1.0] * 6])).values())
    np.testing.assert_allclose(rewards, [2 * 0.5 - 0.02, 5 - 0.02 - 0.002 * 6])


def test_success_must_hold_for_three_steps_in_a_row() -> None:
    task = started(RoverReach)
    goal, away, success = task.tip()[0].copy(), task.tip()[0] + 1.0, []
    for target in (goal, goal, away, goal, goal, goal):
        task.goal[0] = target
        success.append(bool(task.step(np.zeros((1, 6))).success[0]))
        assert np.isclose(slot(task, "hold")[0], task.held[0] / 3)
    assert success == [False] * 5 + [True]


def test_slots_are_seen_from_the_base() -> None:
    task = started(RoverReach)
    put(task, [0.0, 0.0], 0.5 * np.pi)  # facing north
    task.goal[0] = task.tip()[0] + [0.0, 1.0, 0.1]
    np.testing.assert_allclose(slot(task, "approach"), [1.0, 0.0, 0.1], atol=1e-6)
    put(task, [-1.0, 0.5], 0.5 * np.pi)
    lidar = slot(task, "lidar")  # anticlockwise from the front: north, west, south, east
    np.testing.assert_allclose(lidar[[0, 3, 6, 9]], [1.5, 1.0, 2.5, 3.0], atol=1e-6)
    task.step(np.array([[0, 0, 1.0, 0, 0, 0]]))
    assert slot(task, "yaw rate")[0] > 0 and np.isclose(slot(task, "time")[0], 1 / task.horizon)


def test_docked_is_parked_aligned_and_standing() -> None:
    task = started(RoverDock)
    parking, bearing = task.parking[0].copy(), float(task.bearing[0])
    put(task, parking, bearing)
    assert task.solved()[0] and task.potential()[0] > -1e-6
    put(task, parking, bearing - 0.2)
    assert not task.solved()[0]
    np.testing.assert_allclose(slot(task, "heading"), [np.sin(0.2), np.cos(0.2)], atol=1e-6)
    put(task, parking, bearing)
    task.qvel[0, 0] = 0.2
    assert not task.solved()[0]


def test_gates_alternate_and_count_in_order_between_their_posts() -> None:
    task = started(RoverSlalom)
    points = task.points[0].copy()
    assert (np.sign(points[:2, 1]) == -np.sign(points[1:3, 1])).all()
    for place, passed in (
        (points[3], 0), (points[1], 0), (points[0] + [0, 0.5], 0), (points[0], 1), (points[1], 2), (points[2], 3)
    ):  # fmt: skip
        put(task, place)
        task.advance()
        assert task.passed[0] == passed and not task.solved()[0]
    put(task, points[3])
    assert task.solved()[0]


def test_on_ice_a_wall_ends_the_episode_and_the_goal_is_to_stop_at() -> None:
    task = started(RoverIce)
    put(task, task.goal[0])
    assert task.solved()[0] and not task.failed()[0]
    task.qvel[0, 0] = 0.2
    assert not task.solved()[0]
    put(task, [0.0, 1.8])
    outcome = task.step(np.zeros((1, 6)))
    assert outcome.terminated[0] and not outcome.success[0]


def test_the_way_through_the_maze_goes_through_both_gaps_in_order() -> None:
    task = started(RoverMaze)
    task.gaps[0], task.goal[0], task.goal_room[0] = [[-2 / 3, 1.0], [2 / 3, -1.0]], [1.5, 0.0], 2
    put(task, [-1.5, 0.0], 0.3)
    corners = np.array([[-1.5, 0.0], [-2 / 3, 1.0], [2 / 3, -1.0], [1.5, 0.0]])
    assert np.isclose(task.remaining()[0], length(np.diff(corners, axis=0)).sum())
    np.testing.assert_allclose(slot(task, "heading"), [np.sin(-0.3), np.cos(-0.3)], atol=1e-6)


def test_a_box_is_pushed_from_behind_it() -> None:
    task = started(RoverPush)
    task.qpos[0, 7:9], task.goal[0] = [0.0, 0.0], [0.5, 0.0]
    put(task, [-0.35, 0.0])
    behind = task.potential()[0]
    np.testing.assert_allclose(slot(task, "bring"), [0.5, 0.0, 0.0], atol=1e-6)
    put(task, [0.35, 0.0])
    assert np.isclose(behind, -4 * 0.5) and task.potential()[0] < behind - 0.5


def test_a_drawer_is_worth_pulling_with_closed_fingers() -> None:
    task = started(RoverDrawer)

    def at_handle(pulled: float, opening: float) -> float:
        task.qpos[0, 5:8] = opening, opening, pulled
        put(task, [0.0, 0.0])
        put(task, task.handle()[0, :2] - task.tip()[0, :2])
        assert np.isclose(slot(task, "approach")[0], 0.0, atol=1e-6)
        return float(task.potential()[0])

    assert np.isclose(at_handle(0.1, 0.0) - at_handle(0.0, 0.0), 0.6)
    assert np.isclose(at_handle(0.0, 0.0) - at_handle(0.0, 0.07), 0.4)
    bar, moved = task.handle()[0, 0], task.qpos[0, 7]
    task.qpos[0, 7] = moved + 0.1
    assert np.isclose(bar - task.handle()[0, 0], 0.1)


@pytest.mark.parametrize(("kind", "joint"), [(RoverDoor, "door"), (RoverDrawer, "drawer")])
def test_what_resists_and_dry_friction_scales_it(kind: type[Any], joint: str) -> None:
    task = started(kind, resistance=9.0, dynamics={"friction": 0.5})
    dof = task.model.joint(joint).dofadr[0]
    assert np.isclose(task.model.dof_frictionloss[dof], 9.0)
    assert np.isclose(task.get_state()["field.dof_frictionloss"][0, dof], 4.5)


def test_a_button_is_to_be_pressed_the_rest_of_its_way() -> None:
    task = started(RoverButton)
    put(task, [0.0, 0.0])
    task.qpos[0, 7] = 0.02
    np.testing.assert_allclose(slot(task, "bring"), [0.03, 0.0, 0.0], atol=1e-6)
    np.testing.assert_allclose(slot(task, "progress"), [0.4], atol=1e-6)


def test_a_can_is_not_placed_while_the_fingers_hold_it() -> None:
    task = started(RoverPickPlace)
    task.qpos[0, 7:10] = [*task.tray[0, :2], 0.10]
    task.qpos[0, 5:7], task.ctrl[0, 5:7] = 0.07, 0.07
    assert task.placed()[0] and task.solved()[0]
    task.qpos[0, 5:7], task.ctrl[0, 5:7] = 0.03, 0.0
    assert task.placed()[0] and not task.solved()[0]


def test_each_motor_has_its_own_strength_and_drift_goes_on_within_an_episode() -> None:
    motors = {"base_x": 0.1, "base_y": 0.2, "base_yaw": 0.3, "lift": 0.4, "arm": 0.5, "fingers": 0.6}
    task = started(RoverReach, horizon=4, dynamics={"motor_strength": motors, "payload": [0, 40]})
    fields, model, base = task.get_state(), task.model, task.model.body("base").id
    for name, column in (("actuator_forcerange", 1), ("actuator_gainprm", 0)):
        strength = fields[f"field.{name}"][0, :, column] / getattr(model, name)[:, column]
        np.testing.assert_allclose(strength, [*motors.values(), 0.6])
    for _ in range(3):
        task.step(np.zeros((1, 6)))
    assert np.isclose(task.get_state()["field.body_mass"][0, base] - model.body_mass[base], 20.0)  # two steps of four


def test_noise_and_slope_are_drawn_anew() -> None:
    task = RoverReach(2, dynamics={"sensor_noise": 0.1, "tilt": 5})
    task.reset(seeds=np.arange(2))
    gravity = task.get_state()["field.opt.gravity"]
    assert gravity[0, 0] != gravity[1, 0]
    first = task.observe()[:, AT["progress"]]  # 0 but for the noise
    task.step(np.zeros((2, 6)))
    assert (task.observe()[:, AT["progress"]] != first).all() and first[0] != first[1]


def test_a_vector_of_one_seed_has_a_start_each_and_never_the_same_again() -> None:
    many = BatchVectorEnv(RoverReach, 3)
    many.reset(seed=0)
    starts = [many.simulations.base().copy()]
    many.reset(seed=np.arange(3))
    assert np.array_equal(many.simulations.base(), starts[0])
    for _ in range(20):
        many.reset()
        starts.append(many.simulations.base().copy())
    assert len(np.unique(np.concatenate(starts), axis=0)) == 63


def test_a_simulation_that_is_not_active_stands_still_and_never_ends() -> None:
    many = BatchVectorEnv(RoverReach, 2)
    many.reset(seed=0)
    many.active = np.array([True, False])
    for done in (False, False, True):
        many.simulations.goal[:] = many.simulations.tip()
        _, _, terminated, truncated, infos = many.step(np.zeros((2, 6)))
        assert terminated.tolist() == infos["is_success"].tolist() == [done, False] and not truncated.any()
