"""Policy cloning: remember what the policy did at the end of each task, and hold it to that while others are learned.

The gradient of the drift on remembered observations joins the RL gradient inside the optimizer's step. Behavioural
cloning of the actor alone is the strongest simple way to keep skills (Wolczyk et al., 2022, ClonEx-SAC).

Differs from the paper: dual ascent on a drift limit a task replaces the tuned constant (`weight` brings that back), and
the two gradients are clipped apart.
"""

from dataclasses import dataclass
from typing import ClassVar

from nestrl.errors import require_not_negative, require_positive
from nestrl.methods.protocol import Card, Learner
from nestrl.methods.taught import Taught
from nestrl.nested.dual_weights import DualWeights
from nestrl.updates.regulated import Update


@dataclass(frozen=True)
class CloningOptions:
    """Options of policy cloning."""

    drift_limit: float = 0.03
    """How far the policy may drift from each teacher: mean KL divergence in nats. .02 to .1 work alike."""
    samples: int = 512
    """Remembered observations in each gradient step, shared equally by the old tasks."""
    capacity: int = 4096
    """Remembered observations a task."""
    weight: float | None = None
    """A constant weight of the drift in place of dual ascent on the limit."""

    def __post_init__(self) -> None:
        require_positive("cloning", drift_limit=self.drift_limit, samples=self.samples, capacity=self.capacity)
        if self.weight is not None:
            require_not_negative("cloning", weight=self.weight)


class Cloning(Taught):
    """Adds sum_i lambda_i grad M_i to each update of the actor, M_i = mean KL(teacher_i || policy) on task i's memory.

    The task being trained is not held to its own earlier teacher when it comes back: it may improve.
    """

    card: ClassVar[Card] = Card(
        part="retention",
        summary="holds the policy to what it did at the end of each earlier task",
        paper="Wolczyk et al., 2022",
        stores="4096 observations and outputs a task",
        cost="one backward pass of the actor over 512 remembered observations a gradient step",
    )

    def __init__(self, options: CloningOptions, learner: Learner, seed: int) -> None:
        weights = DualWeights(learner.n_tasks, options.drift_limit, options.weight)
        super().__init__(learner, seed, options.samples, options.capacity, weights)

    def regulate(self, update: Update) -> None:
        """Add the gradient of the weighted drift, then apply."""
        if self._old_tasks:
            update.add_gradient(self._parameters, self._retention_gradient())
        update.apply()

    def measurements(self) -> dict[str, float]:
        """Return the drift (nats) and weights of the old tasks at the last step, and how active the constraint was."""
        return super().measurements() | self._weights_measured()
