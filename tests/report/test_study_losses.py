import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nestrl.evaluation.retention import SuccessCurves, average_performance, forgetting, stability_gap, worst_point
from nestrl.report.losses import (
    in_order_met,
    known_and_final,
    loss_at_boundaries,
    loss_by_age,
    matrix_by_position,
)


def life(rows: list[list[float]], trained: list[int]) -> SuccessCurves:
    """Return a life with one evaluation at the start and one at the end of each segment of 10 steps."""
    segments = tuple((task, 10 * place, 10 * place + 10) for place, task in enumerate(trained))
    names = tuple(f"task {task}" for task in range(len(rows[0])))
    return SuccessCurves(np.array(rows), np.arange(len(rows)) * 10, names, segments)


THREE = life([[0, 0, 0], [0, 0, 1.0], [0.8, 0, 0.6], [0.3, 0.5, 0.7]], [2, 0, 1])


def test_columns_stand_in_the_order_met() -> None:
    assert in_order_met(THREE) == [2, 0, 1]
    assert matrix_by_position(THREE).tolist() == [[1.0, 0, 0], [0.6, 0.8, 0], [0.7, 0.3, 0.5]]


def test_loss_at_boundaries() -> None:
    assert loss_at_boundaries(THREE) == pytest.approx([0.4, (-0.1 + 0.5) / 2])


def test_a_task_that_is_never_trained_was_never_known() -> None:
    never, trained = (known_and_final(life([[0, 0], [0.8, 0.2]], [0]), task) for task in (1, 0))
    assert np.isnan(never[0]) and (never[1], *trained) == (0.2, 0.8, 0.8)


def test_loss_by_age() -> None:
    assert loss_by_age(THREE) == pytest.approx([(0.4 + 0.5) / 2, 0.3])


def test_stability_gap_is_the_deepest_loss() -> None:
    assert stability_gap(THREE) == pytest.approx((0.4 + 0.5) / 2)
    assert stability_gap(life([[0], [1.0]], [0])) is None


def test_a_skill_stops_growing_old_when_its_task_comes_back() -> None:
    again = life([[0, 0], [1.0, 0], [0.2, 1.0], [0.9, 0.5]], [0, 1, 0])
    assert loss_by_age(again) == pytest.approx([(0.8 + 0.5) / 2, np.nan], nan_ok=True)
    assert loss_at_boundaries(again) == pytest.approx([0.8, 0.5])
    assert known_and_final(again, 0) == (0.9, 0.9)
    assert stability_gap(again) == pytest.approx(0.5)


lives = st.integers(2, 6).flatmap(
    lambda n: st.tuples(
        st.lists(st.lists(st.integers(0, 16), min_size=n, max_size=n), min_size=n + 1, max_size=n + 1),
        st.permutations(range(n)),
    )
)


@given(lives)
def test_losses_of_all_boundaries_add_up_to_forgetting(made: tuple[list[list[int]], list[int]]) -> None:
    counts, trained = made
    curves = life((np.array(counts) / 16).tolist(), trained)
    n_old = np.arange(1, len(trained))
    assert np.sum(n_old * loss_at_boundaries(curves)) == pytest.approx(len(trained) * forgetting(curves), abs=1e-9)


@given(lives)
def test_the_gap_leads_to_the_worst_point(made: tuple[list[list[int]], list[int]]) -> None:
    counts, trained = made
    curves = life((np.array(counts) / 16).tolist(), trained)
    known = np.mean([known_and_final(curves, task)[0] for task in trained[:-1]])
    gap, lowest = stability_gap(curves), worst_point(curves)
    assert gap is not None and lowest is not None
    assert gap == pytest.approx(known - lowest, abs=1e-9)
    final = [known_and_final(curves, task)[1] for task in trained]
    assert np.mean(final) == pytest.approx(average_performance(curves))
