"""A study on disk: where its files are, and what it has come to so far.

results/<name>/study.yaml        as it was run last
results/<name>/command.txt       the command that did
results/<name>/finished.jsonl    the ledger, one line a run
results/<name>/references.json   the curves from scratch that fit its runs
results/<name>/time.json         how long it took
runs/<name>/                     the runs' folders; beside each its output (.log) and configuration (.json)
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from nestrl.errors import BadConfig, NestrlError
from nestrl.studies.ledger import Record, read_ledger
from nestrl.studies.plan import Cell, StudyPlan, read_outline, read_plan
from nestrl.studies.references import References
from nestrl.training.run_folder import changes_since, versions
from nestrl.training.writing import make_folder, write_command, write_file, write_json


@dataclass(frozen=True)
class Places:
    """Where the files of a study are."""

    results: Path
    """Its folder of results."""
    runs: Path
    """Its folder of runs."""

    @property
    def ledger(self) -> Path:
        """One line a run that ended."""
        return self.results / "finished.jsonl"

    @property
    def references(self) -> Path:
        """The reference curves."""
        return self.results / "references.json"

    @property
    def time(self) -> Path:
        """How long it took."""
        return self.results / "time.json"

    @property
    def lock(self) -> Path:
        """Locked by the process that runs the study, whose number it holds."""
        return self.runs / "lock"


def places(plan: StudyPlan, below: Path = Path()) -> Places:
    """Return where a study's files are, below a folder: the current one by default."""
    return Places(below / "results" / plan.name, below / "runs" / plan.name)


@dataclass(frozen=True)
class Study:
    """A study as it stands: its plan, the latest record of every run that ended, and the reference curves."""

    folder: Path
    plan: StudyPlan
    records: tuple[Record, ...]
    references: References
    unreadable: str = ""
    """Why the plan's file could not be read, so that nobody knows what is left to run; empty where it could."""

    @property
    def n_failed(self) -> int:
        """Number of runs that could not come to their end."""
        return sum(not record.finished for record in self.records)

    @property
    def left(self) -> tuple[Cell, ...]:
        """The runs that have not ended yet."""
        ended = {record.cell for record in self.records}
        return tuple(cell for cell in self.plan.cells if cell.name not in ended)


def write_what_is_run(path: Path, results: Path, name: str) -> None:
    """Write the file that is run (as `name`) and the command into a folder of results, which is made if need be."""
    make_folder(results)
    if path.resolve() != (results / name).resolve():
        write_file(results / name, path.read_bytes())
    write_command(results / "command.txt")


def note_versions(results: Path, say: Callable[[str], object]) -> None:
    """Write down what a search began with, once; after that, say what has another version now.

    Raises BadConfig where the file is damaged.
    """
    path = results / "versions.json"
    if not path.is_file():
        write_json(path, versions())
        return
    try:
        then = json.loads(path.read_text())
        changes = [f"{name} {before} (now {now or 'none'})" for name, before, now in changes_since(then)]
    except (ValueError, TypeError, AttributeError) as error:
        raise BadConfig(f"{path} is damaged ({error}); restore it, or move {results} away.") from error
    if changes:
        say(
            f"this search began with {', '.join(changes)}: what it finds now may not be of one kind with that of before"
        )


def open_study(folder: str | Path) -> Study:
    """Return the study whose results are in a folder. Raises BadConfig when it is none, or damaged."""
    folder = Path(folder)
    path, references = folder / "study.yaml", folder / "references.json"
    if not path.is_file():
        raise BadConfig(f"{folder} holds no study (no study.yaml); give a folder that `nestrl study` made.")
    found = read_references(references)
    records = tuple(read_ledger(folder / "finished.jsonl"))
    try:
        return Study(folder, read_plan(path), records, found)
    except NestrlError as error:  # of another version, or with modules that are not here: there is much to report
        return Study(folder, read_outline(path), records, found, unreadable=str(error))


def read_references(path: Path) -> References:
    """Return the reference curves of a study; none where there is no file. Raises BadConfig for a damaged one."""
    if not path.is_file():
        return {}
    try:
        found: References = json.loads(path.read_text())
        for curve in (curve for regime in found.values() for tasks in regime.values() for curve in tasks.values()):
            if len(curve["steps"]) != len(curve["success"]):
                raise ValueError("steps and success are not equally long lists")
        return found
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadConfig(f"{path} is damaged ({error}); delete it, and `nestrl study` writes it anew.") from error


def seconds_left(records: Sequence[Record], runs: int, workers: int) -> float | None:
    """Return the time that so many runs should take, by the mean of the finished ones; None without any."""
    seconds = mean_seconds(records)
    return None if seconds is None else seconds * runs / workers


def mean_seconds(records: Sequence[Record]) -> float | None:
    """Return the mean wall clock of the finished runs, or None if there are none."""
    seconds = [record.total_seconds for record in records if record.finished]
    return sum(seconds) / len(seconds) if seconds else None


def readable_time(seconds: float | None) -> str:
    """Return "3 h 05 min", "5 min", "40 s", or "?" for None."""
    if seconds is None:
        return "?"
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60:02} min"
