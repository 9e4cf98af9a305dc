"""The race of a known network with a fresh one: when it is run, who wins, and that the loser leaves no trace."""

import itertools
import math

import numpy as np
import pytest

from nestrl.agents.tally import Tally
from nestrl.agents.trial import Trial
from nestrl.nested.rival import LONG, SHARE, TURN, Rival, alike, is_trap, last_window

SIMULATIONS, PAUSES = 31, 50
SELDOM = 0.04  # of 31 episodes one


class Learner:
    """Knows only which network it has: "known" or "fresh", and the episodes that it is given."""

    progress, network, renewed = 0.0, "known", 0

    def __init__(self):
        self.tally = Tally(SIMULATIONS)

    def play(self, returns, success):
        self.tally = self.tally.plus(
            Tally(0, len(returns), sum(returns), sum(returns**2), round(success * len(returns)))
        )

    def branch(self):
        return {"network": self.network}

    def renew(self):
        self.network = "fresh"
        self.renewed += 1

    def return_to(self, branch):
        self.network = branch["network"]


def standing(level):
    return lambda progress: level


def rising(slope, start=0.0):
    return lambda progress: start + slope * progress


def trial(*successes, by_itself=0):
    """Return what came of 8 episodes with the network by itself and with each earlier skill."""
    success = np.array([[episode < count for episode in range(8)] for count in (by_itself, *successes)])
    return Trial(success.astype(float), success, 0)


TRAP = trial(4, 3, 4)


def race(
    known, fresh, success=0.0, doubted=True, until=1.0, resume_at=None, episodes=SIMULATIONS, trial=None, all_steps=True
):
    """Lead through a segment in which each network has its own curve of returns; return rival and history."""
    learner, noise, history = Learner(), np.random.default_rng(0), []
    rival = Rival(learner)
    rival.start_segment(doubted=doubted, trial=trial)
    for pause in range(1, PAUSES + 1):
        learner.progress = pause / PAUSES
        level = {"known": known, "fresh": fresh}[learner.network](learner.progress)
        succeeds = success[learner.network] if isinstance(success, dict) else success
        learner.play(level + noise.normal(size=episodes), succeeds)
        rival.pause()
        if pause == resume_at:
            resumed = Rival(learner)
            resumed.start_segment(doubted=doubted)
            resumed.load_state_dict(rival.state_dict())
            rival = resumed
        history.append(learner.network)
        if learner.progress >= until:
            break
    learner.progress = 1.0 if all_steps else learner.progress
    rival.finish()
    return rival, history, learner


@pytest.mark.parametrize("resume_at", [None, 4, 12, 20])
@pytest.mark.parametrize("fresh", [rising(20, start=-10), standing(10)], ids=["rises", "higher"])
def test_a_fresh_network_that_rises_or_stands_higher_has_the_rest(fresh, resume_at):
    rival, history, _ = race(standing(1), fresh, resume_at=resume_at, success=0.1)
    assert history == ["known"] * 7 + ["fresh"] * 43  # doubted after .16 of the segment
    assert (rival.fresh, rival.won, rival.races) == (True, 1, 1)


@pytest.mark.parametrize("resume_at", [None, 12, 20, 28])
def test_else_they_take_turns_until_too_little_is_left(resume_at):
    for beforehand, turns in ((None, ["known", "fresh", "known"]), (TRAP, ["fresh", "known", "fresh", "known"])):
        rival, history, _ = race(standing(1), standing(0), resume_at=resume_at, trial=beforehand)
        assert [name for name, _ in itertools.groupby(history)] == turns
        assert (rival.fresh, rival.won, rival.races) == (False, 0, turns.count("fresh"))


def test_what_rises_and_hardly_succeeds_is_doubted_once_it_stands_still():
    rival, history, _ = race(lambda progress: 50 * min(progress, 0.24), standing(100), success=SELDOM)
    changed = history.index("fresh") / PAUSES
    assert 0.24 < changed <= 0.24 + 2 * SHARE and rival.won == 1


@pytest.mark.parametrize("resume_at", [None, 7])
def test_what_never_succeeds_is_doubted_after_ten_rounds_though_it_rises(resume_at, monkeypatch):
    monkeypatch.setattr("nestrl.nested.rival.MANY", LONG * SIMULATIONS)
    rival, history, _ = race(rising(20), rising(20), resume_at=resume_at)
    assert history.index("fresh") + 1 == LONG
    assert (rival.won, rival.races) == (1, 1)


def test_ten_rounds_that_come_too_late_are_no_doubt(monkeypatch):
    monkeypatch.setattr("nestrl.nested.rival.MANY", 0)
    assert race(rising(20), rising(20), episodes=12)[0].races == 0


def test_a_fresh_network_that_succeeds_where_the_known_one_never_has_has_the_rest():
    """Neither rises, and the known one stands higher."""
    for fresh, won in ((0.0, 0), (SELDOM, 1)):
        rival, _, _ = race(standing(1), standing(0), success={"known": 0.0, "fresh": fresh})
        assert (rival.fresh, rival.won, rival.races) == (bool(won), won, 1)


@pytest.mark.parametrize(("success", "level", "won"), [(SELDOM, 1.1, 1), (SELDOM, 0, 0), (0.1, 1.1, 0)])
def test_a_fresh_network_has_the_rest_if_it_is_no_lower_than_one_that_hardly_succeeds(success, level, won):
    rival, _, _ = race(standing(1), standing(level), success=success)
    assert (rival.fresh, rival.won, rival.races) == (bool(won), won, 1)


def test_the_fresh_one_goes_on_from_where_its_turn_ended():
    rival, history, learner = race(standing(1), lambda progress: 0 if progress < 0.2 else 50 * progress, trial=TRAP)
    assert history[-1] == "fresh" and (rival.won, rival.races) == (1, 2)
    assert learner.renewed == 1


@pytest.mark.parametrize(
    "options",
    [
        {"success": 0.6},
        {"known": rising(20), "success": 0.1},
        {"known": rising(20), "success": SELDOM},
        {"known": rising(20)},
        {"doubted": False},
        {"episodes": 0},
        {"episodes": 4},
    ],
    ids=[
        "mostly solved",
        "gets on",
        "rises",
        "few episodes, though none succeeds",
        "not doubted",
        "no episodes",
        "four rounds come too late",
    ],
)
def test_no_race_where_there_is_no_doubt(options):
    rival, history, _ = race(**{"known": standing(1), "fresh": rising(20)} | options)
    assert set(history) == {"known"} and rival.races == 0


def test_episodes_that_all_ended_at_once_are_not_judged_by_an_empty_half():
    half, whole = Tally(10, 300, 300.0, 310.0, 300), Tally(10, 600, 600.0, 620.0, 600)
    assert last_window([(0.0, Tally(10)), (SHARE, half)], 4) is None
    assert last_window([(0.0, Tally(10)), (SHARE / 2, half), (SHARE, whole)], 4) == (half, half)


@pytest.mark.parametrize(("success", "rounds"), [(0.4, 4), (0.2, 6), (0.0, 6)])
def test_what_seldom_succeeds_is_watched_for_longer(success, rounds):
    at_a_time = SIMULATIONS // 3
    _, history, _ = race(standing(1), standing(0), success=success, episodes=at_a_time)
    known, fresh = [len(list(turn)) for _, turn in itertools.groupby(history)][:2]
    assert known + 1 == math.ceil(rounds * SIMULATIONS / at_a_time)  # at that pause they change
    assert fresh == math.ceil(SHARE * PAUSES) > TURN * SIMULATIONS / at_a_time


def test_what_is_slow_to_start_is_not_doubted():
    slow = race(lambda progress: max(0.0, 50 * (progress - 0.2)), rising(50), success=0.4, episodes=SIMULATIONS // 3)
    assert slow[0].races == 0  # it stands still for two rounds, and rises in the next two


def test_to_rise_by_a_trifle_is_to_stand_still():
    known = rising(2)  # by a fifth of a standard deviation in half a window: more than chance with so many episodes
    assert race(known, rising(20), success=0.4, episodes=40 * SIMULATIONS)[0].races == 1
    assert race(known, rising(20), success=0.2, episodes=40 * SIMULATIONS)[0].races == 0  # few succeed: a slow start
    assert race(rising(0.3), rising(20), success=0.2, episodes=40 * SIMULATIONS)[0].races == 1


def test_a_race_that_the_segment_cuts_short_is_lost():
    rival, _, learner = race(standing(1), standing(5), until=0.2)
    assert learner.network == "known" and not rival.fresh and (rival.races, rival.won) == (1, 0)


def test_a_race_is_won_where_the_segment_ends_early_since_the_task_is_learned():
    rival, _, learner = race(standing(1), standing(5), until=0.2, all_steps=False)
    assert learner.network == "fresh" and rival.fresh and (rival.races, rival.won) == (1, 1)


@pytest.mark.parametrize(
    ("successes", "trap"),
    [
        ((4, 3, 2, 2), True),
        ((5, 3, 5, 5, 0), True),
        ((4, 4), False),
        ((8, 2, 1, 0), False),
        ((7, 4, 4), False),
        ((2, 0, 0, 4), False),
        ((0, 0, 0, 0), False),
    ],
    ids=["all", "nearly all", "too few skills", "one tells how", "one solves it", "half of them", "none"],
)
def test_a_trap_is_what_most_skills_half_solve(successes, trap):
    assert is_trap(trial(*successes)) is trap
    assert is_trap(trial(*successes, by_itself=4)) is trap
    assert not is_trap(trial(*successes, by_itself=7))


def test_skills_that_succeed_in_episodes_of_their_own_are_no_trap():
    same = trial(4, 4, 4, 4)
    success = same.success.copy()
    success[2], success[4] = ~success[2], ~success[4]
    assert alike(same.success[1:]) == 1 and is_trap(same)
    assert alike(success[1:]) == 0 and not is_trap(same._replace(success=success))


def test_alike_is_one_over_the_number_of_policies_by_chance():
    success = np.random.default_rng(0).random((4, 100_000)) < 0.3
    assert alike(success) == pytest.approx(1 / 4, abs=0.01)
    assert alike(np.ones((3, 8), bool)) == 1


@pytest.mark.parametrize("resume_at", [None, 3, 20])
def test_in_a_trap_the_fresh_network_has_the_first_turn(resume_at):
    won, history, _ = race(standing(1), rising(20), trial=TRAP, resume_at=resume_at)
    assert set(history) == {"fresh"} and (won.fresh, won.won, won.races) == (True, 1, 1)
    lost, history, _ = race(rising(20), standing(100), trial=TRAP, success=0.4, resume_at=resume_at)
    assert [name for name, _ in itertools.groupby(history)] == ["fresh", "known"]
    assert (lost.fresh, lost.won, lost.races) == (False, 0, 1)
    _, history, _ = race(standing(1), rising(20), trial=TRAP, doubted=False)
    assert set(history) == {"known"}


def test_a_fresh_network_that_alone_has_learned_wins_though_it_could_not_be_judged():
    rival, history, learner = race(standing(1), standing(0), trial=TRAP, episodes=1)
    assert set(history) == {"fresh"} and learner.network == "fresh"
    assert (rival.fresh, rival.won, rival.races) == (True, 1, 1)
