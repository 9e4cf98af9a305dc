"""Does drift tell the loss of a skill? Drift from the teachers beside what the old skills have really lost.

    nestrl study scripts/studies/drift-and-loss.yaml
    python scripts/drift_and_loss.py runs/drift-and-loss/*-s100?      # -> results/drift-and-loss/drift_and_loss.md

At each evaluation after the first segment: the mean drift of the old tasks in nats, as the method measured it last, and
success at the end of their own segments minus success now (mean over old tasks).
"""

import sys
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.stats import spearmanr

from nestrl.evaluation.retention import DIFFERENCE, retention_matrix
from nestrl.evaluation.statistics import bootstrap_interval, interquartile_mean
from nestrl.report.tables import table
from nestrl.training.result import Run

OUTPUT = Path(__file__).resolve().parents[1] / "results" / "drift-and-loss" / "drift_and_loss.md"
BANDS = (0.0, 0.01, 0.03, 0.1, 0.3, 1.0, np.inf)
"""Limits of the rows, in nats."""


class Moment(NamedTuple):
    """One evaluation of one run."""

    run: str
    drift: float
    loss: float


def moments(folder: str) -> Iterator[Moment]:
    """Yield the evaluations of a run at which its method had measured the drift of old tasks, each met once."""
    run = Run(folder)
    curves, matrix = run.curves, retention_matrix(run.curves)
    training = run.folder.log_lines("training")
    for segment, (_, start, end) in enumerate(curves.segments[1:], start=1):
        old = [task for task, _, _ in curves.segments[:segment]]
        learned = np.array([matrix[own, task] for own, task in enumerate(old)])
        for row in np.flatnonzero((curves.steps > start) & (curves.steps <= end)):
            before = [line["method"] for line in training if start < line["steps"] <= curves.steps[row]]
            if before and "drift" in before[-1]:
                yield Moment(folder, before[-1]["drift"], float(np.mean(learned - curves.success[row, old])))


def as_table(found: Sequence[Moment]) -> str:
    """Return a row for each band of drift: evaluations, interquartile mean of the loss over runs and its interval."""
    rows = []
    for low, high in pairwise(BANDS):
        inside = [moment for moment in found if low <= moment.drift < high]
        if inside:
            by_run = [np.mean([m.loss for m in inside if m.run == run]) for run in sorted({m.run for m in inside})]
            loss = bootstrap_interval(by_run, interquartile_mean, np.random.default_rng(0)).within(DIFFERENCE)
            band = f"{low:g} to {high:g} nats" if high < np.inf else f"above {low:g} nats"
            rows.append([band, str(len(by_run)), str(len(inside)), str(loss)])
    return table(["drift", "runs", "evaluations", "loss of old skills"], rows)


def correlation(found: Sequence[Moment]) -> tuple[float, float, float]:
    """Return Spearman's correlation of drift and loss, with the 95 % interval of 2,000 bootstrap samples of runs."""
    runs = sorted({moment.run for moment in found})
    by_run = {run: np.array([moment[1:] for moment in found if moment.run == run]) for run in runs}
    random = np.random.default_rng(0)
    drawn = [[by_run[run] for run in random.choice(runs, len(runs))] for _ in range(2000)]
    samples = [spearmanr(np.concatenate(pairs)).statistic for pairs in drawn]
    low, high = np.quantile(samples, (0.025, 0.975))
    return float(spearmanr(np.concatenate(list(by_run.values()))).statistic), float(low), float(high)


def main(folders: Sequence[str]) -> None:
    """Print and write the table of all these runs."""
    found = [moment for folder in folders for moment in moments(folder)]
    estimate, low, high = correlation(found)
    text = f"{as_table(found)}\n\nSpearman's correlation {estimate:.2f} [{low:.2f}, {high:.2f}], {len(folders)} runs."
    OUTPUT.write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main(sys.argv[1:])
