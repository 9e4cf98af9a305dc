"""What an actor answers for a batch of observations, and the distribution of actions that this means."""

import math
from typing import NamedTuple, cast

import torch
from torch import Tensor

LOG_SQRT_2PI = 0.5 * math.log(2 * math.pi)


class ActorOutput(NamedTuple):
    """Parameters of the action distributions of n observations: mean and log_std of a Gaussian, or logits.

    A Gaussian's actions are what the environment gets after clipping to [-1, 1] (PPO) or tanh (SAC).
    """

    mean: Tensor | None = None
    """(n, A), Box actions only."""
    log_std: Tensor | None = None
    """(n, A), Box actions only."""
    logits: Tensor | None = None
    """(n, choices), Discrete actions only."""

    @property
    def gaussian(self) -> tuple[Tensor, Tensor]:
        """Mean and log_std, (n, A) each; only for Box actions."""
        return cast("tuple[Tensor, Tensor]", (self.mean, self.log_std))

    def mode(self) -> Tensor:
        """Return the most probable actions: (n, A), or (n,) Discrete."""
        return self.gaussian[0] if self.logits is None else self.logits.argmax(1)

    def sample(self, noise: Tensor | None = None) -> Tensor:
        """Return actions (n, A), or (n,) Discrete, drawn with torch's global generator.

        noise: standard normal numbers (n, A) to be used for Box actions; drawn here where there are none.
        """
        if self.logits is None:
            mean, log_std = self.gaussian
            return mean + log_std.exp() * (torch.randn_like(mean) if noise is None else noise)
        return torch.multinomial(torch.softmax(self.logits, 1), 1).squeeze(1)

    def log_prob(self, actions: Tensor) -> Tensor:
        """Return the log likelihood (n,) of actions (n, A), or (n,) Discrete."""
        if self.logits is None:
            mean, log_std = self.gaussian
            deviation = (actions - mean) * torch.exp(-log_std)
            return -(0.5 * deviation.square() + log_std + LOG_SQRT_2PI).sum(1)
        return torch.log_softmax(self.logits, 1).gather(1, actions[:, None]).squeeze(1)

    def entropy(self) -> Tensor:
        """Return the entropy (n,) in nats."""
        if self.logits is None:
            return (self.gaussian[1] + 0.5 + LOG_SQRT_2PI).sum(1)
        log_probs = torch.log_softmax(self.logits, 1)
        return -(log_probs.exp() * log_probs).sum(1)
