"""The race of a known network with a fresh one: when it is run, who wins, and that the loser leaves no trace."""

import pytest

from nestrl.agents.tally import Tally
from nestrl.nested.rival import Rival
from nestrl.nested.rounds import Rounds

SIMULATIONS = 10


class Learner:
    """Knows only which network it has: "known", "fresh", or any that it is returned to."""

    progress, network = 0.0, "known"

    def branch(self):
        return {"network": self.network}

    def renew(self):
        self.network = "fresh"

    def return_to(self, branch):
        self.network = branch["network"]


def race(known, fresh, success=0.0, doubted=True, until=1.0, resume_at=None):
    """Lead a race through a segment in which each network has its own mean return; return rival, learner, history."""
    learner, rounds, tally, history = Learner(), Rounds(), Tally(SIMULATIONS), []
    rival = Rival(learner)
    rounds.start_segment(tally)
    rival.start_segment(doubted=doubted)
    for step in range(1, 51):
        learner.progress = step / 50
        mean = {"known": known, "fresh": fresh}[learner.network]
        tally = tally.plus(Tally(0, SIMULATIONS, mean * SIMULATIONS, 0.0, round(success * SIMULATIONS)))
        rounds.read(tally)
        rival.pause(rounds)
        if step == resume_at:
            resumed = Rival(learner)
            resumed.start_segment(doubted=doubted)
            resumed.load_state_dict(rival.state_dict())
            rival = resumed
        history.append(learner.network)
        if learner.progress >= until:
            break
    rival.finish(rounds)
    return rival, learner, history


@pytest.mark.parametrize("resume_at", [None, 4, 12, 20])
@pytest.mark.parametrize(("fresh", "winner"), [(2.0, "fresh"), (0.5, "known"), (1.0, "known")])
def test_the_higher_return_wins_the_rest_of_the_segment(fresh, winner, resume_at):
    rival, _, history = race(1.0, fresh, resume_at=resume_at)
    assert history == ["known"] * 7 + ["fresh"] * 8 + [winner] * 35  # paused after .16 of the segment, and .32
    assert (rival.fresh, rival.won, rival.races) == (winner == "fresh", winner == "fresh", 1)
    assert rival.lead == fresh - 1.0


@pytest.mark.parametrize("options", [{"success": 0.5}, {"doubted": False}], ids=["succeeds", "not doubted"])
def test_no_race_where_there_is_no_doubt(options):
    rival, _, history = race(1.0, 2.0, **options)
    assert set(history) == {"known"} and rival.races == 0


def test_a_race_that_the_segment_cuts_short_is_decided_at_its_end():
    rival, learner, _ = race(1.0, 0.5, until=0.2)
    assert learner.network == "known" and not rival.fresh
