"""Bring the gripper to a point and hold it there."""

import mujoco
import numpy as np

from nestrl_envs import scene
from nestrl_envs.arguments import require
from nestrl_envs.batch_env import ALL, Rows
from nestrl_envs.geometry import between, first_within, length
from nestrl_envs.rover import RoverTask

CANDIDATES = 6


class RoverReach(RoverTask):
    """Bring the tip of the gripper to a point in the room and hold it there.

    Start: rover anywhere 0.7 m or more from the walls, any heading; the point 0.8 to `far` m from the tip, 0.1 to 0.6 m
    high. Success: the tip within `radius` of the point for 3 control steps (0.24 s).
    Potential: minus the distance from tip to point.

    - radius: how near is near enough, m (harder: 0.04).
    - far: greatest distance of the point from the tip at the start, m (harder: 2.5 with room=3, horizon=120); where no
      such point lies in the room, it is nearer.
    """

    default_horizon = 60
    draws = 4 + 2 * CANDIDATES

    def __init__(self, num_simulations: int = 1, *, radius: float = 0.08, far: float = 1.6, **options: object) -> None:
        require("radius", radius, 0.01, 1)
        require("far", far, 0.8, 5)
        self.radius, self.far = radius, far
        super().__init__(num_simulations, **options)  # type: ignore[arg-type]
        self.goal = self.array("goal", 3)

    def build(self) -> mujoco.MjModel:
        spec = scene.room(self.room)
        scene.mark(spec, "goal", self.radius, flat=False)
        return spec.compile()

    def start(self, ids: np.ndarray, draw: np.ndarray) -> None:
        free = self.room - 0.7
        self.place(ids, between(draw[:, :2], -free, free), between(draw[:, 2], -np.pi, np.pi))
        distance = between(draw[:, 4 : 4 + CANDIDATES], 0.8, self.far)
        angle = between(draw[:, 4 + CANDIDATES :], -np.pi, np.pi)
        around = np.stack([np.cos(angle), np.sin(angle)], axis=-1) * distance[..., None]
        self.goal[ids, :2] = first_within(self.tip(ids)[:, :2], around, self.room - 0.3)
        self.goal[ids, 2] = between(draw[:, 3], 0.1, 0.6)
        self.mocap_pos[ids, 0] = self.goal[ids]

    def approach(self, rows: Rows) -> tuple[np.ndarray, np.ndarray]:
        return self.tip(rows), self.goal[rows]

    def potential(self, rows: Rows = ALL) -> np.ndarray:
        return -length(self.tip(rows) - self.goal[rows])

    def solved(self, rows: Rows = ALL) -> np.ndarray:
        return length(self.tip(rows) - self.goal[rows]) < self.radius
