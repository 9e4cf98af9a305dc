"""The ledger of a study: one line of JSON for each run that ended, only ever appended.

A kill in the middle of a line leaves a torn one; it is ignored when reading and removed before the next is written.
"""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from nestrl.decode import decode
from nestrl.errors import BadConfig, UnknownName
from nestrl.evaluation.retention import TARGET_SUCCESS, SuccessCurves
from nestrl.training.writing import one_clear_error

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

FINISHED, FAILED = "finished", "failed"
Line = TypeVar("Line")


@dataclass(frozen=True)
class Record:
    """What came of one run. A failed one has only what stands before `error`, and that."""

    cell: str
    """Name of the run and of its folder."""
    method: str
    """The label in the study."""
    method_name: str
    """The name in `nestrl list methods`."""
    options: Mapping[str, Any]
    """Options of the method."""
    regime: str
    sequence: str
    order: int
    tasks: tuple[str, ...]
    """In the order of the columns of `counts`."""
    seed: int
    status: str
    """FINISHED or FAILED."""
    error: str = ""
    """One sentence and the log's path."""
    steps: tuple[int, ...] = ()
    """Environment steps of the whole life at each evaluation."""
    counts: tuple[tuple[int, ...], ...] = ()
    """Successes of each task at each evaluation, of `episodes`."""
    episodes: int = 0
    segments: tuple[tuple[int, int, int], ...] = ()
    """Index of the task, first and last step."""
    revisits_are_new: bool = False
    final: Mapping[str, Sequence[int]] = field(default_factory=dict)
    """Successes and episodes of each task at the end, on starts that the curves did not use."""
    seconds: Mapping[str, float] = field(default_factory=dict)
    """Wall clock by activity."""
    memory_bytes: int = 0
    """What the method stores beside the network while the last task is trained: what it keeps of those before."""
    environment_steps: int = 0
    network: tuple[int, ...] = ()
    n_parameters: int = 0
    versions: Mapping[str, str | None] = field(default_factory=dict)
    segment_rule: str = "fixed"
    """How its segments ended, in words."""
    target_success: float = TARGET_SUCCESS
    """Success at which a task counts as learned, for steps_to_all."""
    agent: Mapping[str, Any] | None = None
    """Settings of the learner that are not the defaults; None in older records."""
    digest: str = ""
    """Digest of the whole configuration; empty in older records."""
    files: Mapping[str, str] | None = None
    """Digest of each file that an option of the method names, by the option; None in older records."""

    def __post_init__(self) -> None:
        if not self.finished:
            return
        rows = len(self.counts) == len(self.steps) and all(len(row) == len(self.tasks) for row in self.counts)
        trained = all(0 <= task < len(self.tasks) for task, _, _ in self.segments)
        if not (self.steps and self.episodes > 0 and rows and trained and {*self.final} <= {*self.tasks}):
            raise BadConfig("its steps, counts, episodes, segments, final and tasks do not belong together")

    @property
    def finished(self) -> bool:
        """Whether the run came to its end."""
        return self.status == FINISHED

    @property
    def fixed(self) -> bool:
        """Whether every segment lasted as long as it was planned."""
        return self.segment_rule == "fixed"

    @property
    def trained_tasks(self) -> tuple[str, ...]:
        """The tasks in the order of the segments; without what adaptive ones add, which is each run's own."""
        names = [self.tasks[task] for task, _, _ in self.segments]
        return tuple(names if self.fixed else dict.fromkeys(names))

    @property
    def curves(self) -> SuccessCurves:
        """Success of every task at every evaluation. Raises BadConfig for a failed run."""
        if not self.finished:
            raise BadConfig(f"run {self.cell} has failed and has no curves: {self.error}")
        success = np.array(self.counts, float) / self.episodes
        steps = np.array(self.steps, np.int64)
        return SuccessCurves(success, steps, self.tasks, self.segments, self.revisits_are_new)

    @property
    def total_seconds(self) -> float:
        """Wall clock of the whole run."""
        return sum(self.seconds.values())


def read_ledger(path: Path) -> list[Record]:
    """Return the latest record of each run, in the order of their first lines; none where there is no file.

    Raises BadConfig for a line that is damaged, unless it is a torn last one.
    """
    return list({record.cell: record for record in read_lines(path, Record)}.values())


def read_lines(path: Path, kind: type[Line]) -> list[Line]:
    """Return every line as a dataclass of this kind; none where there is no file.

    Raises BadConfig for a line that is damaged, unless it is a torn last one.
    """
    if not path.is_file():
        return []
    found: list[Line] = []
    *lines, _ = path.read_bytes().split(b"\n")  # behind the last newline: nothing, or a torn line
    for number, line in enumerate(lines, start=1):
        where = f"{path}, line {number}"
        try:
            found.append(decode(kind, json.loads(line), where))
        except (ValueError, UnknownName) as error:  # also UnicodeDecodeError and BadConfig
            raise BadConfig(f"{where} is damaged ({error}); remove it, and its run is recorded again.") from error
    return found


def append(path: Path, record: "DataclassInstance") -> None:
    """Add a line and bring it to the disk. By one process at a time. Raises NestrlError when the disk is full."""
    line = json.dumps(asdict(record), separators=(",", ":")) + "\n"
    with one_clear_error(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_torn_line(path)
        with open(path, "ab") as file:  # which writes all of the line, or raises
            file.write(line.encode())
            file.flush()
            os.fsync(file.fileno())


def remove_torn_line(path: Path) -> None:
    """Cut off the part of a line with which a kill has left the file; what stands before it is not touched."""
    if not path.is_file():
        return
    with one_clear_error(path), open(path, "r+b") as file:
        content = file.read()
        if not content.endswith(b"\n"):
            file.truncate(content.rfind(b"\n") + 1)
