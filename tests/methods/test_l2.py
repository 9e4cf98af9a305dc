import numpy as np
import torch

from nestrl.methods.l2 import L2, L2Options

from .linear_learner import LinearLearner

NOTHING = np.zeros((1, 3), dtype=np.float32)


def anchored(strength, **learning):
    """Return a learner and the method that holds it to where it is."""
    learner = LinearLearner(**learning)
    method = L2(L2Options(strength=strength), learner, seed=0)
    learner.optimizer.attach(method.regulate)
    method.end(0, 0, NOTHING)
    return learner, method


def test_gradient_is_the_distance_from_the_last_anchor_times_strength():
    learner, _ = anchored(strength=0.5, lr=1.0)
    anchor = learner.weight.detach().clone()
    learner.weight.data += 2.0
    learner.minimise(lambda: 0 * learner.weight.sum(), steps=1)
    torch.testing.assert_close(learner.weight.detach(), anchor + 2.0 - 0.5 * 2.0)


def test_a_start_that_was_copied_into_the_network_is_not_pulled_back():
    learner, method = anchored(strength=0.5, lr=1.0)
    learner.weight.data += 2.0
    start = learner.weight.detach().clone()
    method.begin(1, 1)
    learner.minimise(lambda: 0 * learner.weight.sum(), steps=1)
    torch.testing.assert_close(learner.weight.detach(), start)


def test_ends_between_both_tasks():
    """argmin of b/2 (W - T)^2 + s/2 (W - W*)^2 is (b T + s W*) / (b + s)."""
    learner, _ = anchored(strength=3.0)
    anchor = learner.weight.detach().clone()
    learner.minimise(lambda: 0.5 * (learner.weight - 5.0).square().sum(), steps=200)
    torch.testing.assert_close(learner.weight.detach(), (1.0 * 5.0 + 3.0 * anchor) / 4.0)


def test_a_fresh_network_is_no_anchor():
    learner, method = anchored(strength=0.5, lr=1.0)
    anchor = learner.weight.detach().clone()
    learner.weight.data += 2.0
    learner.renewals += 1
    method.begin(1, 1)
    learner.minimise(lambda: 0 * learner.weight.sum(), steps=1)
    torch.testing.assert_close(learner.weight.detach(), anchor + 2.0 - 0.5 * 2.0)
