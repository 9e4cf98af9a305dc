import numpy as np
import pytest

from nestrl.agents.tally import Tally
from nestrl.nested.restart import Restart

SIMULATIONS = 100


def decisions(means, success=0.2, allowed=True, rounds_a_segment=20, at=0.35):
    """Lead through a segment whose returns have these means over its course; tell at which shares a restart was due."""
    restart, generator, due, tally = Restart(at), np.random.default_rng(0), [], Tally(SIMULATIONS)
    restart.start_segment(allowed=allowed)
    for progress in np.arange(0.05, 1.0, 0.05):
        n = round(SIMULATIONS * rounds_a_segment * 0.05)
        returns = generator.normal(np.interp(progress, [0, 1], means), 1.0, n)
        tally = tally.plus(Tally(0, n, returns.sum(), (returns**2).sum(), round(success * n)))
        if restart.due(progress, tally):
            due.append(progress)
    return due


def test_a_return_that_stands_still_starts_again_once_after_a_third():
    assert decisions([3.0, 3.0]) == pytest.approx([0.35])


def test_a_return_that_rises_goes_on():
    assert decisions([3.0, 7.0]) == []


def test_a_return_that_falls_starts_again():
    assert decisions([7.0, 3.0]) == pytest.approx([0.35])


def test_a_task_that_succeeds_goes_on():
    assert decisions([3.0, 3.0], success=0.9) == []


def test_where_a_fresh_learner_is_no_other_it_is_never_due():
    assert decisions([3.0, 3.0], allowed=False) == []


def test_a_segment_of_few_episodes_is_never_decided():
    assert decisions([3.0, 3.0], rounds_a_segment=4) == []
    assert decisions([3.0, 3.0], rounds_a_segment=6) == pytest.approx([0.5])


def test_goes_on_from_its_state():
    restart, twin = Restart(0.35), Restart(0.35)
    restart.start_segment(allowed=True)
    restart.due(0.12, Tally(1, 2, 2.0, 4.0, 0))
    twin.load_state_dict(restart.state_dict())
    later = Tally(1, 5, 5.0, 6.0, 0), Tally(1, 8, 8.0, 9.0, 0)
    assert [restart.due(0.3 + 0.1 * i, tally) for i, tally in enumerate(later)] == [False, True]
    assert [twin.due(0.3 + 0.1 * i, tally) for i, tally in enumerate(later)] == [False, True]
    assert not twin.due(0.9, later[1])
