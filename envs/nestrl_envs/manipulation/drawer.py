"""Pull a drawer open by its handle."""

import mujoco
import numpy as np

from nestrl_envs import scene
from nestrl_envs.arguments import require
from nestrl_envs.batch_env import ALL, Rows
from nestrl_envs.geometry import between, length
from nestrl_envs.rover import GRIPPER_OPEN, RoverTask

TRAVEL = 0.30  # m
CABINET_DEPTH = 0.20  # m, half
STEM = 0.08  # m from the drawer's front to the bar
HANDLE_HEIGHT = 0.22  # m, of the middle of the bar
BAR_HALF_LENGTH = 0.12  # m
BAR_RADIUS = 0.010  # m


class RoverDrawer(RoverTask):
    """Grip the upright bar of a drawer's handle and pull the drawer open.

    Start: rover 1.3 to 2.1 m before the handle and within 1 m of the cabinet's middle line, heading within 0.6 rad
    of the cabinet's; the cabinet anywhere along the east wall.
    Success: the drawer pulled `pull` m or more for 3 control steps.
    Potential: -|tip - bar| + 0.4 m x exp(-|tip - bar| / 0.04 m) x closed + 6 x pulled length - 0.1 m x |heading|.

    - pull: how far is open, m (harder: 0.28).
    - resistance: force that holds the drawer, N (harder: 20).
    """

    default_horizon = 80
    draws = 4

    def __init__(
        self, num_simulations: int = 1, *, pull: float = 0.20, resistance: float = 2.0, **options: object
    ) -> None:
        require("pull", pull, 0.01, TRAVEL)
        require("resistance", resistance, 0, 100)
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
            damping=2,
        )
        drawn = {"mass": 0.5, **scene.MEETS_ALL}
        scene.box(drawer, "front", [0.01, 0.20, BAR_HALF_LENGTH], [-0.01, 0, 0], scene.MOVABLE_COLOUR, **drawn)
        for name, height in (("upper_stem", BAR_HALF_LENGTH), ("lower_stem", -BAR_HALF_LENGTH)):
            scene.box(drawer, name, [STEM / 2, 0.01, 0.006], [-STEM / 2, 0, height], scene.MOVABLE_COLOUR, **drawn)
        bar = {
            "type": mujoco.mjtGeom.mjGEOM_CYLINDER,
            "size": [BAR_RADIUS, BAR_HALF_LENGTH, 0],
            "friction": [1.5, 0.01, 0.0001],
        }
        drawer.add_geom(name="bar", pos=[-STEM, 0, 0], rgba=scene.MOVABLE_COLOUR, **bar, **drawn)
        return spec.compile()

    def start(self, ids: np.ndarray, draw: np.ndarray) -> None:
        free = self.room - 0.6
        cabinet = between(draw[:, 3], -0.6 * self.room, 0.6 * self.room)
        beside = np.clip(cabinet + between(draw[:, 1], -1.0, 1.0), -free, free)
        position = np.stack([between(draw[:, 0], -0.4 * free, 0.2), beside], axis=1)
        self.place(ids, position, between(draw[:, 2], -0.6, 0.6))
        self._body_position[ids, self._cabinet, 1] = cabinet

    def pulled(self, rows: Rows = ALL) -> np.ndarray:
        """How far the drawer is pulled, m, (m,)."""
        return self.qpos[rows, 7]

    def handle(self, rows: Rows = ALL) -> np.ndarray:
        """Position of the point of the bar that is nearest to the tip's height, (m, 3)."""
        handle = self._body_position[rows, self._cabinet].copy()
        handle[:, 0] -= CABINET_DEPTH + STEM + self.pulled(rows)
        height, reach = self.tip(rows)[:, 2], BAR_HALF_LENGTH - 0.04
        handle[:, 2] = np.clip(height, HANDLE_HEIGHT - reach, HANDLE_HEIGHT + reach)
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
        closed = 1.0 - self.opening(rows) / GRIPPER_OPEN
        grip = 0.4 * np.exp(-distance / 0.04) * closed
        return -distance + grip + 6.0 * self.pulled(rows) - 0.1 * np.abs(self.yaw(rows))

    def solved(self, rows: Rows = ALL) -> np.ndarray:
        return self.pulled(rows) > self.pull
