"""Which skill hinders which: forward transfer of every task right after every other one, as a matrix.

    nestrl study scripts/studies/pairs-10.yaml
    python scripts/pairs_matrix.py            # -> results/pairs-10/matrix-METHOD.md, of each method that has run

Whole intervals stand in the study's own table of pairs (`nestrl report results/pairs-10`).
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from nestrl.report.comparison import MethodRuns, comparisons
from nestrl.report.study_tables import transfer_by_pair
from nestrl.report.tables import table
from nestrl.studies.study import open_study

FOLDER = Path(__file__).resolve().parents[1] / "results" / "pairs-10"


def rows(method: MethodRuns, tasks: Sequence[str]) -> Iterator[list[str]]:
    """Yield a row for each task that comes before, a column for each that comes after it."""
    found = transfer_by_pair(method)
    for before in tasks:
        cells = [found.get((task, before)) for task in tasks]
        yield [before, *("" if cell is None else f"{cell.estimate:.2f}" for cell in cells)]


def main() -> None:
    """Write the matrices."""
    (comparison,) = comparisons(open_study(FOLDER))
    tasks = comparison.methods[0].records[0].tasks
    for method in comparison.methods:
        text = table(["after", *tasks], rows(method, tasks))
        (FOLDER / f"matrix-{method.label}.md").write_text(text + "\n")
        print(text)


if __name__ == "__main__":
    main()
