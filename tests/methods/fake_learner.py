"""The smallest thing that a method can work on: a network with one head, trained by regression in place of RL."""

import copy

import numpy as np
import torch
from torch import nn

from nestrl.agents.actor_output import ActorOutput
from nestrl.agents.experience import Experience
from nestrl.agents.tally import Tally
from nestrl.agents.trial import Trial
from nestrl.methods.protocol import Pausing
from nestrl.updates.regulated import RegulatedAdam
from nestrl.updates.values import flattened, put_values

FEATURES, TASKS, ACTIONS = 4, 3, 2
CLOSE = -0.5
"""An episode with a higher return succeeds."""


class FakeLearner:
    """A learner whose "skill" at a task is to answer with that task's own linear map of the observation."""

    n_tasks = TASKS
    knows_boundaries = True

    def __init__(self, discrete: bool = False, off_policy: bool = False) -> None:
        torch.manual_seed(0)
        self.discrete, self.off_policy = discrete, off_policy
        self.progress = 0.0  # of the segment, in 0..1
        self.renewals = 0
        self.new_tally = lambda: Tally(1)
        self.tally = self.new_tally()
        self.trials = []  # (task, episodes, charged) of each call of `trial`
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

    def recent_observations(self):
        return np.zeros((4, FEATURES + TASKS), np.float32)

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

    def policy_with(self, values=None):
        return FakePolicy(self, values)

    def renew_actor(self):
        self.renewals += 1
        for part in (self.trunk, self.head, self.unused_head):
            for module in part.modules():
                if hasattr(module, "reset_parameters"):
                    module.reset_parameters()
        self.log_std.data.fill_(-0.5)

    def renew(self):
        self.renew_actor()
        self.optimizer.state.clear()

    def branch(self):
        return {"values": self.parameters(), "optimizer": copy.deepcopy(self.optimizer.state_dict())}

    def return_to(self, branch):
        self.take(branch["values"])
        self.optimizer.load_state_dict(branch["optimizer"])

    def take(self, values):
        self.renewals += 1
        put_values(values, flattened(self.actor_groups()))

    def copy_behaviour(self, source, target):
        with torch.no_grad():
            weight = self.trunk[0].weight
            weight[:, FEATURES + target] = weight[:, FEATURES + source]

    def code_of(self, task_index):
        code = {"inputs": self.trunk[0].weight.data[:, FEATURES + task_index]}
        return code if self.discrete else code | {"log_std": self.log_std.data[task_index]}

    def trial(self, policies, task_index, episodes, first=0, *, charged=True):
        """An episode's return is minus the mean error on a few observations, the same for all policies."""
        self.trials.append((task_index, episodes, charged))
        generator = torch.Generator().manual_seed(len(self.trials))
        rows = self.observations(task_index, episodes * 16, generator)
        target = (rows[:, :FEATURES] @ self.skills[task_index]).numpy()
        actions = [policy.act(rows.numpy()) for policy in policies]
        if self.discrete:
            errors = [(chosen != target.argmax(axis=1)).astype(float) for chosen in actions]
        else:
            errors = [((chosen - target) ** 2).mean(axis=1) for chosen in actions]
        returns = np.array([-error.reshape(episodes, 16).mean(axis=1) for error in errors])
        return Trial(returns, returns > CLOSE, 16 * returns.size)

    def experience(self):
        """Actions as the policy draws them; the advantage is how much nearer to the skill they are than its mode."""
        if self.off_policy:
            return None
        generator = torch.Generator().manual_seed(2)  # its own: looking changes nothing that comes after
        observations = self.observations(self.last_task, 512, generator)
        target = observations[:, :FEATURES] @ self.skills[self.last_task]
        with torch.no_grad():
            output = self.output(observations)
            if self.discrete:
                actions = torch.multinomial(torch.softmax(output.logits, 1), 1, generator=generator).squeeze(1)
                advantages = (actions == target.argmax(1)).float() - 0.5
            else:
                noise = torch.randn(output.mean.shape, generator=generator)
                actions = output.mean + output.log_std.exp() * noise
                advantages = ((output.mean - target) ** 2).sum(1) - ((actions - target) ** 2).sum(1)
            return Experience(observations, actions, output.log_prob(actions), advantages)

    last_task = 0
    succeeds = True  # in every training episode

    def observations(self, task, n=256, generator=None):
        observations = torch.randn(n, FEATURES + TASKS, generator=generator or self.generator)
        observations[:, FEATURES:] = torch.eye(TASKS)[task]
        return observations

    def step(self, task):
        """One gradient step on the task; returns its loss."""
        self.last_task = task
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


class FakePolicy(FakeLearner):
    """A policy of its own: the learner's parts, copied."""

    def __init__(self, learner, values=None):
        self.discrete = learner.discrete
        self.trunk, self.head, self.unused_head, self.log_std = copy.deepcopy(
            (learner.trunk, learner.head, learner.unused_head, learner.log_std)
        )
        for parameter, value in zip(self.parameters, values or self.parameters, strict=True):
            parameter.data.copy_(value)

    @property
    def parameters(self):
        return [parameter for group in self.actor_groups().values() for parameter in group]


def live(method, learner, tasks, steps=300):
    """Lead the learner through segments as a trainer would; return the loss at the end of each."""
    learner.optimizer.attach(method.regulate)
    losses = []
    for segment, task in enumerate(tasks):
        learner.tally = learner.new_tally()
        method.begin(segment, task)
        for step in range(steps):
            learner.progress = step / steps
            loss = learner.step(task)
            learner.tally = learner.tally.plus(Tally(0, 1, -loss, loss**2, learner.succeeds))
            if isinstance(method, Pausing):
                method.pause()
        losses.append(loss)
        learner.progress = 1.0
        method.end(segment, task, learner.observations(task, 1000).numpy().astype(np.float32))
    return losses
