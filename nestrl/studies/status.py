"""How far a study is, as a table; looking at it runs and writes nothing."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Group
from rich.table import Table
from rich.text import Text

from nestrl.studies.ledger import read_ledger
from nestrl.studies.plan import Cell, read_plan
from nestrl.studies.pool import n_workers
from nestrl.studies.running import who_is_at
from nestrl.studies.study import Study, mean_seconds, places, readable_time, seconds_left
from nestrl.training.run_folder import RunFolder


def status(path: Path, below: Path = Path()) -> Group:
    """Return a table of methods and regimes with their runs finished, begun, failed and to do, and the time left.

    path: the study's file. below: the folder that holds runs/ and results/. Raises BadConfig for a mistake in the file.
    """
    plan = read_plan(path)
    found = places(plan, below)
    study = Study(found.results, plan, tuple(read_ledger(found.ledger)), {})
    begun = {cell.name for cell in study.left if RunFolder(found.runs / cell.name).begun}
    table = Table(title=plan.name)
    for column in ("method", "regime"):
        table.add_column(column)
    for column in ("finished", "begun", "failed", "to do", "a run"):
        table.add_column(column, justify="right")
    for method in plan.methods:
        for regime in plan.regimes:
            cells = [cell for cell in plan.cells if (cell.method, cell.regime) == (method, regime)]
            table.add_row(method, regime, *_row(study, cells, begun))
    table.add_section()
    table.add_row("all", "", *_row(study, plan.cells, begun), style="bold")
    workers, n_left = n_workers(plan.workers), len(study.left)
    left = (
        f"{n_left} runs left, about {readable_time(seconds_left(study.records, n_left, workers))} "
        f"with {workers} side by side; {who_is_at(found.lock)}"
    )
    failed = [f"{record.cell} failed: {record.error}" for record in study.records if not record.finished]
    return Group(table, *map(Text, [left, *failed]))


def _row(study: Study, cells: Sequence[Cell], begun: set[str]) -> list[str]:
    names = {cell.name for cell in cells}
    records = [record for record in study.records if record.cell in names]
    finished = sum(record.finished for record in records)
    now = len(names & begun)
    counts = [finished, now, len(records) - finished, len(names) - len(records) - now]
    return [*map(str, counts), readable_time(mean_seconds(records))]
