"""Online EWC: hold each parameter of the actor as firmly as the Fisher information of past tasks demands."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from nestrl.errors import require_not_negative, require_positive, require_share
from nestrl.methods.anchored import AnchoredByData
from nestrl.methods.protocol import Card, Learner
from nestrl.updates.importance import fisher_information


@dataclass(frozen=True)
class EWCOptions:
    """Options of online EWC."""

    strength: float = 0.01
    """Weight of the penalty. At 1 it is about the drift from the last policy, in nats."""
    samples: int = 512
    """Observations of the last task on which the Fisher information is measured."""
    decay: float = 1.0
    """What remains of the importance of earlier tasks at each boundary: 1 sums over tasks, less forgets gracefully."""

    def __post_init__(self) -> None:
        require_not_negative("ewc", strength=self.strength)
        require_positive("ewc", samples=self.samples)
        require_share("ewc", decay=self.decay)


class EWC(AnchoredByData):
    """Penalises the distance from the last task's parameters by the Fisher information of all tasks so far.

        L(theta) + strength/2 sum_i F_i (theta_i - theta*_i)^2,   F <- decay F + F_new   at each boundary

    theta*: the actor at the end of the last segment; F_new: see `fisher_information`. Elastic weight consolidation
    (Kirkpatrick et al., 2017, equation 3) in its online form (Schwarz et al., 2018, equations 8 and 9), with the Fisher
    information of a policy as Wolczyk et al. (2021) have it, on the actor alone.

    Differs from the paper: `decay` is 1 by default, as in Wolczyk et al.; no floor of 1e-5 under F, which would bind
    what no task has used.
    """

    card: ClassVar[Card] = Card(
        part="retention",
        summary="holds each parameter by the Fisher information of earlier tasks (online EWC)",
        paper="Schwarz et al., 2018",
        stores="2 numbers a parameter",
        cost="a few vector operations a step; derivatives of 512 answers at each boundary",
    )

    def __init__(self, options: EWCOptions, learner: Learner, seed: int) -> None:
        super().__init__(learner, seed, options.strength, options.samples, decay=options.decay)

    def _importances(self, seen: Tensor) -> Tensor:
        """Return what `fisher_information` measures."""
        return fisher_information(self._learner.policy.output, seen, self._parameters)
