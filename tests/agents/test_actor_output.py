"""Our distributions against torch's own."""

import torch
from torch.distributions import Categorical, Independent, Normal

from nestrl.agents.actor_output import ActorOutput


def test_gaussian() -> None:
    mean, log_std, actions = torch.randn(3, 5, 4).unbind()
    output, expected = ActorOutput(mean, log_std), Independent(Normal(mean, log_std.exp()), 1)
    torch.testing.assert_close(output.log_prob(actions), expected.log_prob(actions))
    torch.testing.assert_close(output.entropy(), expected.entropy())
    assert torch.equal(output.mode(), mean)


def test_categorical() -> None:
    logits, actions = torch.randn(5, 3), torch.tensor([0, 2, 1, 1, 0])
    output, expected = ActorOutput(logits=logits), Categorical(logits=logits)
    torch.testing.assert_close(output.log_prob(actions), expected.log_prob(actions))
    torch.testing.assert_close(output.entropy(), expected.entropy())
    assert torch.equal(output.mode(), logits.argmax(1))


def test_samples_follow_the_distribution() -> None:
    torch.manual_seed(0)
    gaussian = ActorOutput(torch.full((20_000, 1), 2.0), torch.full((20_000, 1), -1.0)).sample()
    assert abs(gaussian.mean() - 2.0) < 0.02
    assert abs(gaussian.std().log() + 1.0) < 0.02
    categorical = ActorOutput(logits=torch.tensor([0.2, 0.8]).log().expand(20_000, 2)).sample()
    assert abs(categorical.float().mean() - 0.8) < 0.02
