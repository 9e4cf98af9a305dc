"""The folder of a run: what stands where, written so that a kill at any moment leaves it readable.

config.json        everything that determines the result
versions.json      of Python, the packages and the processor that the numbers depend on, and the commit in a clone
command.txt        the command that began the run
log.jsonl          all that was logged, one JSON object a line
curves.json        success of every task at every evaluation: all metrics come from here
metrics.json       retention matrix, metrics with their definitions, final success, where the time went; without forward
                   transfer, since the reference curves that it needs may come later (`Run.metrics` has it)
policy.safetensors the policy's weights, and policy.json what is needed to use them
checkpoints/       the last two, each enough to go on exactly
files/             copies of the files that the configuration names (a learned meta-controller), where it names any
"""

import json
import os
import platform
import re
import shlex
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.torch
from torch import Tensor

from nestrl.errors import BadConfig, DamagedCheckpoint, RunExists
from nestrl.evaluation.retention import SuccessCurves
from nestrl.tasks.union import UnionSpace
from nestrl.training.config import RunConfig, import_modules
from nestrl.training.writing import make_folder, only_one_writes, write_command, write_file, write_json

PACKAGES = ("nestrl", "mujoco", "torch", "numpy", "gymnasium", "stable-baselines3")
PHYSICS_OF_EXTRAS = ("envpool",)  # named only where they are installed


HALF_MADE = ("files", "versions.json", "versions.json.part", "command.txt", "command.txt.part", "config.json.part")
"""What may be in a folder that holds no run, since its maker was killed; `create` writes it anew."""


class RunFolder:
    """One run's folder: reads and writes its files, and knows nothing of what they mean."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    @property
    def checkpoints(self) -> Path:
        """The folder of the checkpoints."""
        return self.path / "checkpoints"

    @property
    def log(self) -> Path:
        """The log's path."""
        return self.path / "log.jsonl"

    def log_lines(self, event: str) -> list[dict[str, Any]]:
        """Return the log's lines of one kind, oldest first; a line that is being written is left out."""
        if not self.log.is_file():
            return []
        try:
            lines = self.log.read_text(encoding="utf-8").splitlines(keepends=True)
            events = [json.loads(line) for line in lines if line.endswith("\n")]
            return [line for line in events if line["event"] == event]
        except OSError as error:
            raise _unreadable(self.log, error) from error
        except (ValueError, LookupError, TypeError) as error:
            raise BadConfig(f"{self.log} is damaged ({error}); take it from a backup, or train anew.") from error

    @property
    def begun(self) -> bool:
        """Whether it holds a run, which may go on."""
        return os.path.isfile(self.path / "config.json")  # unlike Path.is_file it raises nothing for a name too long

    @property
    def reported(self) -> bool:
        """Whether the run in it has written its report, which is the last that it does."""
        return (self.path / "metrics.json").is_file()

    @property
    def resuming(self) -> str:
        """The command, for a shell, that goes on with the run."""
        return f"nestrl resume {shlex.quote(str(self.path))}"

    @property
    def what_is_saved(self) -> str:
        """What somebody whose run was broken off wants to know, in a sentence."""
        if self.reported:
            return f"The run in {self.path} is finished, and all of it is saved."
        saved = any(self.checkpoints.glob("*"))
        what = "What the last checkpoint holds is safe; go on" if saved else "Nothing is saved yet; begin anew"
        return f"{what} with: {self.resuming}"

    def require_free(self) -> None:
        """Raise RunExists if there is something already, other than what a kill in `create` has left."""
        if not os.path.lexists(self.path):
            return
        if not self.path.is_dir() or any(file.name not in HALF_MADE for file in self.path.iterdir()):
            resume = f"go on with it by `{self.resuming}`"
            remedy = resume if self.begun else "it holds no run, so move it away"
            raise RunExists(
                f"{self.path} exists already and is never overwritten; {remedy}, or choose another place with --folder."
            )

    def require_begun_as(self, config: RunConfig) -> None:
        """Raise BadConfig where the run in it was begun with another configuration, but for the device."""
        begun, wanted = self.config_as_written(), config.as_written
        if replace(begun, agent=replace(begun.agent, device=wanted.agent.device)) != wanted:
            raise BadConfig(
                f"{self.path} holds a run of another configuration; go on with it by `{self.resuming}`, or choose "
                "another place."
            )

    def create(self, config: RunConfig) -> None:
        """Make the folder with what is known before the first step."""
        content = config.to_json().encode()  # what cannot be written must leave no folder behind
        make_folder(self.path.parent)
        with only_one_writes(self.path):  # of two that begin here at once, one finds the other's run
            self.require_free()
            make_folder(self.path)
            write_json(self.path / "versions.json", versions())
            write_command(self.path / "command.txt")
            for path in files_in(config.method_options).values():
                make_folder(self._files)
                write_file(self._files / path.name, path.read_bytes())
            write_file(self.path / "config.json", content)  # last: a folder with it is a run

    @property
    def _files(self) -> Path:
        return self.path / "files"

    def with_own_files(self, config: RunConfig) -> RunConfig:
        """Return the run's configuration with its copies in place of the files that it names.

        These may have changed since, as a search that goes on writes its meta-controller anew, or be elsewhere.
        """
        return replace(config, method_options=self._with_own(config.method_options))

    def _with_own(self, value: Any) -> Any:
        if isinstance(value, Mapping):
            return {name: self._with_own(each) for name, each in value.items()}
        path = _file_in(value)
        own = None if path is None else self._files / Path(path).name
        return value.removesuffix(path) + str(own) if own is not None and own.is_file() else value

    def config(self) -> RunConfig:
        """Return the configuration, after importing the modules that it names."""
        config = self.config_as_written()
        import_modules(config.imports)
        return config

    def config_as_written(self) -> RunConfig:
        """Return the configuration; nothing is imported. Raises BadConfig where there is none, or a damaged one."""
        path = self.path / "config.json"
        if not self.begun:
            raise BadConfig(f"{self.path} is not a run folder (no config.json); give one that `nestrl train` made.")
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise BadConfig(f"{path} is damaged ({error}); take it from a backup, or train anew.") from error
        except OSError as error:
            raise _unreadable(path, error) from error
        return RunConfig.from_json(text, str(path))

    def versions_then(self) -> dict[str, str | None]:
        """Return the versions with which the run began. Raises BadConfig where they cannot be read."""
        try:
            return self._read("versions.json")
        except BadConfig as error:
            raise BadConfig(
                f"{self.path / 'versions.json'} is damaged or missing: what the run was made with is unknown; take it "
                "from a backup."
            ) from error

    def version_changes(self) -> list[str]:
        """Return what has another version now than when the run began, one sentence each."""
        try:
            then = self.versions_then()
        except BadConfig:
            return [f"versions.json cannot be read: whether {self.path} goes on bit for bit is not known"]
        return [
            f"this run began with {name} {before}, here is {now or 'none'}: it will not go on bit for bit"
            for name, before, now in changes_since(then)
            if name != "git"
        ]

    def save_curves(self, curves: SuccessCurves) -> None:
        """Write the success curves."""
        content = {
            "tasks": curves.task_names,
            "steps": curves.steps.tolist(),
            "success": curves.success.tolist(),
            "segments": curves.segments,
            "revisits_are_new": curves.revisits_are_new,
        }
        write_json(self.path / "curves.json", content)

    def curves(self) -> SuccessCurves:
        """Return the success curves; raises BadConfig when there are none yet or the file is damaged."""
        content = self._read("curves.json")
        try:
            return SuccessCurves(
                np.array(content["success"], float).reshape(-1, len(content["tasks"])),
                np.array(content["steps"], np.int64),
                tuple(content["tasks"]),
                tuple(tuple(segment) for segment in content["segments"]),
                content["revisits_are_new"],
            )
        except (KeyError, TypeError, ValueError) as error:
            raise self._damaged("curves.json", error) from error

    def save_metrics(self, content: Mapping[str, Any]) -> None:
        """Write metrics.json."""
        write_json(self.path / "metrics.json", content)

    def summary(self) -> dict[str, Any]:
        """Return metrics.json as it is."""
        return self._read("metrics.json")

    def save_policy(self, weights: Mapping[str, Tensor], union: UnionSpace, config: RunConfig) -> None:
        """Write the policy in files that run no code when they are loaded."""
        content = {name: tensor.detach().cpu().contiguous() for name, tensor in weights.items()}
        write_file(self.path / "policy.safetensors", safetensors.torch.save(content))
        description = {
            "tasks": config.sequence.task_names,
            "space": union.to_dict(),
            "layout": union.layout().splitlines(),
            "versions": versions(),
        }
        write_json(self.path / "policy.json", description)

    def require_no_policy(self) -> None:
        """Raise DamagedCheckpoint where there is a policy: it came after a checkpoint, which somebody has removed."""
        if (self.path / "policy.safetensors").is_file():
            raise DamagedCheckpoint(
                f"{self.checkpoints} holds no checkpoint, though this run has made some: it cannot go on. Put them "
                "back, or train anew in another folder; what is here stays as it is."
            )

    def policy(self) -> tuple[dict[str, Tensor], UnionSpace]:
        """Return the policy's weights and the space it acts in; raises BadConfig when they are missing or damaged."""
        description = self._read("policy.json")
        try:
            weights = safetensors.torch.load_file(self.path / "policy.safetensors")
            return weights, UnionSpace.from_dict(description["space"])
        except (OSError, LookupError, TypeError, ValueError, safetensors.SafetensorError) as error:
            raise self._damaged("policy.safetensors", error) from error

    def _read(self, name: str) -> dict[str, Any]:
        path = self.path / name
        try:
            content = json.loads(path.read_text())
        except FileNotFoundError as error:
            raise BadConfig(f"{path} is not there yet; train, or go on with `{self.resuming}`.") from error
        except OSError as error:
            raise _unreadable(path, error) from error
        except ValueError as error:
            raise self._damaged(name, error) from error
        if not isinstance(content, dict):
            raise self._damaged(name, f"it holds a {type(content).__name__}")
        return content

    def _damaged(self, name: str, error: Exception | str) -> BadConfig:
        return BadConfig(f"{self.path / name} is damaged ({error}); `{self.resuming}` writes it anew.")


def files_in(options: Mapping[str, Any], before: str = "") -> dict[str, Path]:
    """Return the files that options of a method name, by the option, as "meta_controller" or "nested.meta_controller".

    Files that are not there are left out.
    """
    found: dict[str, Path] = {}
    for name, value in options.items():
        if isinstance(value, Mapping):
            found |= files_in(value, f"{before}{name}.")
        elif (path := _file_in(value)) is not None and Path(path).is_file():
            found[before + name] = Path(path)
    return found


def _file_in(value: Any) -> str | None:
    """Return the path in an option such as "FILE.safetensors" or "shuffled:FILE.safetensors"; None in any other."""
    found = re.fullmatch(r"(?:\w+:)?(.+\.safetensors)", value) if isinstance(value, str) else None
    return None if found is None else found[1]


def _unreadable(path: Path, error: OSError) -> BadConfig:
    return BadConfig(f"{path} cannot be read ({error.strerror}); see to it that you may.")


def versions() -> dict[str, str | None]:
    """Return the versions that results depend on; `git` is the commit when nestrl runs from a clone, else None.

    "-dirty" behind it says that the clone had changes that are in no commit. `processor` is the kind of machine: sums
    are rounded differently on another one, so that equal seeds give equal bits only on the same.
    """
    found: dict[str, str | None] = {"python": platform.python_version(), "processor": _processor()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = None
    for package in PHYSICS_OF_EXTRAS:
        with suppress(PackageNotFoundError):
            found[package] = version(package)
    return found | {"git": _commit(Path(__file__).parents[2])}


def changes_since(then: Mapping[str, str | None]) -> list[tuple[str, str | None, str | None]]:
    """Return (name, version then, version now) of what is not the same; what `then` does not name is left out."""
    here = versions()
    return [(name, before, here.get(name)) for name, before in then.items() if before != here.get(name)]


@cache
def _processor() -> str | None:
    """Return the model's name where the system tells it, else the architecture."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine() or None


@cache  # the code that runs is that of the first look, whatever is committed meanwhile
def _commit(clone: Path) -> str | None:
    if not (clone / ".git").exists():
        return None
    command = ["git", "-C", str(clone), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=5, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None
