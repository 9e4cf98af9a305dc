"""A trap is told from a slow start, from a task that gets on, and from one that is nearly solved."""

import pytest

from nestrl.agents.tally import Tally
from nestrl.nested.rounds import Rounds
from nestrl.nested.traps import Trap

SIMULATIONS = 100


def caught_at(successes, new=True, length=10):
    """Lead through rounds with these shares of successes in a segment of `length`; return those that were caught."""
    trap, rounds, tally, caught = Trap(), Rounds(), Tally(SIMULATIONS), []
    trap.start_segment(new=new)
    rounds.start_segment(tally)
    for number, share in enumerate(successes, start=1):
        tally = tally.plus(Tally(0, SIMULATIONS, 0.0, 0.0, round(share * SIMULATIONS)))
        rounds.read(tally)
        if trap.caught(number / length, rounds):
            caught.append(number)
    return caught


def test_a_task_that_stands_still_half_solved_is_caught_once_after_two_rounds():
    assert caught_at([0.4] * 10) == [2]


@pytest.mark.parametrize(
    "successes",
    [[0.0] * 10, [0.1] * 10, [0.3, 0.45, 0.45], [0.75] * 10, [0.9] * 10],
    ids=["not begun", "hardly begun", "getting on", "nearly solved", "solved"],
)
def test_other_tasks_are_left_alone(successes):
    assert caught_at(successes) == []


def test_nothing_is_caught_late_or_where_the_task_is_not_new():
    assert caught_at([0.4] * 5, length=5) == []
    assert caught_at([0.4] * 10, new=False) == []


def test_goes_on_from_its_state():
    trap, twin = Trap(), Trap()
    trap.start_segment(new=True)
    twin.load_state_dict(trap.state_dict())
    rounds = Rounds()
    rounds.start_segment(Tally(2))
    for episodes in (2, 4):
        rounds.read(Tally(2, episodes, 0.0, 0.0, episodes // 2))
    assert [one.caught(0.2, rounds) for one in (trap, twin)] == [True, True]
    twin.load_state_dict(trap.state_dict())
    assert not twin.caught(0.2, rounds)
