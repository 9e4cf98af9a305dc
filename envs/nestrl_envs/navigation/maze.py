"""Find a goal room through walls that only the lidar sees."""

import mujoco
import numpy as np

from nestrl_envs import scene
from nestrl_envs.arguments import require
from nestrl_envs.batch_env import ALL, Rows
from nestrl_envs.geometry import between, length
from nestrl_envs.rover import RoverTask, lifted

ROOMS = 3
PLACES = 4  # where the gap of a baffle may be
LAYOUTS = [(first, second) for first in range(PLACES) for second in range(PLACES)]
HELD_OUT = [(0, 3), (1, 1), (2, 0), (3, 2)]  # never met with layouts="train"; each gap place once
LAYOUT_SETS = {
    "all": LAYOUTS,
    "train": [layout for layout in LAYOUTS if layout not in HELD_OUT],
    "held_out": HELD_OUT,
}


class RoverMaze(RoverTask):
    """Drive to a goal in another room; two baffles with a gap each part the hall into three rooms.

    The observation gives the straight line to the goal and a compass (the turn to face east); the way round is for the
    lidar to find. Start: rover in one of the outer rooms, heading within 0.5 rad of east; the goal in another room. In
    a tenth of the starts the gripper begins in a wall or through it, by up to 14 cm; in most of them the wall pushes
    the rover back in the first steps, from the others it has to back off.
    Success: base within `radius` of the goal for 3 control steps.
    Potential: minus the way through the middles of the gaps in between to the goal.

    - layouts: "train" (12 layouts), "held_out" (4 others, for evaluation) or "all".
    - gap: free width of a gap, m (harder: 0.8).
    - radius: how near is near enough, m.
    """

    default_horizon = 120
    draws = 8

    def __init__(
        self,
        num_simulations: int = 1,
        *,
        layouts: str = "train",
        gap: float = 1.4,
        radius: float = 0.25,
        **options: object,
    ) -> None:
        if not isinstance(layouts, str) or layouts not in LAYOUT_SETS:
            raise ValueError(f"layouts must be one of {', '.join(LAYOUT_SETS)}, not {layouts!r}")
        require("gap", gap, 0.42, 2)
        require("radius", radius, 0.01, 1)
        self.layouts, self.gap, self.radius = np.array(LAYOUT_SETS[layouts]), gap, radius
        super().__init__(num_simulations, **options)  # type: ignore[arg-type]
        self.goal = self.array("goal", 2)
        self.gaps = self.array("gaps", ROOMS - 1, 2)  # middles of the gaps
        self.goal_room = self.array("goal_room", dtype=np.int64)

    def build(self) -> mujoco.MjModel:
        spec = scene.room(self.room)
        for number in range(ROOMS - 1):
            scene.baffle(spec, f"baffle_{number}", self.room, self.gap)
        scene.mark(spec, "goal", self.radius)
        return spec.compile()

    def start(self, ids: np.ndarray, draw: np.ndarray) -> None:
        layout = self.layouts[(draw[:, 0] * len(self.layouts)).astype(int)]
        for number, x in enumerate(self._baffles()):
            for row, place in zip(ids, layout[:, number], strict=True):
                middles, gap = scene.pieces_of_baffle(self.room, self.gap, int(place))
                self.mocap_pos[row, 3 * number : 3 * number + 3, 0] = x
                self.mocap_pos[row, 3 * number : 3 * number + 3, 1] = middles
                self.gaps[row, number] = x, gap
        first = np.where(draw[:, 1] < 0.5, 0, ROOMS - 1)
        self.goal_room[ids] = np.where(draw[:, 2] < 0.5, 1, ROOMS - 1 - first)
        self.place(ids, self._within(first, draw[:, 3:5], 0.3), between(draw[:, 7], -0.5, 0.5))
        self.goal[ids] = self._within(self.goal_room[ids], draw[:, 5:7], 0.3)
        self.mocap_pos[ids, 3 * (ROOMS - 1)] = lifted(self.goal[ids])

    def _baffles(self) -> np.ndarray:
        return np.linspace(-self.room, self.room, ROOMS + 1)[1:-1]

    def _within(self, number: np.ndarray, draw: np.ndarray, margin: float) -> np.ndarray:
        width = 2 * self.room / ROOMS
        x = -self.room + number * width + between(draw[:, 0], margin, width - margin)
        return np.stack([x, between(draw[:, 1], -self.room + margin, self.room - margin)], axis=1)

    def remaining(self, rows: Rows = ALL) -> np.ndarray:
        """Length of the way through the gaps to the goal, m, (m,)."""
        base, goal, (first, second) = self.base(rows), self.goal[rows], np.moveaxis(self.gaps[rows], 1, 0)
        here, there = (base[:, :1] > self._baffles()).sum(axis=1), self.goal_room[rows]
        left = length(base - goal)
        for near, far, room in ((first, second, 0), (second, first, 2)):
            through_one = ((here == room) & (there == 1)) | ((here == 1) & (there == room))
            through_both = (here == room) & (there == 2 - room)
            left = np.where(through_one, length(base - near) + length(near - goal), left)
            left = np.where(through_both, length(base - near) + length(near - far) + length(far - goal), left)
        return left

    def approach(self, rows: Rows) -> tuple[np.ndarray, np.ndarray]:
        return self.base_on_floor(rows), lifted(self.goal[rows])

    def heading(self, rows: Rows) -> np.ndarray:
        return -self.yaw(rows)  # a compass: lidar and gaps are told apart by where east is

    def potential(self, rows: Rows = ALL) -> np.ndarray:
        return -self.remaining(rows)

    def solved(self, rows: Rows = ALL) -> np.ndarray:
        return length(self.base(rows) - self.goal[rows]) < self.radius
