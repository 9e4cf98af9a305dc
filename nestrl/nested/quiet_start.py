"""The level that decides how loudly what is known speaks when a new task begins.

A policy that has learned to drive straight at goals drives straight at that of a maze, too, stands at a wall, and the
noise of its actions is too small against their mean to lead it away: it stays there for a whole segment, with a fresh
critic, with twice the noise, and with nothing to hold it to old skills. So before a new task begins, the network learns
to answer there as before, but more quietly, and elsewhere as its teachers did:

    minimise  sum_i E[KL(teacher_i || policy)] + E[KL(N(boldness * mean, std) || policy on the new task)]

With boldness 0 exploration starts from noise alone, as in a fresh network, but on trained features; with 1 the policy
goes on as it is. The observations are those remembered of other tasks, said to come from the new one: no step is spent.
"""

import copy

import torch

from nestrl.agents.policies import OwnPolicy
from nestrl.tasks.union import label_as
from nestrl.updates.distillation import DistillationOptions, distill
from nestrl.updates.memory import TeacherMemory


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
