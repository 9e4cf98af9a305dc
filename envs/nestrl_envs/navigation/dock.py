"""Drive into a dock with the right heading and stop."""

import mujoco
import numpy as np

from nestrl_envs import scene
from nestrl_envs.arguments import require
from nestrl_envs.batch_env import ALL, Rows
from nestrl_envs.geometry import between, direction, length, turn, wrap
from nestrl_envs.rover import RoverTask, lifted

BAY_HEIGHT = 0.06  # m, half: the arm passes over the bay's walls
BAY_DEPTH = 0.30  # m from the parking place to the back wall and to the mouth


class RoverDock(RoverTask):
    """Drive into a U-shaped dock, facing its back wall, and stop.

    Start: rover 0.9 m or more from the dock, any heading; the dock at 0.7 m from the room's middle at any bearing, its
    mouth towards the middle. Success: within 0.06 m of the parking place, within `heading_tolerance` of the dock's
    heading and slower than 0.15 m/s for 3 control steps.
    Potential: -(distance + 0.5 lateral distance) - 0.3 m x |heading error|.

    - bay_width: free width of the dock, m; the base is 0.4 m wide (harder: 0.46).
    - heading_tolerance: rad (harder: 0.06).
    """

    default_horizon = 80
    draws = 4

    def __init__(
        self, num_simulations: int = 1, *, bay_width: float = 0.60, heading_tolerance: float = 0.15, **options: object
    ) -> None:
        require("bay_width", bay_width, 0.42, 1.5)
        require("heading_tolerance", heading_tolerance, 0.01, 3.15)
        self.bay_width, self.heading_tolerance = bay_width, heading_tolerance
        super().__init__(num_simulations, **options)  # type: ignore[arg-type]
        self.parking = self.array("parking", 2)
        self.bearing = self.array("bearing")

    def build(self) -> mujoco.MjModel:
        spec = scene.room(self.room)
        bay = spec.worldbody.add_body(name="bay", mocap=True, pos=[0, 0, BAY_HEIGHT])
        walls = {"group": scene.WALL_GROUP, **scene.MEETS_ALL}
        aside, thick = 0.5 * self.bay_width + 0.02, 0.02
        back = [BAY_DEPTH + thick, 0, 0]
        scene.box(bay, "bay_back", [thick, aside + thick, BAY_HEIGHT], back, scene.WALL_COLOUR, **walls)
        for name, side in (("bay_left", 1), ("bay_right", -1)):
            size, middle = [BAY_DEPTH, thick, BAY_HEIGHT], [0, side * aside, 0]
            scene.box(bay, name, size, middle, scene.WALL_COLOUR, **walls)
        return spec.compile()

    def start(self, ids: np.ndarray, draw: np.ndarray) -> None:
        self.bearing[ids] = between(draw[:, 0], -np.pi, np.pi)
        outward = direction(self.bearing[ids])
        self.parking[ids] = 0.7 * (self.room / 2.0) * outward
        aside = turn(outward, np.full(len(ids), 0.5 * np.pi)) * between(draw[:, 1:2], -0.8, 0.8)
        start = -outward * between(draw[:, 2:3], 0.3, 0.9) + aside
        self.place(ids, start, between(draw[:, 3], -np.pi, np.pi))
        self.mocap_pos[ids, 0, :2] = self.parking[ids]
        self.mocap_quat[ids, 0] = 0.0
        self.mocap_quat[ids, 0, 0] = np.cos(0.5 * self.bearing[ids])
        self.mocap_quat[ids, 0, 3] = np.sin(0.5 * self.bearing[ids])

    def offset(self, rows: Rows = ALL) -> np.ndarray:
        """Way from the base to the parking place in the dock's frame: along and across, m, (m, 2)."""
        return turn(self.parking[rows] - self.base(rows), -self.bearing[rows])

    def heading(self, rows: Rows = ALL) -> np.ndarray:
        return wrap(self.bearing[rows] - self.yaw(rows))

    def approach(self, rows: Rows) -> tuple[np.ndarray, np.ndarray]:
        return self.base_on_floor(rows), lifted(self.parking[rows])

    def potential(self, rows: Rows = ALL) -> np.ndarray:
        offset = self.offset(rows)
        return -length(offset) - 0.5 * np.abs(offset[:, 1]) - 0.3 * np.abs(self.heading(rows))

    def solved(self, rows: Rows = ALL) -> np.ndarray:
        parked = (length(self.offset(rows)) < 0.06) & (self.speed(rows) < 0.15)
        return parked & (np.abs(self.heading(rows)) < self.heading_tolerance)
