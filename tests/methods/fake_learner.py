"""The smallest thing that a method can work on: a network with one head, trained by regression in place of RL."""

import numpy as np
import torch
from torch import nn

from nestrl.agents.actor_output import ActorOutput
from nestrl.updates.regulated import RegulatedAdam

FEATURES, TASKS, ACTIONS = 4, 3, 2


class FakeLearner:
    """A learner whose "skill" at a task is to answer with that task's own linear map of the observation."""

    n_tasks = TASKS

    def __init__(self, discrete: bool = False) -> None:
        torch.manual_seed(0)
        self.discrete = discrete
        self.trunk = nn.Sequential(nn.Linear(FEATURES + TASKS, 32), nn.LayerNorm(32), nn.SiLU())
        self.head = nn.Linear(32, ACTIONS)
        self.unused_head = nn.Linear(32, ACTIONS)
        self.log_std = nn.Parameter(torch.full((TASKS, ACTIONS), -0.5))
        parameters = [parameter for group in self.actor_groups().values() for parameter in group]
        self.optimizer = RegulatedAdam(parameters, lr=3e-3)
        self.skills = torch.randn(TASKS, FEATURES, ACTIONS)
        self.generator = torch.Generator().manual_seed(1)

    @property
    def policy(self):
        return self

    def output(self, observations):
        outputs = self.head(self.trunk(observations))
        if self.discrete:
            return ActorOutput(logits=outputs)
        return ActorOutput(mean=outputs, log_std=observations[:, FEATURES:] @ self.log_std)

    def act(self, observations):
        with torch.no_grad():
            output = self.output(torch.as_tensor(observations))
        return (output.logits.argmax(1) if self.discrete else output.mean).numpy()

    def actor_groups(self):
        head = [*self.head.parameters(), *self.unused_head.parameters()]
        return {"trunk_0": list(self.trunk.parameters()), "head": head, "log_std": [self.log_std]}

    def observations(self, task, n=256):
        observations = torch.randn(n, FEATURES + TASKS, generator=self.generator)
        observations[:, FEATURES:] = torch.eye(TASKS)[task]
        return observations

    def step(self, task):
        """One gradient step on the task; returns its loss."""
        observations = self.observations(task)
        target = observations[:, :FEATURES] @ self.skills[task]
        output = self.output(observations)
        if self.discrete:
            loss = nn.functional.cross_entropy(output.logits, target.argmax(1))
        else:
            loss = ((output.mean - target) ** 2).mean() + (output.log_std**2).mean()
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss.item()

    def parameters(self):
        return [parameter.detach().clone() for group in self.actor_groups().values() for parameter in group]


def live(method, learner, tasks, steps=300):
    """Lead the learner through segments as a trainer would; return the loss at the end of each."""
    learner.optimizer.attach(method.regulate)
    losses = []
    for segment, task in enumerate(tasks):
        method.begin(segment, task)
        losses.append([learner.step(task) for _ in range(steps)][-1])
        method.end(segment, task, learner.observations(task, 1000).numpy().astype(np.float32))
    return losses
