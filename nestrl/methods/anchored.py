"""What L2, EWC, MAS and SI share: training under a quadratic penalty that is anchored anew at each boundary."""

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor

from nestrl.methods.finetune import Finetune
from nestrl.methods.protocol import Learner, Observations
from nestrl.updates.quadratic import QuadraticPenalty
from nestrl.updates.regulated import Update
from nestrl.updates.values import flattened


class Anchored(Finetune, ABC):
    """Adds the gradient of a quadratic penalty to each update of the actor; a subclass anchors it in `end`.

    The gradient is not clipped: clipped to the norm of PPO's own, all strengths above a small one were alike.
    """

    def __init__(self, learner: Learner, strength: float) -> None:
        self._learner = learner
        self._parameters = flattened(learner.actor_groups())
        self._penalty = QuadraticPenalty(self._parameters, strength)
        self._renewals = learner.renewals  # when a subclass last looked

    def regulate(self, update: Update) -> None:
        """Add the gradient of the penalty, then apply."""
        if self._penalty.holds:
            update.add_gradient(self._parameters, self._penalty.gradient())
        update.apply()

    @abstractmethod
    def end(self, segment_index: int, task_index: int, observations: Observations) -> None:
        """Anchor the actor where it is now."""

    def measurements(self) -> dict[str, float]:
        """Return the penalty as it is now, in the unit of the loss, and the size of what is stored."""
        return {"penalty": self._penalty.value(), "memory_bytes": float(self._penalty.n_bytes)}

    def state_dict(self) -> dict[str, Any]:
        """Return the penalty's anchor and importances, and how often the actor had been given other weights."""
        return {"penalty": self._penalty.state_dict(), "renewals": self._renewals}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a `state_dict`."""
        self._penalty.load_state_dict(state["penalty"])
        self._renewals = state.get("renewals", 0)  # which older checkpoints lack


class AnchoredByData(Anchored):
    """What EWC and MAS share: importances that are measured at each boundary, on observations of the task just ended.

    importances <- decay importances + new ones
    """

    def __init__(self, learner: Learner, seed: int, strength: float, samples: int, decay: float) -> None:
        super().__init__(learner, strength)
        self._samples, self._decay = samples, decay
        self._generator = torch.Generator().manual_seed(seed)

    def end(self, segment_index: int, task_index: int, observations: Observations) -> None:
        """Add the task's importances and anchor the actor where it is now; nothing where nothing was seen of it."""
        if not len(observations):
            return
        chosen = torch.randperm(len(observations), generator=self._generator)[: self._samples]
        seen = torch.as_tensor(observations)[chosen].to(self._parameters[0].device)
        self._penalty.hold(self._decay * self._penalty.importances + self._importances(seen))

    @abstractmethod
    def _importances(self, seen: Tensor) -> Tensor:
        """Return the importance (P,) of each of the actor's numbers on these observations (n, D + N)."""

    def state_dict(self) -> dict[str, Any]:
        """Return the penalty's anchor and importances, and the random stream."""
        return super().state_dict() | {"generator": self._generator.get_state()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a `state_dict`."""
        super().load_state_dict(state)
        self._generator.set_state(state["generator"])
