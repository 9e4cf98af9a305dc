"""Makes `tiny_worlds` importable: by the tests, and by the processes that they start."""

import os
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(HERE))
os.environ["PYTHONPATH"] = os.pathsep.join([str(HERE), str(ROOT), str(ROOT / "envs"), os.environ.get("PYTHONPATH", "")])


@pytest.fixture(autouse=True)
def _own_references(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or writes the project's reference curves."""
    monkeypatch.setenv("NESTRL_REFERENCES", str(tmp_path / "references"))
