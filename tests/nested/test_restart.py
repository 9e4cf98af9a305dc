import numpy as np
import pytest

from nestrl.nested.restart import Restart


def decision(early, late, success=0.2, allowed=True):
    """Lead through a segment whose returns have these means; tell at which shares of it a restart was due."""
    restart, generator, due = Restart(0.35), np.random.default_rng(0), []
    restart.start_segment(allowed=allowed)
    for progress in np.arange(0.0, 1.0, 0.05):
        mean = early if progress < 0.3 else late
        if restart.due(progress, success, generator.normal(mean, 1.0, 100)):
            due.append(progress)
    return due


def test_a_return_that_stands_still_starts_again_once_after_a_third():
    assert decision(3.0, 3.0) == pytest.approx([0.35])


def test_a_return_that_rises_goes_on():
    assert decision(3.0, 3.8) == []


def test_a_task_that_succeeds_goes_on():
    assert decision(3.0, 3.0, success=0.9) == []


def test_where_a_fresh_learner_is_no_other_it_is_never_due():
    assert decision(3.0, 3.0, allowed=False) == []


def test_without_enough_episodes_nothing_is_decided():
    restart = Restart(0.35)
    restart.start_segment(allowed=True)
    assert not restart.due(0.5, 0.0, np.ones(5))
    assert not restart.due(0.9, 0.0, np.ones(19))


def test_goes_on_from_its_state():
    restart, twin = Restart(0.35), Restart(0.35)
    restart.start_segment(allowed=True)
    restart.due(0.12, 0.0, np.linspace(0, 1, 50))
    twin.load_state_dict(restart.state_dict())
    assert twin.due(0.5, 0.0, np.linspace(0, 1, 50))
    assert restart.due(0.5, 0.0, np.linspace(0, 1, 50))
    assert not twin.due(0.9, 0.0, np.linspace(0, 1, 50))
