"""Open a hinged door by its handle and drive through."""

import mujoco
import numpy as np

from nestrl_envs import scene
from nestrl_envs.arguments import require
from nestrl_envs.batch_env import ALL, Rows
from nestrl_envs.geometry import between, length
from nestrl_envs.rover import RoverTask, lifted

WALL_X = 0.5  # m, where the wall with the doorway stands
THICKNESS = 0.02  # m, half, of the door
OPEN = 1.2  # rad, wide enough to drive through
HANDLE_HEIGHT = 0.20  # m
HANDLE_INSET = 0.10  # m from the door's free edge


class RoverDoor(RoverTask):
    """Push a heavy door open and drive through the doorway to a goal behind it.

    Start: rover in the western half, heading within 1 rad of the door's; the doorway at one of four places of the wall;
    the goal in the room behind. Success: base within 0.25 m of the goal for 3 control steps.
    Potential: -0.5 (1 - o) |tip - handle| + 1.5 m x o - (way through the doorway to the goal), with o = min(angle / 1.2
    rad, 1); behind the wall o counts as 1.

    - resistance: torque that holds the door, N m (harder: 16).
    - width: of the doorway, m (harder: 0.7).
    """

    default_horizon = 100
    draws = 6

    def __init__(self, num_simulations: int = 1, *, resistance: float = 6.0, width: float = 0.9, **options: object):
        require("resistance", resistance, 0, 100)
        require("width", width, 0.42, 1.5)
        self.resistance, self.width = resistance, width
        super().__init__(num_simulations, **options)  # type: ignore[arg-type]
        self._body_position = self.expand("body_pos")
        self._door = self.model.body("door").id
        self.doorway = self.array("doorway", 2)  # its middle
        self.goal = self.array("goal", 2)

    def build(self) -> mujoco.MjModel:
        spec = scene.room(self.room)
        scene.baffle(spec, "wall", self.room, self.width)
        scene.mark(spec, "goal", 0.25)
        door = spec.worldbody.add_body(name="door", pos=[WALL_X, 0, 0])
        door.add_joint(
            name="door",
            type=mujoco.mjtJoint.mjJNT_HINGE,
            axis=[0, 0, -1],
            range=[0, 1.7],
            frictionloss=self.resistance,
            damping=1.0,
        )
        half = 0.5 * self.width - 0.02
        leaf = {"mass": 3.0, "group": scene.WALL_GROUP, **scene.MEETS_ALL}
        middle = [0, half + 0.01, scene.WALL_HEIGHT]
        scene.box(door, "leaf", [THICKNESS, half, scene.WALL_HEIGHT - 0.01], middle, scene.FIXTURE_COLOUR, **leaf)
        bar = {"mass": 0.1, **scene.MEETS_ALL}
        place = [-THICKNESS - 0.03, self.width - HANDLE_INSET, HANDLE_HEIGHT]
        scene.box(door, "handle", [0.03, 0.04, 0.04], place, scene.MOVABLE_COLOUR, **bar)
        return spec.compile()

    def start(self, ids: np.ndarray, draw: np.ndarray) -> None:
        free = self.room - 0.6
        position = np.stack([between(draw[:, 0], -free, WALL_X - 1.0), between(draw[:, 1], -free, free)], axis=1)
        self.place(ids, position, between(draw[:, 2], -1.0, 1.0))
        for row, place in zip(ids, (4 * draw[:, 3]).astype(int), strict=True):
            middles, gap = scene.pieces_of_baffle(self.room, self.width, int(place))
            self.mocap_pos[row, :3, 0] = WALL_X
            self.mocap_pos[row, :3, 1] = middles
            self.doorway[row] = WALL_X, gap
        self._body_position[ids, self._door, 1] = self.doorway[ids, 1] - 0.5 * self.width
        self.goal[ids, 0] = between(draw[:, 4], WALL_X + 0.6, self.room - 0.4)
        self.goal[ids, 1] = self.doorway[ids, 1] + between(draw[:, 5], -0.6, 0.6)
        self.goal[ids, 1] = np.clip(self.goal[ids, 1], 0.4 - self.room, self.room - 0.4)
        self.mocap_pos[ids, 3] = lifted(self.goal[ids])

    def angle(self, rows: Rows = ALL) -> np.ndarray:
        """How far the door is open, rad, (m,)."""
        return np.ascontiguousarray(self.qpos[rows, 7])

    def handle(self, rows: Rows = ALL) -> np.ndarray:
        """Position of the handle's face, (m, 3)."""
        angle, along, out = self.angle(rows), self.width - HANDLE_INSET, THICKNESS + 0.06
        hinge_y = self.doorway[rows, 1] - 0.5 * self.width
        x = WALL_X + along * np.sin(angle) - out * np.cos(angle)
        y = hinge_y + along * np.cos(angle) + out * np.sin(angle)
        return np.stack([x, y, np.full_like(x, HANDLE_HEIGHT)], axis=1)

    def openness(self, rows: Rows = ALL) -> np.ndarray:
        """How far the way is open, (m,) in [0, 1]; 1 for a rover that is through."""
        return np.where(self.through(rows), 1.0, np.clip(self.angle(rows) / OPEN, 0.0, 1.0))

    def through(self, rows: Rows = ALL) -> np.ndarray:
        """Whether the base is behind the wall, (m,) bool."""
        return self.base(rows)[:, 0] > WALL_X

    def approach(self, rows: Rows) -> tuple[np.ndarray, np.ndarray]:
        opened = (self.openness(rows) >= 0.9)[:, None]
        start = np.where(opened, self.base_on_floor(rows), self.tip(rows))
        return start, np.where(opened, lifted(self.goal[rows]), self.handle(rows))

    def bring(self, rows: Rows) -> np.ndarray:
        return lifted(self.goal[rows] - self.base(rows))

    def progress(self, rows: Rows) -> np.ndarray:
        return self.openness(rows)

    def potential(self, rows: Rows = ALL) -> np.ndarray:
        base, goal, doorway, openness = self.base(rows), self.goal[rows], self.doorway[rows], self.openness(rows)
        way = np.where(self.through(rows), length(base - goal), length(base - doorway) + length(doorway - goal))
        return -0.5 * (1.0 - openness) * length(self.tip(rows) - self.handle(rows)) + 1.5 * openness - way

    def solved(self, rows: Rows = ALL) -> np.ndarray:
        return self.through(rows) & (length(self.base(rows) - self.goal[rows]) < 0.25)
