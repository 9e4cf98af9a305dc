"""SI: hold each parameter of the actor by what its own path has contributed to learning the tasks so far."""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch.nn.utils import parameters_to_vector

from nestrl.errors import BadConfig, require_not_negative, require_positive
from nestrl.methods.anchored import Anchored
from nestrl.methods.protocol import Card, Learner, Observations
from nestrl.updates.regulated import Update
from nestrl.updates.values import as_vector


@dataclass(frozen=True)
class SIOptions:
    """Options of SI."""

    strength: float = 0.1
    """Weight of the penalty."""
    damping: float = 1e-3
    """xi, a squared displacement: a parameter that has moved less than its root is hardly held."""

    def __post_init__(self) -> None:
        require_not_negative("si", strength=self.strength)
        require_positive("si", damping=self.damping)


class SI(Anchored):
    """Penalises the distance from the last task's parameters by what each has contributed to lowering the loss.

        L(theta) + strength/2 sum_i Omega_i (theta_i - theta*_i)^2
        Omega_i <- Omega_i + max(0, w_i) / (Delta_i^2 + xi)   at each boundary
        w_i = - sum over steps of g_i d_i,   Delta_i = sum over steps of d_i

    g: the learner's gradient before the penalty's; d: the displacement that the optimizer applied; theta*: the actor at
    the end of the last segment. Where another part gives the actor other weights as a whole, the path begins anew.
    Synaptic intelligence (Zenke et al., 2017, equations 4 and 5).

    Differs from the paper: the penalty is halved, as that of L2 and EWC is; w_i < 0 counts as 0. The gradients are
    minibatches' (PPO's clipped), whose noise makes w_i too large, as in the paper.
    """

    card: ClassVar[Card] = Card(
        part="retention",
        summary="holds each parameter by what its path contributed to learning earlier tasks",
        paper="Zenke et al., 2017",
        stores="4 numbers a parameter",
        cost="a few vector operations a step",
    )

    def __init__(self, options: SIOptions, learner: Learner, seed: int) -> None:
        """Raises BadConfig without given boundaries: a detected change undoes steps that are part of the path."""
        if not learner.knows_boundaries:
            raise BadConfig("si needs given boundaries: where they are detected, steps on its path are undone.")
        super().__init__(learner, options.strength)
        self._damping = options.damping
        self._contribution = torch.zeros_like(parameters_to_vector(self._parameters))
        self._displacement = torch.zeros_like(self._contribution)

    def begin(self, segment_index: int, task_index: int) -> None:
        """Start a new path."""
        self._start_path()

    def regulate(self, update: Update) -> None:
        """Add the gradient of the penalty, apply, and follow the path."""
        if self._learner.renewals != self._renewals:  # other weights as a whole: no path leads there
            self._start_path()
        gradient = as_vector([parameter.grad for parameter in self._parameters], self._parameters)
        update.keep(self._parameters)
        super().regulate(update)
        displacement = parameters_to_vector([update.displacement(parameter) for parameter in self._parameters])
        self._contribution -= gradient * displacement
        self._displacement += displacement

    def end(self, segment_index: int, task_index: int, observations: Observations) -> None:
        """Add what each parameter has contributed in this segment and anchor the actor where it is now."""
        gained = self._contribution.clamp(min=0.0) / (self._displacement.square() + self._damping)
        self._penalty.hold(self._penalty.importances + gained)

    def measurements(self) -> dict[str, float]:
        """Return the penalty as it is now, and the size of what is stored, the path included."""
        measured = super().measurements()
        path_bytes = self._contribution.nbytes + self._displacement.nbytes
        return measured | {"memory_bytes": measured["memory_bytes"] + path_bytes}

    def state_dict(self) -> dict[str, Any]:
        """Return the penalty's anchor and importances, and the path so far."""
        path = {"contribution": self._contribution.clone(), "displacement": self._displacement.clone()}
        return super().state_dict() | path

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a `state_dict`."""
        super().load_state_dict(state)
        self._contribution.copy_(state["contribution"])
        self._displacement.copy_(state["displacement"])

    def _start_path(self) -> None:
        self._contribution.zero_()
        self._displacement.zero_()
        self._renewals = self._learner.renewals
