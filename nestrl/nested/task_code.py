"""The fastest level: the numbers that only one task uses, and where they start.

In a shared network a task is told apart by the input weights of its one-hot, one vector a task that shifts the trunk's
first block; with its log_std (and its head, where there is one a task) this is its code. No other task looks at it, so
it can move as fast as it likes and nothing is forgotten.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from nestrl.agents.policies import EXPLORATION, copy_code

STARTS = ("fresh", "blend", "latest")
"""How the code of a new task starts: as it was initialised, as the mean of the known tasks', or as the latest one's."""
Code = Mapping[str, Tensor]
"""Live views of one task's own numbers, by name; writing into one moves the network."""


class TaskCode:
    """The present task's own numbers in a regulator's hands."""

    def __init__(self, code: Code) -> None:
        self._code = dict(code)
        self._before: dict[str, Tensor] = {}

    def start_from(self, known: Sequence[Code], start: str) -> None:
        """Give the code its start, one of STARTS, from the codes of the known tasks, the latest last."""
        if start == "fresh" or not known:
            return
        sources = known if start == "blend" else known[-1:]
        zero = torch.zeros(())
        means = {name: sum((code[name] for code in sources), start=zero) / len(sources) for name in self._code}
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
