"""MAS: hold each parameter of the actor as firmly as the actor's answers hang on it."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from nestrl.errors import require_not_negative, require_positive
from nestrl.methods.anchored import AnchoredByData
from nestrl.methods.protocol import Card, Learner
from nestrl.updates.importance import output_sensitivity


@dataclass(frozen=True)
class MASOptions:
    """Options of MAS."""

    strength: float = 0.03
    """Weight of the penalty."""
    samples: int = 512
    """Observations of the last task on which the sensitivity is measured."""

    def __post_init__(self) -> None:
        require_not_negative("mas", strength=self.strength)
        require_positive("mas", samples=self.samples)


class MAS(AnchoredByData):
    """Penalises the distance from the last task's parameters by how sensitive the answers of all tasks are to them.

        L(theta) + strength/2 sum_i Omega_i (theta_i - theta*_i)^2,   Omega <- Omega + Omega_new   at each boundary

    theta*: the actor at the end of the last segment; Omega_new: see `output_sensitivity`. Memory aware synapses
    (Aljundi et al., 2018, equations 2 to 4), whose answer is a policy's mean and log_std here (Wolczyk et al., 2021).

    Differs from the paper: the penalty is halved, as that of L2 and EWC is.
    """

    card: ClassVar[Card] = Card(
        part="retention",
        summary="holds each parameter by how far the answers in earlier tasks hang on it",
        paper="Aljundi et al., 2018",
        stores="2 numbers a parameter",
        cost="a few vector operations a step; derivatives of 512 answers at each boundary",
    )

    def __init__(self, options: MASOptions, learner: Learner, seed: int) -> None:
        super().__init__(learner, seed, options.strength, options.samples, decay=1.0)

    def _importances(self, seen: Tensor) -> Tensor:
        """Return what `output_sensitivity` measures."""
        return output_sensitivity(self._learner.policy.output, seen, self._parameters)
