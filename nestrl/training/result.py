"""What came of a run: its curves, retention matrix and metrics, read from its folder."""

from collections.abc import Mapping
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nestrl.errors import BadConfig
from nestrl.evaluation.retention import (
    MEASURES,
    Floats,
    Metrics,
    SuccessCurves,
    long_enough,
    metrics,
    retention_matrix,
)
from nestrl.evaluation.rollouts import Episodes, unpacked
from nestrl.evaluation.statistics import Interval, wilson_interval
from nestrl.training.config import RunConfig
from nestrl.training.loaded import load
from nestrl.training.references import Curve, Versions, find_references, how_to_make, missing_references
from nestrl.training.run_folder import RunFolder


class Run:
    """A run as it stands on disk; an unfinished one has curves, and gives its metrics when it is finished.

    path: its folder. config: its RunConfig. folder: the same as a RunFolder, which reads each file.
    """

    def __init__(self, path: str | Path) -> None:
        """Read the run in a folder. Raises BadConfig when it is none, or names modules that cannot be imported."""
        self.folder = RunFolder(path)
        self.path = self.folder.path
        self.config: RunConfig = self.folder.config()

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r})"

    @cached_property
    def curves(self) -> SuccessCurves:
        """Success of every task at every evaluation. Raises BadConfig where there is none yet, or it is damaged."""
        return self.folder.curves()

    def outcomes(self, task: str) -> NDArray[np.bool_]:
        """Return the success of each evaluation episode of a task, (n_evaluations, episodes).

        Rows are as in `curves`; a column is a start, the same in every evaluation and in every run of the task. Raises
        BadConfig for a run of before outcomes were logged.
        """
        lines = self.folder.log_lines("evaluation")
        try:
            return np.stack([unpacked(line["outcomes"][task], self.config.evaluation_episodes) for line in lines])
        except (LookupError, TypeError, ValueError) as error:
            raise BadConfig(
                f"{self.folder.log} does not tell which episodes of {task} succeeded ({error!r}): it is damaged, or "
                "of a nestrl that did not log them; train anew."
            ) from error

    @property
    def task_names(self) -> tuple[str, ...]:
        """Names of the tasks, in the order of the columns of `retention`."""
        return self.curves.task_names

    @property
    def retention(self) -> Floats:
        """R (n_segments, n_tasks): success on task j after segment i, in 0..1; NaN for segments not finished."""
        return retention_matrix(self.curves)

    @property
    def metrics(self) -> Metrics:
        """The metrics as MEASURES defines them. Raises BadConfig if the run is not finished.

        Forward transfer is None where reference curves are missing; `nestrl reference` makes them. It is None, too,
        for a skill whose segment, with its trials, took over 1.5 times the steps of its reference.
        """
        if not (self.curves.complete and self.folder.reported):
            raise BadConfig(f"{self.path} is not finished; go on with: {self.folder.resuming}")
        return metrics(self.curves, long_enough(self._references, self.curves), self.config.target_success)

    @property
    def how_to_compare(self) -> str | None:
        """The sentence that says which reference curves forward transfer lacks, and how to make them; None if none."""
        missing = missing_references(self.config, self._references)
        return how_to_make(missing, self.path) if missing else None

    @property
    def _references(self) -> dict[str, Curve]:
        return find_references(self.config, self._versions_then())

    def _versions_then(self) -> Versions | None:
        try:
            return self.folder.versions_then()
        except BadConfig:  # then only curves of the versions installed can be found
            return None

    @property
    def final_success(self) -> dict[str, Interval]:
        """Success of each task at the end, with Wilson's 95 % interval, on starts that the curves did not use.

        Raises BadConfig if the run is not finished.
        """
        return {
            task: wilson_interval(result["successes"], result["episodes"])
            for task, result in self.folder.summary()["final_success"].items()
        }

    def evaluate(self, episodes: int = 100) -> dict[str, Interval]:
        """Evaluate the policy as it was saved last; return the success of each task with Wilson's 95 % interval.

        Raises what `nestrl.load` does.
        """
        return load(self.path).evaluate(episodes)


def counts(episodes: Episodes) -> dict[str, int]:
    """Return how many of the episodes succeeded at any step, how many at their last one, and how many there are."""
    return {
        "successes": int(episodes.success.sum()),
        "successes_at_end": int(episodes.success_at_end.sum()),
        "episodes": len(episodes.success),
    }


def summary(
    config: RunConfig,
    curves: SuccessCurves,
    final_success: Mapping[str, Mapping[str, int]],
    seconds: Mapping[str, float],
) -> dict[str, Any]:
    """Return the content of metrics.json: `final_success` as `counts` says of each task, `seconds` by activity."""
    spent = sum(seconds.values())
    values = asdict(metrics(curves, {}, config.target_success))
    lasting = [name for name in values if not name.startswith("forward_transfer")]  # needs what may come later
    return {
        "metrics": {name: values[name] for name in lasting},
        "definitions": {name: MEASURES[name].definition for name in lasting if name in MEASURES},
        "segments": config.segments,
        "target_success": config.target_success,
        "tasks": curves.task_names,
        "retention": retention_matrix(curves).tolist(),
        "final_success": final_success,
        "seconds": {activity: round(amount, 2) for activity, amount in seconds.items()},
        "share_of_evaluation": round(seconds["evaluation"] / spent, 4),
        "steps_per_second": round(int(curves.steps[-1]) / spent, 1),
    }
