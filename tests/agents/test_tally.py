import math

import numpy as np
import pytest

from nestrl.agents.tally import Tally


def tally_of(returns, successes, simulations=4):
    returns = np.asarray(returns, float)
    return Tally(simulations, len(returns), returns.sum(), (returns**2).sum(), successes)


def test_the_episodes_between_two_tallies():
    early, all_ = tally_of([1.0, 2.0], 1), tally_of([1.0, 2.0, 5.0, 7.0, 9.0], 3)
    between = all_.since(early)
    assert (between.simulations, between.episodes, between.successes) == (4, 3, 2)
    assert between.mean == pytest.approx(7.0)
    assert between.variance == pytest.approx(np.var([5.0, 7.0, 9.0]))
    assert between.success == pytest.approx(2 / 3)
    assert between.rounds == pytest.approx(0.75)
    assert early.plus(between._replace(simulations=0)) == all_


def test_without_episodes_nothing_is_known():
    empty = Tally(4)
    assert math.isnan(empty.mean)
    assert math.isnan(empty.variance)
    assert math.isnan(empty.success)
    assert empty.rounds == 0
