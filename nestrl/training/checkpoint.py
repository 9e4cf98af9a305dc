"""Checkpoints: one file with everything that determines the future of a run, safe to load from a stranger.

A file holds tensors, numbers, text and containers of them only, so it is read with torch's `weights_only` and runs no
code. Its name carries the steps and the first half of its SHA-256, so damage is noticed before anything is used.
"""

import hashlib
import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from nestrl.errors import BadConfig, DamagedCheckpoint, NestrlError, in_words
from nestrl.training.writing import one_clear_error, write_file

FORMAT = 3  # of what a checkpoint of a run holds
KEPT = 2  # the newest, and one older should the newest be damaged
DIGEST_LENGTH = 32  # hexadecimal digits of the SHA-256 in the name
ARRAY = "nestrl.array"  # key of the wrapper by which a NumPy array becomes a tensor and comes back as an array


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint held, where it was read, and the newer ones that could not be used."""

    state: dict[str, Any]
    path: Path
    damaged: tuple[Path, ...] = ()

    @property
    def left_aside(self) -> list[str]:
        """One sentence for each newer one that is damaged."""
        return [f"{path} is damaged and left aside; going on from the older {self.path.name}." for path in self.damaged]


def save(folder: Path, steps: int, state: Mapping[str, Any]) -> Path:
    """Write `state` (tensors, arrays, primitives, containers) after `steps` steps; keep the last two; return the path.

    Raises NestrlError when the disk is full; the earlier checkpoints are then untouched.
    """
    content = io.BytesIO()
    torch.save(to_tensors({"format": FORMAT, **state}, "state"), content)
    digest = hashlib.sha256(content.getbuffer()).hexdigest()[:DIGEST_LENGTH]
    path = folder / f"step-{steps:012d}-{digest}.pt"
    with one_clear_error(path):
        folder.mkdir(exist_ok=True)
    write_file(path, content.getbuffer())
    others = [old for old in _newest_first(folder) if old != path]
    for old in (*others[KEPT - 1 :], *folder.glob("*.part")):  # a kill in the middle of one leaves its part
        old.unlink(missing_ok=True)
    return path


def keep_newest(folder: Path) -> None:
    """Delete all checkpoints but the newest, which is all that a finished run needs."""
    for old in _newest_first(folder)[1:]:
        old.unlink(missing_ok=True)


def load_newest(folder: Path) -> Checkpoint | None:
    """Return the newest undamaged checkpoint, or None when there is none at all.

    Raises DamagedCheckpoint when there are checkpoints and every one is damaged, or the newest is of another format.
    """
    damaged: list[Path] = []
    for path in _newest_first(folder):
        try:
            found = Checkpoint(_load(path), path, tuple(damaged))
        except DamagedCheckpoint:
            damaged.append(path)
            continue
        if found.state.get("format") != FORMAT:
            raise DamagedCheckpoint(
                f"{path} has format {found.state.get('format')}, not {FORMAT}; use the nestrl that it was written with."
            )
        return found
    if damaged:
        names = ", ".join(path.name for path in damaged)
        raise DamagedCheckpoint(
            f"every checkpoint in {folder} is damaged ({names}); restore one from a backup, or train anew in another "
            "folder."
        )
    return None


@contextmanager
def used(path: Path) -> Iterator[None]:
    """Raise DamagedCheckpoint in place of what goes wrong when the state of a checkpoint is put to use.

    Its bytes are what was written, so what misses an entry or has another shape was written by other code.
    """
    try:
        yield
    except NestrlError:
        raise
    except (LookupError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        raise DamagedCheckpoint(
            f"{path} does not fit this nestrl or this configuration ({in_words(error)}); use the nestrl "
            "and the config.json that it was written with, or train anew in another folder."
        ) from error


def _load(path: Path) -> dict[str, Any]:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DamagedCheckpoint(f"{path} cannot be read: {error.strerror}.") from error
    if not path.stem.endswith("-" + hashlib.sha256(content).hexdigest()[:DIGEST_LENGTH]):
        raise DamagedCheckpoint(f"{path} is not what was written: it was cut short or altered.")
    try:
        state: dict[str, Any] = _to_arrays(torch.load(io.BytesIO(content), map_location="cpu", weights_only=True))
    except Exception as error:  # torch raises many kinds for a file that is not a checkpoint
        raise DamagedCheckpoint(f"{path} is not a checkpoint of nestrl: {error}") from error
    if not isinstance(state, dict):
        raise DamagedCheckpoint(f"{path} is not a checkpoint of nestrl: it holds a {type(state).__name__}.")
    return state


def _newest_first(folder: Path) -> list[Path]:
    times: dict[Path, int] = {}
    for path in folder.glob("step-*.pt"):
        with suppress(FileNotFoundError):  # its trainer has just removed it
            times[path] = path.stat().st_mtime_ns
    return sorted(times, key=lambda path: (path.name[:17], times[path]), reverse=True)


def to_tensors(value: Any, where: str) -> Any:
    """Return a state as torch stores it; BadConfig for what a checkpoint cannot hold, `where` says whose it is."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return {ARRAY: torch.from_numpy(np.array(value))}
    if isinstance(value, Mapping):
        return {key: to_tensors(item, f"{where}.{key}") for key, item in value.items()}
    if isinstance(value, list | tuple):
        items = [to_tensors(item, f"{where}[{i}]") for i, item in enumerate(value)]
        return items if isinstance(value, list) else tuple(items)  # of a NamedTuple the values
    if isinstance(value, torch.Tensor):
        return value.cpu()  # any machine can read it
    if value is None or isinstance(value, bool | int | float | str | bytes):
        return value
    raise BadConfig(f"{where} is a {type(value).__name__}; a checkpoint holds tensors, arrays and plain values only.")


def _to_arrays(value: Any) -> Any:
    if isinstance(value, dict):
        return value[ARRAY].numpy() if ARRAY in value else {key: _to_arrays(item) for key, item in value.items()}
    return type(value)(map(_to_arrays, value)) if isinstance(value, list | tuple) else value
