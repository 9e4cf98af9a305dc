"""Makes `tiny_worlds` importable, here and in the processes of a study, and gives a study that takes seconds."""

import fcntl
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

TINY_WORLDS = Path(__file__).parents[1] / "training"
ROOT = TINY_WORLDS.parents[1]
sys.path.insert(0, str(TINY_WORLDS))
os.environ["PYTHONPATH"] = os.pathsep.join(
    [str(TINY_WORLDS), str(ROOT), str(ROOT / "envs"), os.environ.get("PYTHONPATH", "")]
)

STUDY = """name: tiny
sequences: [tiny-2]
orders:
  - [calm, windy]
  - [windy, calm]
seeds: 2
methods:
  finetune: {}
  kept: {method: cloning, samples: 32, capacity: 64}
regimes:
  shared: {}
run:
  agent.network: [16]
  agent.n_envs: 8
  agent.hyperparameters.n_steps: 8
  agent.hyperparameters.n_epochs: 2
  evaluation_episodes: 4
  final_episodes: 8
imports: [tiny_worlds]
"""


@pytest.fixture(autouse=True)
def _own_references(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or writes the project's reference curves."""
    monkeypatch.setenv("NESTRL_REFERENCES", str(tmp_path / "references"))


@pytest.fixture(scope="session")
def study_text() -> str:
    """A study of two methods and two seeds, each in an order of its own."""
    return STUDY


@pytest.fixture
def study_file(study_text: str, tmp_path: Path) -> Path:
    """The same in a file."""
    path = tmp_path / "study.yaml"
    path.write_text(study_text)
    return path


@pytest.fixture
def kill() -> Callable[["subprocess.Popen[bytes]", Path], None]:
    """Ends a search as kill -9 does, and waits until the kernel has ended those who write its runs, too."""

    def kill(process: "subprocess.Popen[bytes]", runs: Path) -> None:
        process.kill()
        process.wait()
        for log in runs.glob("*/log.jsonl"):
            with log.open("ab") as file:
                fcntl.flock(file, fcntl.LOCK_EX)

    return kill
