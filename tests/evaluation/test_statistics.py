import doctest
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from nestrl.evaluation import statistics
from nestrl.evaluation.statistics import (
    Interval,
    bootstrap_interval,
    interquartile_mean,
    paired_difference,
    probability_of_improvement,
    score_interval,
    stratified_interval,
    stretch,
    wilson_interval,
)

RUNS = st.lists(st.floats(-10, 10).map(lambda value: round(value, 2)), min_size=2, max_size=12)


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


@pytest.mark.parametrize("orders", [[0, 0, 0, 0, 1, 1, 1, 2, 2, 2], [0] * 5, [0] * 3])
def test_intervals_of_few_runs_hold_the_truth_about_as_often_as_they_say(orders):
    rng = np.random.default_rng(0)
    intervals = [stratified_interval(rng.normal(size=len(orders)), orders, rng, resamples=400) for _ in range(600)]
    coverage = np.mean([interval.low <= 0 <= interval.high for interval in intervals])
    assert 0.92 <= coverage <= 0.985  # the percentile bootstrap alone: .87, .90 and .77


def test_the_interval_of_a_mean_is_as_wide_as_students():
    runs = np.random.default_rng(0).normal(size=12)
    interval = bootstrap_interval(runs, np.mean, np.random.default_rng(0))
    students = stats.ttest_1samp(runs, 0).confidence_interval()
    assert interval.high - interval.low == pytest.approx(students.high - students.low, rel=0.05)


def test_one_run_a_stratum_has_no_interval():
    for interval in (
        bootstrap_interval([0.5], np.mean, np.random.default_rng(0)),
        stratified_interval([1, 2], ["a", "b"], np.random.default_rng(0)),
    ):
        assert np.isnan([interval.low, interval.high]).all()
        assert np.isnan(interval.within((0, 1)).low)


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


def test_strata_that_only_differ_from_each_other_leave_no_width():
    interval = stratified_interval([1, 1, 5, 5], ["a", "a", "b", "b"], np.random.default_rng(0), np.mean)
    assert (interval.estimate, interval.low, interval.high) == (3, 3, 3)


def test_strata_narrow_the_interval_by_what_lies_between_them():
    rng = np.random.default_rng(0)
    strata = np.repeat([0, 1, 2], 8)
    runs = 10 * strata + rng.normal(size=24)
    plain, stratified = bootstrap_interval(runs, np.mean, rng), stratified_interval(runs, strata, rng, np.mean)
    error = np.sqrt(np.mean([runs[strata == s].var(ddof=1) for s in range(3)]) / 24)  # with as many runs a stratum
    assert stratified.high - stratified.low == pytest.approx(2 * stats.t.isf(0.025, 21) * error, rel=0.05)
    assert plain.high - plain.low > 5 * (stratified.high - stratified.low)


def test_one_stratum_is_the_plain_bootstrap():
    plain = bootstrap_interval([1, 2, 4, 8], np.mean, np.random.default_rng(3))
    assert stratified_interval([1, 2, 4, 8], ["x"] * 4, np.random.default_rng(3), np.mean) == plain


@given(RUNS, st.data())
def test_stratified_interval_holds_the_mean(runs, data):
    strata = data.draw(st.lists(st.integers(0, 2), min_size=len(runs), max_size=len(runs)))
    interval = stratified_interval(runs, strata, np.random.default_rng(0), np.mean, resamples=2000)
    ends = [interval.low, interval.estimate, interval.high]
    assert len(set(strata)) == len(runs) or all(lower <= higher + 1e-9 for lower, higher in pairwise(ends))


def test_an_interval_ends_where_values_end():
    assert Interval(0.9, 0.7, 1.1).within((0, 1)) == Interval(0.9, 0.7, 1)


@given(RUNS, st.data())
def test_the_order_in_which_runs_are_listed_does_not_matter(runs, data):
    places = data.draw(st.permutations(range(len(runs))))
    strata, other = [place % 2 for place in range(len(runs))], runs[::-1]
    listed = [np.asarray(part) for part in (runs, other, strata)]
    shuffled = [part[list(places)] for part in listed]
    for estimate in (
        lambda a, b, s: stratified_interval(a, s, np.random.default_rng(0), resamples=100),
        lambda a, b, s: paired_difference(a, b, np.random.default_rng(0), strata=s),
        lambda a, b, s: probability_of_improvement(a, b, np.random.default_rng(0), strata=(s, s), resamples=100),
    ):
        assert estimate(*listed).estimate == pytest.approx(estimate(*shuffled).estimate, abs=1e-9)


def test_pairs_are_resampled_within_their_strata():
    difference = paired_difference([0, 0, 0, 0], [1, 1, 3, 3], np.random.default_rng(0), np.mean, strata=[0, 0, 1, 1])
    assert (difference.estimate, difference.low, difference.high) == (2, 2, 2)


@pytest.mark.parametrize(
    ("first", "second", "probability"),
    [([1, 2], [3, 4, 5], 1), ([3], [1, 2], 0), ([1, 2], [1, 2], 0.5), ([1, 3], [2, 2, 3], 2 / 3 - 1 / 12)],
)
def test_probability_of_improvement_counts_pairs_and_half_of_ties(first, second, probability):
    assert probability_of_improvement(first, second, np.random.default_rng(0)).estimate == pytest.approx(probability)


@given(RUNS, RUNS)
def test_probability_of_improvement_is_mann_whitney_and_both_directions_sum_to_one(first, second):
    forth, back = (
        probability_of_improvement(*pair, np.random.default_rng(0), resamples=500)
        for pair in [(first, second), (second, first)]
    )
    assert forth.estimate == pytest.approx(stats.mannwhitneyu(second, first).statistic / len(first) / len(second))
    assert forth.estimate + back.estimate == pytest.approx(1)
    assert 0 <= forth.low <= forth.estimate + 1e-9 <= forth.high + 2e-9 <= 1 + 2e-9


def test_only_runs_of_the_same_stratum_are_compared():
    first, second, strata = [1, 11], [2, 12, 12], (["easy", "hard"], ["easy", "hard", "hard"])
    interval = probability_of_improvement([1, 11], second, np.random.default_rng(0), strata=strata)
    assert (interval.estimate, interval.high) == pytest.approx((1, 1))
    assert probability_of_improvement(first, second, np.random.default_rng(0)).estimate == pytest.approx(5 / 6)


def test_where_all_runs_of_a_side_are_ahead_the_interval_still_has_a_width():
    ahead = probability_of_improvement([1, 2], [3, 4], np.random.default_rng(0))
    behind = probability_of_improvement([3, 4], [1, 2], np.random.default_rng(0))
    assert (ahead.estimate, ahead.high) == (1, 1) and 0.3 < ahead.low < 0.5
    assert (behind.estimate, behind.low) == (0, 0) and behind.high == pytest.approx(1 - ahead.low)


@given(st.floats(0, 1), st.integers(2, 20), st.integers(2, 20))
def test_the_score_interval_ends_where_the_score_is_the_critical_one(p, n, m):
    interval = score_interval(p, n, m)
    assert 0 <= interval.low <= p <= interval.high <= 1 and interval.low < interval.high
    for end in (interval.low, interval.high):
        factor = 1 + ((n + m) / 2 - 1) * ((1 - end) / (2 - end) + end / (1 + end))
        if 1e-6 < end < 1 - 1e-6:
            assert (end - p) ** 2 == pytest.approx(1.959964**2 * end * (1 - end) * factor / (n * m), rel=1e-3, abs=1e-9)


def test_strata_that_do_not_fit_are_refused():
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="one stratum a run"):
        stratified_interval([1, 2], [0], rng)
    with pytest.raises(ValueError, match="same strata"):
        probability_of_improvement([1, 2], [1, 2], rng, strata=([0, 1], [0, 2]))


def test_rliable_agrees():
    library = pytest.importorskip("rliable.library")
    metrics = pytest.importorskip("rliable.metrics")
    random = np.random.default_rng(0)
    first = random.normal(0.5, 0.2, (10, 3)) + np.array([0, 0.2, 0.4])  # runs by task: rliable's strata are tasks
    second = first + random.normal(0.1, 0.2, (10, 3))
    strata = np.tile([0, 1, 2], 10)

    def theirs(scores, statistic):
        points, ends = library.get_interval_estimates(
            {"it": scores}, lambda *runs: np.array([statistic(*runs)]), reps=1000
        )
        return points["it"][0], *ends["it"][:, 0]

    def stretched(found, n, free):
        return [found[0] + stretch(n, free) * (end - found[0]) for end in found[1:]]  # which rliable leaves out

    middle = stratified_interval(first.ravel(), strata, random)
    expected = theirs(first, metrics.aggregate_iqm)
    assert middle.estimate == pytest.approx(expected[0])
    assert (middle.low, middle.high) == pytest.approx(stretched(expected, 30, 27), abs=0.02)
    better = probability_of_improvement(first.ravel(), second.ravel(), random, strata=(strata, strata))
    expected = theirs((second, first), metrics.probability_of_improvement)  # theirs is P(X_first > X_second)
    assert better.estimate == pytest.approx(expected[0])
    assert (better.low, better.high) == pytest.approx(stretched(expected, 60, 54), abs=0.04)


def test_examples_in_docstrings_are_right():
    assert doctest.testmod(statistics).attempted >= 3
    assert doctest.testmod(statistics).failed == 0
