"""Runs that were never trained: a folder with a configuration and curves made by hand."""

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from nestrl.evaluation.retention import SuccessCurves
from nestrl.tasks.sequence import Segment, Task, TaskSequence
from nestrl.training.config import RunConfig
from nestrl.training.result import Run
from nestrl.training.run_folder import RunFolder

sys.path.insert(0, str(Path(__file__).parent))  # synthetic_studies

PAIR = TaskSequence("pair", (Task("a", "A-v0"), Task("b", "B-v0")), (Segment("a", 10), Segment("b", 10)))
MakeRun = Callable[..., Run]


@pytest.fixture
def make_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MakeRun:
    """Return a maker of runs: its method, seed, and how much of skill a is left at the end."""
    monkeypatch.setenv("NESTRL_REFERENCES", str(tmp_path / "references"))

    def make(method: str = "finetune", seed: int = 0, left: float = 0.25, finished: bool = True) -> Run:
        folder = RunFolder(tmp_path / f"{method}-{seed}")
        folder.create(RunConfig(PAIR, method, seed=seed))
        success = np.array([[0, 0], [1, 0], [left, 0.5]])[: 3 if finished else 2]
        steps = np.array([0, 10, 20])[: len(success)]
        folder.save_curves(SuccessCurves(success, steps, ("a", "b"), ((0, 0, 10), (1, 10, 20))))
        if finished:
            folder.save_metrics({})
        return Run(folder.path)

    return make
