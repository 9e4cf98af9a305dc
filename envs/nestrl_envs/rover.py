"""The rover: how it is driven, asked about and observed. A task adds its props, start, potential and success."""

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from nestrl_envs import fields, scene
from nestrl_envs.arguments import require
from nestrl_envs.batch_env import ALL, BatchEnv, Rows
from nestrl_envs.dynamics import MOTORS, dynamics_from
from nestrl_envs.geometry import heading_of, length, turn

BASE_RADIUS = 0.20  # m
REACH = 0.37  # m from the base's axis to the tip, arm drawn in
BASE_HEIGHT = 0.15  # m, height of the tip when the lift stands at 0
GRIPPER_OPEN = 0.07  # m, each finger
ARM_SPEED = 0.5  # m/s at full command, lift and arm
LIDAR_HEIGHT = 0.08  # m above the floor
_RAY_ANGLES = np.arange(fields.LIDAR_RAYS) * (2 * np.pi / fields.LIDAR_RAYS)
_WALLS_ONLY = np.arange(6) == scene.WALL_GROUP


class RoverTask(BatchEnv):
    """A task of the rover in a room; see `nestrl_envs.fields` for what it observes and how it is driven.

    - num_simulations: how many run at once.
    - room: distance of the walls from the middle, m.
    - horizon: control steps of 0.08 s until an episode is cut off.
    - dynamics: drift, see `nestrl_envs.dynamics.Dynamics`.
    - threads: of the physics, 0 for all cores; the numbers are the same with any.
    """

    observed = fields.OBSERVATION
    driven = fields.ACTION
    base_speed: ClassVar[tuple[float, float]] = (1.0, 2.0)  # m/s and rad/s at full command
    versions: ClassVar[dict[str, str]] = {"v0": "first version"}

    def __init__(
        self,
        num_simulations: int = 1,
        *,
        room: float = 2.0,
        horizon: int | None = None,
        dynamics: Mapping[str, Any] | None = None,
        threads: int = 0,
    ) -> None:
        require("room", room, 1.5, 10)
        self.room = room
        self.dynamics = dynamics_from(dynamics)
        super().__init__(num_simulations, horizon=horizon, threads=threads)
        self._spans = fields.spans(self.observed)
        self.friction = self.array("friction")  # factor of this episode on the floor's friction
        self.friction[:] = 1.0
        self._force_range = self.expand("actuator_forcerange")
        self._pending = self.array("pending", 9, len(fields.ACTION))  # the last commands, newest first
        self._changing = [
            name for name in ("friction", "tilt", "payload", "motor_strength") if self.dynamics.changes(name)
        ]
        self._prepare_drift()

    # Questions to the physics; positions in m in the room's frame.

    def base(self, rows: Rows = ALL) -> np.ndarray:
        """Position of the base's axis, (m, 2)."""
        return self.qpos[rows, :2]

    def yaw(self, rows: Rows = ALL) -> np.ndarray:
        """Heading of the base, rad, (m,)."""
        return np.ascontiguousarray(self.qpos[rows, 2])

    def tip(self, rows: Rows = ALL) -> np.ndarray:
        """Position of the point between the fingers, (m, 3)."""
        qpos = self.qpos[rows]
        ahead = REACH + qpos[:, 4]
        yaw = np.ascontiguousarray(qpos[:, 2])
        return np.stack(
            [qpos[:, 0] + ahead * np.cos(yaw), qpos[:, 1] + ahead * np.sin(yaw), BASE_HEIGHT + qpos[:, 3]], axis=1
        )

    def speed(self, rows: Rows = ALL) -> np.ndarray:
        """Speed of the base, m/s, (m,)."""
        return length(self.qvel[rows, :2])

    def opening(self, rows: Rows = ALL) -> np.ndarray:
        """Mean opening of the fingers, m each, (m,)."""
        return 0.5 * (self.qpos[rows, 5] + self.qpos[rows, 6])

    def squeeze(self, rows: Rows = ALL) -> np.ndarray:
        """Opening minus commanded opening, m, (m,): positive when the fingers are held apart by something."""
        return self.opening(rows) - self.ctrl[rows, 5]

    # What a task says for the aligned slots of the observation.

    def approach(self, rows: Rows) -> tuple[np.ndarray, np.ndarray]:
        """Return from where (the tip, or the base at height 0) and to where it must go, (m, 3) each."""
        raise NotImplementedError

    def bring(self, rows: Rows) -> np.ndarray:
        """Return the way from there to where that must go next, (m, 3), room frame."""
        return np.zeros((len(self.steps[rows]), 3))

    def heading(self, rows: Rows) -> np.ndarray:
        """Return the turn the base still has to make, rad, (m,)."""
        return np.zeros(len(self.steps[rows]))

    def progress(self, rows: Rows) -> np.ndarray:
        """Return how far the mechanism of the task is, (m,) in [0, 1]."""
        return np.zeros(len(self.steps[rows]))

    # Starting, driving, observing.

    def place(self, ids: np.ndarray, position: np.ndarray, yaw: np.ndarray) -> None:
        """Stand the rover at `position` (m, 2) with heading `yaw` (m,)."""
        self.qpos[ids, :2] = position
        self.qpos[ids, 2] = yaw

    def base_on_floor(self, rows: Rows) -> np.ndarray:
        """Return the base's position with height 0, (m, 3): what driving tasks approach with."""
        return lifted(self.base(rows))

    def after_start(self, ids: np.ndarray, generators: list[np.random.Generator]) -> None:
        """Draw sensor noise and the downhill direction, and set this episode's dynamics."""
        self._pending[ids] = 0.0
        if self._noise is not None:
            self._noise[ids] = np.stack([g.standard_normal(self._noise.shape[1:], np.float32) for g in generators])
        if self._downhill is not None:
            self._downhill[ids] = [g.uniform(-np.pi, np.pi) for g in generators]
        self._apply_drift(ids)
        self.ctrl[ids] = 0.0

    def command(self, actions: np.ndarray) -> None:
        """Turn actions into motor commands: base speeds in its own frame, arm speeds, finger opening."""
        if self._changing:
            self._apply_drift(np.arange(self.num_simulations))
        actions = self._delayed(actions)
        ctrl, (speed, yaw_rate) = self.ctrl, self.base_speed
        ctrl[:, :2] = turn(actions[:, :2] * speed, self.yaw())
        ctrl[:, 2] = actions[:, 2] * yaw_rate
        ctrl[:, 3:5] = actions[:, 3:5] * ARM_SPEED
        ctrl[:, 5:7] = 0.5 * (actions[:, 5:6] + 1.0) * GRIPPER_OPEN

    def observe(self, rows: Rows = ALL) -> np.ndarray:
        """Return the observation of `nestrl_envs.fields.OBSERVATION`, (m, 30) float32."""
        qpos, qvel, yaw, at = self.qpos[rows], self.qvel[rows], self.yaw(rows), self._spans
        observation = np.zeros((len(qpos), at["lidar"].stop), np.float32)
        observation[:, at["base velocity"]] = turn(qvel[:, :2], -yaw)
        observation[:, at["yaw rate"]] = qvel[:, 2:3]
        observation[:, at["lift"].start : at["arm"].stop] = qpos[:, 3:5]
        observation[:, at["opening"].start] = self.opening(rows)
        observation[:, at["squeeze"].start] = self.squeeze(rows)
        start, goal = self.approach(rows)
        observation[:, at["approach"]] = turn(goal - start, -yaw)
        observation[:, at["bring"]] = turn(self.bring(rows), -yaw)
        observation[:, at["heading"]] = heading_of(self.heading(rows))
        observation[:, at["progress"].start] = np.clip(self.progress(rows), 0.0, 1.0)
        observation[:, at["hold"].start] = np.minimum(self.held[rows] / self.hold_steps, 1.0)
        observation[:, at["time"].start] = self.steps[rows] / self.horizon
        observation[:, at["lidar"]] = self._lidar(rows)
        return self._noisy(observation, rows)

    def _lidar(self, rows: Rows) -> np.ndarray:
        angles = self.yaw(rows)[:, None] + _RAY_ANGLES
        directions = np.stack([np.cos(angles), np.sin(angles), np.zeros_like(angles)], axis=-1)
        origin = np.empty((len(angles), fields.LIDAR_RAYS, 3))
        origin[:, :, :2] = self.base(rows)[:, None]
        origin[:, :, 2] = LIDAR_HEIGHT
        ids = None if isinstance(rows, slice) else rows
        distance = self.batch.ray(origin, directions, geomgroup=_WALLS_ONLY, ids=ids)[0]
        return np.where((distance < 0) | (distance > fields.LIDAR_RANGE), fields.LIDAR_RANGE, distance)

    # Drift.

    def _prepare_drift(self) -> None:
        drift, model = self.dynamics, self.model
        noisy, tilted = not drift.is_nominal("sensor_noise"), not drift.is_nominal("tilt")
        size = sum(field.size for field in self.observed)
        self._noise = self.array("noise", self.horizon + 1, size, dtype=np.float32) if noisy else None
        self._downhill = self.array("downhill") if tilted else None
        self._gravity = self.expand("opt.gravity") if tilted else None
        self._mass = self.expand("body_mass") if not drift.is_nominal("payload") else None
        strong = not drift.is_nominal("motor_strength")
        self._gain = self.expand("actuator_gainprm") if strong else None
        self._bias = self.expand("actuator_biasprm") if strong else None
        self._nominal = {name: getattr(model, name).copy() for name in _DRIFTING}
        self._friction_loss = self.expand("dof_frictionloss") if not drift.is_nominal("friction") else None

    def after_restore(self) -> None:
        """Recompute the inertias that a payload changes."""
        if self._mass is not None:
            self.batch.set_const()

    def _share(self, rows: Rows) -> np.ndarray:
        return self.steps[rows] / self.horizon

    def _apply_drift(self, ids: np.ndarray) -> None:
        """Write the dynamics that hold at this moment of the episode into the simulations' models."""
        drift, share, nominal = self.dynamics, self._share(ids), self._nominal
        friction = drift.at("friction", share)
        strength = drift.at("motor_strength", share).reshape(len(ids), -1)
        strength = np.broadcast_to(strength, (len(ids), len(MOTORS)))[:, [0, 1, 2, 3, 4, 5, 5], None]
        self._force_range[ids] = nominal["actuator_forcerange"] * strength
        self._force_range[ids, :2] *= (friction * self.friction[ids])[:, None, None]
        if self._gain is not None and self._bias is not None:
            self._gain[ids] = nominal["actuator_gainprm"] * strength
            self._bias[ids] = nominal["actuator_biasprm"] * strength
        if self._friction_loss is not None:
            self._friction_loss[ids] = nominal["dof_frictionloss"] * friction[:, None]
        if self._gravity is not None and self._downhill is not None:
            slope, downhill = np.deg2rad(drift.at("tilt", share)), self._downhill[ids]
            flat = 9.81 * np.sin(slope)
            self._gravity[ids] = np.stack(
                [flat * np.cos(downhill), flat * np.sin(downhill), -9.81 * np.cos(slope)], axis=1
            )
        if self._mass is not None:
            self._mass[ids] = nominal["body_mass"]
            self._mass[ids, self.model.body("base").id] += drift.at("payload", share)
            self.batch.set_const(ids)

    def _delayed(self, actions: np.ndarray) -> np.ndarray:
        if self.dynamics.is_nominal("action_delay"):
            return actions
        self._pending[:, 1:] = self._pending[:, :-1]
        self._pending[:, 0] = actions
        delay = np.rint(self.dynamics.at("action_delay", self._share(ALL))).astype(int)
        return self._pending[np.arange(self.num_simulations), delay]

    def _noisy(self, observation: np.ndarray, rows: Rows) -> np.ndarray:
        if self._noise is None:
            return observation
        sensed = self._noise[rows][np.arange(len(observation)), np.minimum(self.steps[rows], self.horizon)]
        strength = self.dynamics.at("sensor_noise", self._share(rows)).astype(np.float32)
        return observation + sensed * strength[:, None] * self.observation_scale


_DRIFTING = ("actuator_forcerange", "actuator_gainprm", "actuator_biasprm", "dof_frictionloss", "body_mass")


def lifted(points: np.ndarray) -> np.ndarray:
    """Return points of the floor (m, 2) as points of the room, (m, 3)."""
    return np.concatenate([points, np.zeros((len(points), 1))], axis=1)
