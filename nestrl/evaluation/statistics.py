"""Statistics for few runs: no point without an interval (Agarwal et al., 2021). Pure functions of arrays.

A percentile bootstrap of few runs is too narrow, so all intervals here are stretched about their estimate, by as much
as makes that of a mean as wide as Student's (`stretch`), and where all runs of one side are ahead, resampling finds no
width at all (`score_interval`). How often they hold the truth: results/interval_coverage.md.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize, special, stats

Floats = NDArray[np.float64]

ALMOST = 1e-9
"""What a probability is away from 0 or 1 at least to be told apart from it."""

Statistic = Callable[..., Floats]
"""Called as statistic(values, axis=-1), like np.mean and interquartile_mean."""


@dataclass(frozen=True)
class Interval:
    """An estimate with the ends of its confidence interval, all in the unit of what was measured."""

    estimate: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.estimate:.2f} [{self.low:.2f}, {self.high:.2f}]"

    def within(self, bounds: tuple[float, float]) -> "Interval":
        """Return it without what lies outside the values that there can be."""
        lowest, highest = bounds
        return Interval(self.estimate, max(self.low, lowest), min(self.high, highest))


def stretch(n: int, free: int, confidence: float = 0.95) -> float:
    """Return by what a bootstrap interval of n runs with so many degrees of freedom is too narrow for a mean.

    t(1 - a/2; free) / z(1 - a/2) * sqrt(n / free), with a confidence of 1 - a; free = n - k with k strata.

    >>> [round(stretch(n, free), 1) for n, free in ((10, 7), (5, 4), (3, 2))]
    [1.4, 1.6, 2.7]
    """
    tail = (1 - confidence) / 2
    return float(special.stdtrit(free, tail) / special.ndtri(tail) * np.sqrt(n / free))


def wilson_interval(successes: int, n: int, confidence: float = 0.95) -> Interval:
    """Return the success rate of n episodes with Wilson's score interval (Wilson, 1927), in 0..1.

    It stays inside 0..1 and keeps a width at 0 of n and n of n. Raises ValueError unless 0 <= successes <= n, n > 0.

    >>> print(wilson_interval(98, 100))
    0.98 [0.93, 0.99]
    """
    if not 0 <= successes <= n or n == 0:
        raise ValueError(f"{successes} successes of {n} episodes; expected 0 <= successes <= episodes, episodes > 0.")
    test = stats.binomtest(successes, n)  # type: ignore[attr-defined]  # scipy's stubs miss it
    ends = test.proportion_ci(confidence, method="wilson")
    rate = successes / n
    return Interval(rate, min(float(ends.low), rate), max(float(ends.high), rate))  # rounding may cross the rate


def interquartile_mean(values: ArrayLike, axis: int = -1) -> Floats:
    """Return the mean of the middle half along `axis`: robust to one lucky or unlucky run, unlike the mean.

    A quarter of the count, rounded down, is cut off at each end, so under four values it is the mean.
    """
    return np.asarray(stats.trim_mean(np.asarray(values, float), 0.25, axis=axis))


def bootstrap_interval(
    values: ArrayLike,
    statistic: Statistic,
    rng: np.random.Generator,
    confidence: float = 0.95,
    resamples: int = 10_000,
) -> Interval:
    """Return a statistic of n runs with its bootstrap interval (Efron, 1979), stretched as Student's; see above.

    values: (n,), one number a run. The interval of a single run is NaN.
    Raises ValueError when values is empty, not flat or not finite.
    """
    runs = _runs(values)
    return stratified_interval(runs, np.zeros(runs.size), rng, statistic, confidence, resamples)


def stratified_interval(
    values: ArrayLike,
    strata: ArrayLike,
    rng: np.random.Generator,
    statistic: Statistic = interquartile_mean,
    confidence: float = 0.95,
    resamples: int = 10_000,
) -> Interval:
    """Return a statistic of n runs with its stratified bootstrap interval (Agarwal et al., 2021, section 4), stretched.

    values: (n,), one number a run. strata: (n,), the label of each run's stratum (the order of its tasks). Every
    resample has as many runs of each stratum as there were: how the orders differ does not widen the interval. Where
    every stratum has one run alone it is NaN.
    Raises ValueError when values is empty, not flat or not finite, or strata has another shape.
    """
    runs = _runs(values)
    labels = _labels(strata, runs)
    again = statistic(runs[_resampled(labels, resamples, rng)], axis=-1)
    return _interval(float(statistic(runs, axis=-1)), again, confidence, runs.size, _free(labels))


def paired_difference(
    first: ArrayLike,
    second: ArrayLike,
    rng: np.random.Generator,
    statistic: Statistic = interquartile_mean,
    confidence: float = 0.95,
    strata: ArrayLike | None = None,
) -> Interval:
    """Return `statistic` of second - first over pairs of runs with its bootstrap interval; positive: second is higher.

    first, second: (n,), the k-th values of both from the same seed and order. strata: (n,), the stratum of each pair,
    as in `stratified_interval`; by default all are in one. Raises ValueError on unequal shapes.
    """
    before, after = np.asarray(first, float), np.asarray(second, float)
    if before.shape != after.shape:
        raise ValueError(f"pairs need as many runs on both sides; came {before.shape} and {after.shape}.")
    if strata is None:
        strata = np.zeros(before.size)
    return stratified_interval(after - before, strata, rng, statistic, confidence)


def probability_of_improvement(
    first: ArrayLike,
    second: ArrayLike,
    rng: np.random.Generator,
    confidence: float = 0.95,
    strata: tuple[ArrayLike, ArrayLike] | None = None,
    resamples: int = 10_000,
) -> Interval:
    """Return P(X_second > X_first) of one run of each, in 0..1, with its interval; above .5: second better.

    P = mean over strata s of 1 / (n_s m_s) sum_ij [second_j > first_i] + [second_j = first_i] / 2, the Mann-Whitney U
    statistic (Agarwal et al., 2021, section 4.3). Both sides are resampled independently, within strata; the interval
    reaches as far as the bootstrap's or the score's, whichever is further.

    first, second: (n,), (m,), one number a run, not paired. strata: labels (n,), (m,) of each side's runs; only runs of
    the same stratum are compared, and every stratum counts alike. By default all are in one.
    Raises ValueError when a side is empty, not flat or not finite, or the sides do not have the same strata.
    """
    before, after = _runs(first), _runs(second)
    labels = (np.zeros(before.size), np.zeros(after.size)) if strata is None else strata
    of_first, of_second = _labels(labels[0], before), _labels(labels[1], after)
    weights = _pair_weights(of_first, of_second)
    wins = weights * (np.sign(after - before[:, None]) + 1) / 2
    drawn_first = _counts(_resampled(of_first, resamples, rng), before.size)
    drawn_second = _counts(_resampled(of_second, resamples, rng), after.size)
    again = np.sum(drawn_first @ wins * drawn_second, axis=1)
    n, free = before.size + after.size, _free(of_first) + _free(of_second)
    estimate = min(float(wins.sum()), 1.0)  # rounding may cross 1
    resampled = _interval(estimate, again, confidence, n, free)
    score = score_interval(estimate, before.size, after.size, confidence)
    low, high = np.minimum(resampled.low, score.low), np.maximum(resampled.high, score.high)  # NaN stays NaN
    return Interval(estimate, float(low), float(high)).within((0.0, 1.0))


def score_interval(p: float, n: int, m: int, confidence: float = 0.95) -> Interval:
    """Return P(X_second > X_first), found as p in 0..1 with n and m runs, with Newcombe's score interval.

    Its ends are the P with |P - p| = z sqrt(V(P)),  N = (n + m) / 2  and
        V(P) = P (1 - P) (1 + (N - 1) ((1 - P) / (2 - P) + P / (1 + P))) / (n m)
    (Newcombe, 2006, "Confidence intervals for an effect size measure based on the Mann-Whitney statistic", part 2,
    method 5.) It has a width also where p is 0 or 1.

    >>> print(score_interval(1.0, 3, 3))
    1.00 [0.50, 1.00]
    """
    z_squared, half = special.ndtri((1 - confidence) / 2) ** 2, (n + m) / 2

    def outside(end: float) -> float:
        factor = 1 + (half - 1) * ((1 - end) / (2 - end) + end / (1 + end))
        return float((end - p) ** 2 - z_squared * end * (1 - end) * factor / (n * m))

    low = _root(outside, 0.0, min(p, 1 - ALMOST)) if p > ALMOST else 0.0
    return Interval(p, low, _root(outside, max(p, ALMOST), 1.0) if p < 1 - ALMOST else 1.0)


def _root(function: Callable[[float], float], low: float, high: float) -> float:
    return float(optimize.brentq(function, low, high))  # type: ignore[no-untyped-call]


def _runs(values: ArrayLike) -> Floats:
    runs = np.asarray(values, float)
    if runs.ndim != 1 or runs.size == 0 or not np.isfinite(runs).all():
        raise ValueError(f"expected a flat array of finite values, one a run; came shape {runs.shape}: {runs}.")
    return runs


def _labels(strata: ArrayLike, runs: Floats) -> NDArray[Any]:
    labels = np.asarray(strata)
    if labels.shape != runs.shape:
        raise ValueError(f"expected one stratum a run, shape {runs.shape}; came {labels.shape}.")
    return labels


def _resampled(strata: NDArray[Any], resamples: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return indices (resamples, n): at each run's place one drawn from its own stratum."""
    drawn = np.empty((resamples, strata.size), np.int64)
    for stratum in np.unique(strata):
        members = np.flatnonzero(strata == stratum)
        drawn[:, members] = members[rng.integers(members.size, size=(resamples, members.size))]
    return drawn


def _counts(drawn: NDArray[np.int64], n: int) -> Floats:
    """Return how often each of n runs came in each resample: (resamples, n)."""
    places = drawn + n * np.arange(len(drawn))[:, None]
    return np.bincount(places.ravel(), minlength=n * len(drawn)).reshape(-1, n).astype(float)


def _pair_weights(first: NDArray[Any], second: NDArray[Any]) -> Floats:
    """Return the weight (n, m) of each pair of runs: none across strata, the same sum in each stratum, 1 in all."""
    names = np.unique(first)
    if not np.array_equal(names, np.unique(second)):
        raise ValueError(f"both sides need runs of the same strata; came {names} and {np.unique(second)}.")
    same = first[:, None] == second
    weights: Floats = same / (same.sum(1, keepdims=True) * same.sum(0) * names.size)
    return weights


def _free(strata: NDArray[Any]) -> int:
    """Return the degrees of freedom that are left: one for each run but the first of its stratum."""
    return int(strata.size - np.unique(strata).size)


def _interval(estimate: float, again: Floats, confidence: float, n: int, free: int) -> Interval:
    """Return the percentile interval of what the resamples of n runs gave, stretched; NaN without any freedom."""
    if free == 0:
        return Interval(estimate, np.nan, np.nan)
    tail = (1 - confidence) / 2
    low, high = estimate + stretch(n, free, confidence) * (np.quantile(again, [tail, 1 - tail]) - estimate)
    return Interval(estimate, float(low), float(high))
