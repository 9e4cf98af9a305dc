"""Reference curves: how well each task is learned from scratch, stored once and used by every run they fit.

A curve fits a run when environment, arguments, steps, learner and the versions that physics and
learning depend on are the same. `nestrl reference` makes them (nestrl/training/from_scratch.py).
Stored is which of its episodes succeeded, so that a run's own starts can be picked from them: the
first 32 of the maze are easier than the first 100, by a tenth of success.
"""

import dataclasses
import hashlib
import json
import os
import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nestrl.agents.config import AgentConfig
from nestrl.agents.environments import OUR_IDS
from nestrl.agents.envpool_env import PREFIX
from nestrl.agents.normalization import SIMULATIONS
from nestrl.errors import BadConfig
from nestrl.evaluation.retention import mean_height
from nestrl.evaluation.rollouts import packed, unpacked
from nestrl.tasks.sequence import TaskSequence
from nestrl.training.config import RunConfig
from nestrl.training.run_folder import versions
from nestrl.training.writing import make_folder, only_one_writes, write_json

Curve = tuple[NDArray[np.floating | np.integer], NDArray[np.float64]]
"""Steps (n,) and success (n,) in 0..1."""
Versions = Mapping[str, str | None]
"""What a run was made with, as `versions` of run_folder.py returns it."""


def references_folder() -> Path:
    """Return $NESTRL_REFERENCES, or results/references of the clone that nestrl runs from, or the user's cache."""
    if "NESTRL_REFERENCES" in os.environ:
        return Path(os.environ["NESTRL_REFERENCES"])
    clone = Path(__file__).parents[2]
    if (clone / "pyproject.toml").is_file():
        return clone / "results" / "references"
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "nestrl" / "references"


def find_references(config: RunConfig, then: Versions | None = None) -> dict[str, Curve]:
    """Return by task name the mean curve over all seeds stored; tasks without any are missing.

    then: the versions that the run was made with, if others may be installed now; curves made with them come first. A
    run that trains on all tasks at once has no curves to be compared with.
    """
    found: dict[str, Curve] = {}
    if config.trains_jointly:
        return found
    for name in config.sequence.trained_tasks:
        paths = (reference_path(config, name, made_with) for made_with in (then, None))
        stored = (stored_curves(path, config.evaluation_episodes) for path in paths)
        if curves := next(filter(None, stored), None):
            found[name] = mean_curve(curves)
    return found


def mean_curve(curves: Mapping[int, Curve]) -> Curve:
    """Return the mean over seeds, at the places of the longest one."""
    places = max((steps for steps, _ in curves.values()), key=lambda steps: int(steps[-1]))
    return places, np.mean([np.interp(places, *curve) for curve in curves.values()], axis=0)


def standard_error(curves: Mapping[int, Curve]) -> float | None:
    """Return the standard error over seeds of the mean curve's mean height (AUC_ref); None for a single seed."""
    heights = [mean_height(success, np.asarray(steps, float)) for steps, success in curves.values()]
    return float(np.std(heights, ddof=1) / np.sqrt(len(heights))) if len(heights) > 1 else None


def missing_references(config: RunConfig, found: Mapping[str, Curve]) -> list[str]:
    """Return the names of tasks whose reference curve the run would need, and that are not among those found."""
    return [] if config.trains_jointly else [name for name in config.sequence.trained_tasks if name not in found]


def reference_key(config: RunConfig, task_name: str, made_with: Versions | None = None) -> dict[str, Any]:
    """Return what a curve must have been made with to fit `task_name` in this run, as JSON values.

    made_with: versions, by default those installed.
    """
    task = config.sequence.tasks[config.sequence.task_index(task_name)]
    here = made_with or versions()
    scaled = {} if task.reward_scale == 1 else {"reward_scale": task.reward_scale}
    measured = {} if OUR_IDS in task.env_id else {"normalizer": f"{SIMULATIONS} simulations"}
    physics = "envpool" if task.env_id.startswith(PREFIX) else "mujoco"
    return {
        "environment": task.env_id,
        "arguments": _of_the_task(task.env_kwargs),
        "evaluation_arguments": _of_the_task(task.evaluation_kwargs),
        "success_threshold": task.success_threshold,
        "steps": reference_steps(config.sequence, task_name),
        "agent": _plain(config.agent),
        "versions": {name: here.get(name) for name in (physics, "torch", "stable-baselines3")},
    } | (scaled | measured)


def reference_steps(sequence: TaskSequence, task_name: str) -> int:
    """Return how long a curve must be: the task's longest segment."""
    return max((segment.steps for segment in sequence.segments if segment.task == task_name), default=0)


def reference_path(config: RunConfig, task_name: str, made_with: Versions | None = None) -> Path:
    """Return the file for a task of this run, and for versions as `reference_key` takes them; it need not exist."""
    key = reference_key(config, task_name, made_with)
    name = re.sub(r"[^A-Za-z0-9]+", "-", key["environment"].rpartition("/")[2]).strip("-")
    return references_folder() / f"{name}-{_digest(key)}.json"


def learnt_as(config: RunConfig, task_name: str) -> str:
    """Return a digest of all that a curve depends on but the versions: environment, steps, learner."""
    return _digest({name: value for name, value in reference_key(config, task_name).items() if name != "versions"})


def stored_curves(path: Path, episodes: int | None = None) -> dict[int, Curve]:
    """Return the curves in a file by seed; none if it does not exist. Raises BadConfig for a damaged file.

    episodes: success is that of the first so many starts, by default of all. Curves of before outcomes were stored have
    that of all in any case.
    """
    try:
        found: dict[int, Curve] = {
            int(seed): (np.array(curve["steps"], np.int64), _success(curve, episodes))
            for seed, curve in _as_written(path).items()
        }
        if not all(steps.shape == success.shape == (len(steps),) and len(steps) for steps, success in found.values()):
            raise ValueError("steps and success are not equally long lists")
        return found
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadConfig(f"{path} is damaged ({error}); delete it and make it again with `nestrl reference`.") from error


def tells_outcomes(path: Path, episodes: int) -> bool:
    """Return whether all curves in a file tell of the first so many starts which episodes succeeded."""
    return all("outcomes" in curve and curve["episodes"] >= episodes for curve in _as_written(path).values())


def _as_written(path: Path) -> dict[str, Any]:
    """Return the curves in a file by seed, as its text has them; none if it does not exist."""
    written: dict[str, Any] = json.loads(path.read_text())["curves"] if path.is_file() else {}
    return written


def _success(curve: Mapping[str, Any], episodes: int | None) -> NDArray[np.float64]:
    """Return a stored curve's success (n,) in the first so many episodes of each evaluation."""
    if "outcomes" not in curve:
        return np.array(curve["success"], float)
    outcomes = [unpacked(text, curve["episodes"]) for text in curve["outcomes"]]
    return np.array([outcome[:episodes].mean() for outcome in outcomes])


def store_curve(config: RunConfig, task_name: str, steps: NDArray[np.int64], outcomes: NDArray[np.bool_]) -> Path:
    """Add the curve of one run from scratch, under its seed, to the task's file; return the file.

    steps: (n,), of the evaluations. outcomes: (n, episodes), see `Run.outcomes`.
    """
    path = reference_path(config, task_name)
    make_folder(path.parent)
    with only_one_writes(path):
        curve = {"steps": steps.tolist(), "episodes": outcomes.shape[1], "outcomes": [*map(packed, outcomes)]}
        stored_curves(path)  # raises for a damaged file, which is not to be written over
        all_curves = _as_written(path) | {str(config.seed): curve}
        curves = dict(sorted(all_curves.items(), key=lambda entry: int(entry[0])))
        write_json(path, {"key": reference_key(config, task_name), "curves": curves})
    return path


def how_to_make(missing: Sequence[str], run_folder: Path) -> str:
    """Return the sentence that says which references are missing and how to get them."""
    return (
        f"Forward transfer needs reference curves of {', '.join(missing)}, trained from scratch; make them with: "
        f"nestrl reference {shlex.quote(str(run_folder))} --seeds 0 1 2"
    )


def _of_the_task(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return an environment's arguments without the threads that EnvPool steps it in, which change no number."""
    return {name: value for name, value in arguments.items() if name != "num_threads"}


def _digest(key: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:12]


def _plain(agent: AgentConfig) -> Any:
    settings = dataclasses.asdict(agent) | {"heads": "shared"}  # a task by itself has one head in any case
    del settings["device"]  # it changes how long a curve takes, not what it shows
    if agent.correlated_share == 1:
        del settings["correlated_share"]  # so curves from before there was such a share are found
    return json.loads(json.dumps(settings))
