"""What looks amiss in how the levels of a nested agent worked, from the measurements of one finished segment."""

import math
from collections.abc import Mapping, Sequence

from nestrl.nested.levels import ORDER, SATURATED, UPDATES

Measurements = Mapping[str, float | None]
"""What a method measured at one line of the log; None stands for NaN, which JSON does not know."""

LEAST_ACTIVE, MOST_ACTIVE = 0.05, 0.95
"""Share of gradient steps with an active constraint. Below, the drift limit constrains nothing; above, the dual weights
cannot enforce it."""


def alarms(lines: Sequence[Measurements], before: Measurements | None = None) -> list[str]:
    """Return a sentence for each thing that is amiss, none for a method without levels.

    lines: measurements of the segment, in order. before: the last ones before the segment, if there were any.
    """
    if not lines:
        return []
    return [*_about_constraints(lines[-1], before or {}), *_about_orders(lines), *_about_the_meta_gradient(lines)]


def active_share_between(earlier: Measurements, later: Measurements) -> float | None:
    """Return the share of gradient steps with an active constraint between two lines, in 0..1; None without any.

    `active_share` is that of all steps so far, and `updates.dual_weights` the number of these steps.
    """
    active, steps = (_active_steps(later)[i] - _active_steps(earlier)[i] for i in (0, 1))
    return min(1.0, max(0.0, active / steps)) if steps > 0 else None


def _active_steps(line: Measurements) -> tuple[float, float]:
    steps = line.get(UPDATES + "dual_weights") or 0.0
    return steps * (line.get("active_share") or 0.0), steps


def _about_constraints(last: Measurements, before: Measurements) -> list[str]:
    share = active_share_between(before, last)
    if share is None or LEAST_ACTIVE <= share <= MOST_ACTIVE:
        return []
    if share < LEAST_ACTIVE:
        cure = "the drift limit constrains nothing; a tighter one may keep more"
    else:
        cure = "the dual weights cannot enforce the drift limit; a looser one, or more memory, may help"
    return [f"Alarm: a constraint was active in {share:.0%} of the segment's gradient steps: {cure}."]


def _about_orders(lines: Sequence[Measurements]) -> list[str]:
    names = [name for name in lines[-1] if name.startswith(SATURATED)]
    stuck = [name.removeprefix(SATURATED) for name in names if all(line.get(name) == 1.0 for line in lines)]
    return [f"Alarm: the meta-controller's order {name!r} sat at its bound for the whole segment." for name in stuck]


def _about_the_meta_gradient(lines: Sequence[Measurements]) -> list[str]:
    paused = any(line.get("paused") == 1.0 for line in lines)
    bad = [name for name in lines[-1] if name.startswith(ORDER) and not all(_is_finite(line, name) for line in lines)]
    sentences = [f"Alarm: {name} was not finite." for name in bad]
    if paused:
        sentences.append(
            "Alarm: a meta-gradient was NaN or infinite; the meta-controller stopped learning for the rest of the "
            "segment, and the run goes on with its last orders."
        )
    return sentences


def _is_finite(line: Measurements, name: str) -> bool:
    value = line.get(name)
    return value is not None and math.isfinite(value)
