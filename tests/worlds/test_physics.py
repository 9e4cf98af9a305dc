"""Known answers of the physics: what drift, friction, traction and the mechanisms must do."""

from typing import Any

import numpy as np
import pytest

from nestrl_envs.geometry import first_within, length
from nestrl_envs.manipulation.button import RoverButton
from nestrl_envs.manipulation.door import RoverDoor
from nestrl_envs.manipulation.pick_place import TRAY_HEIGHT, RoverPickPlace
from nestrl_envs.manipulation.push import RoverPush
from nestrl_envs.manipulation.reach import RoverReach
from nestrl_envs.navigation.ice import RoverIce
from nestrl_envs.navigation.maze import HELD_OUT, LAYOUT_SETS, RoverMaze
from nestrl_envs.rover import RoverTask


def driven(task: RoverTask, action: list[float], steps: int) -> RoverTask:
    for _ in range(steps):
        task.step(np.tile(action, (task.num_simulations, 1)))
    return task


def in_the_middle(task: RoverTask) -> RoverTask:
    task.reset(seeds=np.zeros(task.num_simulations, int))
    task.place(np.arange(task.num_simulations), np.zeros((task.num_simulations, 2)), np.zeros(task.num_simulations))
    return task


def test_full_speed_ahead_is_one_metre_a_second() -> None:
    task = driven(in_the_middle(RoverReach()), [1, 0, 0, 0, 0, 0], 10)
    assert abs(task.speed()[0] - 1.0) < 0.02
    assert 0.6 < task.base()[0, 0] < 0.8  # 0.8 s, less the time to get going


def test_ice_and_low_friction_limit_the_acceleration() -> None:
    speeds = {}
    for name, task in {
        "dry": RoverReach(),
        "drift": RoverReach(dynamics={"friction": 0.05}),
        "ice": RoverIce(friction_range=(0.045, 0.045)),
    }.items():
        speeds[name] = driven(in_the_middle(task), [1, 0, 0, 0, 0, -1], 5).speed()[0]
    mass = 22 + 0.8 + 0.4 + 0.2 + 0.2  # kg: base, boom, arm, palm, fingers
    assert abs(speeds["ice"] - 0.05 * 194 / mass * 0.4) < 0.01  # v = F t / m
    assert abs(speeds["drift"] - speeds["ice"]) < 1e-9
    assert speeds["dry"] > 3 * speeds["ice"]


def test_a_payload_slows_and_a_slope_pulls() -> None:
    heavy = driven(in_the_middle(RoverReach(dynamics={"payload": 20, "friction": 0.2})), [1, 0, 0, 0, 0, 0], 4)
    light = driven(in_the_middle(RoverReach(dynamics={"friction": 0.2})), [1, 0, 0, 0, 0, 0], 4)
    assert heavy.speed()[0] < 0.7 * light.speed()[0]
    tilted = driven(in_the_middle(RoverReach(dynamics={"tilt": 10, "friction": 0.02})), [0] * 6, 10)
    level = driven(in_the_middle(RoverReach(dynamics={"friction": 0.02})), [0] * 6, 10)
    assert np.linalg.norm(tilted.base()[0]) > 0.3
    assert np.linalg.norm(level.base()[0]) < 0.01


def test_commands_arrive_late_by_the_action_delay() -> None:
    task = in_the_middle(RoverReach(dynamics={"action_delay": 3}))
    ahead = [[1.0, 0, 0, 0, 0, 0]]
    speeds = [float(task.step(np.array(ahead)) and task.speed()[0]) for _ in range(5)]
    assert max(speeds[:3]) < 1e-6 and speeds[3] > 0.05


def test_sensor_noise_has_the_declared_size() -> None:
    noisy, clean = (RoverReach(300, dynamics={"sensor_noise": strength}) for strength in (0.1, 0.0))
    for task in (noisy, clean):
        task.reset(seeds=np.arange(300))
    deviation = ((noisy.observe() - clean.observe()) / clean.observation_scale).std()
    assert 0.095 < deviation < 0.105


def test_the_base_pushes_the_box_and_the_box_stays_where_it_is_left() -> None:
    task = in_the_middle(RoverPush())
    task.qpos[0, 7:10] = [0.5, 0.0, 0.0]
    driven(task, [1, 0, 0, 0, 0, 0], 10)
    pushed = task.box()[0].copy()
    assert pushed[0] > 0.6
    driven(task, [-1, 0, 0, 0, 0, 0], 8)
    assert np.abs(task.box()[0] - pushed).max() < 0.12


def test_the_button_gives_way_only_when_pressed() -> None:
    task = in_the_middle(RoverButton())
    assert task.pressed()[0] < 1e-3
    driven(task, [0] * 6, 5)
    assert task.pressed()[0] < 1e-3
    face = task.face()[0]
    task.place(np.array([0]), np.array([[face[0] - 0.45, face[1]]]), np.zeros(1))
    task.qpos[0, 3] = face[2] - 0.15
    driven(task, [0.5, 0, 0, 0, 0, -1], 6)
    assert task.solved()[0]


def test_the_door_opens_when_driven_against_at_its_handle() -> None:
    task = RoverDoor()
    task.reset(seeds=np.array([0]))
    handle = task.handle()[0]
    task.place(np.array([0]), np.array([[handle[0] - 0.5, handle[1]]]), np.zeros(1))
    task.qpos[0, 3] = handle[2] - 0.15
    driven(task, [1, 0, 0, 0, 0, -1], 15)
    assert task.angle()[0] > 0.3


def test_a_held_can_is_lifted_and_stands_on_the_tray() -> None:
    task = RoverPickPlace(grasped_starts=1.0)
    task.reset(seeds=np.array([0]))
    driven(task, [0, 0, 0, 0, 0, -1], 8)
    assert task.firm()[0] > 0.5
    driven(task, [0, 0, 0, 0.6, 0, -1], 10)
    assert task.height()[0] > 0.12
    task.qpos[0, 7:10] = [*task.tray[0, :2], TRAY_HEIGHT + 0.01]
    task.qpos[0, 3] = 0.5
    driven(task, [0, 0, 0, 0, 0, 1], 8)
    assert task.placed()[0] and task.solved()[0]


def test_a_can_that_starts_in_the_air_stays_in_closed_fingers_and_opened_ones_set_it_on_the_tray() -> None:
    task = RoverPickPlace(400, grasped_starts=1.0)
    task.reset(seeds=np.arange(400))
    carried = task.height() > 0.1
    assert 0.2 < carried.mean() < 0.4
    over = carried & (length((task.tray - task.can())[:, :2]) < 0.5 * task.radius)
    assert over.sum() > 3 and not task.placed().any()
    driven(task, [0, 0, 0, 0, 0, -1], 8)
    assert (task.height()[carried] > 0.08).all() and (task.firm()[carried] > 0.5).all()
    driven(task, [0, 0, 0, 0, 0, 1], 8)
    assert task.solved()[over].all()
    assert not (task.height()[carried & ~over] > 0.12).any()


def test_held_out_layouts_are_never_met_in_training() -> None:
    assert not set(HELD_OUT) & set(LAYOUT_SETS["train"])
    assert len(LAYOUT_SETS["all"]) == len(LAYOUT_SETS["train"]) + len(HELD_OUT)
    task = RoverMaze(200)
    task.reset(seeds=np.arange(200))
    gaps = np.unique(np.round(task.gaps[:, :, 1], 3))
    met = {tuple(np.searchsorted(gaps, np.round(row, 3)).tolist()) for row in task.gaps[:, :, 1]}
    assert met == set(LAYOUT_SETS["train"])


def test_the_remaining_way_through_the_maze_is_never_shorter_than_the_straight_line() -> None:
    task = RoverMaze(100, layouts="all")
    task.reset(seeds=np.arange(100))
    straight = np.linalg.norm(task.base() - task.goal, axis=1)
    assert (task.remaining() >= straight - 1e-9).all()
    assert (task.remaining() > straight + 0.3).any()


@pytest.mark.parametrize(("kind", "bound"), [(RoverIce, 1.4), (RoverReach, 1.7)])
def test_every_goal_lies_where_it_can_be_reached(kind: type[Any], bound: float) -> None:
    world = kind(512)
    world.reset(seeds=np.arange(512))
    assert (np.abs(world.goal[:, :2]) <= bound).all()
    start = world.base() if kind is RoverIce else world.tip()[:, :2]
    assert length(world.goal[:, :2] - start).min() > 0.7


def test_the_first_offset_that_stays_within_is_taken_and_else_the_last_turned_inward() -> None:
    centre = np.array([[1.0, 0.0], [1.0, 0.0], [1.3, -1.2]])
    offsets = np.array([[[0.9, 0.0], [0.0, 0.9]], [[0.9, 0.0], [1.5, 0.2]], [[2.0, 0.0], [1.9, -0.9]]])
    expected = [[1.0, 0.9], [-0.5, 0.2], [-0.6, -0.3]]
    np.testing.assert_allclose(first_within(centre, offsets, 1.4), expected)
