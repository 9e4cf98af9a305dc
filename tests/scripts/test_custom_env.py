"""The script that users copy goes from an environment of their own to the retention matrix."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[2] / "scripts"


@pytest.mark.learning
def test_it_prints_two_matrices(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "import register_custom_env; register_custom_env.main(steps=2048)"]
    environment = os.environ | {"PYTHONPATH": str(SCRIPTS)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "finetune: success on plain, reversed, weak" in done.stdout
    assert (tmp_path / "runs" / "carts-cloning-s0" / "metrics.json").exists()


def test_it_stays_short() -> None:
    assert len((SCRIPTS / "register_custom_env.py").read_text().splitlines()) < 80
