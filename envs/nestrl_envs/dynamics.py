"""Drift: the same task under changed dynamics, constant or changing over an episode."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

MOTORS = ("base_x", "base_y", "base_yaw", "lift", "arm", "fingers")


class DynamicsError(ValueError):
    """A drift that cannot be had: unknown name, or a value out of range."""


@dataclass(frozen=True)
class Dynamics:
    """Changed dynamics of a rover task; the defaults change nothing.

    A number holds for the whole episode; a pair `[start, end]` changes linearly from the first step to the horizon.

    - friction: factor on dry friction: the floor's, so on the base's traction and on a box that slides, and that in a
      door's hinge and a drawer's rails; 0.02 to 5. Not on the can of pick-and-place, nor on the fingers' grip.
    - tilt: slope of the floor in degrees, 0 to 20; downhill is a random direction, drawn in every episode.
    - payload: mass in kg carried on the base, 0 to 40.
    - motor_strength: factor on gain and force of all motors, or a mapping from joint (base_x, base_y, base_yaw, lift,
      arm, fingers) to factor; 0.05 to 5.
    - sensor_noise: standard deviation of Gaussian noise on every observed number, in units of its scale; 0 to 1.
    - action_delay: control steps (0.08 s each) by which commands arrive late, rounded; 0 to 8.
    """

    friction: Any = 1.0
    tilt: Any = 0.0
    payload: Any = 0.0
    motor_strength: Any = 1.0
    sensor_noise: Any = 0.0
    action_delay: Any = 0

    def __post_init__(self) -> None:
        for name, (low, high) in RANGES.items():
            for value in self.endpoints(name).ravel():
                if not low <= value <= high:
                    raise DynamicsError(f"dynamics: {name} must lie in [{low}, {high}], not {value}")

    def endpoints(self, name: str) -> np.ndarray:
        """Return value at the first step and at the horizon, (2,), or (2, 6) for motor_strength by joint."""
        value = getattr(self, name)
        if name != "motor_strength" or not isinstance(value, Mapping):
            return _pair(name, value)
        unknown = set(value) - set(MOTORS)
        if unknown:
            raise DynamicsError(f"dynamics: unknown motor {sorted(unknown)}; choose from {', '.join(MOTORS)}")
        return np.stack([_pair(name, value.get(motor, 1.0)) for motor in MOTORS], axis=1)

    def at(self, name: str, share: np.ndarray) -> np.ndarray:
        """Return the value when `share` (n,) in [0, 1] of the horizon has passed, (n,) or (n, 6)."""
        start, end = self.endpoints(name)
        share = share.reshape(-1, *[1] * np.ndim(start))
        return start + (end - start) * share

    def is_nominal(self, name: str) -> bool:
        """Return whether `name` is left as it was."""
        return bool(np.all(self.endpoints(name) == getattr(type(self), name)))

    def changes(self, name: str) -> bool:
        """Return whether `name` changes over an episode."""
        start, end = self.endpoints(name)
        return bool(np.any(start != end))


RANGES = {
    "friction": (0.02, 5.0),
    "tilt": (0.0, 20.0),
    "payload": (0.0, 40.0),
    "motor_strength": (0.05, 5.0),
    "sensor_noise": (0.0, 1.0),
    "action_delay": (0, 8),
}


def dynamics_from(values: Mapping[str, Any] | None) -> Dynamics:
    """Return the dynamics named by a mapping (as registration arguments and YAML give it)."""
    if values is not None and not isinstance(values, Mapping):
        raise DynamicsError(f"dynamics takes a mapping such as {{'friction': 0.5}}, not {values!r}")
    known = [field.name for field in fields(Dynamics)]
    unknown = set(values or {}) - set(known)
    if unknown:
        raise DynamicsError(f"dynamics: unknown name {sorted(unknown)}; choose from {', '.join(known)}")
    return Dynamics(**(values or {}))


def _pair(name: str, value: Any) -> np.ndarray:
    try:
        pair = np.asarray(value, float)
        pair = np.array([pair, pair]) if pair.ndim == 0 else pair
    except (TypeError, ValueError):
        pair = np.empty(0)
    if pair.shape != (2,) or not np.isfinite(pair).all():
        raise DynamicsError(f"dynamics: {name} takes a number or a pair [start, end], not {value!r}")
    return pair
