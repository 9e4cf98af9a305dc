"""What stands in one table: all runs in one regime on one sequence, and what a reader must know of them."""

from collections import Counter
from collections.abc import Container, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from nestrl.errors import BadConfig, UnknownName, nearest
from nestrl.evaluation.retention import (
    DIFFERENCE,
    MEASURES,
    OVERTIME,
    Bounds,
    Floats,
    ReferenceCurves,
    SuccessCurves,
    long_enough,
    mean_height,
    metrics,
)
from nestrl.evaluation.statistics import Interval, paired_difference, probability_of_improvement, stratified_interval
from nestrl.methods import Card, find_method
from nestrl.report.mixing import deviations, mixed_runs, refuse_what_never_mixes
from nestrl.studies.ledger import Record
from nestrl.studies.study import Study
from nestrl.training.references import how_to_make

FEWEST_SEEDS = 5  # below it an interval stands on too little to be believed (Agarwal et al., 2021)
OF_JOINT_TRAINING = ("average_performance",)
"""The only metrics that mean anything where all tasks are trained at once."""

StoredCurves = Mapping[str, Mapping[str, Any]]
"""By task: the entry of a study's references (see nestrl.studies.references)."""
Values = list[float | None]
"""One number a run; None where the run does not have it."""


@dataclass(frozen=True, eq=False)
class MethodRuns:
    """The runs of one method in one table. flags: what a reader must know before comparing it with the others."""

    label: str
    records: tuple[Record, ...]
    references: ReferenceCurves
    card: Card | None
    flags: tuple[str, ...]

    @cached_property
    def curves(self) -> tuple[SuccessCurves, ...]:
        """Success curves, one a run."""
        return tuple(record.curves for record in self.records)

    @property
    def n_seeds(self) -> int:
        """Number of different seeds."""
        return len({record.seed for record in self.records})

    @property
    def joint(self) -> bool:
        """Whether it trains on all tasks at once, so that only its average performance means anything."""
        return self.card is not None and self.card.joint

    @property
    def adaptive(self) -> bool:
        """Whether segments ended as their tasks were learned, so that every run has its own number of them."""
        return not self.records[0].fixed

    @cached_property
    def by_run(self) -> list[dict[str, Any]]:
        """The metrics of each run, by name."""
        return [
            asdict(metrics(curves, long_enough(self.references, curves), record.target_success))
            for record, curves in zip(self.records, self.curves, strict=True)
        ]

    def values(self, name: str) -> Values:
        """Return one metric of every run."""
        if self.joint and name not in OF_JOINT_TRAINING:
            return [None] * len(self.records)
        return [row[name] for row in self.by_run]

    @property
    def minutes(self) -> Values:
        """Wall clock of every run."""
        return [record.total_seconds / 60 for record in self.records]

    @property
    def memory_bytes(self) -> int:
        """The most that any run stored beside its network while it trained its last task."""
        return max(record.memory_bytes for record in self.records)

    def estimate(self, values: Sequence[float | None], bounds: Bounds = DIFFERENCE) -> Interval | None:
        """Return the interquartile mean of one number a run, with its 95 % interval stratified over orders."""
        return estimate(values, [record.order for record in self.records], bounds)

    def metric(self, name: str) -> Interval | None:
        """Return that of one metric."""
        return self.estimate(self.values(name), MEASURES[name].bounds)


@dataclass(frozen=True, eq=False)
class Comparison:
    """All methods in one regime on one sequence. failed: runs that ended in an error, which are never averaged."""

    regime: str
    sequence: str
    methods: tuple[MethodRuns, ...]
    failed: tuple[Record, ...]
    baseline: MethodRuns
    warnings: tuple[str, ...]
    reference_errors: Mapping[str, float]
    """By task: the standard error of forward transfer, of all methods alike, that few seeds of its references leave."""

    @property
    def adaptive(self) -> bool:
        """Whether segments ended as their tasks were learned (of all methods: such runs are mixed with no others)."""
        return self.methods[0].adaptive

    @property
    def title(self) -> str:
        """Regime and sequence."""
        return f"{self.regime}, {self.sequence}"

    def find(self, label: str) -> MethodRuns | None:
        """Return the runs of a method, or None when none has finished."""
        return next((method for method in self.methods if method.label == label), None)


def comparisons(study: Study, baseline: str | None = None, *, allow_mixed: bool = False) -> list[Comparison]:
    """Return a comparison for each regime and sequence of which a run has finished, in the order of the study.

    baseline: the label of the method that the others are compared with; by default cloning, else the first one.
    Raises BadConfig when nothing has finished, when runs have other tasks, segments or orders than the rest or (unless
    allow_mixed) do not belong in one table otherwise, and UnknownName for a baseline that is not there.
    """
    labels = list(dict.fromkeys([*study.plan.methods, *(record.method for record in study.records)]))
    if baseline is not None and baseline not in labels:
        raise UnknownName(f"no method {baseline!r} in {study.folder}.{nearest(baseline, labels)}")
    places = dict.fromkeys((record.regime, record.sequence) for record in study.records if record.finished)
    if not places:
        raise BadConfig(f"no run of {study.folder} has finished yet; see `nestrl study STUDY.yaml --status`.")
    order = [*study.plan.regimes]
    sorted_places = sorted(places, key=lambda place: order.index(place[0]) if place[0] in order else len(order))
    first, *others = [_compare(study, labels, place, baseline, allow_mixed) for place in sorted_places]
    return [replace(first, warnings=(*first.warnings, *_without_a_table(study, places))), *others]


def _compare(
    study: Study, labels: Sequence[str], place: tuple[str, str], baseline: str | None, allow_mixed: bool
) -> Comparison:
    regime, sequence = place
    here = [record for record in study.records if (record.regime, record.sequence) == place]
    finished = [record for record in here if record.finished]
    failed = tuple(record for record in here if not record.finished)
    refuse_what_never_mixes(finished)
    mixed = mixed_runs(finished)
    if mixed and not allow_mixed:
        raise BadConfig(
            f"{study.folder} has runs that do not belong in one table ({regime}, {sequence}): {'; '.join(mixed)}. "
            "Run them again under the same conditions, or pass --allow-mixed to have them flagged."
        )
    stored = study.references.get(regime, {}).get(sequence, {})
    references = _curves_of(stored)
    by_label = {label: [record for record in finished if record.method == label] for label in labels}
    methods = tuple(
        _method_runs(label, runs, references, finished, sum(record.method == label for record in failed))
        for label, runs in by_label.items()
        if runs
    )
    by_name = {method.label: method for method in methods}
    against = by_name.get(baseline or "cloning", methods[0])
    absent = f"no run of the baseline {baseline} has finished here; {against.label} stands in for it."
    doubts = [
        *mixed,
        *([absent] if baseline and baseline not in by_name else []),
        *_without_a_row(here),
        *_beyond_the_plan(study, finished),
        *_reference_doubts(study, finished, stored),
    ]
    return Comparison(regime, sequence, methods, failed, against, tuple(doubts), _reference_errors(stored))


def estimate(values: Sequence[float | None], orders: Sequence[int], bounds: Bounds = DIFFERENCE) -> Interval | None:
    """Return the interquartile mean with its 95 % interval, or None when a run lacks the value.

    bounds: between which such numbers lie. Runs are resampled within their order where each order has two runs or more,
    else all together. The interval of a single run is NaN.
    """
    numbers = [value for value in values if value is not None and not np.isnan(value)]
    if not numbers or len(numbers) < len(values):
        return None
    return stratified_interval(numbers, strata(orders), np.random.default_rng(0)).within(bounds)


def paired(first: MethodRuns, second: MethodRuns) -> list[tuple[int, int]]:
    """Return the places in both of the runs that share seed and order, by its number and by its tasks."""
    places = {(record.order, record.seed, record.trained_tasks): place for place, record in enumerate(first.records)}
    keys = [(record.order, record.seed, record.trained_tasks) for record in second.records]
    return [(places[key], place) for place, key in enumerate(keys) if key in places]


def difference(baseline: MethodRuns, method: MethodRuns, metric: str = "average_performance") -> Interval | None:
    """Return a metric's paired difference to a baseline, over the pairs of runs that share order and seed.

    None without at least two pairs, of the baseline itself, or where a run lacks the metric.
    """
    values = _of_pairs(baseline, method, metric)
    if values is None:
        return None
    first, second, orders = values
    lowest, highest = MEASURES[metric].bounds
    apart = highest - lowest
    return paired_difference(first, second, np.random.default_rng(0), strata=orders).within((-apart, apart))


def probability(baseline: MethodRuns, method: MethodRuns) -> Interval | None:
    """Return the probability that a run of the method performs better on average than one of the baseline.

    Over the same pairs as `difference`, and None where that is.
    """
    values = _of_pairs(baseline, method, "average_performance")
    if values is None:
        return None
    first, second, orders = values
    return probability_of_improvement(first, second, np.random.default_rng(0), strata=(orders, orders))


def _of_pairs(baseline: MethodRuns, method: MethodRuns, metric: str) -> tuple[Floats, Floats, list[int]] | None:
    """Return a metric of both runs of each pair, (pairs,) each, and the stratum of each pair."""
    pairs = paired(baseline, method)
    if baseline is method or len(pairs) < 2:
        return None
    before, after = (side.values(metric) for side in (baseline, method))
    first, second = np.array([(before[i], after[j]) for i, j in pairs], float).T
    if np.isnan([first, second]).any():
        return None
    return first, second, strata([baseline.records[i].order for i, _ in pairs])


def strata(orders: Sequence[int]) -> list[int]:
    """Return the stratum of each run: its order, or the same for all where an order has one run and so no spread."""
    return list(orders) if min(Counter(orders).values()) > 1 else [0] * len(orders)


def _beyond_the_plan(study: Study, finished: Sequence[Record]) -> list[str]:
    """Return a sentence for runs that the study's file asks for no more: nothing holds them to its settings."""
    wanted = {(cell.regime, cell.sequence, cell.method, cell.seed) for cell in study.plan.cells}
    strange = [each.cell for each in finished if (each.regime, each.sequence, each.method, each.seed) not in wanted]
    if not wanted or not strange:
        return []
    return [f"not asked for by the study's file as it stands, and maybe of another kind: {', '.join(strange)}."]


def _without_a_row(records: Sequence[Record]) -> list[str]:
    """Return a sentence for each method of which runs have failed and none has finished."""
    finished = {record.method for record in records if record.finished}
    failed = Counter(record.method for record in records if record.method not in finished)
    return [
        f"no run of {label} has finished: {n} failed, for reasons in finished.jsonl." for label, n in failed.items()
    ]


def _without_a_table(study: Study, places: Container[tuple[str, str]]) -> list[str]:
    """Return these sentences for each regime and sequence that has no table, since no run has finished there."""
    others: dict[tuple[str, str], list[Record]] = {}
    for record in study.records:
        if (record.regime, record.sequence) not in places:
            others.setdefault((record.regime, record.sequence), []).append(record)
    return [
        f"nothing is shown of {regime}, {sequence}: {sentence}"
        for (regime, sequence), records in others.items()
        for sentence in _without_a_row(records)
    ]


def _method_runs(
    label: str, runs: Sequence[Record], references: ReferenceCurves, everyone: Sequence[Record], n_failed: int
) -> MethodRuns:
    entry = _card(runs[0].method_name)
    flags = [
        *(["needs task identity at test"] if entry and "task identity" in entry.knows else []),
        *(["trains jointly"] if entry and entry.joint else []),
        *deviations(runs, everyone),
        *([f"{n_failed} failed"] if n_failed else []),
    ]
    n_seeds = len({record.seed for record in runs})
    if n_seeds < FEWEST_SEEDS:
        flags.append(f"only {n_seeds} seed{'s' if n_seeds > 1 else ''}")
    return MethodRuns(label, tuple(runs), references, entry, tuple(flags))


def _card(method_name: str) -> Card | None:
    """Return a method's card, or None for one that this installation does not know."""
    try:
        return find_method(method_name).card
    except (UnknownName, BadConfig):
        return None


def _curves_of(stored: StoredCurves) -> dict[str, tuple[Any, Any]]:
    return {task: (curve["steps"], curve["success"]) for task, curve in stored.items()}


def _reference_errors(stored: StoredCurves) -> dict[str, float]:
    errors = {}
    for task, curve in stored.items():
        height = mean_height(np.array(curve["success"]), np.array(curve["steps"], float))
        if curve.get("standard_error") is not None and height < 1:
            errors[task] = curve["standard_error"] / (1 - height)
    return errors


def _reference_doubts(study: Study, records: Sequence[Record], stored: StoredCurves) -> list[str]:
    """Return a sentence each for the reference curves that are missing, outlasted by a run, of other starts, or 1."""
    references = _curves_of(stored)
    tasks = dict.fromkeys(task for record in records for task in record.trained_tasks)
    missing = [task for task in tasks if task not in references]
    usable = [long_enough(references, record.curves) for record in records]
    short = [task for task in tasks if task in references and not all(task in curves for curves in usable)]
    sentences = []
    if missing:
        folder = Path("runs") / study.folder.name / records[0].cell
        sentences.append(f"{how_to_make(missing, folder)}, then run the study again.")
    if short:
        sentences.append(
            f"Reference curves of {', '.join(short)} are too short: some run's segment, with its trials, took over "
            f"{1 + OVERTIME:g} times their steps, so forward transfer is not measured there."
        )
    if other := [task for task in tasks if task in stored and not stored[task].get("same_starts")]:
        sentences.append(
            f"Reference curves of {', '.join(other)} were measured on more starts than the runs: where those are "
            "easier or harder, forward transfer is off by it, of all methods alike."
        )
    if perfect := [task for task in tasks if task in references and np.min(references[task][1]) >= 1]:
        sentences.append(f"Reference curves of {', '.join(perfect)} are 1 all along: nothing can be learned faster.")
    return sentences
