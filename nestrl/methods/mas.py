"""MAS: hold each parameter of the actor as firmly as the actor's answers hang on it."""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from nestrl.errors import BadConfig
from nestrl.methods.anchored import Anchored
from nestrl.methods.protocol import Card, Learner, Observations
from nestrl.updates.importance import output_sensitivity


@dataclass(frozen=True)
class MASOptions:
    """Options of MAS."""

    strength: float = 0.03
    """Weight of the penalty."""
    samples: int = 512
    """Observations of the last task on which the sensitivity is measured."""

    def __post_init__(self) -> None:
        if not self.strength >= 0:
            raise BadConfig(f"mas's strength is {self.strength}; it must be at least 0.")
        if not self.samples > 0:
            raise BadConfig(f"mas's samples is {self.samples}; it must be above 0.")


class MAS(Anchored):
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
        super().__init__(learner, options.strength)
        self._options = options
        self._generator = torch.Generator().manual_seed(seed)

    def end(self, segment_index: int, task_index: int, observations: Observations) -> None:
        """Add the sensitivity in this task and anchor the actor where it is now."""
        chosen = torch.randperm(len(observations), generator=self._generator)[: self._options.samples]
        seen = torch.as_tensor(observations)[chosen].to(self._parameters[0].device)
        sensitivity = output_sensitivity(self._learner.policy.output, seen, self._parameters)
        self._penalty.hold(self._penalty.importances + sensitivity)

    def state_dict(self) -> dict[str, Any]:
        """Return the penalty's anchor and importances, and the random stream."""
        return super().state_dict() | {"generator": self._generator.get_state()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a `state_dict`."""
        super().load_state_dict(state)
        self._generator.set_state(state["generator"])
