"""When a skill is lost: at which boundary, how long after it was learned, and how deep in between."""

from collections.abc import Iterator, Sequence

import numpy as np

from nestrl.evaluation.retention import Floats, SuccessCurves, retention_matrix


def in_order_met(curves: SuccessCurves) -> list[int]:
    """Return the indices of the tasks in the order in which they are first trained; those that never are come last."""
    met = dict.fromkeys(task for task, _, _ in curves.segments)
    return list(dict.fromkeys([*met, *range(len(curves.task_names))]))


def matrix_by_position(curves: SuccessCurves) -> Floats:
    """Return R (n_segments, n_tasks), columns in the order met: so runs of several orders can be averaged."""
    return retention_matrix(curves)[:, in_order_met(curves)]


def mean_matrix(matrices: Sequence[Floats]) -> Floats:
    """Return the mean of retention matrices (segments, tasks) over the segments that all lives have.

    Lives with adaptive segments end differently: each has segments of its own behind the planned ones.
    """
    shortest = min(len(matrix) for matrix in matrices)
    mean: Floats = np.mean([matrix[:shortest] for matrix in matrices], axis=0)
    return mean


def loss_at_boundaries(curves: SuccessCurves) -> Floats:
    """Return the mean loss of old skills in each segment but the first: (n_segments - 1,), in -1..1.

    Loss is success at the end of the segment before minus success at the end of this one, over the tasks met before
    except the one that is trained; NaN where there is no such task.
    """
    matrix = retention_matrix(curves)
    trained = [task for task, _, _ in curves.segments]
    losses = np.full(len(trained) - 1, np.nan)
    for segment in range(1, len(trained)):
        old = sorted(set(trained[:segment]) - {trained[segment]})
        if old:
            losses[segment - 1] = np.mean(matrix[segment - 1, old] - matrix[segment, old])
    return losses


def loss_by_age(curves: SuccessCurves) -> Floats:
    """Return what is lost of a skill 1, 2, ... segments after its own: (n_segments - 1,), in -1..1.

    Mean over the skills that reach this age, of success at the end of the own segment minus success then; NaN where
    none does. A skill's age ends where its task is trained again.
    """
    matrix = retention_matrix(curves)
    lost: list[list[float]] = [[] for _ in curves.segments[1:]]
    for segment, task, after in _skills_growing_old(curves):
        for later in range(segment + 1, after):
            lost[later - segment - 1].append(matrix[segment, task] - matrix[later, task])
    return np.array([np.mean(losses) if losses else np.nan for losses in lost])


def known_and_final(curves: SuccessCurves, task: int) -> tuple[float, float]:
    """Return success on a task at the end of its last segment (NaN without any) and at the end of the life."""
    matrix = retention_matrix(curves)
    own = [matrix[segment, task] for segment, (trained, _, _) in enumerate(curves.segments) if trained == task]
    return float(own[-1]) if own else float("nan"), float(matrix[-1, task])


def _skills_growing_old(curves: SuccessCurves) -> Iterator[tuple[int, int, int]]:
    """Yield (segment, task, the next segment that trains this task again, or the number of segments)."""
    trained = [task for task, _, _ in curves.segments]
    for segment, task in enumerate(trained):
        after = next((k for k in range(segment + 1, len(trained)) if trained[k] == task), len(trained))
        yield segment, task, after
