"""The figures of a study. Colours are told apart by colour-blind eyes, and by grey alone.

Wide figures with a row or a panel a method grow downwards, so that twenty methods fit; those of one method are narrow,
for a phone.
"""

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, MaxNLocator

from nestrl.evaluation.retention import AMOUNT, Floats, SuccessCurves
from nestrl.evaluation.statistics import Interval
from nestrl.report.comparison import Comparison, MethodRuns
from nestrl.report.losses import in_order_met, loss_by_age, matrix_by_position, mean_matrix
from nestrl.report.pictures import BAND, LINE, draw_matrix, draw_strips
from nestrl.report.study_tables import by_position
from nestrl.report.tables import TITLES

OTHERS = "#BBBBBB"
WIDE, NARROW = 8.6, 4.2  # inches
ROW = 0.26  # inches of one method in a list
LETTER = 0.065  # inches, about, of a name's letter
PANELS = 4  # small panels in a row

BARS = ("average_performance", "forgetting", "forward_transfer_later")


@dataclass(frozen=True)
class StudyFigure:
    """A figure with its name as a file, and what it shows in a sentence. wide: needs more than a phone's width."""

    name: str
    caption: str
    figure: Figure
    wide: bool = False


def study_figures(comparison: Comparison, *, per_order: bool = False) -> Iterator[StudyFigure]:
    """Yield all figures of a comparison, one after the other; per_order: matrices of each order, too."""
    yield bars(comparison)
    if not all(method.joint for method in comparison.methods):  # else there is nothing to draw
        yield ages(comparison)
    yield costs(comparison)
    for method in comparison.methods:
        yield matrix(method)
    for method in comparison.methods:
        yield life(method)
    if per_order:
        for method in comparison.methods:
            for order in sorted({record.order for record in method.records}):
                yield matrix_of_order(method, order)


def bars(comparison: Comparison) -> StudyFigure:
    """Return average performance, forgetting and forward transfer of every method with their intervals."""
    figure, axes = _list_of_methods(comparison, len(BARS))
    for place, name in zip(axes, BARS, strict=True):
        intervals = [method.metric(name) for method in comparison.methods]
        _draw_intervals(place, intervals, comparison)
        place.set_title(TITLES[name], fontsize=9)
        place.axvline(0, color="black", linewidth=0.6)
    caption = "Interquartile mean over runs, 95 % bootstrap interval; hatched: the baseline."
    return StudyFigure("bars", caption, figure, wide=True)


def costs(comparison: Comparison) -> StudyFigure:
    """Return minutes of wall clock and megabytes beside the network of every method."""
    figure, (minutes, memory) = _list_of_methods(comparison, 2)
    _draw_intervals(minutes, [method.estimate(method.minutes, AMOUNT) for method in comparison.methods], comparison)
    minutes.set_title("minutes a run", fontsize=9)
    sizes = [method.memory_bytes for method in comparison.methods]
    _draw_intervals(memory, [Interval(size, size, size) for size in sizes], comparison)
    memory.set_xscale("symlog", linthresh=1000)  # from nothing to many megabytes
    memory.set_xticks([0, *(10.0**power for power in range(3, len(str(max(sizes))) + 1))])
    memory.xaxis.set_major_formatter(EngFormatter("B"))
    memory.set_title("stored beside the network", fontsize=9)
    return StudyFigure(
        "cost", "What a run costs: wall clock with its interval, and the most memory.", figure, wide=True
    )


def ages(comparison: Comparison) -> StudyFigure:
    """Return what is lost of a skill by its age, a small panel a method, the others in grey behind it."""
    series = {method.label: by_position(method, loss_by_age) for method in comparison.methods if not method.joint}
    columns = min(PANELS, len(series))
    rows = -(-len(series) // columns)
    height = 1.75 * rows + 0.45
    figure = Figure(figsize=(WIDE, height))
    panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
    figure.subplots_adjust(0.07, 0.45 / height, 0.99, 1 - 0.25 / height, 0.08, 0.3)
    for panel, label in zip(panels, series, strict=False):
        for values in series.values():
            panel.plot(*_points(values)[:2], color=OTHERS, linewidth=0.7)
        at, estimate, low, high = _points(series[label])
        panel.fill_between(at, low, high, color=LINE, alpha=0.25, linewidth=0)
        panel.plot(at, estimate, color=LINE, linewidth=1.8, marker="o", markersize=3)
        panel.axhline(0, color="black", linewidth=0.6)
        panel.set_title(label, fontsize=8)
        panel.tick_params(labelsize=7, labelbottom=True)
        panel.spines[["top", "right"]].set_visible(False)
        panel.xaxis.get_major_locator().set_params(integer=True)
    for panel in panels[len(series) :]:
        panel.remove()
    figure.supxlabel("segments since the skill was learned", fontsize=8)
    caption = "Forgetting by age of the skill: interquartile mean with 95 % interval; grey: the other methods."
    return StudyFigure("ages", caption, figure, wide=True)


def matrix(method: MethodRuns) -> StudyFigure:
    """Return the retention matrix of a method by position in the order, the mean over runs."""
    mean = mean_matrix([matrix_by_position(curves) for curves in method.curves])
    segments, tasks = mean.shape
    names = [str(number) for number in range(1, tasks + 1)]
    figure = _matrix_figure(mean, [f"after {number}" for number in range(1, segments + 1)], names, method.label)
    caption = f"{method.label}: success on the 1st, 2nd, ... task after each segment, mean over {_runs(method.curves)}."
    return StudyFigure(f"retention-{method.label}", caption, figure)


def matrix_of_order(method: MethodRuns, order: int) -> StudyFigure:
    """Return the retention matrix of a method in one order, with the names of the tasks."""
    curves = [curve for curve, record in zip(method.curves, method.records, strict=True) if record.order == order]
    mean = mean_matrix([matrix_by_position(curve) for curve in curves])
    tasks = curves[0].task_names
    names = [tasks[task] for task in in_order_met(curves[0])]
    after = [f"after {tasks[task]}" for task, _, _ in curves[0].segments[: len(mean)]]
    figure = _matrix_figure(mean, after, names, f"{method.label}, order {order}")
    caption = f"{method.label}: success on each task after each segment in order {order}, mean over {_runs(curves)}."
    return StudyFigure(f"retention-{method.label}-order-{order}", caption, figure)


def life(method: MethodRuns) -> StudyFigure:
    """Return success on each task over the whole life, in the order of the first run, shaded where it is trained."""
    order = method.records[0].order
    chosen = [place for place, record in enumerate(method.records) if record.order == order]
    if method.adaptive:
        chosen = chosen[:1]  # no other run has the same segments
    curves = [method.curves[place] for place in chosen]
    height = 0.42 * len(curves[0].task_names) + 0.75
    figure = Figure(figsize=(NARROW, height))
    draw_strips(figure, curves, method.records[chosen[0]].episodes)
    left = max(0.2, 0.04 + LETTER / NARROW * max(map(len, curves[0].task_names)))
    figure.subplots_adjust(left, 0.45 / height, 0.97, 1 - 0.25 / height, 0, 0.25)
    figure.suptitle(method.label, fontsize=9, y=1 - 0.05 / height, va="top")
    band = "mean and range" if len(curves) > 1 else "95 % interval of its episodes"
    caption = f"{method.label}: success on each task over the life, order {order}, {_runs(curves)} ({band})."
    return StudyFigure(f"life-{method.label}", caption, figure)


def rendered(figure: Figure, kind: str) -> bytes:
    """Return the figure as "png" or "svg". The SVG holds text as text, and is the same every time it is drawn."""
    content = io.BytesIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "nestrl", "font.sans-serif": ["DejaVu Sans"]}):
        figure.savefig(content, format=kind, dpi=150, metadata={"Date": None} if kind == "svg" else None)
    return content.getvalue()


def _list_of_methods(comparison: Comparison, columns: int) -> tuple[Figure, list[Any]]:
    """Return a figure with a row a method, the first on top, and its axes, which share the names of the methods."""
    labels = [method.label for method in comparison.methods]
    height = ROW * len(labels) + 0.75
    figure = Figure(figsize=(WIDE, height))
    axes = figure.subplots(1, columns, sharey=True, squeeze=False)[0]
    left = min(0.45, 0.03 + LETTER / WIDE * max(map(len, labels)))
    figure.subplots_adjust(left, 0.35 / height, 0.97, 1 - 0.3 / height, 0.14)
    axes[0].set_yticks(range(len(labels)), labels, fontsize=8)
    axes[0].set_ylim(len(labels) - 0.5, -0.5)
    for place in axes:
        place.tick_params(axis="x", labelsize=7)
        place.tick_params(axis="y", length=0)
        place.spines[["top", "right"]].set_visible(False)
        place.grid(axis="x", color="#DDDDDD", linewidth=0.6)
        place.set_axisbelow(True)
        place.xaxis.set_major_locator(MaxNLocator(4))
    return figure, list(axes)


def _draw_intervals(axes: Any, intervals: Sequence[Interval | None], comparison: Comparison) -> None:
    """Draw a bar with its interval a method; a dash at the left where there is no value."""
    for row, (interval, method) in enumerate(zip(intervals, comparison.methods, strict=True)):
        if interval is None:
            axes.text(0.01, row, "–", transform=axes.get_yaxis_transform(), fontsize=8, va="center")
            continue
        hatch = "////" if method is comparison.baseline else None
        axes.barh(row, interval.estimate, 0.62, color=BAND, edgecolor=LINE, hatch=hatch, linewidth=0.6)
        axes.plot([interval.low, interval.high], [row, row], color="black", linewidth=1.6, solid_capstyle="butt")


def _points(values: Sequence[Interval | None]) -> tuple[list[int], list[float], list[float], list[float]]:
    """Return ages, estimates, lower and upper ends of those that are there."""
    there = [(age, value) for age, value in enumerate(values, start=1) if value is not None]
    at = [age for age, _ in there]
    return at, [v.estimate for _, v in there], [v.low for _, v in there], [v.high for _, v in there]


def _matrix_figure(matrix: Floats, rows: Sequence[str], columns: Sequence[str], title: str) -> Figure:
    below = 0.2 + 0.035 * max(map(len, columns))  # inches for the slanted names of tasks
    height = 0.22 * len(rows) + below + 0.3
    figure = Figure(figsize=(NARROW, height))
    axes = figure.add_axes((0.24, below / height, 0.72, 1 - (below + 0.3) / height))
    draw_matrix(axes, matrix, rows, columns)
    figure.suptitle(title, fontsize=9, y=1 - 0.05 / height, va="top")
    return figure


def _runs(curves: Sequence[SuccessCurves]) -> str:
    return f"{len(curves)} run{'s' if len(curves) > 1 else ''}"
