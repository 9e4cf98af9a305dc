"""Runs forked from one process that has imported everything: each begins at once, not after seconds of imports.

The study writes a line of JSON for each job, or "stop"; the nursery answers with a line for each job that has ended. It
dies with the study, and its children with it, so that no run is ever written by two studies.
"""

import ctypes
import json
import os
import select
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

LOOK_EVERY = 0.1  # seconds between looks at the children
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
"""Environment of the nursery; mujoco.batch takes as many threads as it likes, but all on a child's own cores."""
PR_SET_PDEATHSIG = 1  # of prctl(2)
STOP = b"stop"
STOPPED = 130  # exit status after a SIGINT, as of a shell

Act = Callable[[Path, Path], int]
"""What a child does with a configuration's file and a run's folder; returns its exit status."""


@dataclass(frozen=True)
class Order:
    """A run to be made."""

    config: str
    folder: str
    log: str
    """File that its output is added to."""
    cores: tuple[int, ...]


@dataclass(frozen=True)
class Child:
    """How a run has ended: its exit code as of subprocess, and the most memory that it needed, in bytes."""

    folder: str
    code: int
    memory: int


class Nursery:
    """The study's side: starts the process, and speaks with it."""

    def __init__(self, command: Sequence[str]) -> None:
        self._process: subprocess.Popen[bytes] = subprocess.Popen(
            [*command, str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | ONE_THREAD,
            start_new_session=True,  # Ctrl-C in the terminal reaches the study alone, which passes it on once
        )
        self._lines = Lines(self._stream("stdout"))
        os.set_blocking(self._stream("stdout"), False)

    @property
    def code(self) -> int | None:
        """The exit code of the process, which ends before it is closed only if it fails or is killed; else None."""
        return self._process.poll()

    def start(self, order: Order) -> None:
        """Let a child begin."""
        self._say(json.dumps(asdict(order)).encode())

    def stop(self) -> None:
        """Send SIGINT to all children."""
        self._say(STOP)

    def ended(self) -> Iterator[Child]:
        """Yield the children that have ended since the last call."""
        for line in self._lines.read():
            yield Child(**json.loads(line))

    def close(self) -> None:
        """Kill the process and what it still runs."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    def _say(self, line: bytes) -> None:
        try:
            os.write(self._stream("stdin"), line + b"\n")
        except BrokenPipeError:
            self._process.wait()  # it is dead, and `code` says so

    def _stream(self, name: str) -> int:
        return int(getattr(self._process, name).fileno())


class Lines:
    """Whole lines from a file descriptor. closed: whether the other side has ended."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor, self._rest, self.closed = descriptor, b"", False

    def read(self) -> list[bytes]:
        """Return the lines that have come; none where reading would block."""
        try:
            read = os.read(self._descriptor, 1 << 16)
        except BlockingIOError:
            return []
        self.closed = not read
        *lines, self._rest = (self._rest + read).split(b"\n")
        return lines


def serve(act: Act, study: int) -> None:
    """The nursery's side: let children `act` and say how each has ended, until the study has nothing more to say."""
    die_with(study)
    orders, running = Lines(sys.stdin.fileno()), dict[int, str]()
    while not orders.closed:
        if select.select([sys.stdin], [], [], LOOK_EVERY)[0]:
            for line in orders.read():
                _obey(line, act, running)
        for child in _reaped(running):
            print(json.dumps(asdict(child)), flush=True)


def die_with(parent: int) -> None:
    """Let the kernel kill this process when its parent dies."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it had died before
        os._exit(1)


def _obey(line: bytes, act: Act, running: dict[int, str]) -> None:
    if line == STOP:
        for pid in running:
            os.kill(pid, signal.SIGINT)
        return
    values: dict[str, Any] = json.loads(line)
    order, nursery = Order(**values | {"cores": tuple(values["cores"])}), os.getpid()
    pid = os.fork()
    if pid == 0:
        os._exit(_in_a_child(act, order, nursery))
    running[pid] = order.folder


def _in_a_child(act: Act, order: Order, nursery: int) -> int:
    """Do what was ordered with an output and cores of its own; nothing may leave this process but its status."""
    try:
        die_with(nursery)
        os.sched_setaffinity(0, order.cores)  # before it has begun any thread: all will be on these
        for mode, descriptors in ((os.O_RDONLY, (0,)), (os.O_WRONLY | os.O_APPEND | os.O_CREAT, (1, 2))):
            opened = os.open(order.log if mode & os.O_WRONLY else os.devnull, mode, 0o644)
            for descriptor in descriptors:
                os.dup2(opened, descriptor)
        return act(Path(order.config), Path(order.folder))
    except BaseException:  # whatever it was: the log says it, and the status that it was not well
        traceback.print_exc()
        return 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()


def _reaped(running: dict[int, str]) -> Iterator[Child]:
    while running:
        pid, status, usage = os.wait4(-1, os.WNOHANG)
        if not pid:
            return
        yield Child(running.pop(pid), os.waitstatus_to_exitcode(status), usage.ru_maxrss * 1024)
