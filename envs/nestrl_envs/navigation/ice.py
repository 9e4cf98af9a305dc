"""Reach a goal on slippery floor without touching the walls."""

import mujoco
import numpy as np

from nestrl_envs import scene
from nestrl_envs.arguments import require, require_range
from nestrl_envs.batch_env import ALL, Rows
from nestrl_envs.geometry import between, first_within, length
from nestrl_envs.rover import BASE_RADIUS, RoverTask, lifted

CANDIDATES = 6
DRY_FRICTION = 0.9  # of the other tasks


class RoverIce(RoverTask):
    """Drive to a goal on low friction, drawn in every episode, and stop there without driving into a wall.

    Start: rover anywhere 0.6 m or more from the walls, any heading; the goal 0.8 to 2 m away (nearer where a
    smaller `room` has no such place). Success: within `radius` of the goal and slower than 0.15 m/s for 3 control
    steps. The base at a wall ends the episode without success.
    Potential: -d - 0.3 s/m x speed x exp(-d / 0.3 m), where d is the distance to the goal.

    - friction_range: lowest and highest friction coefficient (harder: [0.02, 0.04] with horizon=160).
    - radius: how near is near enough, m (harder: 0.08).
    """

    default_horizon = 100
    draws = 4 + 2 * CANDIDATES

    def __init__(
        self,
        num_simulations: int = 1,
        *,
        friction_range: tuple[float, float] = (0.04, 0.08),
        radius: float = 0.15,
        **options: object,
    ) -> None:
        require_range("friction_range", friction_range, 0.005, 1)
        require("radius", radius, 0.01, 1)
        self.friction_range, self.radius = friction_range, radius
        super().__init__(num_simulations, **options)  # type: ignore[arg-type]
        self.goal = self.array("goal", 2)

    def build(self) -> mujoco.MjModel:
        spec = scene.room(self.room)
        scene.mark(spec, "goal", self.radius)
        return spec.compile()

    def start(self, ids: np.ndarray, draw: np.ndarray) -> None:
        free = self.room - 0.6
        position = between(draw[:, :2], -free, free)
        self.place(ids, position, between(draw[:, 2], -np.pi, np.pi))
        low, high = self.friction_range
        self.friction[ids] = between(draw[:, 3], low, high) / DRY_FRICTION
        distance = between(draw[:, 4 : 4 + CANDIDATES], 0.8, 2.0)
        angle = between(draw[:, 4 + CANDIDATES :], -np.pi, np.pi)
        around = np.stack([np.cos(angle), np.sin(angle)], axis=-1) * distance[..., None]
        self.goal[ids] = first_within(position, around, free)
        self.mocap_pos[ids, 0] = lifted(self.goal[ids])

    def distance(self, rows: Rows = ALL) -> np.ndarray:
        """Distance from the base to the goal, m, (m,)."""
        return length(self.base(rows) - self.goal[rows])

    def approach(self, rows: Rows) -> tuple[np.ndarray, np.ndarray]:
        return self.base_on_floor(rows), lifted(self.goal[rows])

    def potential(self, rows: Rows = ALL) -> np.ndarray:
        distance = self.distance(rows)
        return -distance - 0.3 * self.speed(rows) * np.exp(-distance / 0.3)

    def solved(self, rows: Rows = ALL) -> np.ndarray:
        return (self.distance(rows) < self.radius) & (self.speed(rows) < 0.15)

    def failed(self) -> np.ndarray:
        return (np.abs(self.base()) > self.room - BASE_RADIUS - 0.005).any(axis=1)
