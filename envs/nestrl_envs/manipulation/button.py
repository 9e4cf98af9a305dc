"""Drive to a button on a panel and press it."""

import mujoco
import numpy as np

from nestrl_envs import scene
from nestrl_envs.arguments import require
from nestrl_envs.batch_env import ALL, Rows
from nestrl_envs.geometry import between, length
from nestrl_envs.rover import RoverTask

TRAVEL = 0.05  # m
PRESSED = 0.035  # m
PANEL_DEPTH = 0.05  # m, half


class RoverButton(RoverTask):
    """Drive to a button on the east wall and press it.

    Start: rover in the western two thirds of the room, heading within 1 rad of the panel's; the button anywhere along
    the wall, 0.15 to 0.5 m high. Success: the button pressed 0.035 m or more for 3 control steps.
    Potential: -|tip - button| + 10 x pressed depth.

    - button_radius: of the button's face, m (harder: 0.03).
    """

    default_horizon = 80
    draws = 5

    def __init__(self, num_simulations: int = 1, *, button_radius: float = 0.07, **options: object) -> None:
        require("button_radius", button_radius, 0.01, 0.14)
        self.button_radius = button_radius
        super().__init__(num_simulations, **options)  # type: ignore[arg-type]
        self._body_position = self.expand("body_pos")
        self._panel = self.model.body("panel").id

    def build(self) -> mujoco.MjModel:
        spec = scene.room(self.room)
        panel = spec.worldbody.add_body(name="panel", pos=[self.room - PANEL_DEPTH, 0, 0.3])
        scene.box(panel, "panel", [PANEL_DEPTH, 0.18, 0.14], [0, 0, 0], scene.FIXTURE_COLOUR, **scene.MEETS_ALL)
        button = panel.add_body(name="button", pos=[-PANEL_DEPTH - TRAVEL, 0, 0])
        button.add_joint(
            name="button", type=mujoco.mjtJoint.mjJNT_SLIDE, axis=[1, 0, 0], range=[0, TRAVEL], stiffness=60, damping=8
        )
        button.add_geom(
            name="button",
            type=mujoco.mjtGeom.mjGEOM_CYLINDER,
            size=[self.button_radius, 0.02, 0],
            quat=[0.7071068, 0, 0.7071068, 0],
            mass=0.2,
            rgba=(0.8, 0.2, 0.2, 1),
            **scene.MEETS_ALL,
        )
        return spec.compile()

    def start(self, ids: np.ndarray, draw: np.ndarray) -> None:
        free = self.room - 0.6
        position = np.stack([between(draw[:, 0], -free, 0.3 * free), between(draw[:, 1], -free, free)], axis=1)
        self.place(ids, position, between(draw[:, 2], -1.0, 1.0))
        self._body_position[ids, self._panel, 1] = between(draw[:, 3], -0.7 * self.room, 0.7 * self.room)
        self._body_position[ids, self._panel, 2] = between(draw[:, 4], 0.15, 0.5)

    def pressed(self, rows: Rows = ALL) -> np.ndarray:
        """How deep the button is pressed, m, (m,)."""
        return self.qpos[rows, 7]

    def face(self, rows: Rows = ALL) -> np.ndarray:
        """Position of the middle of the button's face, (m, 3)."""
        face = self._body_position[rows, self._panel].copy()
        face[:, 0] += self.pressed(rows) - PANEL_DEPTH - TRAVEL - 0.02
        return face

    def approach(self, rows: Rows) -> tuple[np.ndarray, np.ndarray]:
        return self.tip(rows), self.face(rows)

    def bring(self, rows: Rows) -> np.ndarray:
        way = np.zeros((len(self.steps[rows]), 3))
        way[:, 0] = TRAVEL - self.pressed(rows)
        return way

    def progress(self, rows: Rows) -> np.ndarray:
        return self.pressed(rows) / TRAVEL

    def potential(self, rows: Rows = ALL) -> np.ndarray:
        return -length(self.tip(rows) - self.face(rows)) + 10.0 * self.pressed(rows)

    def solved(self, rows: Rows = ALL) -> np.ndarray:
        return self.pressed(rows) > PRESSED
