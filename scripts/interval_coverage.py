"""How often do the intervals of few runs hold the truth? The bare bootstrap's, and those of our tables.

python scripts/interval_coverage.py     # two minutes; writes results/interval_coverage.md

Made-up studies of n runs in orders, whose numbers are normal or skewed as success rates near 1 are; the truth is the
interquartile mean of many. Two methods with such numbers have a P(better) of .5. 95 % is what an interval promises.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nestrl.evaluation.statistics import (
    Interval,
    interquartile_mean,
    probability_of_improvement,
    stratified_interval,
    stretch,
)
from nestrl.report.tables import table

OUTPUT = Path(__file__).resolve().parents[1] / "results" / "interval_coverage.md"
STUDIES, RESAMPLES, MANY = 1200, 1000, 200_000
ORDERS = {"10, orders of 4, 3 and 3": [0] * 4 + [1] * 3 + [2] * 3, "5": [0] * 5, "3": [0] * 3, "2": [0] * 2}
Draw = Callable[[np.random.Generator, int], NDArray[np.float64]]
NUMBERS: dict[str, Draw] = {
    "normal": lambda rng, n: rng.normal(size=n),
    "skewed": lambda rng, n: rng.beta(8, 1, size=n),
}


def coverage(draw: Draw, orders: list[int], rng: np.random.Generator) -> tuple[float, float]:
    """Return how often the bare and the stretched interval of a study hold the truth."""
    truth = float(interquartile_mean(draw(rng, MANY)))
    found = [stratified_interval(draw(rng, len(orders)), orders, rng, resamples=RESAMPLES) for _ in range(STUDIES)]
    factor = stretch(len(orders), len(orders) - len(set(orders)))
    bare, ours = (np.mean([holds(each, truth, by) for each in found]) for by in (factor, 1.0))
    return float(bare), float(ours)


def coverage_of_better(draw: Draw, orders: list[int], rng: np.random.Generator) -> float:
    """Return how often the interval of P(better) holds .5 where both methods are the same."""
    sides = ((draw(rng, len(orders)), draw(rng, len(orders))) for _ in range(STUDIES))
    found = (probability_of_improvement(*side, rng, strata=(orders, orders), resamples=RESAMPLES) for side in sides)
    return float(np.mean([each.low <= 0.5 <= each.high for each in found]))


def holds(interval: Interval, truth: float, narrowed: float) -> bool:
    """Return whether an interval holds the truth once it is narrowed by a factor."""
    low, high = ((end - interval.estimate) / narrowed for end in (interval.low, interval.high))
    return bool(low <= truth - interval.estimate <= high)


def main() -> None:
    """Write the table."""
    rng, rows = np.random.default_rng(0), []
    for runs, orders in ORDERS.items():
        for numbers, draw in NUMBERS.items():
            shares = *coverage(draw, orders, rng), coverage_of_better(draw, orders, rng)
            rows.append([f"{runs}, {numbers}", *(f"{share:.3f}" for share in shares)])
    head = ["runs", "percentile bootstrap", "with Student's correction", "P(better)"]
    OUTPUT.write_text(table(head, rows) + "\n")
    print(OUTPUT.read_text())


if __name__ == "__main__":
    main()
