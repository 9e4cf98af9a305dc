"""Metrics against cases computed by hand from Continual World's definitions, and against what must hold always."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from nestrl.errors import BadConfig
from nestrl.evaluation.retention import (
    MEASURES,
    Metrics,
    SuccessCurves,
    average_performance,
    backward_transfer,
    forgetting,
    forgetting_by_skill,
    forward_transfer,
    forward_transfer_by_skill,
    learning_progress,
    long_enough,
    metrics,
    retention_matrix,
    steps_to_all,
    worst_point,
)

PUSH, REACH, DOOR = 0, 1, 2


@pytest.fixture
def life() -> SuccessCurves:
    """Three tasks of 100 steps, evaluated every 50; push is forgotten and partly comes back."""
    return SuccessCurves(
        success=np.array(
            [
                [0.0, 0.0, 0.0],
                [0.5, 0.0, 0.0],
                [1.0, 0.2, 0.0],  # end of push
                [0.1, 0.8, 0.0],
                [0.4, 1.0, 0.4],  # end of reach
                [0.3, 0.9, 0.6],
                [0.6, 0.7, 0.8],  # end of door
            ]
        ),
        steps=np.arange(0, 301, 50),
        task_names=("push", "reach", "door"),
        segments=((PUSH, 0, 100), (REACH, 100, 200), (DOOR, 200, 300)),
    )


REFERENCES = {
    "push": ([0, 50, 100], [0.0, 0.5, 1.0]),  # area .5
    "reach": ([0, 50, 100], [0.0, 0.2, 0.4]),  # area .2
    "door": ([0, 50, 100], [0.0, 0.4, 0.8]),  # area .4
}


def test_learning_progress_is_the_area_under_the_curves_of_the_own_segments(life):
    push, reach, door = (0 + 2 * 0.5 + 1) / 4, (0.2 + 2 * 0.8 + 1) / 4, (0.4 + 2 * 0.6 + 0.8) / 4
    assert learning_progress(life) == pytest.approx((push + reach + door) / 3)


def test_retention_matrix_is_the_success_at_the_boundaries(life):
    expected = [[1.0, 0.2, 0.0], [0.4, 1.0, 0.4], [0.6, 0.7, 0.8]]
    np.testing.assert_array_equal(retention_matrix(life), expected)


def test_metrics_by_hand(life):
    assert average_performance(life) == pytest.approx((0.6 + 0.7 + 0.8) / 3)
    assert forgetting_by_skill(life) == pytest.approx((0.4, 0.3, 0.0))
    assert forgetting(life) == pytest.approx(0.7 / 3)
    assert backward_transfer(life) == pytest.approx(-0.35)
    assert worst_point(life) == pytest.approx((0.1 + 0.7) / 2)


def test_steps_to_all_is_the_first_evaluation_at_which_all_stand_together(life):
    assert steps_to_all(life, 0.4) == metrics(life, target=0.4).steps_to_all == 200
    assert steps_to_all(life, 0.6) == 300
    assert steps_to_all(life, 0.7) is None  # each was there, but never all of them at once
    assert metrics(life).steps_to_all is None


def test_forward_transfer_by_hand(life):
    reach_area = (0.2 / 2 + 0.8 + 1.0 / 2) / 2  # .7
    door_area = (0.4 / 2 + 0.6 + 0.8 / 2) / 2  # .6
    expected = (0.0, (reach_area - 0.2) / 0.8, (door_area - 0.4) / 0.6)
    assert forward_transfer_by_skill(life, REFERENCES) == pytest.approx(expected)
    assert forward_transfer(life, REFERENCES) == pytest.approx(sum(expected) / 3)
    assert forward_transfer(life, REFERENCES, later_only=True) == pytest.approx(sum(expected[1:]) / 2)


def test_longer_reference_counts_only_up_to_the_segments_length(life):
    longer = {**REFERENCES, "reach": ([0, 50, 150], [0.0, 0.2, 0.6])}
    assert forward_transfer(life, longer) == pytest.approx(forward_transfer(life, REFERENCES))


def test_reference_stands_still_where_a_segment_ends_a_rollout_later(life):
    short = {**REFERENCES, "door": ([0, 80], [0.0, 0.4])}
    extended = {**REFERENCES, "door": ([0, 80, 100], [0.0, 0.4, 0.4])}
    assert forward_transfer(life, short) == forward_transfer(life, extended)


def test_shorter_reference_is_refused(life):
    with pytest.raises(BadConfig, match="needs 0 to 100"):
        forward_transfer(life, {**REFERENCES, "door": ([0, 50], [0.0, 0.4])})


def test_without_a_reference_there_is_no_overall_transfer(life):
    partial = {name: curve for name, curve in REFERENCES.items() if name != "push"}
    measured = metrics(life, partial)
    assert measured.forward_transfer is None
    assert measured.forward_transfer_by_skill[0] is None
    assert measured.forward_transfer_later == pytest.approx(forward_transfer(life, REFERENCES, later_only=True))
    assert metrics(life).forward_transfer_later is None


@pytest.mark.parametrize("length", [30, 100, 140])
def test_whoever_learns_like_the_reference_has_no_transfer_however_long_the_segment(length):
    def learned(steps):
        return 1 - np.exp(-np.asarray(steps, float) / 20)

    fine = np.linspace(0, 100, 201)
    steps = np.linspace(0, length, 6)
    alike = SuccessCurves(np.interp(steps, fine, learned(fine))[:, None], steps, ("push",), ((0, 0, length),))
    assert forward_transfer(alike, {"push": (fine, learned(fine))}) == pytest.approx(0, abs=1e-9)


def test_transfer_over_a_perfect_reference_does_not_exist(life):
    assert forward_transfer_by_skill(life, {"push": ([0, 100], [1.0, 1.0])})[0] is None


def revisited(revisits_are_new: bool) -> SuccessCurves:
    """push, reach, push again."""
    return SuccessCurves(
        success=np.array([[0.0, 0.0], [0.8, 0.0], [0.2, 0.6], [1.0, 0.4]]),
        steps=np.array([0, 10, 20, 30]),
        task_names=("push", "reach"),
        segments=((0, 0, 10), (1, 10, 20), (0, 20, 30)),
        revisits_are_new=revisits_are_new,
    )


def test_revisited_task_should_be_known_from_its_last_segment_on():
    measured = metrics(revisited(False), {"push": ([0, 10], [0.0, 0.4]), "reach": ([0, 10], [0.0, 0.0])})
    assert measured.skills == ("push", "reach")
    assert measured.forgetting_by_skill == pytest.approx((0.0, 0.2))
    assert measured.backward_transfer == pytest.approx(-0.2)
    assert measured.average_performance == pytest.approx(0.7)
    assert measured.forward_transfer_by_skill == pytest.approx((0.2 / 0.8, 0.3))  # push in its first segment


def test_revisit_as_a_new_skill_counts_once_more():
    measured = metrics(revisited(True), {"push": ([0, 10], [0.0, 0.4]), "reach": ([0, 10], [0.0, 0.0])})
    assert measured.skills == ("push", "reach", "push")
    assert measured.forgetting_by_skill == pytest.approx((-0.2, 0.2, 0.0))
    assert measured.average_performance == pytest.approx((1.0 + 0.4 + 1.0) / 3)
    assert measured.forward_transfer_by_skill == pytest.approx((0.2 / 0.8, 0.3, (0.6 - 0.2) / 0.8))
    assert measured.worst_point == pytest.approx((0.2 + 0.4) / 2)


def test_one_segment_alone_has_nothing_to_forget():
    measured = metrics(SuccessCurves(np.array([[0.0], [1.0]]), np.array([0, 10]), ("push",), ((0, 0, 10),)))
    assert (measured.forgetting, measured.backward_transfer, measured.worst_point) == (0.0, None, None)


def test_unfinished_life_has_a_matrix_but_no_metrics(life):
    stopped = SuccessCurves(life.success[:4], life.steps[:4], life.task_names, life.segments)
    assert not stopped.complete
    np.testing.assert_array_equal(np.isnan(retention_matrix(stopped)).all(axis=1), [False, True, True])
    with pytest.raises(BadConfig, match="nestrl resume"):
        metrics(stopped)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"success": np.zeros((2, 3))}, "expected"),
        ({"success": np.full((2, 1), np.nan)}, "NaN"),
        ({"success": np.full((2, 1), 1.5)}, "outside"),
        ({"steps": np.array([10, 10])}, "increase"),
        ({"segments": ((1, 0, 10),)}, "segment"),
        ({"segments": ((0, 10, 10),)}, "segment"),
    ],
)
def test_bad_curves_are_refused(change, message):
    good = {"success": np.zeros((2, 1)), "steps": np.array([0, 10]), "task_names": ("a",), "segments": ((0, 0, 10),)}
    with pytest.raises(BadConfig, match=message):
        SuccessCurves(**{**good, **change})


def test_every_overall_metric_has_its_definition():
    fields = [name for name in Metrics.__dataclass_fields__ if not (name == "skills" or name.endswith("_by_skill"))]
    assert sorted(MEASURES) == sorted(fields)


@st.composite
def lives(draw) -> SuccessCurves:
    n_tasks, evaluations = draw(st.integers(1, 4)), draw(st.integers(1, 3))
    order = draw(st.lists(st.integers(0, n_tasks - 1), min_size=1, max_size=6))
    length = 10 * evaluations
    n_rows = len(order) * evaluations + 1
    return SuccessCurves(
        success=draw(hnp.arrays(float, (n_rows, n_tasks), elements=st.floats(0, 1))),
        steps=np.arange(n_rows) * 10,
        task_names=tuple(f"task{i}" for i in range(n_tasks)),
        segments=tuple((task, i * length, (i + 1) * length) for i, task in enumerate(order)),
        revisits_are_new=draw(st.booleans()),
    )


@given(lives())
def test_metrics_stay_in_their_ranges(curves):
    length = curves.segments[0][2]
    measured = metrics(curves, {name: ([0, length], [0.0, 0.5]) for name in curves.task_names})
    assert 0 <= measured.average_performance <= 1
    assert -1 <= measured.forgetting <= 1
    assert all(transfer is not None and transfer <= 1 + 1e-9 for transfer in measured.forward_transfer_by_skill)
    if measured.worst_point is not None:
        assert 0 <= measured.worst_point <= 1
    assert len(measured.skills) == len(measured.forgetting_by_skill) == len(measured.forward_transfer_by_skill)


@given(lives())
def test_what_was_known_less_what_was_lost_is_what_is_left(curves):
    measured = metrics(curves)
    matrix = retention_matrix(curves)
    tasks = [task for task, _, _ in curves.segments]
    last = {task: segment for segment, task in enumerate(tasks)}
    own = range(len(tasks)) if curves.revisits_are_new else list(last.values())
    known = np.mean([matrix[segment, tasks[segment]] for segment in own])
    assert known - measured.forgetting == pytest.approx(measured.average_performance)


@given(lives(), st.floats(0.01, 0.9))
def test_learning_exactly_like_the_reference_is_no_transfer(curves, height):
    success = np.full_like(curves.success, height)
    flat = SuccessCurves(success, curves.steps, curves.task_names, curves.segments, curves.revisits_are_new)
    length = flat.segments[0][2]
    references = {name: ([0, length], [height, height]) for name in flat.task_names}
    assert forward_transfer(flat, references) == pytest.approx(0, abs=1e-9)
    assert forgetting(flat) == pytest.approx(0)


def test_a_reference_too_short_for_a_segment_with_many_trials_is_left_out(life):
    names = life.task_names
    references = {name: ([0, 10_000], [0.0, 0.5]) for name in names} | {names[1]: ([0, 1], [0.0, 0.5])}
    kept = long_enough(references, life)
    assert set(kept) == {names[0], *names[2:]}
    transfer = forward_transfer_by_skill(life, kept)
    assert transfer[1] is None
    assert transfer[0] is not None
