"""Grasp a can, lift it and set it down on a tray."""

from typing import ClassVar

import mujoco
import numpy as np

from nestrl_envs import scene
from nestrl_envs.arguments import require
from nestrl_envs.batch_env import ALL, Rows
from nestrl_envs.geometry import between, direction, length
from nestrl_envs.rover import GRIPPER_OPEN, RoverTask

CAN_RADIUS = 0.03  # m
CAN_HALF_HEIGHT = 0.06  # m
TRAY_HEIGHT = 0.10  # m: a can cannot be pushed up there
TRAY_RADIUS = 0.12  # m
FIRM = 0.03  # m of squeeze that count as a firm grip
LIFT_SHARE = 8.0  # weight of lifting
CARRIED_STARTS = 0.3  # share of the grasped starts with the can already on its way to the tray
CARRIED_FROM = 0.3  # share of that way, the least
CARRIED_HEIGHT = 0.12  # m above the floor: just over the tray


class RoverPickPlace(RoverTask):
    """Grasp a can that stands on the floor, lift it, set it down on a tray and let go.

    Start: the can 0.6 to 1 m ahead of the rover, which faces it within 0.4 rad; the tray 0.3 to 0.6 m beside the can.
    A share of the episodes starts with the can between the fingers (0 for evaluation): seven of ten of them around the
    can on the floor, the others with it in the air, 0.3 to 1 of the way to the tray. Success: the can stands on the
    tray within `radius` of its middle and the fingers do not hold it, for 3 control steps.
    Potential: 8 min(height, 0.1 m) - |can - tray| + (0.5 + 0.5 open where the can stands on the tray, elsewhere -|tip -
    can| + 0.5 n (0.3 closed + 0.7 squeeze)), with n = exp(-|tip - can| / 0.05 m) and squeeze in units of 0.03 m.

    - radius: how near the tray's middle is near enough, m (harder: 0.04).
    - grasped_starts: share of the episodes that start with the can between the fingers, 0 to 1: a policy that has first
      learned to hold hardly tries to let go (a reverse curriculum, Florensa et al. 2017).
    """

    versions: ClassVar[dict[str, str]] = {
        "v0": "first version",
        "v1": "lifting counts 8, not 4, in the potential; three of ten grasped starts are in the air. Evaluated as v0.",
    }

    base_speed = (0.4, 1.0)
    timestep, substeps = 0.02, 4  # fingers at larger steps tunnel through the can
    default_horizon = 100
    draws = 9

    def __init__(
        self, num_simulations: int = 1, *, radius: float = 0.08, grasped_starts: float = 0.0, **options: object
    ) -> None:
        require("radius", radius, 0.01, 1)
        require("grasped_starts", grasped_starts, 0, 1)
        self.radius, self.grasped_starts = radius, grasped_starts
        super().__init__(num_simulations, **options)  # type: ignore[arg-type]
        self.tray = self.array("tray", 3)  # where the can's middle stands when placed

    def build(self) -> mujoco.MjModel:
        spec = scene.room(self.room)
        tray = spec.worldbody.add_body(name="tray", mocap=True, pos=[0, 0, TRAY_HEIGHT / 2])
        disc = {"type": mujoco.mjtGeom.mjGEOM_CYLINDER, "size": [TRAY_RADIUS, TRAY_HEIGHT / 2, 0]}
        tray.add_geom(name="tray", rgba=scene.FIXTURE_COLOUR, **disc, **scene.MEETS_ALL)
        can = spec.worldbody.add_body(name="can", pos=[0, 0, CAN_HALF_HEIGHT])
        for name, axis in (("can_x", [1, 0, 0]), ("can_y", [0, 1, 0]), ("can_z", [0, 0, 1])):
            can.add_joint(name=name, type=mujoco.mjtJoint.mjJNT_SLIDE, axis=axis)
        can.add_joint(name="can_yaw", type=mujoco.mjtJoint.mjJNT_HINGE, axis=[0, 0, 1], damping=0.001)
        can.add_geom(
            name="can",
            type=mujoco.mjtGeom.mjGEOM_CYLINDER,
            size=[CAN_RADIUS, CAN_HALF_HEIGHT, 0],
            mass=0.15,
            rgba=scene.MOVABLE_COLOUR,
            condim=4,
            friction=[1.0, 0.01, 0.0001],
            **scene.MEETS_WALLS_AND_ROBOT,
        )
        return spec.compile()

    def start(self, ids: np.ndarray, draw: np.ndarray) -> None:
        free = self.room - 1.0
        can = between(draw[:, :2], -0.8 * free, 0.8 * free)
        bearing = between(draw[:, 2], -np.pi, np.pi)
        yaw, around = bearing + between(draw[:, 4], -0.4, 0.4), draw[:, 8] < self.grasped_starts
        yaw = np.where(around, bearing, yaw)
        distance = np.where(around, 0.42, between(draw[:, 3], 0.6, 1.0))
        self.place(ids, can - direction(bearing) * distance[:, None], yaw)
        qpos = self.qpos
        qpos[ids, 3] = np.where(around, CAN_HALF_HEIGHT - 0.15, 0.05)
        qpos[ids, 4] = np.where(around, 0.05, 0.0)
        qpos[ids, 5] = qpos[ids, 6] = 0.06
        qpos[ids, 7:9] = can
        side = bearing + np.where(draw[:, 5] < 0.5, 1, -1) * between(draw[:, 6], 0.7, 1.6)
        self.tray[ids, :2] = can + direction(side) * between(draw[:, 7:8], 0.3, 0.6)
        self.tray[ids, 2] = TRAY_HEIGHT + CAN_HALF_HEIGHT
        self.mocap_pos[ids, 0, :2] = self.tray[ids, :2]
        share = self.grasped_starts * CARRIED_STARTS
        carried = draw[:, 8] < share
        self._carry(ids[carried], np.maximum(CARRIED_FROM, draw[carried, 8] / share))

    def _carry(self, ids: np.ndarray, way: np.ndarray) -> None:
        """Move rover and can, which it holds in the air, by the share `way` (m,) of the way to the tray."""
        qpos = self.qpos
        move = (self.tray[ids, :2] - qpos[ids, 7:9]) * way[:, None]
        qpos[ids, :2] += move
        qpos[ids, 7:9] += move
        qpos[ids, 3] += CARRIED_HEIGHT
        qpos[ids, 9] = CARRIED_HEIGHT
        qpos[ids, 5] = qpos[ids, 6] = CAN_RADIUS

    def can(self, rows: Rows = ALL) -> np.ndarray:
        """Position of the can's middle, (m, 3)."""
        can = self.qpos[rows, 7:10].copy()
        can[:, 2] += CAN_HALF_HEIGHT
        return can

    def height(self, rows: Rows = ALL) -> np.ndarray:
        """How far the can is lifted above the floor, m, (m,)."""
        return self.qpos[rows, 9]

    def firm(self, rows: Rows = ALL) -> np.ndarray:
        """How firmly the fingers hold something, (m,) in [0, 1]."""
        return np.clip(self.squeeze(rows) / FIRM, 0.0, 1.0)

    def approach(self, rows: Rows) -> tuple[np.ndarray, np.ndarray]:
        return self.tip(rows), self.can(rows)

    def bring(self, rows: Rows) -> np.ndarray:
        return self.tray[rows] - self.can(rows)

    def progress(self, rows: Rows) -> np.ndarray:
        return self.height(rows) / TRAY_HEIGHT

    def placed(self, rows: Rows = ALL) -> np.ndarray:
        """Whether the can is over the tray's middle and as low as it stands there, (m,) bool."""
        way = self.tray[rows] - self.can(rows)
        return (length(way[:, :2]) < self.radius) & (np.abs(way[:, 2]) < 0.015)

    def potential(self, rows: Rows = ALL) -> np.ndarray:
        can, placed = self.can(rows), self.placed(rows)
        distance, opening = length(self.tip(rows) - can), self.opening(rows) / GRIPPER_OPEN
        grip = 0.5 * np.exp(-distance / 0.05) * (0.3 * (1.0 - opening) + 0.7 * self.firm(rows))
        carried = LIFT_SHARE * np.clip(self.height(rows), 0.0, TRAY_HEIGHT) - length(self.tray[rows] - can)
        return carried + np.where(placed, 0.5 + 0.5 * opening, grip - distance)

    def solved(self, rows: Rows = ALL) -> np.ndarray:
        return self.placed(rows) & (self.squeeze(rows) < 0.005) & (self.opening(rows) > CAN_RADIUS + 0.01)
