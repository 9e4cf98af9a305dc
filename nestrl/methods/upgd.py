"""Utility-based perturbed gradient descent: useful weights change little, the others are shaken."""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from nestrl.errors import BadConfig, require_not_negative
from nestrl.methods.finetune import Finetune
from nestrl.methods.protocol import Card, Learner
from nestrl.updates.regulated import Update
from nestrl.updates.values import beside, flattened

TINY = 1e-30
"""Keeps the division by the greatest utility defined when no weight has any."""


@dataclass(frozen=True)
class UPGDOptions:
    """Options of utility-based perturbed gradient descent."""

    utility_decay: float = 0.999
    """How slowly the trace of a weight's utility forgets, a step."""
    noise: float = 0.01
    """Standard deviation of the perturbation, in root mean squares of the optimizer's step."""
    weight_decay: float = 1e-6
    """Share of every weight that is lost in each step."""

    def __post_init__(self) -> None:
        for name in ("utility_decay", "weight_decay"):
            if not 0 <= getattr(self, name) < 1:
                raise BadConfig(f"upgd's {name} is {getattr(self, name)}; it must be at least 0 and below 1.")
        require_not_negative("upgd", noise=self.noise)


class UPGD(Finetune):
    """Gates the step d of the base optimizer, weight by weight, by how much the loss depends on the weight.

    theta <- (1 - decay) theta + 2 (1 - sigmoid(U / max U)) (d + xi),   xi ~ N(0, (noise * rms d)^2)
    U <- trace of -gradient * theta, bias-corrected; the maximum is over the whole actor

    (Elsayed and Mahmood, 2024, equation 3 with global scaling, and AdaUPGD for Adam's step in place of the gradient.)
    The factor 2, theirs for PPO, lets a weight without utility take the base step; the most useful takes .54 of it.

    Differs from the paper: momentum is gated with the step. Noise and decay are measured in steps and not in learning
    rates, which a method does not see. Only the actor is regulated.
    """

    card: ClassVar[Card] = Card(
        part="plasticity",
        summary="shortens the steps of useful weights and perturbs the others",
        paper="Elsayed and Mahmood, 2024",
        stores="1 number a parameter",
        cost="a few sums and a normal draw over the parameters",
        knows=(),
    )

    def __init__(self, options: UPGDOptions, learner: Learner, seed: int) -> None:
        self._options, self._learner = options, learner
        self._parameters = flattened(learner.actor_groups())
        self._traces = [torch.zeros_like(parameter) for parameter in self._parameters]
        self._counts = [0] * len(self._parameters)
        self._generator = torch.Generator().manual_seed(seed)
        self._mean_gate = 1.0

    def regulate(self, update: Update) -> None:
        """Apply, then gate and perturb what was applied; parameters without a gradient stay."""
        moving = [index for index, parameter in enumerate(self._parameters) if parameter.grad is not None]
        gates = self._gates(moving)
        update.keep(self._parameters[index] for index in moving)
        update.apply()
        steps = [update.displacement(self._parameters[index]) for index in moving]
        spread = self._options.noise * _root_mean_square(steps)
        for index, gate, step in zip(moving, gates, steps, strict=True):
            values = self._parameters[index].data
            before = values - step
            noise = spread * torch.randn(step.shape, generator=self._generator).to(step)
            values += (gate - 1) * step + gate * noise - self._options.weight_decay * before

    def measurements(self) -> dict[str, float]:
        """Return the mean gate, 0..2, of the last step: under 1 where useful weights are held."""
        return {"gate": self._mean_gate, "memory_bytes": float(sum(trace.nbytes for trace in self._traces))}

    def state_dict(self) -> dict[str, Any]:
        """Return utilities and random stream."""
        return {
            "traces": list(self._traces),
            "counts": list(self._counts),
            "generator": self._generator.get_state(),
            "mean_gate": self._mean_gate,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a `state_dict`."""
        self._traces, self._counts = beside(state["traces"], self._parameters), list(state["counts"])
        self._generator.set_state(state["generator"])
        self._mean_gate = state["mean_gate"]

    def _gates(self, moving: list[int]) -> list[Tensor]:
        """Bring the utilities of these parameters up to date and return the factor of each weight's step, in 0..2."""
        utilities = [self._utility(index) for index in moving]
        if not utilities:
            return []
        greatest = torch.stack([utility.max() for utility in utilities]).max().clamp(min=TINY)
        gates = [2 * (1 - torch.sigmoid(utility / greatest)) for utility in utilities]
        self._mean_gate = float(sum(gate.sum() for gate in gates)) / sum(gate.numel() for gate in gates)
        return gates

    def _utility(self, index: int) -> Tensor:
        """Return the bias-corrected trace with the present utility in it: the first-order loss of removing a weight."""
        decay, parameter = self._options.utility_decay, self._parameters[index]
        self._counts[index] += 1
        present = -parameter.grad * parameter.detach()  # type: ignore[operator]
        self._traces[index] = decay * self._traces[index] + (1 - decay) * present
        return self._traces[index] / (1 - decay ** self._counts[index])


def _root_mean_square(parts: list[Tensor]) -> Tensor:
    """Return the root mean square over all numbers of some tensors; zero if there are none."""
    if not parts:
        return torch.zeros(())
    return torch.cat([part.flatten() for part in parts]).square().mean().sqrt()
