"""A-GEM with the rewards taken out of its memory: how much of what it keeps is kept by rewards, how much by imitation?

Foreign methods of the study that asks it; run it with this folder on the path:
    PYTHONPATH=scripts nestrl study scripts/studies/agem-why.yaml
"""

from collections.abc import Callable

import torch
from torch import Tensor

from nestrl.agents.experience import Experience
from nestrl.methods.agem import AGEM, AGEMOptions, RolloutMemory
from nestrl.methods.protocol import Learner


class Shuffled(AGEM):
    """A-GEM whose remembered advantages are dealt out anew among a task's actions."""

    def __init__(self, options: AGEMOptions, learner: Learner, seed: int) -> None:
        super().__init__(options, learner, seed)
        self._memory = Replaced(options.capacity, learner, shuffled)


class Equal(AGEM):
    """A-GEM to which every remembered action was equally good: what is left is imitation."""

    def __init__(self, options: AGEMOptions, learner: Learner, seed: int) -> None:
        super().__init__(options, learner, seed)
        self._memory = Replaced(options.capacity, learner, equal)


def shuffled(advantages: Tensor, generator: torch.Generator) -> Tensor:
    """Return the advantages (m,) in another order."""
    return advantages[torch.randperm(len(advantages), generator=generator)]


def equal(advantages: Tensor, generator: torch.Generator) -> Tensor:
    """Return an advantage of 1, a standard deviation, for every action."""
    return torch.ones_like(advantages)


Replacement = Callable[[Tensor, torch.Generator], Tensor]


class Replaced(RolloutMemory):
    """Rollouts whose advantages are replaced as soon as they are remembered."""

    def __init__(self, capacity: int, learner: Learner, replacement: Replacement) -> None:
        super().__init__(capacity, learner)
        self._replacement = replacement

    def remember(self, task: int, observations: Tensor, generator: torch.Generator) -> None:
        """Remember the task, then replace its advantages."""
        super().remember(task, observations, generator)
        rollout = self._rollouts[task]
        advantages = self._replacement(rollout.advantages, generator)
        self._rollouts[task] = Experience(*rollout[:-1], advantages)
