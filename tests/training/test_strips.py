import math

from nestrl.nested.levels import LEVELS
from nestrl.training.strips import (
    AFTER_ORDERS,
    BEFORE_ORDERS,
    BOUNDARY,
    EVENT,
    OBJECTIVES,
    History,
    marks,
    rises,
    sparkline,
    strips,
)

NESTED = ("memory_bytes", "drift", "order.share", "order.code_step", "saturated.share", "commits", "inner", "outer")


def test_strips_stand_in_the_order_of_the_levels() -> None:
    shown = strips(NESTED)
    assert [strip.label for strip in shown] == ["drift", "share", "code step", "commits", "inner", "outer"]
    names = [spec.name for spec in LEVELS] + [OBJECTIVES]
    places = [names.index(strip.level) for strip in (*BEFORE_ORDERS, *strips(["order.x"]), *AFTER_ORDERS)]
    assert places == sorted(places)


def test_method_without_orders_has_no_strips() -> None:
    assert strips(["drift", "weight", "active_share"]) == ()


def test_sparkline_goes_from_least_to_greatest() -> None:
    assert sparkline([(1, 0.0), (5, 7.0), (9, 3.0)], 10, width=10) == " ▁   █   ▄"
    assert sparkline([(0, 2.0), (9, 2.0)], 10, width=10) == "▄        ▄"


def test_sparkline_shows_the_last_value_of_a_column_and_no_nan() -> None:
    assert sparkline([(1, 5.0), (2, 0.0), (8, 1.0), (9, math.nan)], 10, width=2) == "▁█"
    assert sparkline([(1, math.nan)], 10, width=3) == "   "


def test_steps_beyond_the_total_stay_in_the_last_column() -> None:
    assert marks([10, 12], 10, EVENT, width=5) == "    ▲"


def test_count_rises_after_the_point_before() -> None:
    assert rises([(10, 0.0), (20, 1.0), (30, 1.0), (40, 3.0)]) == [10, 30]
    assert rises([(10, 1.0)]) == [0]


def test_history_has_boundaries_events_and_each_level_once() -> None:
    history = History()
    for steps, segment in ((20, 0), (40, 0), (60, 1)):
        measured = {"order.share": steps / 20, "order.step": 1.0, "commits": float(segment), "drift": 0.0}
        history.add(steps, segment, measured)
    rows = {name: (level, line, value) for level, name, line, value in history.rows(80)}
    assert rows["boundaries"][1].index(BOUNDARY) == rows["commits"][1].index(EVENT) == 19  # after 40 of 80 steps
    assert rows["share"][0] == "meta_controller" and rows["step"][0] == ""
    assert rows["share"][2] == "3" and "█" in rows["share"][1]


def test_history_of_another_method_is_empty() -> None:
    history = History()
    history.add(10, 0, {"drift": 0.1})
    history.add(20, 1, {"drift": 0.1})
    assert history.rows(30) == []
