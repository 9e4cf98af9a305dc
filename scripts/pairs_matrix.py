"""Which skill hinders which: forward transfer of every task right after every other one, as a matrix.

    nestrl study scripts/studies/pairs-10.yaml
    python scripts/pairs_matrix.py            # -> results/pairs-10/matrix-METHOD.md, of each method that has run

The row "nothing" is the null: the first tasks of lives, whose transfer is 0, so that what they measure is chance.
Whole intervals stand in the study's own table of pairs (`nestrl report results/pairs-10`).
"""

from pathlib import Path
from statistics import NormalDist

import numpy as np

from nestrl.report.comparison import MethodRuns, comparisons
from nestrl.report.study_tables import transfers
from nestrl.report.tables import table
from nestrl.studies.study import open_study

FOLDER = Path(__file__).resolve().parents[1] / "results" / "pairs-10"
GOAL = -0.05
"""No pair should lie under it."""
SURE = NormalDist().inv_cdf(0.05)
"""Standard errors under 0 that chance alone passes in one pair of twenty."""


def matrix(values: dict[tuple[str, str | None], list[float]], tasks: tuple[str, ...]) -> str:
    """Return a row for each task that comes before, a column for each that comes after it."""
    rows = []
    for before in (None, *tasks):
        means = [np.mean(values[task, before]) if (task, before) in values else np.nan for task in tasks]
        rows.append([before or "nothing", *("" if np.isnan(mean) else f"{mean:.2f}" for mean in means)])
    return table(["after", *tasks], rows)


def beside_chance(values: dict[tuple[str, str | None], list[float]]) -> str:
    """Return what chance alone does to the goal, and how many pairs miss it by more."""
    first = np.concatenate([found for (_, before), found in values.items() if before is None])
    deviation = first.std(ddof=1)
    pairs = [found for (_, before), found in values.items() if before is not None]
    errors = [deviation / np.sqrt(len(found)) for found in pairs]
    missed = sum(np.mean(found) < GOAL for found in pairs)
    by_chance = sum(NormalDist(0, error).cdf(GOAL) for error in errors)
    surely = sum(np.mean(found) < SURE * error for found, error in zip(pairs, errors, strict=True))
    return (
        f"{missed} of {len(pairs)} pairs are under {GOAL:.2f}; if nothing were transferred at all, {by_chance:.0f} "
        f"would be. {surely} are lower than chance explains (one-sided 5 %), as {len(pairs) / 20:.0f} would be in that "
        f"case. Chance is what {len(first)} first tasks of lives show: a mean of {first.mean():.2f}, a standard "
        f"deviation of {deviation:.2f} a life; {np.mean([len(found) for found in pairs]):.1f} lives a pair."
    )


def main() -> None:
    """Write the matrices."""
    (comparison,) = comparisons(open_study(FOLDER))
    for method in comparison.methods:
        _write(method)


def _write(method: MethodRuns) -> None:
    values = {pair: [value for value, _ in found if value is not None] for pair, found in transfers(method).items()}
    text = matrix(values, method.records[0].tasks) + "\n\n" + beside_chance(values)
    (FOLDER / f"matrix-{method.label}.md").write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
