"""Drive through gates in order."""

import mujoco
import numpy as np

from nestrl_envs import scene
from nestrl_envs.arguments import require
from nestrl_envs.batch_env import ALL, Rows
from nestrl_envs.geometry import between, length
from nestrl_envs.rover import RoverTask, lifted

GATES = 3
POST_RADIUS = 0.05  # m
GATE_DEPTH = 0.15  # m before and behind a gate's line that count as in the gate


class RoverSlalom(RoverTask):
    """Drive through three gates in order to the finish behind the last.

    Start: rover at the west wall, any heading; the gates stand across the way, each moved aside to alternate sides by
    0.2 to 0.7 m. In a sixth of the starts the gripper begins up to 5 cm deep in the wall, which pushes the rover off.
    Success: all gates passed in order, each by the base between its posts within 0.15 m of their line,
    and then the base within 0.2 m of the finish for 3 control steps.
    Potential: minus the way through the middles of the gates still ahead to the finish.

    - gate: free width of a gate, m (harder: 0.6).
    """

    default_horizon = 100
    draws = 4 + GATES

    def __init__(self, num_simulations: int = 1, *, gate: float = 0.9, **options: object) -> None:
        require("gate", gate, 0.42, 2)
        self.gate = gate
        super().__init__(num_simulations, **options)  # type: ignore[arg-type]
        self.points = self.array("points", GATES + 1, 2)  # middles of the gates, then the finish
        self.passed = self.array("passed", dtype=np.int64)

    def build(self) -> mujoco.MjModel:
        spec = scene.room(self.room)
        for gate in range(GATES):
            for side in ("left", "right"):
                scene.post(spec, f"gate_{gate}_{side}", POST_RADIUS)
        scene.mark(spec, "finish", 0.2)
        return spec.compile()

    def start(self, ids: np.ndarray, draw: np.ndarray) -> None:
        start_x, finish_x = -self.room + 0.35, self.room - 0.4
        start = np.stack([np.full(len(ids), start_x), between(draw[:, 0], -1.0, 1.0)], axis=1)
        self.place(ids, start, between(draw[:, 1], -np.pi, np.pi))
        side = np.where(draw[:, 2] < 0.5, -1.0, 1.0)
        gates = np.linspace(start_x, finish_x, GATES + 2)[1:-1]
        for gate in range(GATES):
            self.points[ids, gate, 0] = gates[gate]
            self.points[ids, gate, 1] = side * (-1) ** gate * between(draw[:, 3 + gate], 0.2, 0.7)
        self.points[ids, GATES, 0] = finish_x
        self.points[ids, GATES, 1] = between(draw[:, 3 + GATES], -0.7, 0.7)
        self.passed[ids] = 0
        self._stand_posts(ids)

    def _stand_posts(self, ids: np.ndarray) -> None:
        aside = 0.5 * self.gate + POST_RADIUS
        for gate in range(GATES):
            for post, side in ((2 * gate, 1), (2 * gate + 1, -1)):
                self.mocap_pos[ids, post, :2] = self.points[ids, gate] + [0.0, side * aside]
        self.mocap_pos[ids, 2 * GATES, :2] = self.points[ids, GATES]

    def advance(self) -> None:
        offset = np.abs(self.base() - self.target(ALL))
        inside = (offset[:, 0] < GATE_DEPTH) & (offset[:, 1] < 0.5 * self.gate)
        self.passed += inside & (self.passed < GATES)

    def target(self, rows: Rows) -> np.ndarray:
        """The middle of the next gate, or the finish, (m, 2)."""
        return self._point(rows, 0)

    def _point(self, rows: Rows, ahead: int) -> np.ndarray:
        points = self.points[rows]
        return points[np.arange(len(points)), np.minimum(self.passed[rows] + ahead, GATES)]

    def approach(self, rows: Rows) -> tuple[np.ndarray, np.ndarray]:
        return self.base_on_floor(rows), lifted(self.target(rows))

    def bring(self, rows: Rows) -> np.ndarray:
        return lifted(self._point(rows, 1) - self.target(rows))

    def progress(self, rows: Rows) -> np.ndarray:
        return self.passed[rows] / GATES

    def potential(self, rows: Rows = ALL) -> np.ndarray:
        left = length(self.base(rows) - self.target(rows))
        for ahead in range(GATES):
            left = left + length(self._point(rows, ahead + 1) - self._point(rows, ahead))
        return -left

    def solved(self, rows: Rows = ALL) -> np.ndarray:
        return (self.passed[rows] == GATES) & (length(self.base(rows) - self.points[rows, GATES]) < 0.2)
