"""Push a box to a goal."""

import mujoco
import numpy as np

from nestrl_envs import scene
from nestrl_envs.arguments import require
from nestrl_envs.batch_env import ALL, Rows
from nestrl_envs.geometry import between, direction, length
from nestrl_envs.rover import BASE_RADIUS, RoverTask, lifted

BOX_HEIGHT = 0.10  # m, half: taller than the gap under the base
SLIDING = 8.0  # N a slide axis, of a 1.5 kg box on the floor
SPINNING = 0.3  # N m


class RoverPush(RoverTask):
    """Push a box over the floor to a goal.

    Start: rover and box anywhere, 0.5 to 0.95 m apart, any headings; the goal 0.35 to `far` m from the box (both nearer
    in a smaller `room`, where walls are in the way).
    Success: the box's middle within `radius` of the goal for 3 control steps.
    Potential: -4 |box - goal| - |base - the point behind the box, seen from the goal|.

    - box_size: half of the box's side, m (harder: 0.07).
    - radius: how near is near enough, m (harder: 0.06).
    - far: greatest distance of the goal from the box at the start, m (harder: 1.2).
    """

    default_horizon = 100
    draws = 9

    def __init__(
        self,
        num_simulations: int = 1,
        *,
        box_size: float = 0.11,
        radius: float = 0.12,
        far: float = 0.65,
        **options: object,
    ) -> None:
        require("box_size", box_size, 0.02, 0.3)
        require("radius", radius, 0.01, 1)
        require("far", far, 0.35, 5)
        self.box_size, self.radius, self.far = box_size, radius, far
        super().__init__(num_simulations, **options)  # type: ignore[arg-type]
        self.goal = self.array("goal", 2)

    def build(self) -> mujoco.MjModel:
        spec = scene.room(self.room)
        body = spec.worldbody.add_body(name="box", pos=[0, 0, BOX_HEIGHT + 0.005])
        for name, axis in (("box_x", [1, 0, 0]), ("box_y", [0, 1, 0])):
            body.add_joint(name=name, type=mujoco.mjtJoint.mjJNT_SLIDE, axis=axis, frictionloss=SLIDING)
        body.add_joint(name="box_yaw", type=mujoco.mjtJoint.mjJNT_HINGE, axis=[0, 0, 1], frictionloss=SPINNING)
        size = [self.box_size, self.box_size, BOX_HEIGHT]
        options = {"mass": 1.5, "friction": [0.3, 0.005, 0.0001], **scene.MEETS_WALLS_AND_ROBOT}
        scene.box(body, "box", size, [0, 0, 0], scene.MOVABLE_COLOUR, **options)
        scene.mark(spec, "goal", self.radius)
        return spec.compile()

    def start(self, ids: np.ndarray, draw: np.ndarray) -> None:
        free = self.room - 0.7
        box = between(draw[:, :2], -0.6 * free, 0.6 * free)
        away = direction(between(draw[:, 2], -np.pi, np.pi)) * between(draw[:, 3:4], 0.65, 0.95)
        self.place(ids, np.clip(box + away, -free, free), between(draw[:, 4], -np.pi, np.pi))
        self.qpos[ids, 3] = 0.3  # the arm starts above the box
        self.qpos[ids, 7:9] = box
        self.qpos[ids, 9] = between(draw[:, 5], -np.pi, np.pi)
        aside = direction(between(draw[:, 6], -np.pi, np.pi)) * between(draw[:, 7:8], 0.35, self.far)
        self.goal[ids] = np.clip(box + aside, -free, free)
        self.mocap_pos[ids, 0] = lifted(self.goal[ids])

    def box(self, rows: Rows = ALL) -> np.ndarray:
        """Position of the box's middle, (m, 2)."""
        return self.qpos[rows, 7:9]

    def approach(self, rows: Rows) -> tuple[np.ndarray, np.ndarray]:
        return self.base_on_floor(rows), lifted(self.box(rows))

    def bring(self, rows: Rows) -> np.ndarray:
        return lifted(self.goal[rows] - self.box(rows))

    def potential(self, rows: Rows = ALL) -> np.ndarray:
        box, way = self.box(rows), self.goal[rows] - self.box(rows)
        left = length(way)
        behind = box - way / np.maximum(left, 0.05)[:, None] * (BASE_RADIUS + self.box_size + 0.04)
        return -4.0 * left - length(self.base(rows) - behind)

    def solved(self, rows: Rows = ALL) -> np.ndarray:
        return length(self.goal[rows] - self.box(rows)) < self.radius
