"""What every rover task observes and how it is driven: one declaration, from which spaces, scales and docs are made.

The slots mean the same in every task, so that one network can reuse a skill: whatever has to be approached stands in
`approach`, and whatever has to happen to it next stands in `bring`.
"""

from dataclasses import dataclass

import numpy as np

LIDAR_RAYS = 12
LIDAR_RANGE = 3.0  # m; a ray that meets nothing reads this


@dataclass(frozen=True)
class Field:
    """Numbers with one meaning: `size` of them within [low, high] `unit`; `scale` is how large they typically are."""

    name: str
    size: int
    unit: str
    low: float
    high: float
    scale: float
    meaning: str


OBSERVATION = (
    Field("base velocity", 2, "m/s", -3, 3, 1.0, "forward and leftward speed of the base, in its own frame"),
    Field("yaw rate", 1, "rad/s", -6, 6, 2.0, "turning speed of the base, anticlockwise"),
    Field("lift", 1, "m", -0.2, 0.65, 0.25, "height of the arm above where it rests"),
    Field("arm", 1, "m", -0.2, 0.55, 0.2, "extension of the arm"),
    Field("opening", 1, "m", -0.07, 0.15, 0.035, "opening of each finger"),
    Field("squeeze", 1, "m", -0.14, 0.15, 0.02, "opening minus commanded opening: large when something is held"),
    Field(
        "approach", 3, "m", -9, 9, 0.5, "from the tip (driving tasks: the base) to what it must approach, base frame"
    ),
    Field("bring", 3, "m", -9, 9, 0.5, "from there to where that thing, or the base, must go next; 0 if nowhere"),
    Field(
        "heading", 2, "1", -1, 1, 1.0, "sine and cosine of the turn the base still has to make; (0, 1) if any will do"
    ),
    Field(
        "progress", 1, "1", 0, 1, 0.5, "how far the task's mechanism is: pulled, pressed, opened, lifted, gates passed"
    ),
    Field("hold", 1, "1", 0, 1, 0.5, "share of the required holding time for which success has held"),
    Field("time", 1, "1", 0, 1, 0.5, "share of the horizon that has passed"),
    Field(
        "lidar", LIDAR_RAYS, "m", 0, LIDAR_RANGE, 1.5, "distance to the next wall, rays anticlockwise from the front"
    ),
)
ACTION = (
    Field("forward", 1, "1", -1, 1, 1.0, "commanded forward speed of the base, times the task's top speed"),
    Field("left", 1, "1", -1, 1, 1.0, "commanded leftward speed of the base, times the task's top speed"),
    Field("turn", 1, "1", -1, 1, 1.0, "commanded yaw rate of the base, times the task's top yaw rate"),
    Field("lift", 1, "1", -1, 1, 1.0, "commanded speed of the lift, times 0.5 m/s"),
    Field("arm", 1, "1", -1, 1, 1.0, "commanded speed of the arm, times 0.5 m/s"),
    Field("open", 1, "1", -1, 1, 1.0, "commanded finger opening: -1 closed, 1 open (0.07 m each)"),
)


def spans(fields: tuple[Field, ...]) -> dict[str, slice]:
    """Return where each field stands in the vector."""
    ends = np.cumsum([field.size for field in fields])
    return {field.name: slice(int(end) - field.size, int(end)) for field, end in zip(fields, ends, strict=True)}


def column(fields: tuple[Field, ...], attribute: str) -> np.ndarray:
    """Return `attribute` (low, high or scale) of every number of the vector, (size,) float32."""
    return np.concatenate([np.full(field.size, getattr(field, attribute), np.float32) for field in fields])
