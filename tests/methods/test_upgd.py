import pytest
import torch
from torch import nn

from nestrl.errors import BadConfig
from nestrl.methods.upgd import UPGD, UPGDOptions
from nestrl.updates.regulated import Update

from .fake_learner import FakeLearner, live
from .keeping import parameters_after, resumes_exactly, same


def upgd(**options):
    return lambda learner: UPGD(UPGDOptions(**options), learner, seed=0)


class Weights:
    """A learner that is some vectors."""

    policy, n_tasks = None, 1

    def __init__(self, *vectors):
        self.groups = {f"trunk_{depth}": [nn.Parameter(torch.tensor(each))] for depth, each in enumerate(vectors)}
        self.parameters = [group[0] for group in self.groups.values()]

    def actor_groups(self):
        return self.groups

    def step(self, method, gradients, size=0.1):
        """Regulate a step of this size in every number that has a gradient; return how far each vector moved."""
        before = [parameter.detach().clone() for parameter in self.parameters]
        for parameter, gradient in zip(self.parameters, gradients, strict=True):
            parameter.grad = None if gradient is None else torch.tensor(gradient)
        method.regulate(Update(lambda: self.move(size)))
        return [parameter.detach() - start for parameter, start in zip(self.parameters, before, strict=True)]

    def move(self, size):
        for parameter in self.parameters:
            if parameter.grad is not None:
                parameter.data += size


QUIET = {"noise": 0.0, "weight_decay": 0.0}


def test_without_noise_and_utility_it_is_the_base_step_bit_for_bit():
    learner, plain = Weights([1.0, -2.0], [0.0]), Weights([1.0, -2.0], [0.0])
    learner.step(upgd(**QUIET)(learner), [[0.0, 0.0], [5.0]])
    for parameter in plain.parameters:
        parameter.data += 0.1
    assert same(learner.parameters, plain.parameters)


def test_useful_weights_move_less_and_harmful_ones_more():
    learner = Weights([1.0, 0.5, 0.0], [-1.0])
    first, second = learner.step(upgd(**QUIET)(learner), [[-4.0, -4.0, -4.0], [-4.0]])
    gates = [2 * (1 - torch.sigmoid(torch.tensor(share)).item()) for share in (1.0, 0.5, 0.0, -1.0)]
    torch.testing.assert_close(torch.cat([first, second]), 0.1 * torch.tensor(gates))
    assert gates[0] < gates[1] < gates[2] == 1.0 < gates[3]


def test_utility_is_a_bias_corrected_trace():
    learner = Weights([1.0, 1.0])
    method = upgd(utility_decay=0.5, **QUIET)(learner)
    learner.step(method, [[-1.0, -3.0]], size=0.0)
    (moved,) = learner.step(method, [[-4.0, 0.0]])
    utilities = torch.tensor([0.25 * 1 + 0.5 * 4, 0.25 * 3]) / 0.75
    torch.testing.assert_close(moved, 0.1 * 2 * (1 - torch.sigmoid(utilities / utilities.max())))


def test_noise_has_the_size_of_a_share_of_the_step_and_is_gated():
    learner = Weights([0.0] * 20_000, [1.0] * 20_000)
    useless, useful = learner.step(upgd(noise=0.5, weight_decay=0.0)(learner), [[-1.0] * 20_000, [-1.0] * 20_000])
    assert useless.std().item() == pytest.approx(0.05, rel=0.05)
    assert useful.std().item() == pytest.approx(0.05 * 0.5379, rel=0.05)
    assert useless.mean().item() == pytest.approx(0.1, rel=0.05)


def test_weights_decay_from_where_they_were():
    learner = Weights([0.0, 10.0])
    (moved,) = learner.step(upgd(noise=0.0, weight_decay=0.01)(learner), [[0.0, 0.0]])
    torch.testing.assert_close(moved, torch.tensor([0.1, 0.0]), atol=1e-6, rtol=1e-5)


def test_parameters_without_a_gradient_stay():
    learner = Weights([1.0], [2.0])
    assert learner.step(upgd(noise=1.0, weight_decay=0.5)(learner), [[1.0], None])[1].item() == 0.0


def test_it_learns_and_leaves_global_streams_alone():
    learner = FakeLearner()
    before = torch.get_rng_state()
    losses = live(upgd()(learner), learner, [0, 1], 100)
    assert max(losses) < 1.0
    assert torch.equal(torch.get_rng_state(), before)
    assert not same(parameters_after(upgd(noise=0.1)), parameters_after(upgd(noise=0.0)))


def test_memory_is_a_number_a_parameter():
    learner = FakeLearner()
    assert upgd()(learner).measurements()["memory_bytes"] == 4 * sum(p.numel() for p in learner.parameters())


def test_resumed_in_the_middle_of_a_segment_it_ends_bit_identical():
    assert resumes_exactly(upgd(noise=0.1))


@pytest.mark.parametrize("options", [{"utility_decay": 1.0}, {"noise": -1.0}, {"weight_decay": -0.1}])
def test_senseless_options_are_refused(options):
    with pytest.raises(BadConfig, match=next(iter(options))):
        UPGDOptions(**options)
