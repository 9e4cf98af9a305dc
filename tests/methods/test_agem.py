import pytest
import torch

from nestrl.agents.experience import Experience
from nestrl.errors import BadConfig
from nestrl.methods.agem import AGEM, AGEMOptions
from nestrl.updates.drift import drift_between
from nestrl.updates.regulated import Update

from .fake_learner import FakeLearner, live
from .keeping import drift_after_next_task, finetune, parameters_after, resumes_exactly, same


def agem(**options):
    return lambda learner: AGEM(AGEMOptions(**options), learner, seed=0)


class FixedReference:
    """A memory whose loss has a known gradient: the parameters' sum of squares times a sign."""

    tasks, n_bytes = (0,), 0

    def __init__(self, parameters, sign):
        self.parameters, self.sign = parameters, sign

    def loss(self, samples, tasks, generator):
        return self.sign * sum((parameter**2).sum() for parameter in self.parameters) / 2


def projected(sign):
    """Regulate a random gradient with the reference sign * theta; return gradient before, after, and reference."""
    learner = FakeLearner()
    method = agem(reference="kl")(learner)
    before = []
    for parameter in method._parameters:
        parameter.grad = parameter.detach() + torch.randn_like(parameter)
        before.append(parameter.grad.flatten().clone())
    method._memory = FixedReference(method._parameters, sign)
    method.begin(1, 1)
    method.regulate(Update(lambda: None))
    after = torch.cat([parameter.grad.flatten() for parameter in method._parameters])
    reference = sign * torch.cat([parameter.detach().flatten() for parameter in method._parameters])
    return torch.cat(before), after, reference, method.measurements()["conflict_share"]


def test_a_conflicting_gradient_becomes_orthogonal_to_the_reference():
    before, after, reference, conflicts = projected(sign=-1.0)
    assert before @ reference < -1
    assert abs(after @ reference) < 1e-4 * after.norm() * reference.norm()
    torch.testing.assert_close(after, before - (before @ reference) / (reference @ reference) * reference)
    assert conflicts == 1.0


def test_an_agreeing_gradient_is_left_alone():
    before, after, reference, conflicts = projected(sign=1.0)
    assert before @ reference > 1
    assert torch.equal(after, before)
    assert conflicts == 0.0


@pytest.mark.parametrize("reference", ["rl", "kl"])
def test_first_task_is_learned_exactly_as_by_finetuning(reference):
    assert same(parameters_after(finetune, [0]), parameters_after(agem(reference=reference), [0]))


@pytest.mark.learning
def test_drift_reference_keeps_more_than_finetuning():
    lost, *_ = drift_after_next_task(finetune)
    kept, losses, _ = drift_after_next_task(agem(reference="kl"))
    assert kept < 0.7 * lost
    assert losses[1] < 0.5


def test_rollouts_are_remembered_with_standardised_advantages():
    learner = FakeLearner()
    method = agem(capacity=100, samples=30)(learner)
    live(method, learner, [0, 1, 0], 30)
    assert sorted(method._memory.tasks) == [0, 1]
    n_numbers = 7 + 2 + 1 + 1  # observation, action, log likelihood, advantage
    assert method.measurements()["memory_bytes"] == 2 * 100 * n_numbers * 4
    assert 0.0 < method.measurements()["conflict_share"] <= 1.0
    whole = agem(capacity=10_000)(learner)
    whole.end(0, 1, learner.observations(1).numpy())
    advantages = whole._memory._rollouts[1].advantages
    assert advantages.mean().item() == pytest.approx(0, abs=1e-5)
    assert advantages.std().item() == pytest.approx(1, abs=1e-3)


def test_rollout_loss_is_ppos_clipped_surrogate():
    learner = FakeLearner()
    method = agem()(learner)
    observations = learner.observations(0, 2)
    with torch.no_grad():
        output = learner.output(observations)
    actions = output.mean + 0.1
    ratios, advantages = torch.tensor([1.5, 0.5]), torch.tensor([1.0, -1.0])
    log_probs = output.log_prob(actions) - ratios.log()
    for row, expected in ((0, -1.2), (1, 0.8)):  # both are cut off by the clip
        rollout = Experience(observations, actions, log_probs, advantages)
        method._memory._rollouts = {0: Experience(*(field[[row]] for field in rollout))}
        loss = method._memory.loss(4, [0], torch.Generator())
        assert loss.item() == pytest.approx(expected, rel=1e-4)


def test_drift_loss_is_the_mean_drift():
    learner = FakeLearner()
    method = agem(reference="kl")(learner)
    live(method, learner, [0], 3)
    assert method._memory.loss(64, [0], torch.Generator()).item() == pytest.approx(0, abs=1e-6)
    seen = learner.observations(0, 5)
    method._memory.remember(0, seen, torch.Generator())
    with torch.no_grad():
        teacher = learner.output(seen)
        learner.head.bias += 0.3
        expected = drift_between(teacher, learner.output(seen)).total.mean().item()
    assert method._memory.loss(64, [0], torch.Generator()).item() == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("reference", ["rl", "kl"])
def test_resumed_in_the_middle_of_a_segment_it_ends_bit_identical(reference):
    assert resumes_exactly(agem(reference=reference, capacity=100))


def test_off_policy_learners_need_the_other_reference():
    learner = FakeLearner(off_policy=True)
    with pytest.raises(BadConfig, match="reference=kl"):
        agem()(learner)
    live(agem(reference="kl")(learner), learner, [0, 1], 2)


@pytest.mark.parametrize("options", [{"reference": "mse"}, {"samples": 0}, {"capacity": -1}])
def test_senseless_options_are_refused(options):
    with pytest.raises(BadConfig, match=next(iter(options))):
        AGEMOptions(**options)


def test_nothing_is_remembered_of_a_task_in_which_nothing_was_observed():
    learner = FakeLearner()
    method = agem()(learner)
    method.begin(0, 0)
    method.end(0, 0, learner.observations(0, 0).numpy())
    assert method.measurements()["memory_bytes"] == 0


@pytest.mark.parametrize("reference", ["rl", "kl"])
def test_a_task_that_comes_back_is_no_reference_for_itself(reference):
    learner = FakeLearner()
    method = agem(reference=reference, capacity=100, samples=30)(learner)
    live(method, learner, [0, 1, 0], 5)
    assert method.state_dict()["old_tasks"] == [1]
