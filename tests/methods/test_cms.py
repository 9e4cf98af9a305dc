import pytest
import torch

from nestrl.errors import BadConfig
from nestrl.methods.cms import CMS, CMSOptions
from nestrl.updates.regulated import Update

from .fake_learner import FakeLearner, live
from .keeping import finetune, parameters_after, resumes_exactly, same


def cms(**options):
    return lambda learner: CMS(CMSOptions(**options), learner, seed=0)


@pytest.mark.parametrize("options", [{"factor": 1}, {"periods": [1, 1]}])
def test_equal_periods_are_finetuning_bit_for_bit(options):
    assert same(parameters_after(finetune), parameters_after(cms(**options)))


def test_a_slow_block_moves_once_a_period_by_the_mean_gradient():
    learner = FakeLearner()
    method = cms(periods=(3, 1))(learner)
    slow, fast, unused = learner.trunk[0].weight, learner.head.weight, learner.unused_head.weight
    for step in range(1, 10):
        slow.grad, fast.grad = torch.full_like(slow, float(step)), torch.full_like(fast, float(step))
        seen = []
        method.regulate(Update(lambda seen=seen: seen.append((slow.grad, fast.grad, unused.grad))))
        (applied,) = seen
        assert torch.equal(applied[1], torch.full_like(fast, float(step)))
        assert applied[2] is None
        if step % 3:
            assert applied[0] is None
        else:
            torch.testing.assert_close(applied[0], torch.full_like(slow, step - 1.0))


def test_between_its_steps_a_slow_block_stays_where_it_is():
    learner = FakeLearner()
    method = cms(factor=4)(learner)
    learner.optimizer.attach(method.regulate)
    moved = []
    for _ in range(12):
        before = learner.parameters()
        learner.step(0)
        changes = [not torch.equal(one, other) for one, other in zip(before, learner.parameters(), strict=True)]
        moved.append((any(changes[:4]), changes[4], changes[-1]))  # trunk_0, head, log_std
    assert [trunk for trunk, _, _ in moved] == [False, False, False, True] * 3
    assert all(head and log_std for _, head, log_std in moved)


def test_factor_counts_from_the_head_down():
    learner = FakeLearner()
    blocks = {"trunk_0": [learner.trunk[0].weight], "trunk_1": [learner.trunk[1].weight]}
    groups = blocks | {"head": [learner.head.weight], "log_std": [learner.log_std]}
    learner.actor_groups = lambda: groups
    assert [period for _, period in cms()(learner)._slow] == [16, 4]


def test_waiting_gradients_are_counted_as_memory():
    learner = FakeLearner()
    method = cms(periods=(3, 1))(learner)
    for steps in (1, 2):
        live(method, learner, [0], steps)
        assert method.measurements()["memory_bytes"] == 4 * sum(p.numel() for p in learner.trunk.parameters())


def test_a_head_for_log_std_moves_with_the_head():
    learner = FakeLearner()
    log_std = [learner.unused_head.weight, learner.unused_head.bias]
    learner.actor_groups = lambda: {"trunk_0": [], "head": [learner.head.weight], "log_std": log_std}
    assert [(len(p.shape), period) for p, period in cms(periods=(4, 2))(learner)._slow] == [(2, 2), (2, 2), (1, 2)]


def test_resumed_in_the_middle_of_a_period_it_ends_bit_identical():
    assert resumes_exactly(cms(factor=4), steps=2)


def test_periods_must_fit_the_network():
    with pytest.raises(BadConfig, match=r"3 periods.*2 groups of parameters: trunk_0, head"):
        cms(periods=(16, 4, 1))(FakeLearner())


@pytest.mark.parametrize("options", [{"factor": 0}, {"periods": (4, 0)}])
def test_senseless_options_are_refused(options):
    with pytest.raises(BadConfig, match=next(iter(options))):
        CMSOptions(**options)
