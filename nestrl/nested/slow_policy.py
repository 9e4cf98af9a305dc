"""The slowest level of a run: a second actor that takes in a skill only where no skill becomes worse by it."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from nestrl.agents.policies import OwnPolicy
from nestrl.updates.distillation import DistillationOptions, distill
from nestrl.updates.drift import drift_between
from nestrl.updates.memory import Batch, TeacherMemory
from nestrl.updates.values import n_bytes, put_values, values_of

JUDGED = 2048
"""Remembered observations on which a candidate is judged, shared by the tasks; other ones than it was trained on."""
PATIENT = DistillationOptions.steps
"""Gradient steps of the last attempt. A skill that is not taken in makes the next one harder to take in."""
QUICK, WELL = 1 / 4, 1 / 3
"""A first attempt of this share of the steps will do where it leaves this share of the limits at most, so that what is
left does not add up. Mostly it does: the fast policy was held to the skills."""


class Attempt(NamedTuple):
    """One distillation of a candidate: its gradient steps, and what share of each limit it may leave."""

    steps: int
    share: float = 1.0


def quick_first(steps: int) -> list[Attempt]:
    """Return a quick attempt, the usual one of so many steps, and a long one."""
    return [Attempt(max(1, round(QUICK * steps)), WELL), Attempt(steps), Attempt(PATIENT)]


class SlowPolicy:
    """Consolidates the fast policy's skills at each task's end.

    A candidate starts from the fast policy and is distilled from the teachers of all tasks: it is held to their
    answers, never to its own earlier ones, so drift does not add up over tasks. It is committed when on fresh memory
    batches every task's drift is within the limit, or not above that of the policy which answers for the task until
    then (this one, or for what it has not taken in another one); if not, it is distilled further.

    drift_limit: in nats.
    """

    def __init__(self, drift_limit: float) -> None:
        self._drift_limit = drift_limit
        self.policy: OwnPolicy | None = None
        self.drifts: dict[int, float] = {}
        """Of each task whose skill it has: how far it is from the task's teacher, in nats."""
        self.tried: dict[int, float] = {}
        """The same of the last candidate, committed or not, and of all tasks of the memory."""
        self.commits = 0

    @property
    def values(self) -> list[Tensor] | None:
        """Copies of its parameters; None before the first commit."""
        return None if self.policy is None else values_of(self.policy.parameters)

    @property
    def n_bytes(self) -> int:
        """Size of the actor."""
        return 0 if self.policy is None else n_bytes(self.policy.parameters)

    def forget(self, task: int) -> None:
        """A task has a new teacher: what this policy has of it answers for it no longer."""
        self.drifts.pop(task, None)

    def consolidate(
        self,
        candidate: OwnPolicy,
        others: Sequence[OwnPolicy],
        memory: TeacherMemory,
        attempts: Sequence[Attempt],
        generator: torch.Generator,
        room: float = 1.0,
    ) -> bool:
        """Try to take in all tasks of the memory with a candidate that may be trained; tell whether it was committed.

        Each attempt goes on from the one before. Where there is but one task the candidate is taken as it is. A skill
        that this policy does not have yet, but one of the others has, may be left at `room` times the limit.
        """
        limits = self._limits(others, _judged(memory, generator), room)
        for attempt in attempts:
            if len(memory.tasks) > 1:
                distill(candidate, memory, DistillationOptions(steps=attempt.steps), generator)
            drifts = _drifts(candidate, _judged(memory, generator))
            self.tried = dict(zip(memory.tasks, drifts.tolist(), strict=True))
            if bool((drifts <= attempt.share * limits).all()):
                self.policy, self.drifts = candidate, dict(self.tried)
                self.commits += 1
                return True
        return False

    def _limits(self, others: Sequence[OwnPolicy], batch: Batch, room: float) -> Tensor:
        """Return how far (k,) a candidate may be from each task's teacher: the limit, or as far as who answers so far.

        That is this policy for what it has taken in, else the nearest of the others.
        """
        present = torch.stack([_drifts(other, batch) for other in others]).amin(0)
        taken_in = torch.tensor([task in self.drifts for task in batch.tasks.tolist()], device=present.device)
        if self.policy is not None:
            present = torch.where(taken_in, _drifts(self.policy, batch), present)
        return torch.maximum(present, self._drift_limit * torch.where(taken_in, 1.0, room))

    def state_dict(self) -> dict[str, Any]:
        """Return its values, its tasks with their drifts, and the number of commits."""
        return {"values": self.values, "drifts": dict(self.drifts), "commits": self.commits}

    def load_state_dict(self, state: dict[str, Any], copy: OwnPolicy) -> None:
        """Go on from a `state_dict`, in a network that is its own from now on."""
        self.drifts, self.commits, self.policy = dict(state["drifts"]), state["commits"], None
        if state["values"] is not None:
            put_values(state["values"], copy.parameters)
            self.policy = copy


def _judged(memory: TeacherMemory, generator: torch.Generator) -> Batch:
    return memory.sample(JUDGED, list(memory.tasks), generator)


def _drifts(policy: OwnPolicy, batch: Batch) -> Tensor:
    """Return the mean drift (k,) from each task's teacher, in nats."""
    with torch.no_grad():
        return drift_between(batch.teacher, policy.output(batch.observations)).averaged(len(batch.tasks)).total
