import io

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


def test_no_terminal_no_panel() -> None:
    assert isinstance(display_for_here(), Plain)
