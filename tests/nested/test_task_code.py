import numpy as np
import pytest
import torch

from nestrl.agents.trial import Trial
from nestrl.nested.task_code import SKILLED, TRIED, TaskCode, skilled


def code():
    return {"inputs": torch.zeros(2), "log_std": torch.zeros(1)}


def test_a_code_starts_from_the_known_ones_but_explores_as_a_new_one():
    known = [
        {"inputs": torch.tensor([1.0, 3.0]), "log_std": torch.tensor([-2.0])},
        {"inputs": torch.tensor([3.0, 1.0]), "log_std": torch.tensor([-1.0])},
    ]
    for sources, expected in (([], [0.0, 0.0]), (known, [2.0, 2.0]), (known[-1:], [3.0, 1.0])):
        new = code()
        TaskCode(new).start_from(sources)
        assert new["inputs"].tolist() == expected
        assert new["log_std"].tolist() == [0.0]
    assert known[0]["inputs"].tolist() == [1.0, 3.0]


@pytest.mark.parametrize(
    ("successes", "returns", "chosen"),
    [
        ((0, 3, 6), (0.0, 1.0, 2.0), 2),
        ((0, 6, 6), (0.0, 3.0, 2.0), 1),  # as often: the higher return decides
        ((0, 1, 1), (0.0, 1.0, 2.0), 2),  # hardly one succeeds: the higher return decides
        ((0, 1, 1), (2.0, 1.0, 2.0), None),  # but not if it is the network's, too
        ((5, 3, 4), (0.0, 1.0, 2.0), None),  # the network succeeds more often by itself
        ((0, 0, 6), (3.0, 1.0, 2.0), None),  # succeeds, but earns less
        ((0,), (0.0,), None),  # nothing is known yet
    ],
)
def test_a_skill_is_worth_starting_from_if_it_succeeds_and_is_better_than_what_the_network_does_anyway(
    successes, returns, chosen
):
    success = np.arange(8) < np.array(successes)[:, None]
    trial = Trial(np.array(returns)[:, None] + np.zeros(8), success, 1)
    assert skilled(trial, own_head=False) == chosen
    succeeds = chosen is not None and success[chosen].mean() >= SKILLED
    assert skilled(trial, own_head=True) == (chosen if succeeds else None)


@pytest.mark.parametrize(("spread", "chosen"), [(1.0, 1), (10.0, None)])
def test_a_skill_that_does_not_succeed_must_earn_clearly_more(spread, chosen):
    """By 2 in eight episodes: standard errors of .4 and 4 (and the same noise in both policies is none at all)."""
    swings = spread * np.array([1, -1] * (TRIED // 2))
    nothing = np.zeros((2, TRIED), bool)
    assert skilled(Trial(np.array([0 * swings, 2 + swings]), nothing, 1), own_head=False) == chosen
    assert skilled(Trial(np.array([swings, 2 + swings]), nothing, 1), own_head=False) == 1


@pytest.mark.parametrize("head", [False, True])
def test_a_code_knows_whether_a_head_is_part_of_it(head):
    new = code() | ({"head.weight": torch.zeros(3)} if head else {})
    assert TaskCode(new).has_head == head


def test_a_code_moves_as_far_as_told_and_explores_as_widely():
    new = code()
    task_code = TaskCode(new)
    task_code.keep()
    new["inputs"] += torch.tensor([1.0, -2.0])
    task_code.scale_step(3.0)
    task_code.widen(0.1)
    assert new["inputs"].tolist() == [3.0, -6.0]
    assert new["log_std"].tolist() == pytest.approx([0.1])
