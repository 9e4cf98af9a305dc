import math

import pytest
import torch
from scipy.special import erfi
from torch import nn

from nestrl.errors import BadConfig
from nestrl.methods import make_method
from nestrl.methods.cloning import Cloning, CloningOptions
from nestrl.methods.trac import TRAC, TRACOptions
from nestrl.updates.regulated import RegulatedAdam, RegulatedStep, Update

from .fake_learner import FakeLearner, live
from .keeping import finetune, parameters_after, resumes_exactly


def trac(**options):
    return lambda learner: TRAC(TRACOptions(**options), learner, seed=0)


class RegulatedSGD(RegulatedStep, torch.optim.SGD):
    """SGD that a method can regulate."""


class Numbers:
    """A learner that is one vector."""

    policy, n_tasks, renewals = None, 1, 0

    def __init__(self, values):
        self.values = nn.Parameter(torch.tensor(values, dtype=torch.float64))

    def actor_groups(self):
        return {"head": [self.values]}


def test_one_number_stepped_by_hand():
    learner = Numbers([2.0])
    optimizer = RegulatedSGD([learner.values], lr=0.1)
    optimizer.attach(TRAC(TRACOptions(discounts=(0.9,), start=0.01), learner, seed=0).regulate)
    way, variance, total, scale, scales = 0.0, 0.0, 1e-8, 0.0, []
    for gradient in (1.0, 1.0, 1.0, -3.0, -1.0, -1.0, -1.0, -1.0, -1.0):
        learner.values.grad = torch.tensor([gradient], dtype=torch.float64)
        optimizer.step()
        slope = gradient * way
        variance = 0.9**2 * variance + slope**2
        total = 0.9 * total - slope
        scale = max(0.0, 0.01 / erfi(math.sqrt(0.5)) * erfi(total / (math.sqrt(2 * variance) + 1e-8)))
        way -= 0.1 * gradient
        scales.append(scale)
        assert learner.values.item() == pytest.approx(2.0 + scale * way, rel=1e-9)
    assert scales[2] > scales[3] == 0.0 < scales[-1]


def test_the_scale_grows_on_a_long_way_and_the_minimum_is_reached():
    learner = Numbers([0.0, 0.0])
    optimizer = RegulatedAdam([learner.values], lr=0.1)
    method = TRAC(TRACOptions(), learner, seed=0)
    optimizer.attach(method.regulate)
    goal = torch.tensor([3.0, -2.0], dtype=torch.float64)
    for step in range(300):
        optimizer.zero_grad()
        ((learner.values - goal) ** 2).sum().backward()
        optimizer.step()
        if step == 0:
            assert method.measurements()["scale"] < 1e-6
    torch.testing.assert_close(learner.values.detach(), goal, atol=0.3, rtol=0)
    assert method.measurements()["scale"] > 0.01


def test_what_moves_only_now_and_then_stands_where_the_scale_says():
    often, seldom = Numbers([0.0]), nn.Parameter(torch.tensor([1.0], dtype=torch.float64))
    often.actor_groups = lambda: {"trunk_0": [seldom], "head": [often.values]}
    optimizer = RegulatedSGD([seldom, often.values], lr=0.1)
    method = TRAC(TRACOptions(discounts=(0.9,), start=0.01), often, seed=0)
    optimizer.attach(method.regulate)
    for step in range(1, 13):
        often.values.grad = torch.ones(1, dtype=torch.float64)
        seldom.grad = torch.ones(1, dtype=torch.float64) if step % 4 == 0 else None
        optimizer.step()
    scale = method.measurements()["scale"]
    assert scale > 0
    assert seldom.item() == pytest.approx(1.0 - scale * 0.3, rel=1e-9)  # three steps of .1


def test_it_is_the_librarys_step():
    library = pytest.importorskip("pytorch_optimizer")
    ours, theirs = FakeLearner(), FakeLearner()
    ours.optimizer.attach(trac(start=0.01)(ours).regulate)
    theirs.optimizer = library.TRAC(theirs.optimizer, s_prev=0.01)
    first = ours.parameters()
    for _ in range(30):
        assert ours.step(0) == pytest.approx(theirs.step(0), rel=1e-2)
    for start, one, other in zip(first, ours.parameters(), theirs.parameters(), strict=True):
        assert (one - other).abs().max() <= 0.01 * (one - start).abs().max()  # theirs has single precision


def test_it_learns_and_knows_no_tasks():
    learner = FakeLearner()
    losses = live(trac()(learner), learner, [0, 1], 100)
    assert max(losses) < 1.0


def test_parameters_without_a_gradient_stay():
    learner = FakeLearner()
    before = learner.unused_head.weight.clone()
    live(trac()(learner), learner, [0], 30)
    assert torch.equal(learner.unused_head.weight, before)


def test_within_another_methods_step_it_scales_that():
    learner = FakeLearner()
    outer, inner = Cloning(CloningOptions(weight=10.0), learner, seed=0), trac()(learner)

    live(outer, learner, [0], 30)
    outer.begin(1, 1)
    learner.optimizer.attach(lambda update: outer.regulate(Update(lambda: inner.regulate(update))))
    for _ in range(60):
        learner.step(1)
    assert outer.measurements()["drift"] > 0
    assert inner.measurements()["scale"] > 0


def test_memory_is_a_number_a_parameter():
    learner = FakeLearner()
    assert trac()(learner).measurements()["memory_bytes"] == 4 * sum(p.numel() for p in learner.parameters())


def test_resumed_in_the_middle_of_a_segment_it_ends_bit_identical():
    assert resumes_exactly(trac(), steps=60)
    assert len(parameters_after(trac())) == len(parameters_after(finetune))


@pytest.mark.parametrize("options", [{"discounts": ()}, {"discounts": (0.9, 1.1)}, {"start": 0.0}])
def test_senseless_options_are_refused(options):
    with pytest.raises(BadConfig, match=next(iter(options))):
        TRACOptions(**options)


def test_where_the_actor_gets_other_weights_the_way_begins_anew():
    learner = Numbers([2.0])
    optimizer = RegulatedSGD([learner.values], lr=0.1)
    method = TRAC(TRACOptions(discounts=(0.9,), start=0.01), learner, seed=0)
    optimizer.attach(method.regulate)

    def step(gradient):
        learner.values.grad = torch.tensor([gradient], dtype=torch.float64)
        optimizer.step()

    for _ in range(5):
        step(1.0)
    learner.values.data.fill_(7.0)
    learner.renewals += 1
    for way in (-0.1, -0.2):
        step(1.0)
        assert learner.values.item() == pytest.approx(7.0 + method.measurements()["scale"] * way, rel=1e-12)
    assert method.measurements()["scale"] > 0


@pytest.mark.parametrize("name", ["progress-and-compress", "snapshots", "reset-and-distill"])
def test_another_networks_weights_are_where_the_way_begins(name):
    learner = FakeLearner()
    method = make_method(f"{name}+trac", {}, learner, 0)
    live(method, learner, [0, 1], 60)
    ways = method._parts["trac"].state_dict()["ways"]
    method.begin(2, 0)
    learner.step(0)
    moved = method._parts["trac"].state_dict()["ways"]
    assert sum(float(way.abs().sum()) for way in moved) < 0.2 * sum(float(way.abs().sum()) for way in ways)
