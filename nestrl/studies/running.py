"""Runs a study: what is left of it, side by side, each run recorded as it ends: a kill loses next to nothing."""

import fnmatch
import json
import os
import shlex
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from nestrl.errors import BadConfig, RunExists
from nestrl.evaluation.retention import average_performance
from nestrl.studies.ledger import Record, append, read_ledger
from nestrl.studies.outcome import (
    digest_of,
    digests_of_files,
    failed_record,
    finished_record,
    is_finished,
)
from nestrl.studies.plan import Cell, StudyPlan, read_plan
from nestrl.studies.pool import Ended, Job, Pool
from nestrl.studies.references import found_references, reference_jobs, what_is_missing
from nestrl.studies.study import (
    Places,
    Study,
    open_study,
    places,
    read_references,
    readable_time,
    seconds_left,
    write_what_is_run,
)
from nestrl.training.checkpoint import keep_newest
from nestrl.training.config import RunConfig
from nestrl.training.from_scratch import store
from nestrl.training.references import Versions
from nestrl.training.result import Run
from nestrl.training.run_folder import RunFolder
from nestrl.training.writing import locked, one_clear_error, write_json

REFERENCE_RUNS = Path("references")  # beside the studies' folders, as of `nestrl reference`
Say = Callable[[str], object]


def print_line(text: str) -> None:
    """Print a line at once, wherever standard output goes."""
    print(text, flush=True)


def run_study(
    path: Path, *, only: Sequence[str] = (), retry_failed: bool = False, below: Path = Path(), say: Say = print_line
) -> Study:
    """Run what a study has left, and return it as it then stands.

    path: the study's file. only: patterns, as of file names, of the runs to do now, without reference curves; none
    means all. retry_failed: go on with runs that have failed, too. below: the folder that holds runs/ and results/.
    say: takes one line for each run that ends, and what the user should know.

    Raises BadConfig for a file with a mistake, or whose runs were begun otherwise, or a pattern that fits no run;
    RunExists when another process runs the study; KeyboardInterrupt after Ctrl-C, when all is saved.
    """
    plan = read_plan(path)
    chosen = _chosen(plan, only)
    found = places(plan, below)
    with alone(found.lock):
        _refuse_changes(plan, found)
        write_what_is_run(path, found.results, "study.yaml")
        write_references(plan, found)
        running = Running(plan, found, say, retry_failed, chosen)
        running.run()
        if running.pool.stopped:
            options = [*(["--only", *only] if only else []), *(["--retry-failed"] if retry_failed else [])]
            raise stopped("nestrl", "study", path, *options)
    return open_study(found.results)


class Running:
    """A study while it runs: the chosen runs, or all of them and its reference curves."""

    def __init__(
        self, plan: StudyPlan, found: Places, say: Say, retry_failed: bool, chosen: Collection[Cell] | None
    ) -> None:
        self.plan, self.places, self.say = plan, found, say
        self.pool = Pool(plan.workers)
        self.records = {record.cell: record for record in read_ledger(found.ledger)}
        self._began, self._seconds_before = time.monotonic(), _seconds_so_far(found.time)
        self._references = {} if chosen else self._reference_jobs()
        self._chosen = chosen or plan.cells
        left = (cell for cell in self._chosen if self._is_left(cell, retry_failed))
        self._cells = {self._folder(cell): cell for cell in left}

    def run(self) -> None:
        """Make the reference curves that the plan asks for, then the runs."""
        if not self.plan.references:
            for sentence in what_is_missing(self.plan, read_references(self.places.references)):
                self.say(sentence)
        if self.plan.untuned:
            self.say(f"{self.plan.tuned} has nothing of {', '.join(self.plan.untuned)}: with their defaults")
        self._record_what_has_ended()
        self.say(f"{len(self._cells)} of {len(self._chosen)} runs to do, {self.pool.workers} side by side")
        try:
            for ended in self.pool.run(self._jobs()):
                if ended.job.folder in self._references:
                    self._end_reference(ended)
                else:
                    self._end(ended.job.folder, ended.error)
        finally:
            write_references(self.plan, self.places)
            self._write_time()

    def _reference_jobs(self) -> dict[Path, Job]:
        before, folder = read_references(self.places.references), self.places.runs.parent / REFERENCE_RUNS
        return reference_jobs(self.plan, folder, before, _versions_then(self.records.values()))

    def _is_left(self, cell: Cell, retry_failed: bool) -> bool:
        record = self.records.get(cell.name)
        return record is None or (retry_failed and not record.finished)

    def _folder(self, cell: Cell) -> Path:
        return self.places.runs / cell.name

    def _record_what_has_ended(self) -> None:
        """Record runs that came to their end when the study was killed before it could."""
        for folder in list(filter(is_finished, self._cells)):
            self._end(folder, None)

    def _jobs(self) -> Iterator[Job]:
        yield from self._references.values()
        yield from (Job(cell.name, cell.config, folder) for folder, cell in self._cells.items())

    def _end(self, folder: Path, error: str | None) -> None:
        cell = self._cells.pop(folder)
        try:
            record = failed_record(cell, error) if error else finished_record(cell, folder)
        except BadConfig as damage:  # the others go on; it is looked at again the next time
            self.say(f"{cell.name}: {damage}")
            return
        append(self.places.ledger, record)
        self.records[cell.name] = record
        if not error:
            keep_newest(RunFolder(folder).checkpoints)
        self._write_time()
        self.say(self._line(record))

    def _end_reference(self, ended: Ended) -> None:
        if ended.error is None:
            store(Run(ended.job.folder))
            keep_newest(RunFolder(ended.job.folder).checkpoints)
        self.say(f"{ended.job.name}: {ended.error or 'finished'}")

    def _line(self, record: Record) -> str:
        if record.finished:
            minutes, performance = record.total_seconds / 60, average_performance(record.curves)
            what = f"average performance {performance:.2f}, {minutes:.1f} min"
        else:
            what = f"failed: {record.error}"
        left = len(self._cells)
        remaining = readable_time(seconds_left(tuple(self.records.values()), left, self.pool.workers))
        return f"{record.cell}: {what}; {len(self._chosen) - left} of {len(self._chosen)}, {remaining} left"

    def _write_time(self) -> None:
        """Add up where the time went: the study's wall clock over all its sessions, and its runs' by activity."""
        spent = {"study": self._seconds_before + time.monotonic() - self._began}
        for record in self.records.values():
            for activity, amount in record.seconds.items():
                spent[activity] = spent.get(activity, 0.0) + amount
        content = {
            "cells": len(self.plan.cells),
            "finished": sum(record.finished for record in self.records.values()),
            "workers": self.pool.workers,
            "seconds": {activity: round(amount, 1) for activity, amount in spent.items()},
        }
        write_json(self.places.time, content)


def _chosen(plan: StudyPlan, only: Sequence[str]) -> list[Cell] | None:
    """Return the runs whose name fits one of the patterns; None without any, for all. Raises BadConfig if none fits."""
    for pattern in only:
        if not fnmatch.filter((cell.name for cell in plan.cells), pattern):
            raise BadConfig(f"no run of {plan.name} fits {pattern!r}; they are named as {plan.cells[0].name!r} is.")
    return [cell for cell in plan.cells if any(fnmatch.fnmatch(cell.name, each) for each in only)] if only else None


def write_references(plan: StudyPlan, found: Places) -> None:
    """Write down the curves that fit a study's runs; those that are there already and that nothing replaces stay."""
    then = _versions_then(read_ledger(found.ledger))
    write_json(found.references, found_references(plan, read_references(found.references), then))


def _seconds_so_far(path: Path) -> float:
    """Return the wall clock of a study's earlier sessions; 0 where nobody wrote it down, or the file is damaged."""
    try:
        return float(json.loads(path.read_text())["seconds"]["study"])
    except (OSError, ValueError, KeyError, TypeError):
        return 0.0


def _versions_then(records: Iterable[Record]) -> Versions | None:
    """Return the versions with which the first of the finished runs was made; None before there is one."""
    return next((record.versions for record in records if record.finished and record.versions), None)


def stopped(*command: object) -> KeyboardInterrupt:
    """Return what Ctrl-C raises in the end, with the command that goes on."""
    stop = KeyboardInterrupt()
    stop.add_note(f"All that ran is saved; go on with: {shlex.join(map(str, command))}")
    return stop


def process_of(lock: Path) -> int | None:
    """Return the number of the process that runs the study now, or None."""
    if not lock.is_file():
        return None
    with open(lock) as file:
        text = file.read()
        return int(text) if text.isdigit() and not locked(file, lock) else None


def who_is_at(lock: Path) -> str:
    """Return in words which process runs the study now."""
    process = process_of(lock)
    return f"process {process} is at it" if process else "no process is at it"


@contextmanager
def alone(lock: Path) -> Iterator[None]:
    """Hold the study's lock. Raises RunExists when another process does."""
    with one_clear_error(lock):
        lock.parent.mkdir(parents=True, exist_ok=True)
        file = open(lock, "a+")  # noqa: SIM115  (closed below)
    with file:
        if not locked(file, lock):
            process = process_of(lock)
            if process is None:  # it holds the lock and has not written its number yet
                raise RunExists(f"the study in {lock.parent} is being run by another process; wait for it")
            raise RunExists(
                f"the study in {lock.parent} is being run by process {process}; wait for it, or stop it with: "
                f"kill {process}"
            )
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        try:
            yield
        finally:
            file.truncate(0)


def _refuse_changes(plan: StudyPlan, found: Places) -> None:
    """Raise BadConfig if a run was begun with another configuration than the plan has for it now."""
    records = {record.cell: record for record in read_ledger(found.ledger)}
    for cell in plan.cells:
        folder = RunFolder(found.runs / cell.name)
        if folder.begun:
            before, now = asdict(folder.config_as_written()), asdict(cell.config.as_written)
        elif cell.name in records and records[cell.name].finished:
            before, now = _recorded(records[cell.name]), _to_be_recorded(cell.config, records[cell.name])
        else:
            continue
        for key, value in before.items():
            if value != now[key]:
                where, then, today = _first_difference(key, value, now[key])
                raise BadConfig(
                    f"{cell.name} was run with {where} {then!r}, but the study now has {today!r}; give the study "
                    f"another name, or move {found.runs} and {found.results} away."
                )


def _first_difference(where: str, before: Any, now: Any) -> tuple[str, Any, Any]:
    """Return where two values that are not equal first differ, and what stands there in each; None for nothing."""
    if isinstance(before, list | tuple) and isinstance(now, list | tuple):
        before, now = dict(enumerate(before)), dict(enumerate(now))
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        for key in (*before, *now):
            if key not in before or key not in now or before[key] != now[key]:
                return _first_difference(f"{where}.{key}", before.get(key), now.get(key))
    return where, before, now


def _recorded(record: Record) -> dict[str, Any]:
    """Return what a record says of the configuration; the last stands for all that no other key shows."""
    return {
        "method": record.method_name,
        "method_options": record.options,
        "tasks": record.trained_tasks if record.fixed else None,
        "agent": record.agent,
        "evaluation_episodes": record.episodes,
        "segments": record.segment_rule,
        "file": record.files,
        "other settings, whose digest is": record.digest,
    }


def _to_be_recorded(config: RunConfig, record: Record) -> dict[str, Any]:
    """Return the same of a configuration, as far as the record, which may be an older one, has it."""
    return {
        "method": config.method,
        "method_options": config.as_written.method_options,
        "tasks": tuple(each.task for each in config.sequence.segments) if config.segments == "fixed" else None,
        "agent": None if record.agent is None else config.agent.chosen,
        "evaluation_episodes": config.evaluation_episodes,
        "segments": config.segment_rule,
        "file": None if record.files is None else digests_of_files(config),
        "other settings, whose digest is": record.digest and digest_of(config),
    }
