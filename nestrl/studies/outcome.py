"""What came of one run of a study, read from its folder."""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import safetensors

from nestrl.errors import BadConfig
from nestrl.studies.ledger import FAILED, FINISHED, Record
from nestrl.studies.plan import Cell
from nestrl.training.config import RunConfig
from nestrl.training.run_folder import RunFolder, files_in

NOT_LEARNED = "normalizer."  # what the policy's file holds beside its parameters


def is_finished(folder: Path) -> bool:
    """Return whether the run in a folder, if there is one, came to its end."""
    run = RunFolder(folder)
    if not run.reported:
        return False
    try:
        return run.curves().complete
    except BadConfig:
        return False


def finished_record(cell: Cell, folder: Path) -> Record:
    """Return the record of a run that came to its end. Raises BadConfig when a file is missing or damaged."""
    try:
        return _finished_record(cell, folder)
    except (OSError, KeyError, TypeError, AttributeError, ValueError, safetensors.SafetensorError) as error:
        raise BadConfig(f"{folder} has ended, but is damaged ({error}); move it away, and it is run anew.") from error


def _finished_record(cell: Cell, folder: Path) -> Record:
    run, config = RunFolder(folder), cell.config
    curves, summary = run.curves(), run.summary()
    final = {task: (found["successes"], found["episodes"]) for task, found in summary["final_success"].items()}
    counts = np.rint(curves.success * config.evaluation_episodes).astype(int)
    return replace(
        _begun(cell),
        status=FINISHED,
        steps=tuple(curves.steps.tolist()),
        counts=tuple(map(tuple, counts.tolist())),
        episodes=config.evaluation_episodes,
        segments=curves.segments,
        revisits_are_new=curves.revisits_are_new,
        final=final,
        seconds=summary["seconds"],
        memory_bytes=_memory_bytes(folder),
        environment_steps=int(curves.steps[-1]),
        network=config.agent.network,
        n_parameters=_n_parameters(folder),
        versions=run.versions_then(),
        segment_rule=config.segment_rule,
        target_success=config.target_success,
        agent=config.agent.chosen,
        digest=digest_of(config),
        files=digests_of_files(run.with_own_files(config)),
    )


def digest_of(config: RunConfig) -> str:
    """Return a short text that differs for every other configuration; settings with their default do not matter."""
    return _digest(json.dumps(_chosen(config), sort_keys=True).encode())


def digests_of_files(config: RunConfig) -> dict[str, str]:
    """Return a short text for the content of each file that an option of the method names, by the option."""
    return {name: _digest(path.read_bytes()) for name, path in files_in(config.method_options).items()}


def failed_record(cell: Cell, error: str) -> Record:
    """Return the record of a run that could not come to its end, for the reason given in one sentence."""
    return replace(_begun(cell), error=error)


def _begun(cell: Cell) -> Record:
    """Return a record with what was known before the run began: that of a failed one, but for the error."""
    config = cell.config
    return Record(
        cell=cell.name,
        method=cell.method,
        method_name=config.method,
        options=config.method_options,
        regime=cell.regime,
        sequence=cell.sequence,
        order=cell.order,
        tasks=config.sequence.task_names,
        seed=cell.seed,
        status=FAILED,
    )


def _memory_bytes(folder: Path) -> int:
    """Return what the method said that it stores, and keeps to recognise tasks by, at the last line of training.

    0 if it never says.
    """
    said = (RunFolder(folder).log_lines("training") or [{"method": {}}])[-1]["method"]
    return sum(int(said.get(name) or 0) for name in ("memory_bytes", "recognition_bytes"))


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:12]


def _chosen(value: Any) -> Any:
    """Return as JSON values what is not as by default, so that a setting that comes later does not matter."""
    if is_dataclass(value):
        here = {each.name: (getattr(value, each.name), _default(each)) for each in fields(value)}
        return {name: _chosen(one) for name, (one, default) in here.items() if one != default}
    if isinstance(value, Mapping):
        return {str(key): _chosen(item) for key, item in value.items()}
    return [_chosen(item) for item in value] if isinstance(value, list | tuple) else value


def _default(each: Field[Any]) -> Any:
    return each.default if each.default_factory is MISSING else each.default_factory()


def _n_parameters(folder: Path) -> int:
    """Return how many numbers are learned: actor and critics."""
    with safetensors.safe_open(folder / "policy.safetensors", "np") as file:
        names = [name for name in file.keys() if not name.startswith(NOT_LEARNED)]  # noqa: SIM118  (not a mapping)
        return sum(math.prod(file.get_slice(name).get_shape()) for name in names)
