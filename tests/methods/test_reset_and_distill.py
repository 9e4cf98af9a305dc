import pytest
import torch

from nestrl.errors import BadConfig
from nestrl.methods.reset_and_distill import ResetAndDistill, ResetAndDistillOptions
from nestrl.updates.drift import drift_between

from .fake_learner import FakeLearner, live


def reset_and_distill(learner, **options):
    defaults = {"steps": 300, "samples": 192, "learning_rate": 2e-2}
    return ResetAndDistill(ResetAndDistillOptions(**defaults | options), learner, seed=0)


def output(policy, observations):
    with torch.no_grad():
        return policy.output(observations)


@pytest.mark.learning
@pytest.mark.parametrize("discrete", [False, True], ids=["Box", "Discrete"])
def test_offline_actor_answers_like_every_teacher_while_the_learner_forgets(discrete):
    learner = FakeLearner(discrete)
    method = reset_and_distill(learner)
    tests = []
    for task in range(3):
        live(method, learner, [task], 60)
        seen = learner.observations(task, 1000)
        tests.append((seen, output(learner, seen)))
    drifts = [
        drift_between(teacher, output(method.policy_for(task), seen)).total.mean().item()
        for task, (seen, teacher) in enumerate(tests)
    ]
    forgotten = drift_between(tests[0][1], output(learner, tests[0][0])).total.mean().item()
    assert max(drifts) < 0.1
    assert forgotten > 5 * max(drifts)
    assert method.measurements()["worst_drift"] == pytest.approx(max(drifts), abs=0.05)


def test_every_task_but_the_first_starts_from_fresh_weights():
    learner = FakeLearner()
    method = reset_and_distill(learner)
    first = learner.parameters()
    method.begin(0, 0)
    assert all(torch.equal(one, other) for one, other in zip(first, learner.parameters(), strict=True))
    live(method, learner, [0], 5)
    trained = learner.parameters()
    method.begin(1, 1)
    assert not torch.equal(trained[0], learner.parameters()[0])
    assert (learner.log_std == -0.5).all()


def test_a_single_teacher_is_copied_even_when_its_task_comes_back():
    learner = FakeLearner()
    method = reset_and_distill(learner)
    live(method, learner, [0, 0], 5)
    seen = learner.observations(0)
    assert torch.equal(output(method.policy_for(0), seen).mean, output(learner, seen).mean)


def test_learner_acts_in_its_own_task_and_the_offline_actor_in_all_others():
    learner = FakeLearner()
    method = reset_and_distill(learner, steps=2)
    assert method.policy_for(1) is learner.policy
    live(method, learner, [0], 2)
    method.begin(1, 1)
    assert method.policy_for(1) is learner.policy
    assert method.policy_for(0) is method.policy_for(2) is not learner.policy
    live(method, learner, [1], 2)
    assert method.policy_for(1) is not learner.policy


def test_memory_is_the_teachers_and_one_actor():
    learner = FakeLearner()
    method = reset_and_distill(learner, steps=1, capacity=100)
    live(method, learner, [0, 1], 1)
    actor = sum(values.nbytes for values in learner.parameters())
    assert method.measurements()["memory_bytes"] == actor + 2 * 100 * (7 + 2 + 2) * 4


@pytest.mark.parametrize("options", [{"steps": 0}, {"capacity": 0}])
def test_senseless_options_are_refused(options):
    with pytest.raises(BadConfig, match=next(iter(options))):
        ResetAndDistillOptions(**options)
