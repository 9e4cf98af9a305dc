"""What is shown of each level of a nested agent over the steps of a run, and how a line of text can show it."""

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

from nestrl.nested.levels import ORDER

WIDTH = 38  # characters of the time axis
BLOCKS = "▁▂▃▄▅▆▇█"
EVENT, BOUNDARY = "▲", "│"

Points = Sequence[tuple[int, float]]
"""(environment steps, value) in order."""


class Strip(NamedTuple):
    """One measurement of one level. counts: it is a number of events so far, of which each rise is shown."""

    level: str
    name: str
    counts: bool = False

    @property
    def label(self) -> str:
        """The measurement, in words."""
        return self.name.removeprefix(ORDER).replace("_", " ")


OBJECTIVES = "objectives"
"""Stands in the place of a level: the inner objective beside the outer one."""

BEFORE_ORDERS = (
    Strip("fast_policy", "drift"),
    Strip("dual_weights", "weight"),
    Strip("dual_weights", "active_share"),
)
AFTER_ORDERS = (
    Strip("rival", "races", counts=True),
    Strip("rival", "races_won", counts=True),
    Strip("slow_policy", "commits", counts=True),
    Strip(OBJECTIVES, "inner"),
    Strip(OBJECTIVES, "outer"),
)


def strips(measured: Iterable[str]) -> tuple[Strip, ...]:
    """Return the strips to show for measurements of these names; none where no meta-controller gives orders."""
    names = list(measured)
    orders = tuple(Strip("meta_controller", name) for name in names if name.startswith(ORDER))
    if not orders:
        return ()
    return tuple(strip for strip in (*BEFORE_ORDERS, *orders, *AFTER_ORDERS) if strip.name in names)


class History:
    """The measurements of a run since this process began to show it."""

    def __init__(self) -> None:
        self._points: dict[str, list[tuple[int, float]]] = {}
        self._boundaries: list[int] = []
        self._segment: int | None = None
        self._steps = 0

    def add(self, steps: int, segment: int, measurements: Mapping[str, float]) -> None:
        """Take in what was measured after so many steps, in the segment with this index."""
        if self._segment is not None and segment != self._segment:
            self._boundaries.append(self._steps)
        self._segment, self._steps = segment, steps
        for strip in strips(measurements):
            self._points.setdefault(strip.name, []).append((steps, measurements[strip.name]))

    def rows(self, total: int) -> list[tuple[str, str, str, str]]:
        """Return (level, measurement, line of WIDTH characters, last value) of each strip; the boundaries first.

        total: steps at the right end of the time axis.
        """
        shown = strips(self._points)
        rows = [("", "boundaries", marks(self._boundaries, total, BOUNDARY), "")] if shown else []
        for strip in shown:
            points = self._points[strip.name]
            line = marks(rises(points), total, EVENT) if strip.counts else sparkline(points, total)
            rows.append((strip.level, strip.label, line, f"{points[-1][1]:.3g}"))
        return _once_each(rows)


def sparkline(points: Points, total: int, width: int = WIDTH) -> str:
    """Return values over 0..total steps as blocks, the last one in each column, from their least to their greatest."""
    there = {_column(steps, total, width): value for steps, value in points if math.isfinite(value)}
    if not there:
        return " " * width
    low, span = min(there.values()), max(there.values()) - min(there.values())
    top = len(BLOCKS) - 1
    blocks = {at: BLOCKS[round(top * (value - low) / span) if span else top // 2] for at, value in there.items()}
    return "".join(blocks.get(column, " ") for column in range(width))


def marks(steps: Iterable[int], total: int, mark: str, width: int = WIDTH) -> str:
    """Return a mark at each of these steps, on an axis of 0..total."""
    places = {_column(at, total, width) for at in steps}
    return "".join(mark if column in places else " " for column in range(width))


def rises(points: Points) -> list[int]:
    """Return the steps after which a count rose: those of the point before; it begins with 0 after 0 steps.

    What happens at a boundary is seen at the first point of the next segment, and so stands at the boundary.
    """
    return [steps for (steps, earlier), (_, value) in pairwise([(0, 0.0), *points]) if value > earlier]


def _column(steps: int, total: int, width: int) -> int:
    return min(width - 1, max(0, steps * width // max(1, total)))


def _once_each(rows: list[tuple[str, str, str, str]]) -> list[tuple[str, str, str, str]]:
    """Leave out a level's name where it stands in the row above."""
    above = ["", *(row[0] for row in rows)]
    return [("" if row[0] == over else row[0], *row[1:]) for row, over in zip(rows, above, strict=False)]
