"""TRAC: how far the network may be from where it began is learned beside it, so that it stays able to learn."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from scipy.special import erfi

from nestrl.errors import BadConfig, require_positive
from nestrl.methods.finetune import Finetune
from nestrl.methods.protocol import Card, Learner
from nestrl.updates.regulated import Update
from nestrl.updates.values import beside, flattened

EPSILON = 1e-8
"""Keeps divisions defined; the authors' value."""


@dataclass(frozen=True)
class TRACOptions:
    """Options of TRAC; the authors tune none of them."""

    discounts: tuple[float, ...] = (0.9, 0.99, 0.999, 0.9999, 0.99999, 0.999999)
    """One tuner of the scale each."""
    start: float = 1e-8
    """Unit of the scale: how little the first steps move."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "discounts", tuple(self.discounts))
        if not self.discounts or not all(0 < discount <= 1 for discount in self.discounts):
            raise BadConfig(f"trac's discounts are {self.discounts}; it needs some, each above 0 and at most 1.")
        require_positive("trac", start=self.start)


class TRAC(Finetune):
    """Scales the way from the first parameters theta_0 to where the base optimizer would be, by S.

    theta <- theta_0 + max(0, S) * D,   S = sum_j s_j,   D <- D + d, d the step of the base optimizer
    s_j = start / erfi(1 / sqrt 2) * erfi(sigma_j / (sqrt(2 v_j) + 1e-8))
    v_j <- beta_j^2 v_j + h^2,   sigma_j <- beta_j sigma_j - h,   h = <gradient, D before the step>

    (Muppidi, Zhang, Yang, 2024, algorithms 1 and 2.) theta_0 is where the life begins; no task is known.

    Differs from the paper: only the actor is scaled. theta moves by the change of max(0, S) * D, which is the same as
    long as nothing else moves it, and keeps what a start part has written. The authors' code reads D off the
    parameters instead, and so cannot come back from S = 0. Where another part gives the actor other weights as a whole,
    theta_0 is these from then on, D = 0, and the tuners stay.
    """

    card: ClassVar[Card] = Card(
        part="plasticity",
        summary="learns how far from its first parameters the network should be",
        paper="Muppidi, Zhang, Yang, 2024",
        stores="1 number a parameter",
        cost="a few sums over the parameters",
        knows=(),
    )

    def __init__(self, options: TRACOptions, learner: Learner, seed: int) -> None:
        self._learner = learner
        self._parameters = flattened(learner.actor_groups())
        self._ways = [torch.zeros_like(parameter) for parameter in self._parameters]
        self._discounts = np.array(options.discounts)
        self._unit = options.start / erfi(np.sqrt(0.5))
        self._variances = np.zeros(len(options.discounts))
        self._sums = np.full(len(options.discounts), EPSILON)
        self._scale = 0.0
        self._applied = [0.0] * len(self._parameters)  # the scale at each parameter's last move
        self._renewals = learner.renewals

    def regulate(self, update: Update) -> None:
        """Apply, then scale the way from the first parameters."""
        if self._learner.renewals != self._renewals:
            self._renewals = self._learner.renewals
            self._ways = [torch.zeros_like(way) for way in self._ways]
        moving = [index for index, parameter in enumerate(self._parameters) if parameter.grad is not None]
        slope = self._slope(moving)
        update.keep(self._parameters[index] for index in moving)
        update.apply()
        self._scale = self._tuned(slope)
        for index in moving:
            parameter, way = self._parameters[index], self._ways[index]
            step = update.displacement(parameter)
            self._ways[index] = way + step
            parameter.data += self._scale * self._ways[index] - self._applied[index] * way - step
            self._applied[index] = self._scale

    def measurements(self) -> dict[str, float]:
        """Return the scale S at the last step."""
        return {"scale": self._scale, "memory_bytes": float(sum(way.nbytes for way in self._ways))}

    def state_dict(self) -> dict[str, Any]:
        """Return the base optimizer's ways and the tuners."""
        return {
            "ways": list(self._ways),
            "variances": self._variances.tolist(),
            "sums": self._sums.tolist(),
            "scale": self._scale,
            "applied": list(self._applied),
            "renewals": self._renewals,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a `state_dict`."""
        self._ways = beside(state["ways"], self._parameters)
        self._variances, self._sums = np.array(state["variances"]), np.array(state["sums"])
        self._scale, self._applied = state["scale"], list(state["applied"])
        self._renewals = state.get("renewals", 0)  # which older checkpoints lack

    def _slope(self, moving: list[int]) -> float:
        """Return how the loss changes with the scale: the inner product of the gradient and the ways."""
        products = [(self._parameters[index].grad * self._ways[index]).sum() for index in moving]  # type: ignore[operator]
        return float(sum(products))

    def _tuned(self, slope: float) -> float:
        """Let the tuners take their step on the loss's slope in the scale; return the new scale, at least 0."""
        self._variances = self._discounts**2 * self._variances + slope**2
        self._sums = self._discounts * self._sums - slope
        ratios = self._sums / (np.sqrt(2 * self._variances) + EPSILON)
        return max(0.0, float(self._unit * erfi(ratios).sum()))
