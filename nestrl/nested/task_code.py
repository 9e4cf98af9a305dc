"""The fastest level: the numbers that only one task uses, and where they start.

In a shared network a task is told apart by the input weights of its one-hot, one vector a task that shifts the trunk's
first block; with its log_std (and its head, where there is one a task) this is its code. No other task looks at it, so
it can move as fast as it likes and nothing is forgotten.
"""

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from nestrl.agents.policies import EXPLORATION, copy_code
from nestrl.agents.trial import Trial

STARTS = ("fresh", "blend", "latest", "skilled")
"""How the code of a new task starts: as it was initialised, as the mean of the known tasks', as the latest one's, or as
that of the skill which succeeds in it, or else clearly earns more."""
TRIED = 8
"""Training episodes in which each earlier skill is tried out in a new task. Their steps are counted."""
SKILLED = 0.25
"""Share of successes from which on an earlier skill is worth starting from."""
CLEARLY = 2.0
"""Standard errors by which an earlier skill that hardly succeeds must earn more than the network as it is."""
Code = Mapping[str, Tensor]
"""Live views of one task's own numbers, by name; writing into one moves the network."""


class TaskCode:
    """The present task's own numbers in a regulator's hands."""

    def __init__(self, code: Code) -> None:
        self._code = dict(code)
        self._before: dict[str, Tensor] = {}

    @property
    def has_head(self) -> bool:
        """Whether a head is part of it."""
        return any(name.startswith("head") for name in self._code)

    def start_from(self, known: Sequence[Code]) -> None:
        """Start as the mean of these codes; as initialised where there are none. The exploration noise stays."""
        if not known:
            return
        zero = torch.zeros(())
        means = {name: sum((code[name] for code in known), start=zero) / len(known) for name in self._code}
        copy_code(means, self._code)

    def widen(self, noise: float) -> None:
        """Add to the log_std, where the policy has one a task."""
        if noise and EXPLORATION in self._code:
            self._code[EXPLORATION].add_(noise)

    def keep(self) -> None:
        """Remember where the code is."""
        self._before = {name: view.clone() for name, view in self._code.items()}

    def scale_step(self, factor: float) -> None:
        """Make the step since `keep` this many times as long."""
        for name, view in self._code.items():
            view.copy_(self._before[name] + factor * (view - self._before[name]))


def skilled(trial: Trial, *, own_head: bool) -> int | None:
    """Return which of policies 1..k-1 to start from; None for the network as it is, policy 0.

    The one that succeeds most often, where one does and the network is not better. Where hardly any succeeds, the one
    that earns most; but not where the new task has a head of its own, which begins quietly: a skill that does not reach
    the goal would have to be unlearned there (docs/log.md).
    """
    success, returns = trial.success.mean(axis=1), trial.returns.mean(axis=1)
    best = max(range(1, len(success)), key=lambda policy: (success[policy], returns[policy]), default=0)
    if best and success[best] >= max(SKILLED, success[0]) and returns[best] > returns[0]:
        return best
    return None if own_head or success[0] >= SKILLED else earning(trial)


def earning(trial: Trial) -> int | None:
    """Return which of policies 1..k-1 earns most, if that is clearly more than policy 0 earns in the same episodes."""
    gains = trial.returns[1:] - trial.returns[0]
    if not len(gains):
        return None
    best = int(gains.mean(axis=1).argmax())
    error = gains[best].std(ddof=1) / math.sqrt(len(gains[best]))
    return best + 1 if gains[best].mean() > CLEARLY * error else None
