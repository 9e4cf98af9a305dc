"""Tables of a search for a learner: a study whose regimes are learners.

python scripts/learner_search.py results/metaworld-learners results/levers-correlation    # writes table.md into each
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from nestrl.errors import BadConfig
from nestrl.report.tables import table
from nestrl.studies.ledger import Record, read_ledger


def learner(record: Record) -> tuple[str, str, int]:
    """Return what a row of the table is of: the learner and, where they differ, the method and the steps (about)."""
    return record.regime, record.method, round(record.steps[-1], -5)


def on_the_way(record: Record, task: str) -> float:
    """Return the mean success of a task over the evaluations of its own (first) segment, the first one left out."""
    index = record.tasks.index(task)
    start, end = next((first, last) for of, first, last in record.segments if of == index)
    within = (np.array(record.steps) > start) & (np.array(record.steps) <= end)
    return float(record.curves.success[within, index].mean())


def summed_up(records: Sequence[Record], task: str) -> str:
    """Return means over seeds: success at the end, on the way, and minutes of training where there is no other task."""
    if not records:
        return "–"
    successes, episodes = np.sum([record.final[task] for record in records], axis=0)
    way = np.mean([on_the_way(record, task) for record in records])
    alone = len(records[0].tasks) == 1
    minutes = np.mean([record.seconds["training"] / 60 for record in records])
    return f"{successes / episodes:.2f} ({way:.2f})" + (f" {minutes:.1f} min" if alone else "")


def search_table(folder: Path) -> str:
    """Return the table of a search in Markdown: a row a learner and method, a column a task."""
    records = [record for record in read_ledger(folder / "finished.jsonl") if record.finished]
    if not records:
        raise BadConfig(f"no run in {folder / 'finished.jsonl'} has finished yet; go on with the study first.")
    several = len({record.method for record in records}) > 1
    lengths = sorted({learner(record)[2] for record in records})
    columns = dict.fromkeys((record.sequence, task) for record in records for task in record.tasks)
    alone = all(len(record.tasks) == 1 for record in records)
    rows = []
    for regime, method, steps in dict.fromkeys(map(learner, records)):
        own = [record for record in records if learner(record) == (regime, method, steps)]
        cells = [summed_up([r for r in own if r.sequence == sequence], task) for sequence, task in columns]
        overall = [] if alone else [f"{np.mean([on_the_way(r, task) for r in own for task in r.tasks]):.2f}"]
        name = ", ".join([regime] + [method] * several + [f"{steps:,} steps"] * (alone and len(lengths) > 1))
        rows.append([name, str(len({r.seed for r in own})), *cells, *overall])
    minutes = (
        f", and minutes of training; about {' or '.join(f'{n:,}' for n in lengths)} steps on one core" if alone else ""
    )
    head = ["learner", "seeds", *(task for _, task in columns), *([] if alone else ["all, on the way"])]
    return (
        f"{table(head, rows)}\n\n"
        f"Success at the end of life (mean of the evaluations in the task's segment){minutes}. "
        "[study.yaml](study.yaml) says what each learner is.\n"
    )


def main() -> int:
    """Write the tables; return the exit code."""
    for folder in map(Path, sys.argv[1:]):
        (folder / "table.md").write_text(search_table(folder))
    return 0


if __name__ == "__main__":
    sys.exit(main())
