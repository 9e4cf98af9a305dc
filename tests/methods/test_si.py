import numpy as np
import pytest
import torch

from nestrl.errors import BadConfig
from nestrl.methods.si import SI, SIOptions
from nestrl.updates.regulated import Update

from .linear_learner import LinearLearner

NOTHING = np.zeros((1, 3), dtype=np.float32)
CURVATURE = torch.tensor([[1.0, 2.0, 4.0], [0.5, 3.0, 0.0]])


def quadratic(learner):
    return lambda: 0.5 * (CURVATURE * learner.weight.square()).sum()


def follow(method, learner, steps):
    learner.optimizer.attach(method.regulate)
    method.begin(0, 0)
    learner.minimise(quadratic(learner), steps)


def test_contributions_sum_to_the_decrease_of_the_loss():
    learner = LinearLearner(lr=1e-3)
    method = SI(SIOptions(), learner, seed=0)
    start, before = learner.weight.detach().clone(), quadratic(learner)().item()
    follow(method, learner, 100)
    decrease = 0.5 * CURVATURE * (start**2 - learner.weight.detach() ** 2)
    contribution = method.state_dict()["contribution"][:6].view(2, 3)
    torch.testing.assert_close(contribution, decrease, rtol=5e-3, atol=1e-6)
    assert contribution.sum().item() == pytest.approx(before - quadratic(learner)().item(), rel=5e-3)


def test_importance_at_the_minimum_of_a_quadratic_is_half_its_curvature():
    """w = h/2 W0^2 and Delta = -W0 give Omega = h/2 (Zenke et al., 2017, section 4), here in steps: h / (2 - lr h)."""
    learner = LinearLearner(lr=0.05)
    method = SI(SIOptions(damping=1e-9), learner, seed=0)
    follow(method, learner, 400)
    method.end(0, 0, NOTHING)
    importances = method.state_dict()["penalty"]["importances"][:6].view(2, 3)
    torch.testing.assert_close(importances, CURVATURE / (2 - 0.05 * CURVATURE), rtol=1e-3, atol=1e-6)


def test_damping_bounds_the_importance_of_what_hardly_moved():
    learner = LinearLearner(lr=1e-3)
    method = SI(SIOptions(damping=0.1), learner, seed=0)
    start = learner.weight.detach().clone()
    follow(method, learner, 50)
    method.end(0, 0, NOTHING)
    moved = learner.weight.detach() - start
    decrease = 0.5 * CURVATURE * (start**2 - learner.weight.detach() ** 2)
    importances = method.state_dict()["penalty"]["importances"][:6].view(2, 3)
    torch.testing.assert_close(importances, decrease / (moved**2 + 0.1), rtol=5e-3, atol=1e-6)


def test_the_penalty_is_not_on_the_path():
    learner = LinearLearner()
    method = SI(SIOptions(strength=1.0), learner, seed=0)
    follow(method, learner, 20)
    method.end(0, 0, NOTHING)
    method.begin(1, 1)
    learner.weight.data += 1.0
    before = learner.weight.detach().clone()
    learner.minimise(lambda: 0 * learner.weight.sum(), steps=5)
    state = method.state_dict()
    assert not torch.equal(before, learner.weight.detach())
    assert not state["contribution"].any()
    torch.testing.assert_close(state["displacement"][:6].view(2, 3), learner.weight.detach() - before)


def test_a_path_that_raised_the_loss_earns_no_importance():
    learner = LinearLearner()
    method = SI(SIOptions(), learner, seed=0)
    method.begin(0, 0)
    learner.weight.grad = torch.ones_like(learner.weight)
    method.regulate(Update(lambda: learner.weight.data.add_(1.0)))
    method.end(0, 0, NOTHING)
    assert not method.state_dict()["penalty"]["importances"].any()


def test_where_changes_are_detected_steps_are_undone_and_there_is_no_path():
    learner = LinearLearner()
    learner.knows_boundaries = False
    with pytest.raises(BadConfig, match="si needs given boundaries"):
        SI(SIOptions(), learner, seed=0)


def test_no_path_leads_to_other_weights():
    learner = LinearLearner(lr=1e-3)
    method = SI(SIOptions(), learner, seed=0)
    follow(method, learner, 20)
    learner.weight.data += 5.0
    learner.renewals += 1
    start = learner.weight.detach().clone()
    learner.minimise(quadratic(learner), 20)
    displacement = method.state_dict()["displacement"][:6].view(2, 3)
    torch.testing.assert_close(displacement, learner.weight.detach() - start, rtol=1e-4, atol=1e-5)
