"""Alarms over made-up measurements, and in a run."""

import math
from pathlib import Path
from typing import Any

import pytest
from tiny_worlds import tiny_config

from nestrl.methods import METHODS
from nestrl.training.alarms import active_share_between, alarms
from nestrl.training.display import Display
from nestrl.training.trainer import run


def line(active_share: float = 0.5, steps: float = 100, **more: float | None) -> dict[str, float | None]:
    return {"active_share": active_share, "updates.dual_weights": steps, "order.share": 1.0} | more


def test_share_of_active_constraints_is_that_of_the_segment() -> None:
    assert active_share_between({}, line(0.5, 100)) == 0.5
    assert active_share_between(line(0.5, 100), line(0.25, 200)) == pytest.approx(0.0)
    assert active_share_between(line(0.0, 100), line(0.5, 200)) == pytest.approx(1.0)
    assert active_share_between(line(), line()) is None


@pytest.mark.parametrize(
    ("share", "expected"), [(0.04, "constrains nothing"), (0.05, ""), (0.95, ""), (0.96, "cannot enforce")]
)
def test_constraints_that_are_hardly_or_always_active(share: float, expected: str) -> None:
    said = alarms([line(0.9, 50), line(share)])
    assert len(said) == bool(expected)
    assert expected in "".join(said)


def test_alarm_is_about_this_segment_alone() -> None:
    assert alarms([line(0.25, 200)], before=line(0.5, 100))
    assert not alarms([line(0.5, 200)], before=line(0.5, 100))


def test_segment_without_old_tasks_has_no_constraints_to_be_alarmed_about() -> None:
    assert not alarms([line(0.0, 0)])
    assert not alarms([line(0.01, 100)], before=line(0.01, 100))


def test_order_at_its_bound_for_a_whole_segment() -> None:
    bound, free = line(**{"saturated.share": 1.0}), line(**{"saturated.share": 0.0})
    assert ["'share'" in sentence for sentence in alarms([bound, bound])] == [True]
    assert not alarms([bound, free, bound])


def test_meta_gradient_that_is_not_finite() -> None:
    assert ["meta-gradient" in sentence for sentence in alarms([line(), line(paused=1.0)])] == [True]
    assert not alarms([line(paused=0.0)])


@pytest.mark.parametrize("value", [None, math.nan, math.inf])
def test_order_that_is_not_finite(value: float | None) -> None:
    assert ["order.share" in sentence for sentence in alarms([line(**{"order.share": value}), line()])] == [True]


def test_methods_without_levels_raise_no_alarm() -> None:
    assert not alarms([])
    assert not alarms([{"drift": 0.5, "active_share": 0.0, "weight": 0.1}])


class Listener(Display):
    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)


def test_run_says_alarms_once_a_segment(tmp_path: Path) -> None:
    assert "nested" in METHODS
    options: dict[str, Any] = {"samples": 32, "capacity": 64, "drift_limit": 1e6, "consolidation": 2}
    listener = Listener()
    run(tiny_config(method="nested", method_options=options), tmp_path / "run", display=listener)
    assert sum("constrains nothing" in text for text in listener.said) == 1  # the first segment has no constraint
