"""Runs side by side, each in a process and on cores of its own, so that none can stop, slow or starve another."""

import os
import signal
import sys
import time
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from nestrl.errors import BadConfig
from nestrl.studies.nursery import LOOK_EVERY, STOPPED, Nursery, Order
from nestrl.training.config import RunConfig
from nestrl.training.stopping import StopRequest
from nestrl.training.writing import make_folder, one_clear_error, write_file

WORKER = (sys.executable, "-m", "nestrl.studies.worker")


@dataclass(frozen=True)
class Job:
    """A run to be made or gone on with; what it prints goes to `folder`.log, its configuration to `folder`.json."""

    name: str
    config: RunConfig
    folder: Path

    @property
    def log(self) -> Path:
        """Where the output of the run's process stands."""
        return self.folder.with_name(self.folder.name + ".log")

    @property
    def config_file(self) -> Path:
        """Where the run's process finds its configuration."""
        return self.folder.with_name(self.folder.name + ".json")


@dataclass(frozen=True)
class Ended:
    """A job whose process has ended. `error` is one sentence, or None if all went well."""

    job: Job
    error: str | None


@dataclass(frozen=True)
class _Running:
    job: Job
    cores: tuple[int, ...]


class Pool:
    """At most `workers` processes; each has one torch thread, and cores that it shares with no other.

    stopped: whether Ctrl-C or SIGTERM has ended `run` before all was done; what ran was saved and can go on.
    """

    def __init__(self, workers: int = 0) -> None:
        cores = sorted(os.sched_getaffinity(0))
        self.workers = n_workers(workers)
        self.stopped = False
        self._free = [tuple(cores[first :: self.workers]) for first in range(self.workers)]
        self._running: dict[str, _Running] = {}  # by folder
        self._nursery: Nursery | None = None
        self._biggest = 0  # bytes that the hungriest process so far has needed

    def run(self, jobs: Iterable[Job]) -> Iterator[Ended]:
        """Run all jobs, in this order, and yield each when its process has ended.

        After Ctrl-C or SIGTERM the processes are asked to save and waited for; after a second one they are killed and
        KeyboardInterrupt is raised.
        """
        waiting = deque(jobs)
        with StopRequest() as stop:
            try:
                while self._running or (waiting and not self.stopped):
                    if stop.made and not self.stopped:
                        self._ask_to_save()
                    while waiting and not self.stopped and self._has_room():
                        self._start(waiting.popleft())
                    yield from self._ended()
                    time.sleep(LOOK_EVERY)
                self.stopped |= stop.made  # also while the last one ended
            finally:
                self._close()

    def _has_room(self) -> bool:
        """Whether cores are free, and memory for one more like the biggest yet; the first may always start."""
        return bool(self._free) and (not self._running or available_memory() > self._biggest)

    def _start(self, job: Job) -> None:
        make_folder(job.folder.parent)
        write_file(job.config_file, job.config.to_json().encode())
        with one_clear_error(job.log):
            job.log.touch()
        running = _Running(job, self._free.pop(0))
        self._running[str(job.folder)] = running
        if self._nursery is None:
            self._nursery = Nursery(WORKER)
        self._nursery.start(Order(str(job.config_file), str(job.folder), str(job.log), running.cores))

    def _ended(self) -> Iterator[Ended]:
        if self._nursery is None:
            return
        code = self._nursery.code  # before reading, so that nothing that it has said is missed
        for child in self._nursery.ended():
            self._biggest = max(self._biggest, child.memory)
            yield from self._end(child.folder, child.code)
        if code is not None:
            self._close_nursery()
            for folder in list(self._running):
                yield from self._end(folder, code)

    def _end(self, folder: str, code: int) -> Iterator[Ended]:
        running = self._running.pop(folder)
        self._free.append(running.cores)
        if not (self.stopped and code):  # else it was stopped on the way
            yield Ended(running.job, _what_went_wrong(code, running.job.log))

    def _ask_to_save(self) -> None:
        self.stopped = True
        if self._nursery is not None:
            self._nursery.stop()

    def _close(self) -> None:
        """End what still runs, after an error or a second Ctrl-C."""
        self._close_nursery()
        self._running.clear()

    def _close_nursery(self) -> None:
        if self._nursery is not None:
            self._nursery.close()
        self._nursery = None


def n_workers(wanted: int) -> int:
    """Return how many processes run side by side where so many are wanted: at most one a core, as many for 0."""
    cores = len(os.sched_getaffinity(0))
    return min(wanted or cores, cores)


def available_memory() -> int:
    """Return the bytes that new processes could take without swapping."""
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    raise BadConfig("/proc/meminfo does not say MemAvailable; a study needs Linux 3.14 or later.")


def _what_went_wrong(code: int, log: Path) -> str | None:
    """Return one sentence about a process that ended with this exit code, and where its output is; None if well."""
    if code == 0:
        return None
    if code < 0:
        remedy = "; perhaps memory ran out" if -code == signal.SIGKILL else ""
        return f"killed by {signal.Signals(-code).name}{remedy}; output: {log}"
    if code == STOPPED:
        return f"stopped by a signal that did not come from the study; output: {log}"
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return f"{lines[-1] if lines else f'exit status {code}'} Output: {log}"
