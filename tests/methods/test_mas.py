import numpy as np
import torch

from nestrl.methods.mas import MAS, MASOptions

from .linear_learner import LinearLearner

OBSERVATIONS = np.array([[1, 0, 2], [-1, 1, 0], [1, -1, 2], [-1, 0, 0]], dtype=np.float32)


def sensitivity_of(learner):
    """E |2 (W x)_k x_j| of a linear policy."""
    x = torch.as_tensor(OBSERVATIONS)
    return (2 * (x @ learner.weight.detach().T)[:, :, None] * x[:, None]).abs().mean(0)


def test_ends_between_both_tasks_by_the_sensitivity():
    """argmin of b/2 (W - T)^2 + s Omega/2 (W - W*)^2 is (b T + s Omega W*) / (b + s Omega)."""
    learner = LinearLearner(lr=0.05)
    method = MAS(MASOptions(strength=2.0), learner, seed=0)
    learner.optimizer.attach(method.regulate)
    method.end(0, 0, OBSERVATIONS)
    anchor, firmness = learner.weight.detach().clone(), 2.0 * sensitivity_of(learner)
    learner.minimise(lambda: 0.5 * (learner.weight - 5.0).square().sum(), steps=300)
    torch.testing.assert_close(learner.weight.detach(), (5.0 + firmness * anchor) / (1.0 + firmness))


def test_importances_add_up_over_boundaries():
    learner = LinearLearner()
    method = MAS(MASOptions(), learner, seed=0)
    first = sensitivity_of(learner)
    method.end(0, 0, OBSERVATIONS)
    learner.weight.data *= -3.0
    method.end(1, 1, OBSERVATIONS)
    importances = method.state_dict()["penalty"]["importances"][:6].view(2, 3)
    torch.testing.assert_close(importances, first + 3.0 * first)
