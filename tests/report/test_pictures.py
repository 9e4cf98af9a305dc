from collections.abc import Callable
from pathlib import Path

import pytest

from nestrl.report.pictures import draw_skills
from nestrl.training.result import Run

MakeRun = Callable[..., Run]


@pytest.mark.parametrize("ending", ["png", "svg"])
def test_picture_of_two_methods(ending: str, make_run: MakeRun, tmp_path: Path) -> None:
    runs = [make_run("finetune", 0, 0.0), make_run("finetune", 1, 0.5), make_run("cloning", 0, 1.0)]
    path = tmp_path / f"skills.{ending}"
    draw_skills(runs, path)
    content = path.read_bytes()
    assert content.startswith(b"\x89PNG") or b"<svg" in content
    assert len(content) > 5_000


def test_picture_of_a_run_that_is_not_finished(make_run: MakeRun, tmp_path: Path) -> None:
    draw_skills([make_run(finished=False)], tmp_path / "skills.png")
    assert (tmp_path / "skills.png").stat().st_size > 5_000
