import io
from dataclasses import replace

import pytest
from rich.console import Console

from nestrl.training.display import Moment, Panelled, Plain, display_for_here

MOMENT = Moment(
    title="tiny-2, cloning, seed 0",
    segment=0,
    n_segments=2,
    task="calm",
    steps=600,
    total_steps=4200,
    steps_per_second=1.0,
    success={"calm": 0.5, "windy": 0.25},
    measurements={"drift": 0.0123},
    evaluated=True,
)


def test_plain_line_says_everything(capsys: pytest.CaptureFixture[str]) -> None:
    Plain().show(MOMENT)
    line = capsys.readouterr().out
    for part in ("600 / 4,200", "segment 1/2", "calm", "1:00:00 left", "windy 0.25", "drift 0.0123"):
        assert part in line


def test_a_task_may_be_called_what_looks_like_markup() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=100)
    with Panelled(console) as panel:
        panel.show(replace(MOMENT, task="[/p]", success={"[/p]": 0.5}))
    assert "[/p]" in console.file.getvalue()  # type: ignore[attr-defined]


def test_panel_says_everything() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=100)
    with Panelled(console) as panel:
        panel.show(MOMENT)
        panel.say("[something] happened")
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    for part in (
        "600 of 4,200",
        "segment 1 of 2",
        "calm",
        "1:00:00 left",
        "0.25",
        "drift 0.0123",
        "[something] happened",
    ):
        assert part in shown


LEVELS = {"order.share": 0.5, "saturated.share": 1.0, "updates.fast_policy": 7.0, "commits": 0.0, "drift": 0.0123}


def test_panel_shows_the_levels_of_a_nested_agent() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=100)
    with Panelled(console) as panel:
        panel.show(replace(MOMENT, measurements=LEVELS))
        panel.show(
            replace(MOMENT, measurements=LEVELS | {"order.share": 2.0, "memory_bytes": 5.0}, steps=1200, segment=1)
        )
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    for part in ("meta_controller", "slow_policy", "boundaries", "▁", "█", "memory_bytes 5"):
        assert part in shown
    assert "saturated" not in shown and "updates" not in shown
    assert max(len(line) for line in shown.splitlines() if "boundaries" in line) < 100


def test_plain_lines_have_no_strips(capsys: pytest.CaptureFixture[str]) -> None:
    Plain().show(replace(MOMENT, measurements=LEVELS))
    assert capsys.readouterr().out.count("\n") == 1


def test_no_terminal_no_panel() -> None:
    assert isinstance(display_for_here(), Plain)


def test_a_plain_line_leaves_out_what_the_report_draws(capsys: pytest.CaptureFixture[str]) -> None:
    measured = {"drift": 0.02, "order.share": 1.0, "updates.fast_policy": 80.0, "saturated.share": 0.0}
    moment = Moment("life", 0, 1, "reach", 10, 100, 5.0, {"reach": 0.5}, measured, evaluated=True)
    Plain().show(moment)
    line = capsys.readouterr().out
    assert "drift 0.02" in line
    assert not any(word in line for word in ("order", "updates", "saturated"))
