"""The picture of a nested agent's levels at work: one strip a level, all on the time axis of the run."""

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, MaxNLocator

from nestrl.errors import BadConfig
from nestrl.evaluation.retention import Floats, SuccessCurves
from nestrl.nested.levels import ORDER, SATURATED
from nestrl.nested.meta_controller import RANGES, Orders
from nestrl.report.pictures import LINE
from nestrl.training.alarms import active_share_between
from nestrl.training.result import Run
from nestrl.training.strips import OBJECTIVES, Strip, rises, strips
from nestrl.training.writing import write_figure

OUTER, AT_BOUND, EDGE = "#D55E00", "#E69F00", "#999999"  # Okabe and Ito (2008): told apart by colour-blind eyes
WIDTH, STRIP, ABOVE, BELOW = 8.6, 0.62, 0.65, 0.5  # inches
TURNED = 0.3  # inches more above the strips for names that are turned
LETTER = 0.011  # of the time axis, the width of a letter of a task's name
MARGIN = 1.2  # by which an axis goes beyond the range of its order
DEFAULTS = Orders()._asdict()

Lines = Sequence[Mapping[str, Any]]
"""The "training" lines of a run's log: `steps`, and by `method` what was measured (None for NaN)."""


def draw_levels(runs: Sequence[Run], picture: Path) -> list[Path]:
    """Draw the levels of each run whose meta-controller gave orders; return the files, beside `picture`, of its kind.

    One run's is levels.png (or .svg, .pdf); of several, levels-<name of the run's folder>.png each, with as many of the
    folders above it in front as tell them apart. Raises BadConfig where that is `picture` itself.
    """
    drawn: list[Path] = []
    for run, own in zip(runs, _told_apart([run.path.resolve().parts[1:] for run in runs]), strict=True):
        figure = levels_figure(run)
        if figure is not None:
            name = "levels" if len(runs) == 1 else f"levels-{own}"
            drawn.append(picture.with_name(name + (picture.suffix or ".png")))
            if drawn[-1] == picture:
                raise BadConfig(f"{picture} is where the levels are drawn; call the picture of skills skills.png, say.")
            write_figure(drawn[-1], figure)
    return drawn


def _told_apart(places: Sequence[Sequence[str]]) -> list[str]:
    """Return the end of each place, as long as it must be for no other place to end alike."""
    names = []
    for place in places:
        length = 1
        while length < len(place) and sum(other[-length:] == place[-length:] for other in places) > 1:
            length += 1
        names.append("-".join(place[-length:]))
    return names


def levels_figure(run: Run) -> Figure | None:
    """Return a strip for each measurement of a level over the steps of the run; None where no orders were given.

    Vertical lines are the boundaries between segments. Of counts (races, commits) a triangle shows each rise; the
    inner and the outer objective share a strip. An order is orange where it sat at its bound; its default is dotted, as
    is the mean limit of the drift. An order that never left its default is not shown.
    The share of active constraints is that since the line of the log before. What happens at the end of the last
    segment stands in no line of the log, and so is not shown.
    """
    lines = run.folder.log_lines("training")
    shown = strips(lines[-1]["method"]) if lines else ()
    if not shown:
        return None
    still = [strip for strip in shown if _stands_still(strip, lines)]
    rows = [strip for strip in shown if strip.name != "outer" and strip not in still]  # outer: with the inner one
    turned = _are_crowded(run.curves)
    above = ABOVE + (TURNED if turned else 0)
    height = above + STRIP * len(rows) + BELOW
    figure = Figure(figsize=(WIDTH, height))
    axes = list(figure.subplots(len(rows), 1, sharex=True, squeeze=False)[:, 0])
    figure.subplots_adjust(0.2, BELOW / height, 0.98, 1 - above / height, 0, 0.3)
    for strip, place in zip(rows, axes, strict=True):
        _draw_strip(place, strip, lines)
    _mark_boundaries(axes, run.curves, turned)
    _name_levels(rows, axes)
    axes[-1].set_xlabel("environment steps (lines: boundaries between segments)", fontsize=8)
    figure.suptitle(
        f"{run.config.sequence.name}, {run.config.method}, seed {run.config.seed}"
        + (f" (at their defaults: {', '.join(strip.label for strip in still)})" if still else ""),
        fontsize=10,
        y=1 - 0.1 / height,
        va="top",
    )
    return figure


def _stands_still(strip: Strip, lines: Lines) -> bool:
    """Return whether this is an order that never left its default."""
    name = strip.name.removeprefix(ORDER)
    return strip.name.startswith(ORDER) and name in DEFAULTS and set(_series(lines, strip.name)) == {DEFAULTS[name]}


def _draw_strip(place: Any, strip: Strip, lines: Lines) -> None:
    steps, values = np.array([line["steps"] for line in lines]), _series(lines, strip.name)
    place.tick_params(labelsize=7)
    place.spines[["top", "right"]].set_visible(False)
    place.yaxis.set_major_locator(MaxNLocator(2))
    if strip.counts:
        there = rises(list(zip(steps.tolist(), values.tolist(), strict=True)))
        place.plot(there, np.zeros(len(there)), "^", color=LINE, markersize=5)
        place.set(ylim=(-1, 1), yticks=[])
    elif strip.name == "active_share":
        place.plot(steps, _shares(lines), color=LINE, linewidth=1.3)
        place.set(ylim=(-0.05, 1.05), yticks=(0, 1))
    elif strip.level == OBJECTIVES:
        _draw_objectives(place, steps, values, _series(lines, "outer"))
    else:
        place.plot(steps, values, color=LINE, linewidth=1.3)
        if strip.name == "drift":
            place.plot(steps, _series(lines, "drift_limit"), color=EDGE, linewidth=0.8, linestyle=":")
        elif strip.name.startswith(ORDER):
            _draw_order(place, strip, lines, steps, values)
        elif strip.name == "weight" and np.nanmax(values, initial=0) > 0:
            place.set_yscale("log", nonpositive="mask")


def _draw_objectives(place: Any, steps: Any, inner: Floats, outer: Floats) -> None:
    place.plot(steps, inner, color=LINE, linewidth=1.3, label="inner: success in training")
    place.plot(steps, outer, color=OUTER, linewidth=1.3, linestyle="--", label="outer: minus drift over its limit")
    place.set_yticks([0, 1])
    place.legend(fontsize=6, loc="lower left", bbox_to_anchor=(0, 0.9), ncols=2, frameon=False, borderaxespad=0)


def _draw_order(place: Any, strip: Strip, lines: Lines, steps: Any, values: Floats) -> None:
    """Show the order within its range: its default as a dotted line, and where it sat at its bound."""
    name = strip.name.removeprefix(ORDER)
    at_bound = _series(lines, SATURATED + name) == 1
    place.plot(steps[at_bound], values[at_bound], "o", color=AT_BOUND, markersize=3)
    if name not in RANGES:  # an order that this version does not give
        return
    default, limits = DEFAULTS[name], RANGES[name]
    place.axhline(default, color=EDGE, linewidth=0.8, linestyle=":")
    if limits.logarithmic and np.nanmin(values, initial=default) > 0:
        place.set_yscale("log")
        ticks = [default / math.exp(limits.bound), default, default * math.exp(limits.bound)]
        edges = [ticks[0] / MARGIN, ticks[2] * MARGIN]
    else:
        ticks = [default - limits.bound, default, default + limits.bound]
        edges = [default - MARGIN * limits.bound, default + MARGIN * limits.bound]
    place.set_yticks(ticks, [f"{tick:.3g}" for tick in ticks])
    place.minorticks_off()
    place.set_ylim(np.nanmin(values, initial=edges[0]), np.nanmax(values, initial=edges[1]))


def _are_crowded(curves: SuccessCurves) -> bool:
    """Return whether some segment is too short for its task's name to stand upright above it."""
    last = curves.segments[-1][2]
    return any((end - start) / last < LETTER * len(curves.task_names[task]) for task, start, end in curves.segments)


def _mark_boundaries(axes: Sequence[Any], curves: SuccessCurves, turned: bool) -> None:
    """Draw every boundary through all strips, and write the task of each segment above the first."""
    for task, start, end in curves.segments:
        for place in axes:
            place.axvline(end, color=EDGE, linewidth=0.8, zorder=0)
        axes[0].text(
            *((start + end) / 2, 1.08, curves.task_names[task]),
            transform=axes[0].get_xaxis_transform(),
            ha="left" if turned else "center",
            fontsize=7,
            rotation=60 if turned else 0,
            rotation_mode="anchor",
        )
    axes[0].set_xlim(0, curves.segments[-1][2])
    axes[-1].xaxis.set_major_locator(MaxNLocator(6))
    axes[-1].xaxis.set_major_formatter(EngFormatter(sep=""))


def _name_levels(rows: Sequence[Strip], axes: Sequence[Any]) -> None:
    """Write what is measured beside each strip, and its level beside the first one of a level."""
    above = [None, *(strip.level for strip in rows)]
    for strip, place, over in zip(rows, axes, above, strict=False):
        label = "inner and outer" if strip.level == OBJECTIVES else strip.label
        place.text(-0.075, 0.5, label, transform=place.transAxes, ha="right", va="center", fontsize=8)
        if strip.level != over:
            name = strip.level.replace("_", " ")
            place.text(-0.245, 1.0, name, transform=place.transAxes, ha="left", va="top", fontsize=8, weight="bold")


def _series(lines: Lines, name: str) -> Floats:
    """Return one measurement a line, (n,); NaN where it was not made or not finite."""
    return np.array([line["method"].get(name) for line in lines], float)


def _shares(lines: Lines) -> Floats:
    """Return the share of steps with an active constraint since the line before, (n,); NaN without any."""
    measured: list[Mapping[str, Any]] = [{}, *(line["method"] for line in lines)]
    shares = [active_share_between(earlier, later) for earlier, later in pairwise(measured)]
    return np.array(shares, float)
