from functools import cache

import pytest
import torch

from nestrl.errors import BadConfig
from nestrl.methods.progress_and_compress import ProgressAndCompress, ProgressAndCompressOptions
from nestrl.updates.drift import drift_between

from .fake_learner import FakeLearner, live


def progress_and_compress(learner, **options):
    defaults = {"steps": 150, "samples": 128, "learning_rate": 1e-2, "fisher_samples": 64}
    return ProgressAndCompress(ProgressAndCompressOptions(**defaults | options), learner, seed=0)


def output(policy, observations):
    with torch.no_grad():
        return policy.output(observations)


@cache
def drifts_after_two_tasks(strength):
    """Return how far the knowledge base has drifted from the active column as it was after task 0, and after task 1."""
    learner = FakeLearner()
    method = progress_and_compress(learner, strength=strength)
    tests = []
    for task in (0, 1):
        live(method, learner, [task], 60)
        seen = learner.observations(task, 1000)
        tests.append((seen, output(learner, seen)))
    knowledge = method.policy_for(0)
    return [drift_between(teacher, output(knowledge, seen)).total.mean().item() for seen, teacher in tests]


@pytest.mark.learning
def test_strength_zero_is_plain_distillation_and_more_of_it_keeps_more_of_the_old():
    old_free, new_free = drifts_after_two_tasks(0.0)
    old, new = drifts_after_two_tasks(100.0)
    assert new_free < 0.05
    assert old < 0.3 * old_free
    assert new_free < new < drifts_after_two_tasks(1e9)[1]


@pytest.mark.learning
def test_huge_strength_moves_nothing_that_matters_for_the_old_task():
    old, new = drifts_after_two_tasks(1e9)
    assert old < 1e-3
    assert new > 0.5


@pytest.mark.parametrize("start", ["knowledge", "fresh", "active"])
def test_what_the_active_column_starts_a_task_from(start):
    learner = FakeLearner()
    method = progress_and_compress(learner, start=start, steps=5)
    first = learner.parameters()
    method.begin(0, 0)
    assert torch.equal(first[0], learner.parameters()[0])
    live(method, learner, [0, 1], 5)
    active, knowledge = learner.parameters()[0], method.policy_for(0).parameters[0].detach()
    method.begin(2, 2)
    now = learner.parameters()[0]
    assert not torch.equal(active, knowledge)
    assert torch.equal(now, knowledge) == (start == "knowledge")
    assert torch.equal(now, active) == (start == "active")


def test_learner_acts_in_its_own_task_and_the_knowledge_base_in_all_others():
    learner = FakeLearner()
    method = progress_and_compress(learner, steps=2)
    live(method, learner, [0], 2)
    method.begin(1, 1)
    assert method.policy_for(1) is learner.policy
    assert method.policy_for(0) is method.policy_for(2) is not learner.policy


def test_importances_add_up_and_decay():
    totals = []
    for decay in (1.0, 0.0):
        learner = FakeLearner()
        method = progress_and_compress(learner, steps=2, decay=decay)
        live(method, learner, [0], 2)
        first = method._importances.clone()
        live(method, learner, [1], 2)
        totals.append(method._importances)
    assert torch.allclose(totals[0], totals[1] + first)


def test_memory_is_two_numbers_a_parameter():
    learner = FakeLearner()
    method = progress_and_compress(learner, steps=1)
    assert method.measurements()["memory_bytes"] == 0.0
    live(method, learner, [0, 1], 1)
    assert method.measurements()["memory_bytes"] == 2 * sum(values.nbytes for values in learner.parameters())


@pytest.mark.parametrize("options", [{"strength": -1.0}, {"decay": 1.1}, {"fisher_samples": 0}, {"start": "activ"}])
def test_senseless_options_are_refused(options):
    with pytest.raises(BadConfig, match=next(iter(options))):
        ProgressAndCompressOptions(**options)
