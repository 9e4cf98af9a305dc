import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from nestrl.evaluation.statistics import bootstrap_interval, interquartile_mean, paired_difference, wilson_interval


@pytest.mark.parametrize(("successes", "n"), [(0, 10), (10, 10), (90, 100), (1, 3)])
def test_wilson_agrees_with_scipy(successes, n):
    ours = wilson_interval(successes, n)
    theirs = stats.binomtest(successes, n).proportion_ci(method="wilson")
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=1e-12)


@given(st.integers(1, 1000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_holds_the_rate_and_stays_a_rate(case):
    interval = wilson_interval(*case)
    assert 0 <= interval.low <= interval.estimate <= interval.high <= 1
    assert interval.low < interval.high


@pytest.mark.parametrize(("successes", "n"), [(0, 0), (-1, 3), (4, 3)])
def test_impossible_counts_are_refused(successes, n):
    with pytest.raises(ValueError, match="episodes"):
        wilson_interval(successes, n)


def test_interquartile_mean_ignores_the_outer_quarters():
    assert interquartile_mean([-100, 1, 2, 3, 4, 5, 6, 100]) == pytest.approx(3.5)
    assert interquartile_mean([1, 2, 9]) == pytest.approx(4.0)
    np.testing.assert_allclose(interquartile_mean(np.arange(8).reshape(2, 4), axis=-1), [1.5, 5.5])


def test_bootstrap_interval_covers_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(0)
    intervals = [bootstrap_interval(rng.normal(size=30), np.mean, rng, resamples=500) for _ in range(200)]
    coverage = np.mean([interval.low <= 0 <= interval.high for interval in intervals])
    assert 0.88 <= coverage <= 0.99


def test_bootstrap_depends_on_nothing_but_its_generator():
    first, second = (bootstrap_interval([1, 2, 4, 8], np.mean, np.random.default_rng(3)) for _ in range(2))
    assert first == second


@pytest.mark.parametrize("values", [[], [[1.0, 2.0]], [1.0, np.nan]])
def test_values_that_are_no_runs_are_refused(values):
    with pytest.raises(ValueError, match="one a run"):
        bootstrap_interval(values, np.mean, np.random.default_rng(0))


def test_pairing_removes_what_both_runs_share():
    rng = np.random.default_rng(0)
    shared = rng.normal(scale=10, size=20)
    difference = paired_difference(shared, shared + 1 + rng.normal(scale=0.1, size=20), rng)
    assert difference.estimate == pytest.approx(1, abs=0.1)
    assert 0.9 < difference.low < difference.high < 1.1


def test_unequal_numbers_of_runs_are_refused():
    with pytest.raises(ValueError, match="pairs"):
        paired_difference([1, 2], [1, 2, 3], np.random.default_rng(0))
