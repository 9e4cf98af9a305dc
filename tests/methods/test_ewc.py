import numpy as np
import pytest
import torch

from nestrl.methods.ewc import EWC, EWCOptions

from .linear_learner import LinearLearner

OBSERVATIONS = np.array([[1, 0, 2], [-1, 1, 0], [1, -1, 2], [-1, 0, 0]], dtype=np.float32)
MEAN_SQUARES = torch.tensor([1.0, 0.5, 2.0])


def fisher_of(learner):
    """F_kj = E[x_j^2] / std_k^2 of a linear-Gaussian policy."""
    return MEAN_SQUARES / learner.log_std.detach().exp()[:, None] ** 2


def test_ends_between_both_tasks_by_the_fisher_information():
    """argmin of b/2 (W - T)^2 + s F/2 (W - W*)^2 is (b T + s F W*) / (b + s F)."""
    learner = LinearLearner(lr=0.05)
    method = EWC(EWCOptions(strength=2.0), learner, seed=0)
    learner.optimizer.attach(method.regulate)
    method.end(0, 0, OBSERVATIONS)
    anchor, firmness = learner.weight.detach().clone(), 2.0 * fisher_of(learner)
    learner.minimise(lambda: 0.5 * (learner.weight - 5.0).square().sum(), steps=300)
    torch.testing.assert_close(learner.weight.detach(), (5.0 + firmness * anchor) / (1.0 + firmness))


def test_penalty_of_a_linear_gaussian_policy_is_its_drift():
    """A linear mean has no higher derivatives: at strength 1, for one input at a time, penalty = KL divergence."""
    learner = LinearLearner()
    method = EWC(EWCOptions(strength=1.0), learner, seed=0)
    method.end(0, 0, OBSERVATIONS)
    learner.weight.data[1, 2] += 0.3
    expected = 0.5 * 0.3**2 * MEAN_SQUARES[2] / learner.log_std.detach()[1].exp() ** 2
    assert method.measurements()["penalty"] == pytest.approx(expected.item(), rel=1e-5)


@pytest.mark.parametrize(("decay", "times"), [(1.0, 3.0), (0.5, 1.75), (0.0, 1.0)])
def test_importances_add_up_over_boundaries_and_decay(decay, times):
    learner = LinearLearner()
    method = EWC(EWCOptions(strength=1.0, decay=decay), learner, seed=0)
    for segment, task in enumerate((0, 1, 0)):
        method.begin(segment, task)
        method.end(segment, task, OBSERVATIONS)
    importances = method.state_dict()["penalty"]["importances"]
    torch.testing.assert_close(importances[:6], times * fisher_of(learner).flatten())


def test_fisher_is_measured_on_as_many_observations_as_asked_for():
    learner = LinearLearner()
    method = EWC(EWCOptions(samples=1), learner, seed=0)
    method.end(0, 0, OBSERVATIONS)
    std = learner.log_std.detach().exp()[:, None]
    squares = method.state_dict()["penalty"]["importances"][:6].view(2, 3) * std**2
    assert any(torch.allclose(squares, torch.as_tensor(row**2).expand(2, 3)) for row in OBSERVATIONS)
