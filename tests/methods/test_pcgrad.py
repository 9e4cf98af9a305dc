import pytest
import torch

from nestrl.errors import BadConfig
from nestrl.methods.pcgrad import PCGrad, PCGradOptions
from nestrl.updates.regulated import Update

from .fake_learner import FakeLearner, live
from .keeping import drift_after_next_task, finetune, parameters_after, resumes_exactly, same


def pcgrad(**options):
    return lambda learner: PCGrad(PCGradOptions(**options), learner, seed=0)


@pytest.mark.parametrize("drift_limit", [0.03, None])
def test_without_pull_it_is_finetuning_bit_for_bit(drift_limit):
    assert same(parameters_after(finetune), parameters_after(pcgrad(pull=0.0, drift_limit=drift_limit)))


def test_the_move_never_opposes_the_step_and_lowers_the_drift():
    learner = FakeLearner()
    method = pcgrad(pull=0.7)(learner)
    live(method, learner, [0, 1], 30)
    method.begin(2, 2)
    for _ in range(20):
        random_state = method.state_dict()["generator"]
        gradients = method._drift_gradients()
        method._generator.set_state(random_state)
        before = [flat(group) for group in method._groups]
        method.regulate(Update(lambda: base_step(method)))
        for group, start in zip(method._groups, before, strict=True):
            step = torch.full_like(start, 0.01)
            move = flat(group) - start - step
            drift = flat([gradients[parameter] for parameter in group])
            assert move @ step >= -1e-5 * step.norm() ** 2
            assert move @ drift <= 1e-5 * move.norm() * drift.norm()
            assert move.norm() <= 0.7 * step.norm() * 1.001
            assert drift.norm() == 0 or move.norm() > 0


def flat(tensors):
    return torch.cat([tensor.detach().flatten() for tensor in tensors])


def base_step(method):
    with torch.no_grad():
        for parameter in method._parameters:
            parameter += 0.01


@pytest.mark.learning
@pytest.mark.parametrize("drift_limit", [0.03, None])
def test_it_keeps_more_than_finetuning_and_still_learns(drift_limit):
    lost, plain_losses, _ = drift_after_next_task(finetune)
    kept, losses, _ = drift_after_next_task(pcgrad(drift_limit=drift_limit))
    assert kept < 0.5 * lost
    assert losses[1] < plain_losses[1] + 0.3


def test_measurements_count_what_is_remembered():
    learner = FakeLearner()
    method = pcgrad(capacity=100)(learner)
    assert method.measurements()["memory_bytes"] == 0
    live(method, learner, [0, 1], 3)
    measured = method.measurements()
    assert measured["memory_bytes"] == 2 * 100 * (7 + 2 + 2) * 4
    assert measured["drift"] > 0


def test_resumed_in_the_middle_of_a_segment_it_ends_bit_identical():
    assert resumes_exactly(pcgrad(capacity=100))


@pytest.mark.parametrize("options", [{"pull": -0.1}, {"drift_limit": 0.0}, {"samples": 0}, {"capacity": 0}])
def test_senseless_options_are_refused(options):
    with pytest.raises(BadConfig, match=next(iter(options))):
        PCGradOptions(**options)
