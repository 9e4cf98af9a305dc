"""Writing that survives a kill, a power cut and a full disk: the old content or the new, never a half."""

import fcntl
import io
import json
import math
import os
import shlex
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, Self

from nestrl.errors import BadConfig, DamagedCheckpoint, NestrlError, RunExists


def write_file(path: Path, content: bytes | memoryview) -> None:
    """Replace the content of `path` in one instant, or raise NestrlError (disk full, no permission) and leave it."""
    part = path.with_name(path.name + ".part")
    with one_clear_error(path):
        try:
            with open(part, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(part, path)
        except BaseException:
            part.unlink(missing_ok=True)  # gives the space back
            raise
        _sync_folder(path.parent)


def write_command(path: Path) -> None:
    """Write the command line of this process, as a user would type it anywhere."""
    program, *arguments = sys.argv
    installed = Path(program).name in ("nestrl", "cli.py")  # as a script, or `python -m nestrl.cli`
    write_file(path, os.fsencode(shlex.join(["nestrl" if installed else program, *arguments]) + "\n"))


def write_figure(path: Path, figure: Any) -> None:
    """Draw a matplotlib figure into a file of the kind that its name says, png without one; make its folder."""
    make_folder(path.parent)
    content, kind = io.BytesIO(), path.suffix.removeprefix(".") or "png"
    if kind not in figure.canvas.get_supported_filetypes():
        raise BadConfig(f"{path} cannot be drawn: no figure is a .{kind}; use .png, .svg or .pdf.")
    figure.savefig(content, format=kind, dpi=150)
    write_file(path, content.getvalue())


def write_json(path: Path, content: object) -> None:
    """Write readable JSON as `write_file` does; NaN and infinity become null."""
    write_file(path, (json.dumps(_finite(content), indent=2) + "\n").encode())


def make_folder(path: Path) -> None:
    """Make a folder, and those that hold it, where there is none; or raise NestrlError."""
    with one_clear_error(path):
        path.mkdir(parents=True, exist_ok=True)


@contextmanager
def one_clear_error(path: Path) -> Iterator[None]:
    """Turn an OSError into one sentence that says what to do."""
    try:
        yield
    except OSError as error:
        raise NestrlError(
            f"could not write {path}: {error.strerror or error}. What was saved before is untouched; mend the cause "
            "(free some space, or choose another place), then continue: with `nestrl resume` where a run had begun."
        ) from error


def locked(file: IO[Any], path: Path) -> bool:
    """Take the lock of an open file and return True, or False where another process has it. Raises NestrlError."""
    with one_clear_error(path):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


@contextmanager
def only_one_writes(path: Path) -> Iterator[None]:
    """Wait until no other process reads a file in a folder in order to write it anew, and keep others waiting."""
    with one_clear_error(path):
        folder = os.open(path.parent, os.O_RDONLY)  # whose lock leaves no file behind
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


class Log:
    """log.jsonl: one JSON object a line, only ever appended, and by one process at a time.

    It holds nothing that depends on the clock, so a resumed run's log equals that of a run never stopped.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with one_clear_error(path):
            self._file = open(path, "ab")  # noqa: SIM115  (closed by close)
        if not locked(self._file, path):
            self._file.close()
            raise RunExists(f"{path.parent} is being written by another process; wait for it or stop it.")

    def write(self, event: str, **values: Any) -> None:
        """Append one line."""
        with one_clear_error(self.path):
            self._file.write((json.dumps(_finite({"event": event} | values)) + "\n").encode())
            self._file.flush()

    def sync(self) -> int:
        """Bring everything to the disk and return the length in bytes."""
        with one_clear_error(self.path):
            self._file.flush()
            os.fsync(self._file.fileno())
        return self._file.tell()

    def cut(self, length: int) -> None:
        """Forget what was written after a checkpoint: keep the first `length` bytes.

        Raises DamagedCheckpoint if there are fewer.
        """
        with one_clear_error(self.path):
            if not 0 <= length <= self.path.stat().st_size:
                raise DamagedCheckpoint(
                    f"{self.path} should have at least the {length} bytes that it had when the checkpoint was written: "
                    "it was cut or exchanged. Put it back from a backup, or train anew in another folder."
                )
            self._file.truncate(length)
            self._file.seek(0, os.SEEK_END)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        """Close the file and let others write; on a full disk the last lines are lost, and resume writes them again."""
        with suppress(OSError):
            self._file.close()


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
