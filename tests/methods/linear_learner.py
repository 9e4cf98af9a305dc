"""A learner that is simple enough to know every answer: the policy is a linear map of the observation."""

import torch
from torch import nn

from nestrl.agents.actor_output import ActorOutput
from nestrl.updates.regulated import RegulatedStep


class RegulatedSGD(RegulatedStep, torch.optim.SGD):
    """Plain gradient descent that a method can regulate."""


class LinearLearner:
    """mean = W x with a log_std (A,), or logits = W x; trained on any loss of its parameters."""

    n_tasks = 2
    knows_boundaries = True
    renewals = 0

    def __init__(self, features=3, actions=2, discrete=False, lr=0.1):
        generator = torch.Generator().manual_seed(0)
        self.discrete = discrete
        self.weight = nn.Parameter(torch.randn(actions, features, generator=generator))
        self.log_std = nn.Parameter(torch.linspace(-1.0, 0.5, actions))
        self.optimizer = RegulatedSGD([self.weight, self.log_std], lr=lr)

    @property
    def policy(self):
        return self

    def output(self, observations):
        answer = observations @ self.weight.T
        if self.discrete:
            return ActorOutput(logits=answer)
        return ActorOutput(mean=answer, log_std=self.log_std.expand_as(answer))

    def actor_groups(self):
        return {"head": [self.weight], "log_std": [self.log_std]}

    def minimise(self, loss, steps):
        for _ in range(steps):
            self.optimizer.zero_grad()
            loss().backward()
            self.optimizer.step()
