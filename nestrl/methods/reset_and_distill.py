"""Reset and distill: learn every task from scratch, so that nothing can hinder it, and distill afterwards."""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from nestrl.agents.policies import OwnPolicy
from nestrl.errors import BadConfig
from nestrl.methods.consolidating import Consolidating
from nestrl.methods.protocol import Card, Learner
from nestrl.updates.distillation import DistillationOptions, distill
from nestrl.updates.memory import TeacherMemory
from nestrl.updates.values import put_values


@dataclass(frozen=True)
class ResetAndDistillOptions(DistillationOptions):
    """Options of reset and distill, those of its distillation among them."""

    capacity: int = 4096
    """Remembered observations a task."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.capacity > 0:
            raise BadConfig(f"capacity of the teacher memory is {self.capacity}; it must be above 0.")


class ResetAndDistill(Consolidating):
    """Starts every task with a fresh actor; a second, offline actor is distilled from the teachers of all tasks.

        minimise  sum_i E[KL(teacher_i || offline actor)]   after each task, teacher_i: the fresh actor's last outputs

    (Ahn, Hyeon, Oh, Hwang and Moon, 2025.) No task is learned any faster or slower for what was learned before: its
    true forward transfer is 0, which makes it the null of that measure.

    Differs from the paper: whether the critic is renewed too is the agent's `fresh_critic`, for all methods alike; the
    offline actor starts as a copy of the first task's actor.
    """

    card: ClassVar[Card] = Card(
        part="whole",
        summary="every task from scratch, then distilled into an offline actor: no transfer at all",
        paper="Ahn et al., 2025",
        stores="4096 observations and outputs a task, and a second actor",
        cost="nothing in training; 2000 passes over 512 remembered observations at each boundary",
        own_policies=True,
    )

    def __init__(self, options: ResetAndDistillOptions, learner: Learner, seed: int) -> None:
        super().__init__(learner, seed)
        self._options = options
        self._memory = TeacherMemory(options.capacity, device=self._parameters[0].device)

    def begin(self, segment_index: int, task_index: int) -> None:
        """Start with a fresh actor, unless nothing was learned before."""
        super().begin(segment_index, task_index)
        if self._slow is not None:
            self._learner.renew_actor()

    def state_dict(self) -> dict[str, Any]:
        """Return the offline actor, memory, the random stream and what was measured last."""
        return super().state_dict() | {"memory": self._memory.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a `state_dict`."""
        super().load_state_dict(state)
        self._memory.load_state_dict(state["memory"])

    def _consolidate(self, slow: OwnPolicy, task_index: int, seen: Tensor) -> None:
        """Remember what the learner does, then distill all teachers; a single one is simply copied."""
        with torch.no_grad():
            teacher = self._learner.policy.output(seen)
        self._memory.remember(task_index, seen, teacher, self._generator)
        if self._memory.tasks == (task_index,):
            put_values(self._parameters, slow.parameters)
        else:
            self._drift = distill(slow, self._memory, self._options, self._generator).total

    def _bytes_beside(self) -> int:
        return self._memory.n_bytes
