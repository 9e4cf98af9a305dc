"""The picture of the levels, from logs made by hand."""

import json
import shutil
from collections.abc import Callable, Mapping
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text

from nestrl.cli import main
from nestrl.report.level_strips import AT_BOUND, LINE, OUTER, draw_levels, levels_figure
from nestrl.training.result import Run

MakeRun = Callable[..., Run]


def measured(steps: int) -> dict[str, float | None]:
    """Return what a nested agent measures after 1..20 steps; the second task begins after 10."""
    second = steps > 10
    return {
        "drift": 0.01 * second,
        "drift_limit": 0.03,
        "order.share": None if steps == 4 else 1 + 9 * second,
        "order.step": 1.0,
        "order.noise": -0.01 * second,
        "saturated.share": float(second),
        "updates.dual_weights": 10.0 * max(0, steps - 10),
        "active_share": 0.5 if second else 0.0,
        "weight": 0.5 * second,
        "commits": float(second),
        "inner": steps / 20,
        "outer": steps / 20 - 0.3 * second,
    }


def write_log(run: Run, measurements: Callable[[int], Mapping[str, float | None]] = measured) -> Run:
    lines = [{"event": "training", "steps": at, "method": measurements(at)} for at in range(1, 21)]
    run.folder.log.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return run


@pytest.fixture
def figure(make_run: MakeRun) -> Figure:
    drawn = levels_figure(write_log(make_run("nested")))
    assert drawn is not None
    return drawn


def strip(figure: Figure, label: str) -> Axes:
    return next(axes for axes in figure.axes if label in [text.get_text() for text in axes.texts])


def test_one_strip_for_each_measurement_on_one_time_axis(figure: Figure) -> None:
    labels = [[text.get_text() for text in axes.texts if text.get_text() not in ("a", "b")] for axes in figure.axes]
    assert [first for first, *_ in labels] == [
        *("drift", "weight", "active share", "share", "noise", "commits", "inner and outer"),
    ]
    assert {axes.get_xlim() for axes in figure.axes} == {(0, 20)}


def test_an_order_that_never_left_its_default_is_named_and_not_shown(figure: Figure) -> None:
    assert "(at their defaults: step)" in next(t.get_text() for t in figure.findobj(Text) if "nested" in t.get_text())


def test_the_drift_stands_beside_its_limit(figure: Figure) -> None:
    drift, limit = strip(figure, "drift").lines[:2]
    assert (drift.get_ydata()[-1], limit.get_ydata()[-1]) == (0.01, 0.03)


def test_boundaries_stand_in_every_strip(figure: Figure) -> None:
    for axes in figure.axes:
        upright = [line.get_xdata()[0] for line in axes.lines if len(set(line.get_xdata())) == 1]
        assert {10, 20} <= set(upright)


def test_orders_show_their_values_and_bounds(figure: Figure) -> None:
    axes = strip(figure, "share")
    line, at_bound = axes.lines[:2]
    assert np.isnan(line.get_ydata()[3])  # null in the log
    assert list(line.get_ydata()[[0, 19]]) == [1, 10]
    assert (at_bound.get_color(), list(at_bound.get_xdata())) == (AT_BOUND, list(range(11, 21)))
    assert axes.get_yscale() == "log" and axes.get_ylim()[0] < 0.1 and axes.get_ylim()[1] > 10
    assert strip(figure, "noise").get_yscale() == "linear"


def test_events_and_shares_of_constraints(figure: Figure) -> None:
    assert list(strip(figure, "commits").lines[0].get_xdata()) == [10]  # at the boundary, not a line of the log later
    shares = strip(figure, "active share").lines[0].get_ydata()
    assert np.isnan(shares[:10]).all() and shares[10:] == pytest.approx(0.5)


def test_objectives_share_a_strip_and_differ_without_colour(figure: Figure) -> None:
    inner, outer = strip(figure, "inner and outer").lines[:2]
    assert (inner.get_color(), outer.get_color()) == (LINE, OUTER)
    assert inner.get_linestyle() != outer.get_linestyle()
    assert inner.get_ydata()[-1] - outer.get_ydata()[-1] == pytest.approx(0.3)


def test_labels_do_not_overlap(figure: Figure) -> None:
    figure.canvas.draw()
    boxes = [(text.get_text(), text.get_window_extent()) for axes in figure.axes for text in axes.texts]
    boxes += [
        (tick.get_text(), tick.get_window_extent())
        for axes in figure.axes
        for tick in axes.get_yticklabels()
        if axes.get_ylim()[0] <= tick.get_position()[1] <= axes.get_ylim()[1]
    ]
    title = next(text for text in figure.findobj(Text) if "nested" in text.get_text())
    boxes.append(("title", title.get_window_extent()))
    assert [(a, b) for (a, first), (b, second) in combinations(boxes, 2) if first.overlaps(second)] == []
    assert all(box.x0 >= 0 for _, box in boxes)


def test_method_without_orders_has_no_such_picture(make_run: MakeRun) -> None:
    assert levels_figure(make_run()) is None  # no log at all
    assert levels_figure(write_log(make_run("cloning"), lambda steps: {"drift": 0.0, "weight": 1.0})) is None


def test_report_draws_it_beside_the_picture(
    make_run: MakeRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = write_log(make_run("nested"))
    main(["report", str(run.path), "--picture", str(tmp_path / "skills.svg")])
    assert str(tmp_path / "levels.svg") in capsys.readouterr().out
    assert "<svg" in (tmp_path / "levels.svg").read_text()


def test_the_picture_of_skills_does_not_write_over_it(
    make_run: MakeRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = write_log(make_run("nested"))
    with pytest.raises(SystemExit):
        main(["report", str(run.path), "--picture", str(tmp_path / "levels.png")])
    assert "skills.png" in capsys.readouterr().err
    assert not (tmp_path / "levels.png").exists()


def test_runs_of_one_name_in_two_folders_each_have_their_own(make_run: MakeRun, tmp_path: Path) -> None:
    run = write_log(make_run("nested"))
    for parent in ("a", "b"):
        shutil.copytree(run.path, tmp_path / parent / "life")
    runs = [Run(tmp_path / parent / "life") for parent in ("a", "b")]
    drawn = draw_levels(runs, tmp_path / "skills.png")
    assert [path.name for path in drawn] == ["levels-a-life.png", "levels-b-life.png"]
    for parent in ("a/runs", "b/runs"):
        shutil.copytree(run.path, tmp_path / parent / "life")
    runs = [Run(tmp_path / parent / "life") for parent in ("a/runs", "b/runs", "b")]
    drawn = draw_levels(runs, tmp_path / "skills.png")
    assert [path.name for path in drawn] == ["levels-a-runs-life.png", "levels-b-runs-life.png", "levels-b-life.png"]


def test_of_several_runs_each_has_its_own(make_run: MakeRun, tmp_path: Path) -> None:
    runs = [write_log(make_run("nested", seed)) for seed in (0, 1)] + [make_run("cloning")]
    assert draw_levels(runs, tmp_path / "skills.png") == [tmp_path / f"levels-{run.path.name}.png" for run in runs[:2]]
