"""What policy cloning, PCGrad and nested share: teachers of old tasks, and how far the policy has drifted from each."""

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor

from nestrl.methods.finetune import Finetune
from nestrl.methods.protocol import Learner, Observations
from nestrl.nested.dual_weights import DualWeights
from nestrl.updates.drift import Drift, drift_between
from nestrl.updates.memory import TeacherMemory
from nestrl.updates.regulated import Update
from nestrl.updates.values import flattened

GRADIENT_NORM = 0.5
"""The retention gradient is clipped to the norm that PPO clips its own to, so neither can drown the other."""


class Taught(Finetune, ABC):
    """Remembers what the policy did at the end of each task; a subclass holds it to that in `regulate`.

    The task being trained is not held to its own earlier teacher when it comes back: it may improve.
    """

    def __init__(self, learner: Learner, seed: int, samples: int, capacity: int, dual_weights: DualWeights) -> None:
        self._learner, self._samples = learner, samples
        self._parameters = flattened(learner.actor_groups())
        self._memory = TeacherMemory(capacity, device=self._parameters[0].device)
        self._dual_weights = dual_weights
        self._generator = torch.Generator().manual_seed(seed)
        self._old_tasks: list[int] = []
        self._drift = Drift(torch.zeros(1), torch.zeros(1))

    def begin(self, segment_index: int, task_index: int) -> None:
        """Hold the policy to the teachers of all other tasks from now on."""
        self._old_tasks = [task for task in self._memory.tasks if task != task_index]

    @abstractmethod
    def regulate(self, update: Update) -> None:
        """Take part in one step of the actor's optimizer."""

    def end(self, segment_index: int, task_index: int, observations: Observations) -> None:
        """Make the policy as it is now the teacher of the task, on what it has seen last."""
        seen = torch.as_tensor(observations, device=self._parameters[0].device)
        with torch.no_grad():
            teacher = self._learner.policy.output(seen)
        self._memory.remember(task_index, seen, teacher, self._generator)

    def measurements(self) -> dict[str, float]:
        """Return the drift (nats) of the old tasks at the last step, and the bytes stored."""
        return {
            "drift": float(self._drift.total.mean()),
            "drift_of_log_std": float(self._drift.log_std.mean()),
            "worst_drift": float(self._drift.total.max()),
            "memory_bytes": float(self._memory.n_bytes),
        }

    def state_dict(self) -> dict[str, Any]:
        """Return memory, weights, the random stream and what was measured last."""
        return {
            "memory": self._memory.state_dict(),
            "dual_weights": self._dual_weights.state_dict(),
            "generator": self._generator.get_state(),
            "old_tasks": list(self._old_tasks),
            "drift": list(self._drift),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a `state_dict`."""
        self._memory.load_state_dict(state["memory"])
        self._dual_weights.load_state_dict(state["dual_weights"])
        self._generator.set_state(state["generator"])
        self._old_tasks = list(state["old_tasks"])
        self._drift = Drift(*state["drift"])

    def _weights_measured(self) -> dict[str, float]:
        """Return the mean weight of the old tasks, and the share of steps with an active constraint."""
        return {
            "weight": float(self._weights().mean()) if self._old_tasks else 0.0,
            "active_share": self._dual_weights.active_share,
        }

    def _weights(self) -> Tensor:
        """Return the weights (k,) of the old tasks."""
        return self._dual_weights.of(self._old_indices)

    @property
    def _old_indices(self) -> Tensor:
        """The indices (k,) of the old tasks, as the dual weights take them."""
        return torch.tensor(self._old_tasks, dtype=torch.long)

    def _retention_gradient(self) -> list[Tensor | None]:
        """Return the clipped gradient of the weighted drift, one tensor a parameter; None for an unused one."""
        weights, drift = self._weights_and_drift()
        return _clipped(torch.autograd.grad(weights @ drift, self._parameters, allow_unused=True), GRADIENT_NORM)

    def _weights_and_drift(self) -> tuple[Tensor, Tensor]:
        """One actor-only pass over memory: returns the weights and the drift, with gradient, of each old task, (k,).

        The dual weights then take their step; those returned are from before it.
        """
        batch = self._memory.sample(self._samples, self._old_tasks, self._generator)
        drift = drift_between(batch.teacher, self._learner.policy.output(batch.observations)).averaged(len(batch.tasks))
        weights = self._dual_weights.of(batch.tasks).to(drift.total)
        self._dual_weights.update(batch.tasks, drift.total)
        self._drift = drift.detach()
        return weights, drift.total


def _clipped(gradients: tuple[Tensor | None, ...], limit: float) -> list[Tensor | None]:
    """Return the gradients scaled down together to a norm of at most `limit`; None stays for unused parameters."""
    norm = torch.nn.utils.get_total_norm([gradient for gradient in gradients if gradient is not None])
    scale = torch.clamp(limit / (norm + 1e-6), max=1.0)
    return [None if gradient is None else gradient * scale for gradient in gradients]
