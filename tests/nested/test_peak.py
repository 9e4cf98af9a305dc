"""The best policy of a segment is gone back to where the last one is clearly worse, and only there."""

import numpy as np
import pytest
import torch
from torch.nn import Parameter

from nestrl.agents.tally import Tally
from nestrl.nested.peak import Peak

SIMULATIONS = 30


def after(levels, resume_at=None):
    """Lead through rounds with these mean returns; a policy is its number. Return what is kept, and what it met."""
    policy, tally = Parameter(torch.zeros(2)), Tally(SIMULATIONS)
    peak = Peak([policy])
    peak.start_segment(tally)
    for number, level in enumerate(levels):
        policy.data.fill_(float(number))
        for _ in range(2):  # half a round between two pauses
            half = SIMULATIONS // 2
            tally = tally.plus(Tally(0, half, level * half, (level**2 + 1) * half, 0))  # standard deviation 1
            peak.pause(tally, lambda met=number: np.full((3, 2), met, np.float32))
        if number == resume_at:
            state = peak.state_dict()
            peak = Peak([policy])
            peak.load_state_dict(state)
    better = peak.better()
    if better is not None:
        policy.data.copy_(better[0])
    return better is not None, policy[0].item(), None if peak.seen is None else float(peak.seen.max())


@pytest.mark.parametrize("resume_at", [None, 1, 2])
def test_what_was_clearly_better_comes_back(resume_at):
    assert after([0.0, 3.0, 1.0, 0.0], resume_at) == (True, 1.0, 1.0)


def test_of_equals_the_later_one_comes_back():
    assert after([0.0, 3.0, 3.0, 0.0]) == (True, 2.0, 2.0)


@pytest.mark.parametrize("levels", [[0.0, 1.0, 2.0], [0.0, 2.0, 1.5], [1.0], []], ids=["last", "chance", "one", "none"])
def test_else_the_last_one_stays(levels):
    assert after(levels)[:2] == (False, max(0.0, len(levels) - 1.0))


def test_a_new_segment_forgets():
    policy = Parameter(torch.zeros(1))
    peak = Peak([policy])
    good, bad = Tally(1, 100, 500.0, 2600.0), Tally(1, 200, 500.0, 2700.0)
    peak.pause(good, lambda: np.zeros((1, 2), np.float32))
    peak.start_segment(good)
    assert peak.seen is None
    peak.pause(bad, lambda: np.zeros((1, 2), np.float32))
    assert peak.better() is None
