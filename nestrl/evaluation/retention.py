"""What is left of each skill: the retention matrix and the metrics of continual learning, from success curves alone.

Definitions follow Continual World (Wolczyk, Zajac, Pascanu, Kucinski, Milos, 2021, section 4), extended to sequences
in which a task comes back. What a metric counts is a *skill*: a task with the segment at whose end it should be known.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, get_origin, get_type_hints

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nestrl.errors import BadConfig

Floats = NDArray[np.float64]
ReferenceCurves = Mapping[str, tuple[ArrayLike, ArrayLike]]
"""Per task name: steps (n,) from 0 to at least the planned length of the segment, success (n,) from scratch."""

OVERTIME = 0.5
"""By which share a segment may be longer than its reference: both end with a whole rollout, the segment after the steps
of trials, too, and short segments have few rollouts. A reference stands still after its end."""

TARGET_SUCCESS = 0.9
"""Success at which a task counts as mastered in `steps_to_all`, unless said otherwise."""


@dataclass(frozen=True, eq=False)
class SuccessCurves:
    """Success of every task over a life: the only truth, from which all else here is computed.

    success: (n_evaluations, n_tasks), in 0..1, on whole evaluation episodes from fixed starts.
    steps: (n_evaluations,), environment steps of the whole sequence done at each evaluation, increasing.
    segments: (task index, first step, last step) in order; an evaluation stands at each segment's last step.
    revisits_are_new: a task that comes back counts as one more skill (as in CW20), else as the same skill, which is
        new in its first segment (forward transfer) and should be known from its last one on (forgetting).
    """

    success: Floats
    steps: NDArray[np.int64]
    task_names: tuple[str, ...]
    segments: tuple[tuple[int, int, int], ...]
    revisits_are_new: bool = False

    def __post_init__(self) -> None:
        success, steps = np.asarray(self.success, float), np.asarray(self.steps, np.int64)
        object.__setattr__(self, "success", success)
        object.__setattr__(self, "steps", steps)
        object.__setattr__(self, "task_names", tuple(self.task_names))
        object.__setattr__(self, "segments", tuple((int(t), int(a), int(b)) for t, a, b in self.segments))
        expected = (len(steps), len(self.task_names))
        if success.shape != expected:
            raise BadConfig(f"success has shape {success.shape}; expected (evaluations, tasks) = {expected}.")
        if not np.all((success >= 0) & (success <= 1)):
            raise BadConfig("success has values that are NaN or outside 0..1; pass rates of success.")
        if np.any(np.diff(steps) <= 0):
            raise BadConfig(f"steps of the evaluations must increase; came {steps.tolist()}.")
        for task, start, end in self.segments:
            if not (0 <= task < len(self.task_names) and start < end):
                raise BadConfig(f"segment {(task, start, end)} is not (task index, first step, last step).")

    @property
    def complete(self) -> bool:
        """Whether there are segments and each has been evaluated at its end, as the metrics need."""
        return bool(self.segments) and all(end in self.steps for _, _, end in self.segments)


Bounds = tuple[float, float]
RATE, DIFFERENCE, TRANSFER, AMOUNT = (0.0, 1.0), (-1.0, 1.0), (-np.inf, 1.0), (0.0, np.inf)
"""Between which values a rate of success lies, a difference of two, forward transfer, and what is never negative."""


@dataclass(frozen=True)
class Measure:
    """What a metric is called in tables, its definition in a sentence, and between which values it lies."""

    title: str
    definition: str
    bounds: Bounds = DIFFERENCE


@dataclass(frozen=True)
class Metrics:
    """The metrics of one life, overall and for each skill in the order in which they were learned.

    None stands where a metric does not exist: transfer without reference curves, or over skills that are not there; and
    where all tasks never stood at the target together.
    """

    average_performance: Annotated[
        float,
        Measure(
            "average performance", "Mean over skills of p_i(T): success on each task after the whole sequence.", RATE
        ),
    ]
    forgetting: Annotated[
        float,
        Measure(
            "forgetting",
            "Mean over skills of p_i(end of own segment) - p_i(T); negative where success grew afterwards.",
        ),
    ]
    forward_transfer_later: Annotated[
        float | None,
        Measure(
            "forward transfer, later tasks",
            "Forward transfer over all skills but the first, which has nothing to transfer from.",
            TRANSFER,
        ),
    ]
    forward_transfer: Annotated[
        float | None,
        Measure(
            "forward transfer",
            "Mean over skills of (AUC_i - AUC_ref) / (1 - AUC_ref), AUC_i the mean success during the own segment, "
            "AUC_ref that of training from scratch with the same steps.",
            TRANSFER,
        ),
    ]
    backward_transfer: Annotated[
        float | None,
        Measure(
            "backward transfer",
            "Mean over skills learned before the last segment of p_i(T) - p_i(end of own segment) (Lopez-Paz and "
            "Ranzato, 2017).",
        ),
    ]
    worst_point: Annotated[
        float | None,
        Measure(
            "worst point",
            "Mean over skills learned before the last segment of the lowest p_i from the end of the own segment on "
            "(min-ACC; De Lange, van de Ven and Tuytelaars, 2023): far below p_i(T) means a stability gap.",
            RATE,
        ),
    ]
    stability_gap: Annotated[
        float | None,
        Measure(
            "stability gap",
            "Mean over the skills of the worst point of p_i(end of own segment) minus the lowest p_i from there on.",
            RATE,
        ),
    ]
    steps_to_all: Annotated[
        int | None,
        Measure(
            "steps to all",
            "Environment steps until all tasks stood at .9 (or the run's own target) together, at one evaluation.",
            AMOUNT,
        ),
    ]
    skills: tuple[str, ...]
    forgetting_by_skill: tuple[float, ...]
    forward_transfer_by_skill: tuple[float | None, ...]


MEASURES: dict[str, Measure] = {
    name: hint.__metadata__[0]
    for name, hint in get_type_hints(Metrics, include_extras=True).items()
    if get_origin(hint) is Annotated
}
"""Every overall metric, in the order of the tables."""


def retention_matrix(curves: SuccessCurves) -> Floats:
    """Return R (n_segments, n_tasks): success on task j after segment i; NaN in rows of segments not yet finished."""
    ends = np.array([end for _, _, end in curves.segments], np.int64)
    evaluated = np.isin(ends, curves.steps)
    matrix = np.full((len(ends), len(curves.task_names)), np.nan)
    matrix[evaluated] = curves.success[np.searchsorted(curves.steps, ends[evaluated])]
    return matrix


def average_performance(curves: SuccessCurves) -> float:
    """Return P(T) in 0..1."""
    return float(np.mean([final for _, final in _known_and_final(curves)]))


def forgetting_by_skill(curves: SuccessCurves) -> tuple[float, ...]:
    """Return p_i(end of own segment) - p_i(T) of each skill, in -1..1."""
    return tuple(known - final for known, final in _known_and_final(curves))


def forgetting(curves: SuccessCurves) -> float:
    """Return F in -1..1. The last skill counts too, with 0, as in Continual World."""
    return float(np.mean(forgetting_by_skill(curves)))


def backward_transfer(curves: SuccessCurves) -> float | None:
    """Return BWT in -1..1, or None when no skill is older than the last segment."""
    last = len(curves.segments) - 1
    lost = [loss for segment, loss in zip(_skills(curves), forgetting_by_skill(curves), strict=True) if segment < last]
    return 0.0 - float(np.mean(lost)) if lost else None  # 0.0 -: never -0


def worst_point(curves: SuccessCurves) -> float | None:
    """Return the mean over old skills of their lowest success since they were learned, or None without old skills."""
    return _mean_or_none([lowest for _, lowest in _known_and_lowest(curves)])


def stability_gap(curves: SuccessCurves) -> float | None:
    """Return the mean over old skills of success at the end of the own segment minus the lowest since, in 0..1."""
    return _mean_or_none([known - lowest for known, lowest in _known_and_lowest(curves)])


def mean_height(success: Floats, places: Floats) -> float:
    """Return the area under a curve through these points by the trapezoid rule, divided by its length."""
    return float(np.trapezoid(success, places) / (places[-1] - places[0]))


def forward_transfer_by_skill(curves: SuccessCurves, references: ReferenceCurves) -> tuple[float | None, ...]:
    """Return FT_i <= 1 of each skill; None where its reference is missing or was perfect all along.

    Raises BadConfig when a reference is shorter than the segment that it stands for.
    """
    _require_complete(curves)
    return tuple(_transfer(curves, segment, references) for segment in _skills(curves, first=True))


def forward_transfer(curves: SuccessCurves, references: ReferenceCurves, *, later_only: bool = False) -> float | None:
    """Return FT <= 1 over all skills (or all but the first).

    None when one of their references is missing, or is perfect all along.
    """
    return _mean_or_none(forward_transfer_by_skill(curves, references)[1 if later_only else 0 :])


def learning_progress(curves: SuccessCurves) -> float:
    """Return the mean over segments of the mean success on the segment's own task within it (AUC_i), in 0..1.

    It grows with what a task starts from and with the speed of learning, and needs no reference curves.
    """
    _require_complete(curves)
    return float(np.mean([_own_height(curves, *segment) for segment in curves.segments]))


def steps_to_all(curves: SuccessCurves, target: float = TARGET_SUCCESS) -> int | None:
    """Return the steps at the first evaluation at which every task succeeded in `target` (0..1) or more, or None."""
    together = curves.success.min(axis=1) >= target
    return int(curves.steps[together.argmax()]) if together.any() else None


def metrics(
    curves: SuccessCurves, references: ReferenceCurves | None = None, target: float = TARGET_SUCCESS
) -> Metrics:
    """Return every metric of a finished life; raises BadConfig when the life is not finished.

    target: success in 0..1 that steps_to_all waits for.
    """
    transfer = forward_transfer_by_skill(curves, references or {})
    return Metrics(
        average_performance=average_performance(curves),
        forgetting=forgetting(curves),
        forward_transfer_later=_mean_or_none(transfer[1:]),
        forward_transfer=_mean_or_none(transfer),
        backward_transfer=backward_transfer(curves),
        worst_point=worst_point(curves),
        stability_gap=stability_gap(curves),
        steps_to_all=steps_to_all(curves, target),
        skills=tuple(curves.task_names[curves.segments[segment][0]] for segment in _skills(curves)),
        forgetting_by_skill=forgetting_by_skill(curves),
        forward_transfer_by_skill=transfer,
    )


def _skills(curves: SuccessCurves, *, first: bool = False) -> list[int]:
    """Return the segment of each skill: every one, or the first or last one of each task, tasks as first met."""
    if curves.revisits_are_new:
        return list(range(len(curves.segments)))
    segment_of: dict[int, int] = {}
    for segment, (task, _, _) in enumerate(curves.segments):
        segment_of[task] = segment_of.get(task, segment) if first else segment
    return list(segment_of.values())


def _known_and_final(curves: SuccessCurves) -> list[tuple[float, float]]:
    """Return (p_i at the end of the own segment, p_i at the end of the life) of each skill."""
    _require_complete(curves)
    matrix = retention_matrix(curves)
    tasks = [(segment, curves.segments[segment][0]) for segment in _skills(curves)]
    return [(float(matrix[segment, task]), float(matrix[-1, task])) for segment, task in tasks]


def _known_and_lowest(curves: SuccessCurves) -> list[tuple[float, float]]:
    """Return p_i at the end of the own segment, and the lowest since, of each skill that is not the last."""
    _require_complete(curves)
    old = [segment for segment in _skills(curves) if segment < len(curves.segments) - 1]
    since = [curves.success[curves.steps >= end, task] for task, _, end in (curves.segments[i] for i in old)]
    return [(float(success[0]), float(success.min())) for success in since]


def _transfer(curves: SuccessCurves, segment: int, references: ReferenceCurves) -> float | None:
    task, start, end = curves.segments[segment]
    reference = references.get(curves.task_names[task])
    if reference is None:
        return None
    steps, success = (np.asarray(part, float) for part in reference)
    if not _covers(steps, end - start):
        raise BadConfig(
            f"the reference curve of {curves.task_names[task]!r} covers steps {steps[0]:.0f} to {steps[-1]:.0f}, "
            f"but its segment needs 0 to {end - start}; make references with the same steps."
        )
    places = _places(curves, start, end)  # both are measured there, so that a curve like the reference has transfer 0
    scratch = mean_height(np.interp(places - start, steps, success), places)
    if scratch >= 1:
        return None
    return (_own_height(curves, task, start, end) - scratch) / (1 - scratch)


def long_enough(references: ReferenceCurves, curves: SuccessCurves) -> ReferenceCurves:
    """Return the references without those too short for a segment of their task, as after many steps of trials."""
    needed: dict[str, int] = {}
    for task, start, end in curves.segments:
        name = curves.task_names[task]
        needed[name] = max(needed.get(name, 0), end - start)
    return {name: curve for name, curve in references.items() if _covers(curve[0], needed.get(name, 0))}


def _covers(steps: ArrayLike, length: int) -> bool:
    """Return whether a reference curve with these steps (n,) stands for a segment of this length."""
    steps = np.asarray(steps)
    return bool(steps[0] <= 0 and steps[-1] * (1 + OVERTIME) >= length)


def _places(curves: SuccessCurves, start: int, end: int) -> Floats:
    """Return both ends of a segment and the steps of the evaluations between them."""
    steps = np.asarray(curves.steps, float)
    return np.concatenate([[start], steps[(steps > start) & (steps < end)], [end]])


def _own_height(curves: SuccessCurves, task: int, start: int, end: int) -> float:
    """Return the mean success on a task between two steps (AUC_i)."""
    places = _places(curves, start, end)
    return mean_height(np.interp(places, curves.steps, curves.success[:, task]), places)


def _mean_or_none(values: Sequence[float | None]) -> float | None:
    present = [value for value in values if value is not None]
    return float(np.mean(present)) if present and len(present) == len(values) else None


def _require_complete(curves: SuccessCurves) -> None:
    if not curves.complete:
        ends = [end for _, _, end in curves.segments]
        raise BadConfig(
            f"metrics need an evaluation at the end of every segment (steps {ends}), and evaluations stand at "
            f"{curves.steps.tolist()}; if the run was stopped, finish it with `nestrl resume`."
        )
