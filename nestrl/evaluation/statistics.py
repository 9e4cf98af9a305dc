"""Statistics for few runs: no point without an interval (Agarwal et al., 2021). Pure functions of arrays."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special, stats

Statistic = Callable[..., NDArray[np.float64]]
"""Called as statistic(values, axis=-1), like np.mean and interquartile_mean."""


@dataclass(frozen=True)
class Interval:
    """An estimate with the ends of its confidence interval, all in the unit of what was measured."""

    estimate: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.estimate:.2f} [{self.low:.2f}, {self.high:.2f}]"


def wilson_interval(successes: int, n: int, confidence: float = 0.95) -> Interval:
    """Return the success rate of n episodes with Wilson's score interval (Wilson, 1927), in 0..1.

    It stays inside 0..1 and keeps a width at 0 of n and n of n. Raises ValueError unless 0 <= successes <= n, n > 0.

    >>> print(wilson_interval(98, 100))
    0.98 [0.93, 0.99]
    """
    if not 0 <= successes <= n or n == 0:
        raise ValueError(f"{successes} successes of {n} episodes; expected 0 <= successes <= episodes, episodes > 0.")
    z = special.ndtri(0.5 + confidence / 2)
    rate = successes / n
    centre = (rate + z**2 / (2 * n)) / (1 + z**2 / n)
    half_width = z / (1 + z**2 / n) * np.sqrt(rate * (1 - rate) / n + z**2 / (4 * n**2))
    low, high = np.clip([centre - half_width, centre + half_width], [0, rate], [rate, 1])  # rounding may cross
    return Interval(rate, float(low), float(high))


def interquartile_mean(values: ArrayLike, axis: int = -1) -> NDArray[np.float64]:
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
    """Return a statistic of n runs with its percentile bootstrap interval (Efron, 1979).

    values: (n,), one number a run. With fewer than about five runs the interval is too narrow: say how many there were.
    Raises ValueError when values is empty, not flat or not finite.
    """
    runs = np.asarray(values, float)
    if runs.ndim != 1 or runs.size == 0 or not np.isfinite(runs).all():
        raise ValueError(f"expected a flat array of finite values, one a run; came shape {runs.shape}: {runs}.")
    again = runs[rng.integers(runs.size, size=(resamples, runs.size))]
    tail = (1 - confidence) / 2
    low, high = np.quantile(statistic(again, axis=-1), [tail, 1 - tail])
    return Interval(float(statistic(runs, axis=-1)), float(low), float(high))


def paired_difference(
    first: ArrayLike,
    second: ArrayLike,
    rng: np.random.Generator,
    statistic: Statistic = interquartile_mean,
    confidence: float = 0.95,
) -> Interval:
    """Return `statistic` of second - first over pairs of runs with its bootstrap interval; positive: second is higher.

    first, second: (n,), the k-th values of both from the same seed and order. Raises ValueError on unequal shapes.
    """
    before, after = np.asarray(first, float), np.asarray(second, float)
    if before.shape != after.shape:
        raise ValueError(f"pairs need as many runs on both sides; came {before.shape} and {after.shape}.")
    return bootstrap_interval(after - before, statistic, rng, confidence)
