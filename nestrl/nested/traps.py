"""The level that frees a policy from what it knows, where that half solves a new task and holds it there.

A policy that has learned to drive straight at goals does so in a maze, too. It reaches those that are in sight, stands
at a wall on its way to the others, and stays there for a whole segment: with a fresh critic, with twice the noise, and
with nothing that holds it to old skills. The noise of its actions is too small against their mean to lead it away.

So where a new task stands still half-solved from the start, the network learns to answer there more quietly, and
elsewhere as its teachers did. Exploration then starts from noise, as in a fresh network, but on trained features:

    minimise  sum_i E[KL(teacher_i || policy)] + E[KL(N(boldness * mean, std) || policy on the task)]

The observations are those remembered of other tasks, said to come from this one: no step is spent.

What was measured on development lives (docs/log.md): such a maze stands at .40 to .43 of its episodes after two rounds,
up by -.02 to .08 from the round before; tasks that get on are up by .14 or more there, and slow starters solve nothing.
"""

import copy
from typing import Any

import torch

from nestrl.agents.policies import OwnPolicy
from nestrl.nested.rounds import Rounds
from nestrl.tasks.union import label_as
from nestrl.updates.distillation import DistillationOptions, distill
from nestrl.updates.memory import TeacherMemory

HALF_SOLVED = 0.2, 0.7
"""Share of successes: below nothing holds the policy, above there is more to lose than to find."""
RISEN = 0.1
"""By which the share of successes has grown from the first round to the second where a task gets on."""
TOO_LATE = 0.3
"""Share of the segment after which too little is left to begin anew, where segments are two to three times as long as a
task takes from scratch."""


class Trap:
    """One decision a segment, after two rounds of episodes: whether a new task stands still half-solved."""

    def __init__(self) -> None:
        self._open = False

    def start_segment(self, *, new: bool) -> None:
        """A segment begins; `new` tells whether the task has not been met before, though others have."""
        self._open = new

    def caught(self, progress: float, rounds: Rounds) -> bool:
        """Return whether the policy is to be freed now; progress in 0..1."""
        if not self._open:
            return False
        before, last = rounds.before, rounds.last
        if before.rounds < 1 or last.rounds < 1:
            return False
        self._open = False
        low, high = HALF_SOLVED
        return progress <= TOO_LATE and low <= last.success < high and last.success - before.success < RISEN

    def state_dict(self) -> dict[str, Any]:
        """Return whether it is still to be decided."""
        return {"open": self._open}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a `state_dict`."""
        self._open = state["open"]


def quieten(
    student: OwnPolicy,
    memory: TeacherMemory,
    task: int,
    n_tasks: int,
    boldness: float,
    steps: int,
    generator: torch.Generator,
) -> None:
    """Train a policy to answer in `task` with `boldness` (0..1) times its own mean or logits.

    memory: of the tasks that are known, at least one; it stays as it is. steps: gradient steps of the distillation.
    """
    seen = memory.observations()
    label_as(seen, n_tasks, task)
    with torch.no_grad():
        wanted = student.output(seen).scaled(boldness)
    teachers = copy.copy(memory)  # remembering makes new tensors and touches no old ones
    teachers.remember(task, seen, wanted, generator)
    distill(student, teachers, DistillationOptions(steps=steps), generator)
