from nestrl.agents.tally import Tally
from nestrl.nested.rounds import Rounds


def test_the_last_round_and_the_one_before_hold_a_round_or_more_each():
    rounds = Rounds()
    rounds.start_segment(Tally(4))
    for episodes, successes in ((3, 0), (5, 1), (9, 4)):
        rounds.read(Tally(4, episodes, 0.0, 0.0, successes))
    assert (rounds.last.episodes, rounds.last.successes) == (4, 3)
    assert (rounds.before.episodes, rounds.before.successes) == (5, 1)


def test_before_a_whole_round_has_finished_all_counts_and_nothing_was_before():
    rounds = Rounds()
    rounds.read(Tally(4, 3, 0.0, 0.0, 2))
    assert rounds.last.episodes == 3
    assert rounds.before.episodes == 0


def test_a_new_segment_and_a_saved_one():
    rounds, twin = Rounds(), Rounds()
    rounds.read(Tally(4, 8, 0.0, 0.0, 2))
    twin.load_state_dict(rounds.state_dict())
    assert twin.last == rounds.last
    rounds.start_segment(Tally(4))
    assert rounds.last.episodes == 0
