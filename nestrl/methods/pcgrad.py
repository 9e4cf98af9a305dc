"""PCGrad, asymmetric and with constants: each step keeps its length and direction, and retention moves beside it."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import Parameter

from nestrl.errors import require_not_negative, require_positive
from nestrl.methods.protocol import Card, Learner
from nestrl.methods.taught import Taught
from nestrl.nested.dual_weights import DualWeights
from nestrl.updates.displacement import Gates, regulate
from nestrl.updates.regulated import Update


@dataclass(frozen=True)
class PCGradOptions:
    """Options of asymmetric PCGrad."""

    pull: float = 0.5
    """Length of the move against the drift, in lengths of the optimizer's step; 0 is fine-tuning."""
    drift_limit: float | None = 0.03
    """Nats: tasks that drift further weigh more, by dual ascent. None: all old tasks weigh the same."""
    samples: int = 512
    """Remembered observations in each gradient step, shared equally by the old tasks."""
    capacity: int = 4096
    """Remembered observations a task."""

    def __post_init__(self) -> None:
        require_not_negative("pcgrad", pull=self.pull)
        require_positive("pcgrad", samples=self.samples, capacity=self.capacity)
        if self.drift_limit is not None:
            require_positive("pcgrad", drift_limit=self.drift_limit)


class PCGrad(Taught):
    """Adds to each step d of the optimizer a move against the drift of old tasks, less its part against d.

    theta <- theta + d + pull * (r - min(0, <r, d>) / |d|^2 * d)   with r = -|d| * m / |m|, m = sum_i q_i grad M_i

    for each group of parameters by itself: trunk block, head, log_std (Yu et al., 2020, algorithm 1, for two tasks of
    which one is the old tasks' drift). M_i is the mean KL(teacher_i || policy) on task i's memory before the step, q_i
    the share of its dual weight.

    Differs from the paper: only the retention move is projected, the step is kept; the move has a constant length, and
    the projection acts on what Adam did and not on the gradients. A length a group stands for Adam's scaling, which
    makes steps of all groups similarly long where gradients are not.
    """

    card: ClassVar[Card] = Card(
        part="retention",
        summary="moves against the drift beside each step, by a constant share of its length, never against it",
        paper="Yu et al., 2020",
        stores="4096 observations and outputs a task",
        cost="one backward pass of the actor over 512 remembered observations a gradient step",
    )

    def __init__(self, options: PCGradOptions, learner: Learner, seed: int) -> None:
        limit, n = options.drift_limit, learner.n_tasks
        weights = DualWeights(n, weight=1.0) if limit is None else DualWeights(n, limit)
        super().__init__(learner, seed, options.samples, options.capacity, weights)
        self._groups = [list(group) for group in learner.actor_groups().values()]
        self._gates = Gates(pass_=1.0, pull=options.pull)

    def regulate(self, update: Update) -> None:
        """Apply, then add the move against the drift."""
        if not self._old_tasks:
            update.apply()
            return
        gradients = self._drift_gradients()
        update.keep(self._parameters)
        update.apply()
        for group in self._groups:
            _move(group, [update.displacement(parameter) for parameter in group], gradients, self._gates)

    def _drift_gradients(self) -> dict[Parameter, Tensor]:
        """Return the gradient of the weighted drift by parameter."""
        weights, drift = self._weights_and_drift()
        gradients = torch.autograd.grad(
            weights @ drift / weights.sum(), self._parameters, materialize_grads=True, allow_unused=True
        )
        return dict(zip(self._parameters, gradients, strict=True))


def _move(group: list[Parameter], moved: list[Tensor], gradients: dict[Parameter, Tensor], gates: Gates) -> None:
    """Bring parameters from where the step has moved them to where the regulated step would have."""
    regulated = regulate(moved, [gradients[parameter] for parameter in group], gates)
    for parameter, wanted, had in zip(group, regulated, moved, strict=True):
        parameter.data += wanted - had
