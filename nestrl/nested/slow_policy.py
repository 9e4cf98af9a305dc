"""The slowest level of a run: a second actor that takes in a skill only where no skill becomes worse by it."""

from typing import Any

import torch
from torch import Tensor

from nestrl.agents.policies import OwnPolicy
from nestrl.updates.distillation import DistillationOptions, distill
from nestrl.updates.drift import drift_between
from nestrl.updates.memory import TeacherMemory
from nestrl.updates.values import n_bytes, put_values, values_of

JUDGED = 2048
"""Remembered observations on which a candidate is judged, shared by the tasks; other ones than it was trained on."""


class SlowPolicy:
    """Consolidates the fast policy's skills at each task's end.

    A candidate starts from the fast policy and is distilled from the teachers of all tasks: it is held to their
    answers, never to its own earlier ones, so drift does not add up over tasks. It is committed when on fresh memory
    batches every task's drift is within the limit, or not above what it was before.

    drift_limit: in nats.
    """

    def __init__(self, drift_limit: float) -> None:
        self._drift_limit = drift_limit
        self.policy: OwnPolicy | None = None
        self.tasks: tuple[int, ...] = ()
        """Tasks whose skill it has."""
        self.commits = 0

    @property
    def values(self) -> list[Tensor] | None:
        """Copies of its parameters; None before the first commit."""
        return None if self.policy is None else values_of(self.policy.parameters)

    @property
    def n_bytes(self) -> int:
        """Size of the actor."""
        return 0 if self.policy is None else n_bytes(self.policy.parameters)

    def consolidate(
        self, candidate: OwnPolicy, memory: TeacherMemory, options: DistillationOptions, generator: torch.Generator
    ) -> bool:
        """Try to take in all tasks of the memory with a candidate that may be trained; tell whether it was committed.

        Where there is but one task the candidate is taken as it is.
        """
        before = _drifts(candidate, memory, generator)
        if len(memory.tasks) > 1:
            distill(candidate, memory, options, generator)
        after = _drifts(candidate, memory, generator)
        if bool((after > torch.clamp(before, min=self._drift_limit)).any()):
            return False
        self.policy, self.tasks = candidate, memory.tasks
        self.commits += 1
        return True

    def state_dict(self) -> dict[str, Any]:
        """Return its values, its tasks and the number of commits."""
        return {"values": self.values, "tasks": list(self.tasks), "commits": self.commits}

    def load_state_dict(self, state: dict[str, Any], copy: OwnPolicy) -> None:
        """Go on from a `state_dict`, in a network that is its own from now on."""
        self.tasks, self.commits, self.policy = tuple(state["tasks"]), state["commits"], None
        if state["values"] is not None:
            put_values(state["values"], copy.parameters)
            self.policy = copy


def _drifts(policy: OwnPolicy, memory: TeacherMemory, generator: torch.Generator) -> Tensor:
    """Return the mean drift (k,) from each task's teacher, in nats, on a new sample of memory."""
    batch = memory.sample(JUDGED, list(memory.tasks), generator)
    with torch.no_grad():
        return drift_between(batch.teacher, policy.output(batch.observations)).averaged(len(batch.tasks)).total
