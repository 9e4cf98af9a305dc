import numpy as np
import pytest
import torch

from nestrl.errors import BadConfig
from nestrl.methods.cloning import Cloning, CloningOptions
from nestrl.methods.taught import GRADIENT_NORM
from nestrl.updates.regulated import Update

from .fake_learner import FakeLearner, live
from .keeping import drift_after_next_task, finetune, keeps_and_learns, resumes_exactly


def cloning(**options):
    return lambda learner: Cloning(CloningOptions(**options), learner, seed=0)


@pytest.mark.learning
@pytest.mark.parametrize("discrete", [False, True], ids=["Box", "Discrete"])
def test_drift_stays_near_its_limit_while_the_next_task_is_learned(discrete):
    kept, method = keeps_and_learns(cloning(drift_limit=0.03), discrete)
    assert method.measurements()["drift"] == pytest.approx(kept, abs=0.03)


@pytest.mark.learning
def test_constant_weight_keeps_more_the_higher_it_is():
    drifts = [drift_after_next_task(cloning(weight=weight), steps=150)[0] for weight in (0.0, 0.1, 10.0)]
    assert drifts[0] > drifts[1] > drifts[2]
    assert drifts[0] == drift_after_next_task(finetune, steps=150)[0]


def test_first_task_is_learned_exactly_as_by_finetuning():
    plain, cloned = FakeLearner(), FakeLearner()
    live(finetune(plain), plain, [0], 50)
    live(cloning()(cloned), cloned, [0], 50)
    for one, other in zip(plain.parameters(), cloned.parameters(), strict=True):
        assert torch.equal(one, other)


def test_a_task_that_comes_back_is_not_held_to_its_old_teacher():
    learner = FakeLearner()
    method = cloning()(learner)
    live(method, learner, [0, 1], 5)
    method.begin(2, 0)
    assert method._old_tasks == [1]
    live(method, learner, [0], 5)
    assert sorted(method._memory.tasks) == [0, 1]


def test_retention_gradient_is_clipped_apart_and_the_rl_gradient_left_alone():
    learner = FakeLearner()
    method = cloning(weight=1e6)(learner)
    live(method, learner, [0], 20)
    live(method, learner, [1], 20)
    method.begin(2, 2)
    learner.optimizer.zero_grad()
    method.regulate(Update(lambda: None))
    norm = torch.nn.utils.get_total_norm([p.grad for p in method._parameters if p.grad is not None])
    assert norm.item() == pytest.approx(GRADIENT_NORM, rel=1e-4)
    assert all(parameter.grad is None for parameter in learner.unused_head.parameters())


def test_global_random_streams_are_left_alone():
    learner = FakeLearner()
    method = cloning()(learner)
    before = torch.get_rng_state(), np.random.get_state()[1].copy()
    live(method, learner, [0, 1], 5)
    assert torch.equal(before[0], torch.get_rng_state())
    assert np.array_equal(before[1], np.random.get_state()[1])


def test_resumed_in_the_middle_of_a_segment_it_ends_bit_identical():
    assert resumes_exactly(cloning(capacity=100), steps=10)


def test_measurements_are_plain_numbers_at_every_moment():
    learner = FakeLearner()
    method = cloning()(learner)
    start = method.measurements()
    live(method, learner, [0, 1], 3)
    for measured in (start, method.measurements()):
        assert all(type(value) is float and np.isfinite(value) for value in measured.values())
    assert method.measurements()["memory_bytes"] == 2 * 1000 * (7 + 2 + 2) * 4


def test_the_policy_is_the_learners_own():
    learner = FakeLearner()
    assert cloning()(learner).policy_for(2) is learner.policy
    assert finetune(learner).policy_for(2) is learner.policy


@pytest.mark.parametrize("options", [{"drift_limit": 0.0}, {"samples": 0}, {"capacity": -1}, {"weight": -0.1}])
def test_senseless_options_are_refused(options):
    with pytest.raises(BadConfig, match=next(iter(options))):
        CloningOptions(**options)
