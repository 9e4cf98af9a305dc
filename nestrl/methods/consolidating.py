"""What progress-and-compress, reset-and-distill and FAME share: one policy learns, another one keeps."""

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor

from nestrl.agents.policies import OwnPolicy
from nestrl.methods.finetune import Finetune
from nestrl.methods.protocol import Learner, Observations, Policy
from nestrl.updates.values import flattened, n_bytes, values_of


class Consolidating(Finetune, ABC):
    """Trains the learner freely; at the end of each segment a slow policy takes in what the learner can do.

    The learner itself acts in the task that it trains on, the slow policy in all others.
    """

    def __init__(self, learner: Learner, seed: int) -> None:
        self._learner = learner
        self._parameters = flattened(learner.actor_groups())
        self._generator = torch.Generator().manual_seed(seed)
        self._slow: OwnPolicy | None = None
        self._current: int | None = None
        self._drift = torch.zeros(1)

    def begin(self, segment_index: int, task_index: int) -> None:
        """Let the learner act in its task from now on."""
        self._current = task_index

    def end(self, segment_index: int, task_index: int, observations: Observations) -> None:
        """Let the slow policy, at first a copy of the learner's, take in what was learned."""
        self._current = None
        self._slow = self._slow or self._learner.policy_with()
        self._consolidate(self._slow, task_index, torch.as_tensor(observations, device=self._parameters[0].device))

    def policy_for(self, task_index: int) -> Policy:
        """Return the learner's policy for the task that it trains on, the slow policy for all others."""
        return self._learner.policy if self._slow is None or task_index == self._current else self._slow

    def measurements(self) -> dict[str, float]:
        """Return the slow policy's drift (nats) from its teachers when it was last trained, and the bytes stored."""
        slow = () if self._slow is None else self._slow.parameters
        return {
            "drift": float(self._drift.mean()),
            "worst_drift": float(self._drift.max()),
            "memory_bytes": float(n_bytes(slow) + self._bytes_beside()),
        }

    def state_dict(self) -> dict[str, Any]:
        """Return the slow policy's values, the random stream, the task and what was measured last."""
        return {
            "slow": None if self._slow is None else values_of(self._slow.parameters),
            "current": self._current,
            "generator": self._generator.get_state(),
            "drift": self._drift,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a `state_dict`."""
        self._slow = None if state["slow"] is None else self._learner.policy_with(state["slow"])
        self._current, self._drift = state["current"], state["drift"]
        self._generator.set_state(state["generator"])

    @abstractmethod
    def _consolidate(self, slow: OwnPolicy, task_index: int, seen: Tensor) -> None:
        """Train the slow policy on what the learner does in the task, on these observations (m, D + N)."""

    @abstractmethod
    def _bytes_beside(self) -> int:
        """Return the size of what is stored beside the slow policy."""
