"""Which skill hinders which: forward transfer of every task right after every other one, as a matrix.

    nestrl study scripts/studies/pairs-10.yaml
    python scripts/pairs_matrix.py            # -> results/pairs-10/matrix-METHOD.md, of each method that has run

The row "nothing" is the null: the first tasks of lives, whose transfer is 0, so that what they measure is chance.
Whole intervals stand in the study's own table of pairs (`nestrl report results/pairs-10`).
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import NormalDist

import numpy as np

from nestrl.report.comparison import comparisons
from nestrl.report.study_tables import transfers
from nestrl.report.tables import table
from nestrl.studies.study import open_study

FOLDER = Path(__file__).resolve().parents[1] / "results" / "pairs-10"
GOAL = -0.05
"""No pair should lie under it."""
SURE = NormalDist().inv_cdf(0.05)
"""Standard errors under 0 that chance alone passes in one pair of twenty."""

Lives = dict[tuple[str, str | None], list[float]]
"""By (task, task just before it; None at a life's start): forward transfer in each such life."""


def main() -> None:
    """Write the matrices."""
    (comparison,) = comparisons(open_study(FOLDER))
    tasks = comparison.methods[0].records[0].tasks
    for method in comparison.methods:
        found = transfers(method).items()
        lives = {pair: [value for value, _ in values if value is not None] for pair, values in found}
        text = matrix(lives, tasks) + "\n\n" + beside_chance(lives, comparison.reference_errors)
        (FOLDER / f"matrix-{method.label}.md").write_text(text + "\n")
        print(text)


def matrix(lives: Lives, tasks: Sequence[str]) -> str:
    """Return a row for each task that comes before, a column for each that comes after it."""
    rows = []
    for before in (None, *tasks):
        cells = (lives.get((task, before)) for task in tasks)
        rows.append([before or "nothing", *("" if found is None else f"{np.mean(found):.2f}" for found in cells)])
    return table(["after", *tasks], rows)


def beside_chance(lives: Lives, reference_errors: Mapping[str, float]) -> str:
    """Return how many pairs miss the goal, how many would by chance, and which do by more than chance explains."""
    firsts = deviation(found for (_, before), found in lives.items() if before is None)
    later = deviation(found for (_, before), found in lives.items() if before is not None)
    missed, by_chance, surely = 0, 0.0, []
    pairs = [(task, before, found) for (task, before), found in lives.items() if before is not None]
    for task, before, found in sorted(pairs):
        mean, reference = float(np.mean(found)), reference_errors[task]
        missed += mean < GOAL
        by_chance += NormalDist(0, float(np.hypot(firsts / np.sqrt(len(found)), reference))).cdf(GOAL)
        if mean < SURE * np.hypot(later / np.sqrt(len(found)), reference):
            surely.append(f"{task} after {before} ({mean:.2f})")
    return (
        f"{missed} of {len(pairs)} pairs are under {GOAL:.2f}; if nothing were transferred at all, {by_chance:.0f} "
        f"would be. {len(surely)} are lower than chance explains (one-sided 5 %, which chance alone passes "
        f"{len(pairs) / 20:.1f} times at most): {', '.join(surely)}. Chance is how forward transfer differs between "
        f"lives, by a standard deviation of {firsts:.2f} where nothing comes before (the first of these counts) and "
        f"{later:.2f} after the same task (the second), and what few reference curves leave open (a standard error of "
        f"{np.mean(list(reference_errors.values())):.2f} a task)."
    )


def deviation(groups: Iterable[Sequence[float]]) -> float:
    """Return the standard deviation within groups; raises SystemExit where no group has two."""
    values = [np.array(group) for group in groups if len(group) > 1]
    if not values:
        raise SystemExit("no pair has been lived twice yet, so nothing is known of chance; run more of the study")
    squares = sum(float(((group - group.mean()) ** 2).sum()) for group in values)
    return float(np.sqrt(squares / sum(len(group) - 1 for group in values)))


if __name__ == "__main__":
    main()
