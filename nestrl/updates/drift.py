"""How far a policy has moved from what it was: closed-form KL divergences, in nats, differentiable in the student."""

from typing import NamedTuple

import torch
from torch import Tensor

from nestrl.agents.actor_output import ActorOutput


class Drift(NamedTuple):
    """KL(teacher || student) in two parts, both (n,), >= 0 and in nats; a Discrete policy's whole drift is in `mean`.

    They are kept apart because a drift that is all log_std means exploration noise has moved, not behaviour.
    """

    mean: Tensor
    log_std: Tensor

    @property
    def total(self) -> Tensor:
        """The KL divergence itself, (n,)."""
        return self.mean + self.log_std

    def averaged(self, n_groups: int) -> "Drift":
        """Return the mean drift (n_groups,) of equally many consecutive rows a group."""
        return Drift(self.mean.view(n_groups, -1).mean(1), self.log_std.view(n_groups, -1).mean(1))

    def detach(self) -> "Drift":
        """Return the same numbers without their graph."""
        return Drift(self.mean.detach(), self.log_std.detach())


def gaussian_drift(teacher_mean: Tensor, teacher_log_std: Tensor, mean: Tensor, log_std: Tensor) -> Drift:
    """Return the drift between diagonal Gaussians, all arguments (n, A); no gradient reaches the teacher.

    With teacher N(m, s^2) and student N(m', s'^2), summed over the A dimensions:
        mean part     (m - m')^2 / (2 s'^2)
        log_std part  log(s'/s) + (s^2 / s'^2 - 1) / 2
    """
    teacher_mean, teacher_log_std = teacher_mean.detach(), teacher_log_std.detach()
    precision = torch.exp(-2 * log_std)
    narrowing = teacher_log_std - log_std
    return Drift(
        mean=(0.5 * precision * (teacher_mean - mean) ** 2).sum(-1),
        log_std=(0.5 * torch.expm1(2 * narrowing) - narrowing).sum(-1),
    )


def categorical_drift(teacher_logits: Tensor, logits: Tensor) -> Drift:
    """Return the drift between categorical distributions, arguments (n, choices); no gradient reaches the teacher."""
    teacher_log = torch.log_softmax(teacher_logits.detach(), -1)
    student_log = torch.log_softmax(logits, -1)
    divergence = (teacher_log.exp() * (teacher_log - student_log)).sum(-1)
    return Drift(mean=divergence, log_std=torch.zeros_like(divergence))


def drift_between(teacher: ActorOutput, student: ActorOutput) -> Drift:
    """Return the drift of a student's outputs from its teacher's on the same n observations, Box or Discrete alike."""
    if teacher.logits is not None and student.logits is not None:
        return categorical_drift(teacher.logits, student.logits)
    return gaussian_drift(*teacher.gaussian, *student.gaussian)
