"""The tables of a study. Every estimate stands with its interval, and every doubt beside what it concerns."""

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from nestrl.evaluation.retention import (
    AMOUNT,
    RATE,
    TRANSFER,
    Floats,
    ReferenceCurves,
    SuccessCurves,
    forward_transfer,
    long_enough,
)
from nestrl.evaluation.statistics import Interval
from nestrl.report.comparison import FEWEST_SEEDS, Comparison, MethodRuns, difference, estimate, paired, probability
from nestrl.report.losses import known_and_final, loss_at_boundaries, loss_by_age
from nestrl.report.tables import DASH, TITLES, table

HEADLINES = ("average_performance", "forgetting", "forward_transfer_later", "worst_point")
"""The metrics that the main table shows."""

STEPS_TO_ALL = "steps to all, thousands: median (runs that came there)"

NULL_METHOD = "reset-and-distill"
"""Learns every task in a fresh network, so that its true forward transfer is 0."""


class Bytes(int):
    """A number of bytes that shows itself in its unit: 0 B, 1.5 kB, 20 MB."""

    def __str__(self) -> str:
        size, units = float(self), ["B", "kB", "MB", "GB"]
        while size >= 1000 and len(units) > 1:
            size, units = size / 1000, units[1:]
        return f"{size:.3g} {units[0]}"


Cell = str | int | Interval | None
WARNING = "WARNING: "  # how a note begins that is one


@dataclass(frozen=True)
class StudyTable:
    """A table with its name as a file, a title, and notes that belong below it. A missing value is None."""

    name: str
    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    notes: tuple[str, ...] = ()

    @property
    def doubts(self) -> tuple[str, ...]:
        """The notes that are warnings, without the word."""
        return tuple(note.removeprefix(WARNING) for note in self.notes if note.startswith(WARNING))

    def markdown(self) -> str:
        """Return title, table and notes as Markdown."""
        rows = [[shown(cell) for cell in row] for row in self.rows]
        notes = "\n".join(f"- {note}" for note in self.notes)
        return "\n\n".join(filter(None, [f"**{self.title}**", table(self.head, rows), notes])) + "\n"

    def csv(self) -> str:
        """Return the table as CSV: a column with intervals becomes three, `name`, `name low` and `name high`."""
        wide = [any(isinstance(row[column], Interval) for row in self.rows) for column in range(len(self.head))]
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        ends = ("", " low", " high")
        writer.writerow([name + end for name, w in zip(self.head, wide, strict=True) for end in ends[: 3 if w else 1]])
        for row in self.rows:
            writer.writerow([value for cell, w in zip(row, wide, strict=True) for value in _plain(cell, w)])
        return text.getvalue()


def shown(cell: Cell) -> str:
    """Return a cell as a reader sees it."""
    if cell is None:
        return DASH
    if isinstance(cell, Interval):  # z: no minus before what rounds to 0
        ends = "1 run" if np.isnan(cell.low) else f"{cell.low:z.2f}, {cell.high:z.2f}"
        return f"{cell.estimate:z.2f} [{ends}]"
    return str(cell)


def main_table(comparison: Comparison) -> StudyTable:
    """Return a row for each method: the first metrics, how it stands to the baseline, its memory, what to beware of."""
    against = comparison.baseline.label
    head = (
        *("method", "runs", *(TITLES[name] for name in HEADLINES)),
        *([STEPS_TO_ALL] if comparison.adaptive else []),
        *(f"performance minus {against}", f"P(better than {against})", "memory", "beware"),
    )
    rows = [
        (
            *(method.label, len(method.records)),
            *(method.metric(name) for name in HEADLINES),
            *([_thousands_to_all(method)] if comparison.adaptive else []),
            *(of(comparison.baseline, method) for of in (difference, probability)),
            *(Bytes(method.memory_bytes), ", ".join(method.flags)),
        )
        for method in comparison.methods
    ]
    return StudyTable("methods", f"Methods: {comparison.title}", head, tuple(rows), tuple(_notes(comparison)))


def measure_table(comparison: Comparison) -> StudyTable:
    """Return a row for each method, a column for every metric."""
    rows = [(method.label, *(method.metric(name) for name in TITLES)) for method in comparison.methods]
    return StudyTable("measures", f"Every metric: {comparison.title}", ("method", *TITLES.values()), tuple(rows))


def difference_table(comparison: Comparison) -> StudyTable:
    """Return a row for each method but the baseline, a column for every metric: the paired difference of the two."""
    baseline = comparison.baseline
    rows = [
        (method.label, len(paired(baseline, method)), *(difference(baseline, method, name) for name in TITLES))
        for method in comparison.methods
        if method is not baseline
    ]
    title = f"Every metric minus that of {baseline.label}, over pairs of runs of one order and seed: {comparison.title}"
    return StudyTable("differences", title, ("method", "pairs", *TITLES.values()), tuple(rows))


def task_table(comparison: Comparison) -> StudyTable:
    """Return a row for each method and task: success when learned and at the end, what was lost, forward transfer."""
    head = ("method", "task", "end of own segment", "end of life", "forgetting", "forward transfer")
    rows = []
    for method in comparison.methods:
        for name in comparison.methods[0].records[0].tasks:
            pairs = [known_and_final(curves, curves.task_names.index(name)) for curves in method.curves]
            known, final = np.array(pairs).T
            own = None if method.joint else method.estimate(known, RATE)
            lost = None if method.joint else method.estimate(known - final)
            rows.append((method.label, name, own, method.estimate(final, RATE), lost, _transfer_to(method, name)))
    return StudyTable("tasks", f"Each task: {comparison.title}", head, tuple(rows))


def pair_table(comparison: Comparison) -> StudyTable:
    """Return a row for each task and the one learned just before it, a column a method: forward transfer there.

    Only what was first met is counted; joint training has no such pairs.
    """
    methods = [method for method in comparison.methods if not method.joint]
    by_method = {method.label: transfer_by_pair(method) for method in methods}
    pairs = dict.fromkeys(pair for found in by_method.values() for pair in found)
    rows = tuple(
        (task, before, *(by_method[method.label].get((task, before)) for method in methods))
        for task, before in sorted(pairs)
    )
    title = f"Forward transfer of a task after another: {comparison.title}"
    with_start = {method.label: by_method[method.label] for method in methods if not _starts_afresh(method)}
    return StudyTable("pairs", title, ("task", "after", *by_method), rows, _hindered(with_start))


def transfer_by_pair(method: MethodRuns) -> dict[tuple[str, str], Interval | None]:
    """Return the forward transfer to a task by (task, task just before it): runs of all orders in which that is so."""
    return {
        (task, before): estimate([value for value, _ in values], [order for _, order in values], TRANSFER)
        for (task, before), values in transfers(method).items()
        if before is not None
    }


def transfers(method: MethodRuns) -> dict[tuple[str, str | None], list[tuple[float | None, int]]]:
    """Return by (task, task just before it; None at a life's start) forward transfer and order of each such run."""
    found: dict[tuple[str, str | None], list[tuple[float | None, int]]] = {}
    for record, curves, row in zip(method.records, method.curves, method.by_run, strict=True):
        transfer: dict[str, float | None] = {}
        for skill, value in zip(row["skills"], row["forward_transfer_by_skill"], strict=True):
            transfer.setdefault(skill, value)  # where revisits are new a skill is there once a visit
        names = [curves.task_names[task] for task, _, _ in curves.segments]
        for place, task in enumerate(names):
            if task not in names[:place]:
                before = names[place - 1] if place else None
                found.setdefault((task, before), []).append((transfer.get(task), record.order))
    return found


def _hindered(by_method: Mapping[str, Mapping[tuple[str, str], Interval | None]]) -> tuple[str, ...]:
    """Return a sentence for each method that learns some task slower than from scratch by more than chance allows."""
    sentences = []
    for label, pairs in by_method.items():
        slower = [
            f"{task} after {before} ({transfer.estimate:.2f})"
            for (task, before), transfer in pairs.items()
            if transfer is not None and transfer.high < 0
        ]
        if slower:
            sentences.append(f"{label} is slower than from scratch: {', '.join(slower)}.")
    return tuple(sentences)


def boundary_table(comparison: Comparison) -> StudyTable:
    """Return a row for each method, a column for each segment but the first: mean loss of the old skills in it."""
    note = "Success on the old tasks at the end of the segment before, minus that at the end of this one (mean)."
    columns = {method.label: by_position(method, loss_at_boundaries) for method in comparison.methods}
    names = [f"segment {number}" for number in range(2, _longest(columns) + 2)]
    return _series_table("boundaries", f"Loss of old skills in each segment: {comparison.title}", names, columns, note)


def age_table(comparison: Comparison) -> StudyTable:
    """Return a row for each method, a column for each age: what is lost of a skill so many segments after its own."""
    note = "Success at the end of the own segment minus that 1, 2, ... segments later (mean over skills of this age)."
    columns = {method.label: by_position(method, loss_by_age) for method in comparison.methods}
    names = [f"{number} later" for number in range(1, _longest(columns) + 1)]
    return _series_table("ages", f"Forgetting by age of the skill: {comparison.title}", names, columns, note)


def cost_table(comparison: Comparison) -> StudyTable:
    """Return a row for each method: measured time and memory, and what its card says that it stores, does and knows."""
    head = ("method", "minutes", "minutes / finetune", "memory", "parameters", "stores", "costs", "knows")
    rows = [
        (
            *(method.label, method.estimate(method.minutes, AMOUNT), _relative_time(comparison, method)),
            *(Bytes(method.memory_bytes), max(record.n_parameters for record in method.records)),
            *((method.card.stores, method.card.cost, ", ".join(method.card.knows)) if method.card else [None] * 3),
        )
        for method in comparison.methods
    ]
    note = (
        "Memory: the most that a run stored beside its network while it trained its last task, without what serves "
        "within a segment alone. Minutes depend on the machine and on what ran beside."
    )
    return StudyTable("costs", f"Cost: {comparison.title}", head, tuple(rows), (note,))


def failed_table(comparison: Comparison) -> StudyTable:
    """Return a row for each failed run, with its error."""
    rows = tuple((record.cell, record.method, record.seed, record.error or "") for record in comparison.failed)
    title = f"Failed runs, not averaged: {comparison.title}"
    return StudyTable("failed", title, ("run", "method", "seed", "error"), rows)


def study_tables(comparison: Comparison) -> list[StudyTable]:
    """Return all tables of a comparison, the main one first; those of differences and failed runs if there are any."""
    tables = [
        main_table,
        measure_table,
        *([difference_table] if len(comparison.methods) > 1 else []),
        task_table,
        pair_table,
        boundary_table,
        age_table,
        cost_table,
        *([failed_table] if comparison.failed else []),
    ]
    return [make(comparison) for make in tables]


def by_position(method: MethodRuns, series: Callable[[SuccessCurves], Floats]) -> list[Interval | None]:
    """Return the interval at each position of a series (n,) that each run has; none for joint training."""
    if method.joint:
        return []
    rows = [series(curves) for curves in method.curves]
    longest = max(map(len, rows))  # lives with adaptive segments differ in their number
    padded = [np.pad(row, (0, longest - len(row)), constant_values=np.nan) for row in rows]
    return [method.estimate(values) for values in np.array(padded).T]


def _notes(comparison: Comparison) -> list[str]:
    """Return what must be read with the main table: doubts, how intervals were made, and the null of transfer."""
    few = [method.label for method in comparison.methods if method.n_seeds < FEWEST_SEEDS]
    unpaired = [
        f"{method.label} ({len(paired(comparison.baseline, method))})"
        for method in comparison.methods
        if len(paired(comparison.baseline, method)) < len(method.records)
    ]
    return [
        *([f"{WARNING}fewer than {FEWEST_SEEDS} seeds of {', '.join(few)}: they tell little."] if few else []),
        *(WARNING + sentence for sentence in comparison.warnings),
        "Interquartile mean over runs [95 % bootstrap interval, stratified over orders, with Student's correction for "
        "few runs]; differences and ratios over pairs of runs of one order and seed"
        f"{': fewer pairs of ' + ', '.join(unpaired) if unpaired else ''}.",
        *_of_references(comparison),
        *_nulls(comparison),
        *_commits(comparison),
    ]


def _commits(comparison: Comparison) -> list[str]:
    """Return a sentence where the runs come from several commits of nestrl, which may learn differently."""
    versions = [record.versions.get("git") or "unknown" for method in comparison.methods for record in method.records]
    n = len(set(versions))
    return [f"the runs come from {n} commits of nestrl, each named with its run in finished.jsonl."] if n > 1 else []


def _starts_afresh(method: MethodRuns) -> bool:
    return NULL_METHOD in method.records[0].method_name.split("+")


def _of_references(comparison: Comparison) -> list[str]:
    errors = list(comparison.reference_errors.values())
    if not errors:
        return []
    error = np.linalg.norm(errors) / len(errors)
    return [f"the seeds of references leave a standard error of {error:.2f} (1 - x) in a forward transfer of x."]


def _nulls(comparison: Comparison) -> list[str]:
    baseline, lines = comparison.baseline, []
    first = baseline.estimate([row["forward_transfer_by_skill"][0] for row in baseline.by_run], TRANSFER)
    if first is not None and not baseline.joint:
        lines.append(
            f"null: the first tasks of {baseline.label}'s lives follow nothing: true forward transfer 0, measured "
            f"{shown(first)}."
        )
    for method in filter(_starts_afresh, comparison.methods):
        transfer = method.estimate([_while_training(curves, method.references) for curves in method.curves], TRANSFER)
        measured = "not measured" if transfer is None else f"measured {shown(transfer)}"
        lines.append(
            f"null: {method.label} starts every task afresh: true forward transfer 0, {measured} without what its old "
            "skills earn before a segment's first step."
        )
    return lines or [f"null: no method here has a true forward transfer of 0; {NULL_METHOD} would have."]


def _while_training(curves: SuccessCurves, references: ReferenceCurves) -> float | None:
    """Return the forward transfer to later tasks, with each segment's first point as from scratch."""
    usable, success = long_enough(references, curves), curves.success.copy()
    for task, start, _ in curves.segments:
        if (name := curves.task_names[task]) in usable:
            success[curves.steps == start, task] = np.asarray(usable[name][1])[0]
    return forward_transfer(replace(curves, success=success), usable, later_only=True)


def _thousands_to_all(method: MethodRuns) -> str:
    """Return the median of the steps until all tasks stood at the target together, and how many runs came there.

    A run that never did counts as later than all others; the median is "never" where that is half of them or more.
    """
    steps = [np.inf if value is None else value / 1000 for value in method.values("steps_to_all")]
    median, came = np.median(steps), np.isfinite(steps).sum()
    return f"{f'{median:,.0f}' if np.isfinite(median) else 'never'} ({came} of {len(steps)})"


def _relative_time(comparison: Comparison, method: MethodRuns) -> Interval | None:
    """Return minutes divided by those of finetune, over runs of the same order and seed."""
    plain = comparison.find("finetune")
    if plain is None or plain is method:
        return None
    pairs = paired(plain, method)
    ratios = [(method.minutes[j] or 0) / (plain.minutes[i] or np.inf) for i, j in pairs]
    return estimate(ratios, [method.records[j].order for _, j in pairs], AMOUNT) if pairs else None


def _transfer_to(method: MethodRuns, task: str) -> Interval | None:
    """Return forward transfer to one task: the mean over its skills, should it come back as a new one."""
    if method.joint:
        return None
    values: list[float | None] = []
    for row in method.by_run:
        each = zip(row["skills"], row["forward_transfer_by_skill"], strict=True)
        values.append(_mean([value for skill, value in each if skill == task]))
    return method.estimate(values, TRANSFER)


def _mean(values: Sequence[float | None]) -> float | None:
    present = [value for value in values if value is not None]
    return float(np.mean(present)) if present else None


def _series_table(
    name: str, title: str, names: Sequence[str], columns: dict[str, list[Interval | None]], note: str
) -> StudyTable:
    rows = [(label, *values, *[None] * (len(names) - len(values))) for label, values in columns.items()]
    return StudyTable(name, title, ("method", *names), tuple(rows), (note,))


def _longest(columns: dict[str, list[Interval | None]]) -> int:
    return max(len(values) for values in columns.values())


def _plain(cell: Cell, wide: bool) -> list[str | int | float]:
    """Return a cell's values for CSV, three in a column of intervals; empty where there is none."""
    if isinstance(cell, Interval):
        return ["" if np.isnan(value) else value for value in (cell.estimate, cell.low, cell.high)]
    value = int(cell) if isinstance(cell, int) else cell or ""
    return [value, *[""] * (2 if wide else 0)]
