"""L2: hold every parameter of the actor, all alike, to where it was at the end of the last task."""

from dataclasses import dataclass
from typing import ClassVar

import torch

from nestrl.errors import require_not_negative
from nestrl.methods.anchored import Anchored
from nestrl.methods.protocol import Card, Learner, Observations


@dataclass(frozen=True)
class L2Options:
    """Options of L2."""

    strength: float = 0.01
    """Weight of the penalty."""

    def __post_init__(self) -> None:
        require_not_negative("l2", strength=self.strength)


class L2(Anchored):
    """Penalises the distance from the last task's parameters.

        L(theta) + strength/2 sum_i (theta_i - theta*_i)^2

    theta*: the actor at the end of the last segment (the baseline of Kirkpatrick et al., 2017, figure 2).
    """

    card: ClassVar[Card] = Card(
        part="retention",
        summary="holds all parameters alike to where they were at the last boundary",
        paper="Kirkpatrick et al., 2017",
        stores="1 number a parameter",
        cost="a few vector operations a step",
    )

    def __init__(self, options: L2Options, learner: Learner, seed: int) -> None:
        super().__init__(learner, options.strength)

    def begin(self, segment_index: int, task_index: int) -> None:
        """Anchor what a part of the method may have copied into the actor as this task's start, unless it is fresh."""
        if self._penalty.holds and self._learner.renewals == self._renewals:
            self._hold()

    def end(self, segment_index: int, task_index: int, observations: Observations) -> None:
        """Anchor the actor where it is now."""
        self._hold()

    def _hold(self) -> None:
        self._penalty.hold(torch.ones_like(self._penalty.importances))
        self._renewals = self._learner.renewals
