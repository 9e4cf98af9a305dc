from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from nestrl.report.pictures import draw_matrix, draw_skills, draw_strips
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


def test_a_mean_is_drawn_as_far_as_all_runs_go(make_run: MakeRun) -> None:
    runs = [make_run(seed=0), make_run(seed=1, finished=False)]
    for curves in ([run.curves for run in runs], [run.curves for run in reversed(runs)]):
        figure = Figure()
        draw_strips(figure, curves, 16)
        assert [strip.lines[0].get_xdata().tolist() for strip in figure.axes] == [[0, 10], [0, 10]]


@pytest.mark.parametrize(("tasks", "texts"), [(3, ["0.50"] * 6), (12, [".5"] * 24), (30, [])])
def test_a_matrix_of_many_tasks_has_colours_alone(tasks: int, texts: list[str]) -> None:
    axes = Figure().subplots()
    draw_matrix(axes, np.full((2, tasks), 0.5), ["after 1", "after 2"], [str(task) for task in range(tasks)])
    assert [text.get_text() for text in axes.texts] == texts
