"""What stands in one table: all runs in one regime on one sequence, and whether they belong together."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from nestrl.errors import BadConfig, UnknownName, nearest
from nestrl.evaluation.retention import (
    DIFFERENCE,
    MEASURES,
    Bounds,
    Floats,
    ReferenceCurves,
    SuccessCurves,
    long_enough,
    metrics,
)
from nestrl.evaluation.statistics import Interval, paired_difference, probability_of_improvement, stratified_interval
from nestrl.methods import Card, find_method
from nestrl.studies.ledger import Record
from nestrl.studies.study import Study
from nestrl.training.references import how_to_make

FEWEST_SEEDS = 5  # below it an interval stands on too little to be believed (Agarwal et al., 2021)
TOLERANCE = 0.02  # whole rollouts, and whole episodes of trials, make lives end a little apart

AS_NEEDED = "as needed"  # what adaptive segments take, each run its own

MUST_AGREE: dict[str, Callable[[Record], Any]] = {
    "mujoco": lambda record: record.versions.get("mujoco"),
    "torch": lambda record: record.versions.get("torch"),
    "stable-baselines3": lambda record: record.versions.get("stable-baselines3"),
    "tasks": lambda record: sorted(record.tasks),
    "segments": lambda record: record.segment_rule,
    "environment steps": lambda record: record.environment_steps if _fixed(record) else AS_NEEDED,
    "network": lambda record: list(record.network),
    "evaluations": lambda record: len(record.steps) if _fixed(record) else AS_NEEDED,
    "evaluation episodes": lambda record: record.episodes,
}
"""What runs of one table must have in common."""

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
    def joint(self) -> bool:
        """Whether it trains on all tasks at once, so that only its average performance means anything."""
        return self.card is not None and self.card.joint

    @property
    def adaptive(self) -> bool:
        """Whether segments ended as their tasks were learned, so that every run has its own number of them."""
        return not _fixed(self.records[0])

    @cached_property
    def by_run(self) -> list[dict[str, Any]]:
        """The metrics of each run, by name."""
        return [
            asdict(metrics(curves, long_enough(self.references, curves), record.target_success))
            for record, curves in zip(self.records, self.curves, strict=True)
        ]

    def values(self, name: str) -> Values:
        """Return one metric of every run."""
        if self.joint and name != "average_performance":
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
    Raises BadConfig when nothing has finished or (unless allow_mixed) when runs do not belong in one table, and
    UnknownName for a baseline that is not there.
    """
    labels = list(dict.fromkeys([*study.plan.methods, *(record.method for record in study.records)]))
    if baseline is not None and baseline not in labels:
        raise UnknownName(f"no method {baseline!r} in {study.folder}.{nearest(baseline, labels)}")
    places = dict.fromkeys((record.regime, record.sequence) for record in study.records if record.finished)
    if not places:
        raise BadConfig(f"no run of {study.folder} has finished yet; see `nestrl study STUDY.yaml --status`.")
    order = [*study.plan.regimes]
    sorted_places = sorted(places, key=lambda place: order.index(place[0]) if place[0] in order else len(order))
    return [_compare(study, labels, place, baseline, allow_mixed) for place in sorted_places]


def _compare(
    study: Study, labels: Sequence[str], place: tuple[str, str], baseline: str | None, allow_mixed: bool
) -> Comparison:
    regime, sequence = place
    here = [record for record in study.records if (record.regime, record.sequence) == place]
    finished = [record for record in here if record.finished]
    failed = tuple(record for record in here if not record.finished)
    refuse_mixed_segments([(record.cell, record.segment_rule) for record in finished])
    mixed = mixed_runs(finished)
    if mixed and not allow_mixed:
        raise BadConfig(
            f"{study.folder} has runs that do not belong in one table ({regime}, {sequence}): {'; '.join(mixed)}. "
            "Run them again under the same conditions, or pass --allow-mixed to have them flagged."
        )
    references = _references(study, place)
    by_label = {label: [record for record in finished if record.method == label] for label in labels}
    methods = tuple(
        _method_runs(label, runs, references, finished, sum(record.method == label for record in failed))
        for label, runs in by_label.items()
        if runs
    )
    by_name = {method.label: method for method in methods}
    against = by_name.get(baseline or "cloning", methods[0])
    missing = _missing_references(study, finished, references)
    return Comparison(regime, sequence, methods, failed, against, (*mixed, *missing))


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
    """Return the places in both of the runs that share order and seed."""
    places = {(record.order, record.seed): place for place, record in enumerate(first.records)}
    keys = [(record.order, record.seed) for record in second.records]
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


def refuse_mixed_segments(runs: Sequence[tuple[str, str]]) -> None:
    """Raise BadConfig if runs, each a (name, rule of its segments), ended their segments by different rules.

    No flag allows it: runs that took different numbers of steps on each task answer different questions.
    """
    first = {rule: name for name, rule in reversed(runs)}
    if len(first) > 1:
        found = ", ".join(f"{rule} ({name})" for rule, name in sorted(first.items()))
        raise BadConfig(f"runs with segments that end by different rules are never put in one table: {found}.")


def mixed_runs(records: Sequence[Record]) -> list[str]:
    """Return a sentence for each thing that runs of one table must have in common, and do not."""
    sentences = []
    for what, of in MUST_AGREE.items():
        usual = _usual([of(record) for record in records])
        others: dict[str, list[str]] = {}
        for record in records:
            if not _same(of(record), usual):
                others.setdefault(str(of(record)), []).append(record.cell)
        sentences += [f"{what} is {value} in {_few(cells)}, but {usual} elsewhere" for value, cells in others.items()]
    return sentences


def _method_runs(
    label: str, runs: Sequence[Record], references: ReferenceCurves, everyone: Sequence[Record], n_failed: int
) -> MethodRuns:
    entry = _card(runs[0].method_name)
    flags = [
        *(["needs task identity at test"] if entry and "task identity" in entry.knows else []),
        *(["trains jointly"] if entry and entry.joint else []),
        *_deviations(runs, everyone),
        *([f"{n_failed} failed"] if n_failed else []),
    ]
    n_seeds = len({record.seed for record in runs})
    if n_seeds < FEWEST_SEEDS:
        flags.append(f"only {n_seeds} seed{'s' if n_seeds > 1 else ''}")
    return MethodRuns(label, tuple(runs), references, entry, tuple(flags))


def _deviations(runs: Sequence[Record], everyone: Sequence[Record]) -> list[str]:
    """Return what is different in runs of one method from what is usual among all."""
    aspects = MUST_AGREE | {"parameters": lambda record: record.n_parameters}
    different = []
    for what, of in aspects.items():
        usual = _usual([of(record) for record in everyone])
        if not all(_same(of(record), usual) for record in runs):
            version = what in ("mujoco", "torch", "stable-baselines3")
            different.append(f"{what} version differs" if version else f"different {what}")
    return different


def _card(method_name: str) -> Card | None:
    """Return a method's card, or None for one that this installation does not know."""
    try:
        return find_method(method_name).card
    except (UnknownName, BadConfig):
        return None


def _fixed(record: Record) -> bool:
    return record.segment_rule == "fixed"


def _usual(values: Sequence[Any]) -> Any:
    """Return the most frequent value, of several the first."""
    return max(values, key=values.count)


def _same(value: Any, usual: Any) -> bool:
    if isinstance(value, int) and isinstance(usual, int):
        return abs(value - usual) <= TOLERANCE * usual
    return bool(value == usual)


def _few(cells: Sequence[str]) -> str:
    shown = ", ".join(cells[:3])
    return shown if len(cells) <= 3 else f"{shown} and {len(cells) - 3} more"


def _references(study: Study, place: tuple[str, str]) -> dict[str, tuple[Any, Any]]:
    regime, sequence = place
    stored: Mapping[str, Any] = study.references.get(regime, {}).get(sequence, {})
    return {task: (curve["steps"], curve["success"]) for task, curve in stored.items()}


def _missing_references(study: Study, records: Sequence[Record], references: ReferenceCurves) -> list[str]:
    for record in records:
        usable = long_enough(references, record.curves)
        missing = [task for task in record.tasks if task not in usable]
        if missing:
            return [
                f"{how_to_make(missing, Path('runs') / study.folder.name / record.cell)}, then run the study again."
            ]
    return []
