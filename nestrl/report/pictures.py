"""The picture of skills kept and lost: success of every task over a life, and the retention matrix below it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, MaxNLocator
from numpy.typing import NDArray

from nestrl.evaluation.retention import Floats, SuccessCurves, retention_matrix
from nestrl.evaluation.statistics import wilson_interval
from nestrl.report.groups import grouped
from nestrl.report.losses import mean_matrix
from nestrl.training.result import Run
from nestrl.training.writing import write_figure

Steps = NDArray[np.int64]

LINE, BAND, OWN_SEGMENT = "#0072B2", "#56B4E9", "#E69F00"  # Okabe and Ito (2008): told apart by colour-blind eyes
MATRIX_COLOURS = "cividis"
MOST_LONG_NUMBERS, MOST_NUMBERS = 10, 20  # columns of a matrix up to which a cell has room for two digits, and for one
COLUMN_WIDTH, STRIP_HEIGHT, ROW_HEIGHT, TEXT_HEIGHT = 4.4, 0.55, 0.3, 0.9  # inches


def draw_skills(runs: Sequence[Run], path: Path) -> None:
    """Write the picture of runs to `path` (.png, .svg or .pdf): a column for each sequence and method.

    Above, a strip a task: success over the steps of the life, shaded where the task itself is trained. The line is the
    mean over runs, as far as all of them go, and the band their range; of a single run the band is Wilson's 95 %
    interval of its episodes. Of runs with adaptive segments the first alone is drawn, for each has its own. Below, the
    retention matrix, the mean over runs.
    """
    groups = list(grouped(runs).items())
    strips = TEXT_HEIGHT + STRIP_HEIGHT * max(len(run.task_names) for run in runs)
    matrix = TEXT_HEIGHT + ROW_HEIGHT * max(len(run.curves.segments) for run in runs)
    figure = Figure(figsize=(COLUMN_WIDTH * len(groups), strips + matrix), layout="constrained")
    columns = figure.subfigures(1, len(groups), squeeze=False)[0]
    for column, ((sequence, method), members) in zip(columns, groups, strict=True):
        column.suptitle(f"{sequence}, {method} ({_how_many(members)})", fontsize=10)
        above, below = column.subfigures(2, 1, height_ratios=[strips, matrix])
        alike = members[:1] if members[0].config.segments == "adaptive" else members
        draw_strips(above, [run.curves for run in alike], members[0].config.evaluation_episodes)
        _draw_matrix(below, members)
    write_figure(path, figure)


def draw_strips(figure: Any, curves: Sequence[SuccessCurves], episodes: int) -> None:
    """Draw a strip a task into an empty figure: success over the steps, shaded where the task itself is trained.

    Several lives through the same segments give their mean and range, as far as all of them go; a single one Wilson's
    95 % interval of `episodes` an evaluation.
    """
    first = curves[0]
    strips = figure.subplots(len(first.task_names), 1, sharex=True, squeeze=False)[:, 0]
    steps, mean, low, high = _mean_and_band(curves, episodes)
    for task, (name, strip) in enumerate(zip(first.task_names, strips, strict=True)):
        for trained, start, end in first.segments:
            if trained == task:
                strip.axvspan(start, end, color=OWN_SEGMENT, alpha=0.3, linewidth=0)
        strip.fill_between(steps, low[:, task], high[:, task], color=BAND, alpha=0.4, linewidth=0)
        strip.plot(steps, mean[:, task], color=LINE, linewidth=1.5)
        strip.set(ylim=(-0.05, 1.05), yticks=(0, 1), xlim=(0, first.segments[-1][2]))
        strip.set_ylabel(name, rotation=0, ha="right", va="center", fontsize=8)
        strip.tick_params(labelsize=7)
        strip.spines[["top", "right"]].set_visible(False)
    strips[-1].xaxis.set_major_locator(MaxNLocator(5))
    strips[-1].xaxis.set_major_formatter(EngFormatter(sep=""))
    strips[-1].set_xlabel("steps (shaded: the task itself is trained)", fontsize=8)


def draw_matrix(axes: Any, matrix: Floats, rows: Sequence[str], columns: Sequence[str]) -> None:
    """Draw a retention matrix (segments, tasks), values in 0..1, into empty axes; cells of NaN stay empty."""
    axes.imshow(matrix, vmin=0, vmax=1, cmap=MATRIX_COLOURS, aspect="auto")
    for (row, task), value in np.ndenumerate(matrix):
        if not np.isnan(value) and len(columns) <= MOST_NUMBERS:
            text = f"{value:.2f}" if len(columns) <= MOST_LONG_NUMBERS else f"{value:.1f}".lstrip("0")
            axes.text(task, row, text, ha="center", va="center", fontsize=7, color=_readable_on(value))
    turned = {"rotation": 30, "ha": "right"} if max(map(len, columns)) > 2 else {}
    small = 7 if len(columns) <= MOST_NUMBERS else 5
    axes.set_xticks(range(len(columns)), columns, fontsize=small, **turned)
    axes.set_yticks(range(len(rows)), rows, fontsize=7)


def _draw_matrix(figure: Any, runs: Sequence[Run]) -> None:
    curves = runs[0].curves
    matrix = mean_matrix([retention_matrix(run.curves) for run in runs])
    axes = figure.subplots()
    after = [f"after {curves.task_names[task]}" for task, _, _ in curves.segments[: len(matrix)]]
    draw_matrix(axes, matrix, after, curves.task_names)
    axes.set_title("success on each task", fontsize=8)


def _mean_and_band(curves: Sequence[SuccessCurves], episodes: int) -> tuple[Steps, Floats, Floats, Floats]:
    """Return steps (n,) as far as all lives go, and mean, lower and upper end there, (n, n_tasks) each."""
    if len(curves) == 1:
        success = curves[0].success
        intervals = [wilson_interval(round(rate * episodes), episodes) for rate in success.ravel()]
        low, high = (np.array([getattr(i, end) for i in intervals]).reshape(success.shape) for end in ("low", "high"))
        return curves[0].steps, success, low, high
    end = min(each.steps[-1] for each in curves)
    steps = np.append(curves[0].steps[curves[0].steps < end], end)
    all_success = np.stack([_at_steps(each, steps) for each in curves])
    return steps, all_success.mean(axis=0), all_success.min(axis=0), all_success.max(axis=0)


def _at_steps(curves: SuccessCurves, steps: Steps) -> Floats:
    return np.stack([np.interp(steps, curves.steps, success) for success in curves.success.T], axis=1)


def _how_many(runs: Sequence[Run]) -> str:
    return f"seed {runs[0].config.seed}" if len(runs) == 1 else f"{len(runs)} runs"


def _readable_on(value: float) -> str:
    return "black" if value > 0.5 else "white"
