"""Tables of runs as Markdown, aligned so that a terminal shows them well too."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from nestrl.errors import BadConfig
from nestrl.evaluation.retention import MEASURES, Metrics
from nestrl.evaluation.statistics import Interval, bootstrap_interval, interquartile_mean
from nestrl.methods import METHODS, find_method
from nestrl.nested.levels import LEVELS, UPDATES
from nestrl.report.comparison import OF_JOINT_TRAINING
from nestrl.report.groups import grouped
from nestrl.report.mixing import SEGMENT_RULES, refuse_mixed
from nestrl.training.config import RunConfig
from nestrl.training.result import Run

DASH = "–"
TO_ALL = MEASURES["steps_to_all"]
TITLES = {name: measure.title for name, measure in MEASURES.items() if measure is not TO_ALL}
"""Of every metric that is a share of success, or a difference of such: within -1..1."""


def table(head: Sequence[str], rows: Iterable[Sequence[str]], *, right: bool = True) -> str:
    """Return a Markdown table: the first column to the left, the others to the right (or also to the left)."""
    lines = [[cell.replace("|", r"\|") for cell in line] for line in (head, *rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    rule = ["-" * widths[0], *("-" * (width - 1) + (":" if right else "-") for width in widths[1:])]
    lines.insert(1, rule)
    return "\n".join(f"| {' | '.join(_aligned(line, widths, right))} |" for line in lines)


def method_cards() -> str:
    """Return the cards of all methods that have a name: what they are, keep, cost and must know, and their paper."""
    rows = []
    for name in METHODS:
        card = find_method(name).card
        knows = ", ".join(card.knows) or "nothing"
        rows.append([name, card.part, card.summary, card.stores, card.cost, knows, card.paper])
    return table(["method", "part", "what it does", "stores", "costs", "must know", "paper"], rows, right=False)


def levels_table(run: Run | None = None) -> str:
    """Return the levels of the nested agent, from the fastest to the slowest; with a run, how often each has adapted.

    Raises BadConfig for a run whose method has no levels, or which has not trained yet.
    """
    head = ["level", "what adapts", "every", "reads", "objective", "acts on"]
    rows = [list(spec) for spec in LEVELS]
    if run is not None:
        counts = _updates(run)
        head.append("updates in this run")
        rows = [[*row, counts.get(row[0], DASH)] for row in rows]
    return table(head, rows, right=False)


def retention_table(run: Run) -> str:
    """Return R as a table: success on each task (column) after each segment (row); a dash before it is reached."""
    segments = [run.task_names[task] for task, _, _ in run.curves.segments]
    rows = [
        [f"after {name}", *(DASH if np.isnan(value) else f"{value:.2f}" for value in values)]
        for name, values in zip(segments, run.retention, strict=True)
    ]
    return table(["success on", *run.task_names], rows)


def metrics_table(run: Run) -> str:
    """Return the metrics of one run that mean something for its method, each with its definition."""
    metrics = run.metrics
    rows = [
        [TITLES[name], _number(getattr(metrics, name)), MEASURES[name].definition] for name in _meaningful(run.config)
    ]
    width = max(len(title) for title in TITLES.values())
    if metrics.steps_to_all is not None:
        rows.append([TO_ALL.title, f"{metrics.steps_to_all:,}", TO_ALL.definition])
    return "\n".join(f"{title:<{width}}  {value:>6}  {definition}" for title, value, definition in rows)


def _meaningful(config: RunConfig) -> tuple[str, ...]:
    """Return the metrics that say something of a run: all, or those that need no segments."""
    return OF_JOINT_TRAINING if config.trains_jointly else tuple(TITLES)


def success_table(success: Mapping[str, Interval]) -> str:
    """Return the success of each task with its interval."""
    return table(["task", "success [95 % interval]"], [[task, str(interval)] for task, interval in success.items()])


def comparison_table(runs: Sequence[Run]) -> str:
    """Return one row a sequence and method: interquartile means over runs with 95 % bootstrap intervals.

    One run has no interval. A metric that some run of a group does not have is a dash, and so is all but the average
    performance of joint training, whose segments mean nothing. Runs with adaptive segments have one column more: the
    steps until all tasks stood at the target together.
    Raises BadConfig when a run is not finished, or segments ended by different rules.
    """
    refuse_mixed(SEGMENT_RULES, [(str(run.path), run.config.segment_rule) for run in runs])
    adaptive = any(run.config.segments == "adaptive" for run in runs)
    rows = []
    for (sequence, method), members in grouped(runs).items():
        values = [run.metrics for run in members]
        means = _meaningful(members[0].config)
        cells = [_estimate(name, values) if name in means else DASH for name in TITLES]
        cells += [_estimate("steps_to_all", values, "{:,.0f}")] if adaptive else []
        rows.append([f"{sequence} {method}", str(len(members)), *cells])
    return table(["sequence, method", "runs", *TITLES.values(), *([TO_ALL.title] if adaptive else [])], rows)


def differing_versions(runs: Sequence[Run]) -> list[str]:
    """Return a sentence for each package whose version differs between the runs."""
    found: dict[str, set[str]] = {}
    unknown = []
    for run in runs:
        try:
            then = run.folder.versions_then()
        except BadConfig:
            unknown.append(f"versions.json of {run.path} cannot be read; whether it may be compared is not known")
            continue
        for name, version in then.items():
            found.setdefault(name, set()).add(str(version))
    return unknown + [
        f"these runs used different versions of {name} ({', '.join(sorted(versions))}); they may not be comparable"
        for name, versions in found.items()
        if len(versions) > 1 and name not in ("git", "python", "nestrl", "processor")
    ]


def _updates(run: Run) -> dict[str, str]:
    """Return how often each level had adapted at the last training line of the run's log."""
    lines = run.folder.log_lines("training")
    measured: Mapping[str, float] = lines[-1]["method"] if lines else {}
    counts = {name.removeprefix(UPDATES): f"{n:,.0f}" for name, n in measured.items() if name.startswith(UPDATES)}
    if not counts:
        raise BadConfig(f"{run.path} has counted no updates of levels; give a run of --method nested that has trained.")
    return counts


def _aligned(cells: Sequence[str], widths: Sequence[int], right: bool) -> list[str]:
    rest = zip(cells[1:], widths[1:], strict=True)
    return [cells[0].ljust(widths[0]), *(cell.rjust(width) if right else cell.ljust(width) for cell, width in rest)]


def _estimate(name: str, metrics: Sequence[Metrics], form: str = "{:.2f}") -> str:
    numbers = [value for value in (getattr(each, name) for each in metrics) if value is not None]
    if not numbers or len(numbers) < len(metrics):
        return DASH
    interval = bootstrap_interval(numbers, interquartile_mean, np.random.default_rng(0)).within(MEASURES[name].bounds)
    if np.isnan(interval.low):
        return form.format(interval.estimate)
    estimate, low, high = (form.format(value) for value in (interval.estimate, interval.low, interval.high))
    return f"{estimate} [{low}, {high}]"


def _number(value: float | None) -> str:
    return DASH if value is None else f"{value:.2f}"
