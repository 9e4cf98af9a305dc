"""Pull a drawer open by its handle."""

import mujoco
import numpy as np

from nestrl_envs import scene
from nestrl_envs.batch_env import ALL, Rows
from nestrl_envs.geometry import between, length
from nestrl_envs.rover import GRIPPER_OPEN, RoverTask

TRAVEL = 0.30  # m
CABINET_DEPTH = 0.20  # m, half
STEM = 0.08  # m from the drawer's front to the bar
HANDLE_HEIGHT = 0.28  # m
BAR_RADIUS = 0.015  # m


class RoverDrawer(RoverTask):
    """Grip the upright bar of a drawer's handle and pull the drawer open.

    Start: rover in the western half, heading within 1 rad of the cabinet's; the cabinet anywhere along the east wall.
    Success: the drawer pulled `pull` m or more for 3 control steps.
    Potential: -|tip - handle| + 0.5 m x near x (0.3 closed + 0.7 firm) + 6 x pulled length, where near =
    exp(-|tip - handle| / 0.08 m) and firm is the squeeze in units of 0.015 m, at most 1.

    - pull: how far is open, m (harder: 0.28).
    - resistance: force that holds the drawer, N (harder: 20).
    """

    default_horizon = 100
    draws = 4

    def __init__(
        self, num_simulations: int = 1, *, pull: float = 0.20, resistance: float = 3.0, **options: object
    ) -> None:
        self.pull, self.resistance = pull, resistance
        super().__init__(num_simulations, **options)  # type: ignore[arg-type]
        self._body_position = self.expand("body_pos")
        self._cabinet = self.model.body("cabinet").id

    def build(self) -> mujoco.MjModel:
        spec = scene.room(self.room)
        cabinet = spec.worldbody.add_body(name="cabinet", pos=[self.room - CABINET_DEPTH, 0, 0])
        size, middle = [CABINET_DEPTH, 0.25, 0.20], [0, 0, 0.20]
        scene.box(cabinet, "cabinet", size, middle, scene.FIXTURE_COLOUR, **scene.MEETS_ALL)
        drawer = cabinet.add_body(name="drawer", pos=[-CABINET_DEPTH, 0, HANDLE_HEIGHT])
        drawer.add_joint(
            name="drawer",
            type=mujoco.mjtJoint.mjJNT_SLIDE,
            axis=[-1, 0, 0],
            range=[0, TRAVEL],
            frictionloss=self.resistance,
            damping=5,
        )
        drawn = {"mass": 0.5, **scene.MEETS_ALL}
        scene.box(drawer, "front", [0.01, 0.20, 0.07], [-0.01, 0, 0], scene.MOVABLE_COLOUR, **drawn)
        for name, height in (("upper_stem", 0.055), ("lower_stem", -0.055)):
            scene.box(drawer, name, [STEM / 2, 0.01, 0.006], [-STEM / 2, 0, height], scene.MOVABLE_COLOUR, **drawn)
        bar = {"type": mujoco.mjtGeom.mjGEOM_CYLINDER, "size": [BAR_RADIUS, 0.06, 0], "friction": [1.5, 0.01, 0.0001]}
        drawer.add_geom(name="bar", pos=[-STEM, 0, 0], rgba=scene.MOVABLE_COLOUR, **bar, **drawn)
        return spec.compile()

    def start(self, ids: np.ndarray, draw: np.ndarray) -> None:
        free = self.room - 0.6
        position = np.stack([between(draw[:, 0], -free, 0.1), between(draw[:, 1], -free, free)], axis=1)
        self.place(ids, position, between(draw[:, 2], -1.0, 1.0))
        self._body_position[ids, self._cabinet, 1] = between(draw[:, 3], -0.6 * self.room, 0.6 * self.room)

    def pulled(self, rows: Rows = ALL) -> np.ndarray:
        """How far the drawer is pulled, m, (m,)."""
        return self.batch.qpos[rows, 7]

    def handle(self, rows: Rows = ALL) -> np.ndarray:
        """Position of the bar's middle, (m, 3)."""
        handle = self._body_position[rows, self._cabinet].copy()
        handle[:, 0] -= CABINET_DEPTH + STEM + self.pulled(rows)
        handle[:, 2] += HANDLE_HEIGHT
        return handle

    def approach(self, rows: Rows) -> tuple[np.ndarray, np.ndarray]:
        return self.tip(rows), self.handle(rows)

    def bring(self, rows: Rows) -> np.ndarray:
        way = np.zeros((len(self.steps[rows]), 3))
        way[:, 0] = self.pulled(rows) - TRAVEL
        return way

    def progress(self, rows: Rows) -> np.ndarray:
        return self.pulled(rows) / TRAVEL

    def potential(self, rows: Rows = ALL) -> np.ndarray:
        distance = length(self.tip(rows) - self.handle(rows))
        closed, firm = 1.0 - self.opening(rows) / GRIPPER_OPEN, np.clip(self.squeeze(rows) / BAR_RADIUS, 0.0, 1.0)
        grip = 0.5 * np.exp(-distance / 0.08) * (0.3 * closed + 0.7 * firm)
        return -distance + grip + 6.0 * self.pulled(rows)

    def solved(self, rows: Rows = ALL) -> np.ndarray:
        return self.pulled(rows) > self.pull
