import pytest
import torch
from torch import nn

from nestrl.agents.actor_output import ActorOutput
from nestrl.updates.drift import drift_between
from nestrl.updates.importance import fisher_information, output_sensitivity

N, FEATURES, ACTIONS = 50, 3, 2
GENERATOR = torch.Generator().manual_seed(1)
OBSERVATIONS = torch.randn(N, FEATURES, generator=GENERATOR) * torch.tensor([1.0, 3.0, 0.1])
WEIGHT = torch.randn(ACTIONS, FEATURES, generator=GENERATOR)
LOG_STD = torch.tensor([-1.0, 0.5])


class LinearPolicy(nn.Module):
    """mean = W x and a log_std (A,), or logits = W x."""

    def __init__(self, discrete=False):
        super().__init__()
        self.discrete = discrete
        self.weight, self.log_std = nn.Parameter(WEIGHT.clone()), nn.Parameter(LOG_STD.clone())

    def forward(self, x):
        answer = x @ self.weight.T
        return ActorOutput(logits=answer) if self.discrete else ActorOutput(answer, self.log_std.expand_as(answer))


class DeepPolicy(nn.Module):
    """A network whose mean (or logits) and log_std both depend on the observation; `unused` does nothing."""

    def __init__(self, discrete=False):
        super().__init__()
        torch.manual_seed(0)
        self.discrete = discrete
        self.trunk = nn.Sequential(nn.Linear(FEATURES, 8), nn.LayerNorm(8), nn.SiLU())
        self.head, self.log_std, self.unused = (nn.Linear(8, ACTIONS) for _ in range(3))

    def forward(self, x):
        hidden = self.trunk(x)
        answer = self.head(hidden)
        return ActorOutput(logits=answer) if self.discrete else ActorOutput(answer, self.log_std(hidden))


def flat(tensors):
    return torch.cat([tensor.flatten() for tensor in tensors])


def curvature(scalar, parameters):
    """Return the diagonal (P,) of a scalar's second derivative."""
    options = {"allow_unused": True, "materialize_grads": True}
    gradient = flat(torch.autograd.grad(scalar, parameters, create_graph=True, **options))
    rows = [torch.autograd.grad(entry, parameters, retain_graph=True, **options) for entry in gradient]
    return torch.stack([flat(row)[index] for index, row in enumerate(rows)])


def test_fisher_of_a_linear_gaussian_policy():
    """d mean_k / d W_kj = x_j, so F_kj = E[x_j^2] / std_k^2; each log_std has 2."""
    policy = LinearPolicy()
    fisher = fisher_information(policy, OBSERVATIONS, list(policy.parameters()))
    expected = OBSERVATIONS.square().mean(0) / LOG_STD.exp()[:, None] ** 2
    torch.testing.assert_close(fisher, flat([expected, torch.full((ACTIONS,), 2.0)]))


def test_fisher_of_a_linear_categorical_policy():
    """d log p_a / d W_bj = (1[a = b] - p_b) x_j, so F_bj = E[p_b (1 - p_b) x_j^2]; log_std is not used."""
    policy = LinearPolicy(discrete=True)
    fisher = fisher_information(policy, OBSERVATIONS, list(policy.parameters()))
    p = torch.softmax(OBSERVATIONS @ WEIGHT.T, 1)
    expected = ((p * (1 - p))[:, :, None] * OBSERVATIONS[:, None] ** 2).mean(0)
    torch.testing.assert_close(fisher, flat([expected, torch.zeros(ACTIONS)]))


@pytest.mark.parametrize("discrete", [False, True], ids=["Box", "Discrete"])
def test_fisher_is_the_curvature_of_the_drift(discrete):
    policy = DeepPolicy(discrete)
    parameters = [parameter for name, parameter in policy.named_parameters() if not name.startswith("unused")]
    fisher = fisher_information(policy, OBSERVATIONS, parameters)
    student = policy(OBSERVATIONS)
    drift = drift_between(student, student).total.mean()
    torch.testing.assert_close(fisher, curvature(drift, parameters), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("importance", [fisher_information, output_sensitivity])
def test_what_the_answer_does_not_use_has_no_importance(importance):
    policy = DeepPolicy()
    importances = importance(policy, OBSERVATIONS, [policy.head.bias, policy.unused.weight, policy.log_std.bias])
    assert importances.bool().tolist() == [True] * ACTIONS + [False] * 8 * ACTIONS + [True] * ACTIONS


@pytest.mark.parametrize("discrete", [False, True], ids=["Box", "Discrete"])
def test_sensitivity_of_a_linear_policy(discrete):
    """d ||W x||^2 / d W_kj = 2 (W x)_k x_j, and d ||log_std||^2 / d log_std_k = 2 log_std_k."""
    policy = LinearPolicy(discrete)
    sensitivity = output_sensitivity(policy, OBSERVATIONS, list(policy.parameters()))
    expected = (2 * (OBSERVATIONS @ WEIGHT.T)[:, :, None] * OBSERVATIONS[:, None]).abs().mean(0)
    of_log_std = torch.zeros(ACTIONS) if discrete else 2 * LOG_STD.abs()
    torch.testing.assert_close(sensitivity, flat([expected, of_log_std]))


def test_gradients_are_left_alone():
    policy = DeepPolicy()
    fisher_information(policy, OBSERVATIONS, list(policy.parameters()))
    assert all(parameter.grad is None for parameter in policy.parameters())
