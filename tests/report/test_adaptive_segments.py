"""Runs whose segments ended as their tasks were learned: in tables of their own, each with its own segments."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from synthetic_studies import EPISODES, record, write_study

from nestrl.errors import BadConfig
from nestrl.report.comparison import comparisons
from nestrl.report.figures import study_figures
from nestrl.report.pictures import draw_skills
from nestrl.report.study_tables import main_table, study_tables
from nestrl.report.tables import comparison_table, metrics_table
from nestrl.studies.ledger import Record, append, read_ledger
from nestrl.studies.study import Study, open_study
from nestrl.tasks.sequence import Segment, Task, TaskSequence
from nestrl.training.config import RunConfig
from nestrl.training.result import Run
from nestrl.training.run_folder import RunFolder

RULE = "adaptive to 0.9, patience 2"


def adaptive(method: str, seed: int, extra: int, all_at_the_end: bool = True) -> Record:
    """Return a run of two tasks, learned quickly, in which the first one comes back `extra` times."""
    learned = np.array([[0, 0], [EPISODES, 0], [EPISODES // 2, EPISODES]])
    last = EPISODES if all_at_the_end else EPISODES // 2
    counts = np.vstack([learned, *[[last, EPISODES]] * extra])
    n = len(counts)
    segments = ((0, 0, 1000), (1, 1000, 2000), *((0, 1000 * (2 + i), 1000 * (3 + i)) for i in range(extra)))
    made = record(method, seed, counts, ("reach", "slalom"), segment_rule=RULE, environment_steps=1000 * (n - 1))
    return replace(made, steps=tuple(range(0, 1000 * n, 1000)), segments=segments)


def study(folder: Path, records: list[Record]) -> Study:
    return open_study(write_study(folder / "made-up", records))


def test_runs_of_different_lengths_belong_together(tmp_path: Path) -> None:
    records = [adaptive(m, seed, seed + 1) for seed in range(3) for m in ("cloning", "finetune")]
    (comparison,) = comparisons(study(tmp_path, records))
    ages = next(table for table in study_tables(comparison) if table.name == "ages")
    assert len(ages.head) == 1 + 4  # the longest run has five segments
    assert all(row[1] is not None and row[4] is None for row in ages.rows)  # not every run has an age of four
    names = [figure.name for figure in study_figures(comparison, per_order=True)]
    assert {"retention-cloning", "life-cloning", "retention-cloning-order-0"} <= set(names)


def test_main_table_has_the_median_steps_until_all_stood_together_and_how_many_runs_came_there(tmp_path: Path) -> None:
    came = {"cloning": (True, False, True), "finetune": (True, False, False), "nested": (True, False)}
    records = [
        adaptive(method, seed, 2 + seed, all_at_the_end=there)
        for method, theirs in came.items()
        for seed, there in enumerate(theirs)
    ]
    table = main_table(comparisons(study(tmp_path, records))[0])
    column = table.head.index("steps to all, thousands: median (runs that came there)")
    found = {row[0]: row[column] for row in table.rows}
    assert found == {"cloning": "3 (2 of 3)", "finetune": "never (1 of 3)", "nested": "never (1 of 2)"}


def test_fixed_and_adaptive_runs_are_never_in_one_table(tmp_path: Path) -> None:
    records = [adaptive("cloning", 0, 1), replace(adaptive("finetune", 0, 1), segment_rule="fixed")]
    for allow in (False, True):
        with pytest.raises(BadConfig, match=r"adaptive to 0\.9, patience 2 \(cloning.*fixed \(finetune"):
            comparisons(study(tmp_path / str(allow), records), allow_mixed=allow)


def test_ledger_of_old_studies_has_fixed_segments(tmp_path: Path) -> None:
    append(tmp_path / "ledger.jsonl", record())
    text = (tmp_path / "ledger.jsonl").read_text()
    for more in (',"segment_rule":"fixed"', ',"target_success":0.9'):
        assert more in text
        text = text.replace(more, "")
    (tmp_path / "ledger.jsonl").write_text(text)
    (found,) = read_ledger(tmp_path / "ledger.jsonl")
    assert (found.segment_rule, found.target_success) == ("fixed", 0.9)


def as_run(folder: Path, made: Record, **options: object) -> Run:
    """Return a run that has the curves of a record."""
    tasks = tuple(Task(name, f"{name}-v0") for name in made.tasks)
    sequence = TaskSequence("two", tasks, tuple(Segment(name, 2000) for name in made.tasks))
    found = RunFolder(folder)
    found.create(RunConfig(sequence, made.method, seed=made.seed, **options))  # type: ignore[arg-type]
    found.save_curves(made.curves)
    found.save_metrics({})
    return Run(folder)


def test_table_of_runs_has_the_steps_and_refuses_a_mixture(tmp_path: Path) -> None:
    runs = [as_run(tmp_path / str(n), adaptive("cloning", n, n), segments="adaptive") for n in (1, 2)]
    head, _, row = comparison_table(runs).splitlines()
    assert head.split("|")[-2].strip() == "steps to all"
    assert row.split("|")[-2].strip() == "3,000 [3,000, 3,000]"
    assert "3,000" in metrics_table(runs[0])
    draw_skills(runs, tmp_path / "skills.png")
    fixed = as_run(tmp_path / "fixed", adaptive("cloning", 0, 1))
    other = as_run(tmp_path / "other", adaptive("cloning", 0, 1), segments="adaptive", target_success=0.8)
    for stranger in (fixed, other):
        with pytest.raises(BadConfig, match="never put in one table"):
            comparison_table([*runs, stranger])
