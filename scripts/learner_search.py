"""Tables of a search for a learner: a study whose regimes are learners and whose sequences are one task each.

python scripts/learner_search.py results/metaworld-learners results/metaworld-learners-2    # writes table.md into each
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from nestrl.report.tables import table
from nestrl.studies.ledger import Record, read_ledger


def summed_up(records: Sequence[Record]) -> str:
    """Return means over seeds: success at the end, success on the way, minutes of training."""
    if not records:
        return "–"
    final = [np.array(list(record.final.values())).sum(0) for record in records]
    end = np.mean([successes / episodes for successes, episodes in final])
    way = np.mean([record.curves.success[1:].mean() for record in records])
    minutes = np.mean([record.seconds["training"] / 60 for record in records])
    return f"{end:.2f} ({way:.2f}) {minutes:.1f} min"


def search_table(folder: Path) -> str:
    """Return the table of a search in Markdown: a row a learner, a column a task."""
    records = [record for record in read_ledger(folder / "finished.jsonl") if record.finished]
    tasks, learners = (list(dict.fromkeys(getattr(r, axis) for r in records)) for axis in ("sequence", "regime"))

    def of(learner: str, task: str) -> list[Record]:
        return [record for record in records if (record.regime, record.sequence) == (learner, task)]

    rows = [[learner, *(summed_up(of(learner, task)) for task in tasks)] for learner in learners]
    steps, seeds = max(record.steps[-1] for record in records), sorted({record.seed for record in records})
    return (
        f"{table(['learner', *tasks], rows)}\n\n"
        f"Success after {steps:,} steps (mean of the evaluations on the way) and minutes of training on one core; "
        f"seeds {', '.join(map(str, seeds))}. [study.yaml](study.yaml) says what each learner is.\n"
    )


def main() -> int:
    """Write the tables; return the exit code."""
    for folder in map(Path, sys.argv[1:]):
        (folder / "table.md").write_text(search_table(folder))
    return 0


if __name__ == "__main__":
    sys.exit(main())
