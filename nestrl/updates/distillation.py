"""Distillation: a policy with a network of its own is trained to answer as its teachers did, without an environment."""

from dataclasses import dataclass

import torch

from nestrl.agents.policies import OwnPolicy
from nestrl.errors import require_positive
from nestrl.updates.drift import Drift, drift_between
from nestrl.updates.memory import TeacherMemory
from nestrl.updates.quadratic import QuadraticPenalty
from nestrl.updates.values import add_gradients


@dataclass(frozen=True)
class DistillationOptions:
    """Options of one distillation."""

    steps: int = 2000
    """Gradient steps."""
    samples: int = 512
    """Remembered observations in each gradient step, shared equally by the teachers."""
    learning_rate: float = 5e-3
    """Adam's learning rate at the first step; it falls linearly to 0. A parameter moves by about half of this a step on
    average, so with too small a rate a log_std does not arrive at its teacher's."""

    def __post_init__(self) -> None:
        require_positive("distillation", steps=self.steps, samples=self.samples, learning_rate=self.learning_rate)


def distill(
    student: OwnPolicy,
    memory: TeacherMemory,
    options: DistillationOptions,
    generator: torch.Generator,
    penalty: QuadraticPenalty | None = None,
) -> Drift:
    """Train a student towards all k teachers of a memory; return its drift (k,) from each, in nats, at the last step.

        minimise  1/k sum_i E[KL(teacher_i || student)] + penalty

    (Policy distillation, Rusu et al., 2016, here between action distributions.) `penalty` holds the student back.
    """
    parameters = student.parameters
    optimizer = torch.optim.Adam(parameters, lr=options.learning_rate, fused=True)  # a seventh less time altogether
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, total_iters=options.steps)
    for _ in range(options.steps):
        batch = memory.sample(options.samples, list(memory.tasks), generator)
        drift = drift_between(batch.teacher, student.output(batch.observations)).averaged(len(batch.tasks))
        optimizer.zero_grad()
        drift.total.mean().backward()  # type: ignore[no-untyped-call]
        if penalty is not None:
            add_gradients(penalty.gradient(), parameters)
        optimizer.step()
        schedule.step()
    return drift.detach()
