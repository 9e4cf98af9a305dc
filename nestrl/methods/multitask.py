"""Multi-task training, all tasks at once: not a way to keep skills, but what could be had if none came one by one."""

from dataclasses import dataclass
from typing import ClassVar

from nestrl.methods.finetune import Finetune
from nestrl.methods.protocol import Card, Learner


@dataclass(frozen=True)
class MultitaskOptions:
    """Multi-task training has no options."""


class Multitask(Finetune):
    """Trains on equally many simulations of every task from the first step to the last.

    It takes as many steps as the whole sequence. Its average performance can be compared with that of others; its
    forgetting and transfer cannot, since no task has a segment of its own.
    """

    card: ClassVar[Card] = Card(
        part="whole",
        summary="all tasks at once: an upper reference, not continual",
        paper="Wolczyk et al., 2021 (MT)",
        stores="nothing",
        cost="nothing",
        knows=("number of tasks", "all tasks from the start"),
        joint=True,
    )

    def __init__(self, options: MultitaskOptions, learner: Learner, seed: int) -> None:
        self._learner = learner
