"""Progress and compress: an active column learns each task, a knowledge base takes it in and forgets gracefully."""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from nestrl.agents.policies import OwnPolicy
from nestrl.errors import BadConfig, require_not_negative, require_positive, require_share
from nestrl.methods.consolidating import Consolidating
from nestrl.methods.protocol import Card, Learner
from nestrl.updates.distillation import DistillationOptions, distill
from nestrl.updates.importance import fisher_information
from nestrl.updates.memory import TeacherMemory
from nestrl.updates.quadratic import QuadraticPenalty
from nestrl.updates.values import n_bytes

STARTS = ("knowledge", "fresh", "active")


@dataclass(frozen=True)
class ProgressAndCompressOptions(DistillationOptions):
    """Options of progress and compress, those of its distillation among them."""

    strength: float = 100.0
    """Weight of the penalty on the knowledge base. At 1 it is about the drift from its last state, in nats."""
    decay: float = 1.0
    """What remains of the importance of earlier tasks at each boundary: 1 sums over tasks, less forgets gracefully."""
    fisher_samples: int = 512
    """Observations of the last task on which the Fisher information is measured."""
    start: str = "knowledge"
    """What the active column is when a task starts: a copy of the knowledge base ("knowledge"), random weights
    ("fresh"), or what it was at the end of the last task ("active")."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_not_negative("progress-and-compress", strength=self.strength)
        require_share("progress-and-compress", decay=self.decay)
        require_positive("progress-and-compress", fisher_samples=self.fisher_samples)
        if self.start not in STARTS:
            known = ", ".join(STARTS)
            raise BadConfig(f"progress-and-compress's start is {self.start!r}; it must be one of {known}.")


class ProgressAndCompress(Consolidating):
    """Trains an active column, then distills it into a knowledge base under online EWC.

        minimise over b  E[KL(active || b)] + strength/2 sum_i F_i (b_i - b*_i)^2,   then  F <- decay F + F_new

    b: the knowledge base, b* what it was before; E over the last observations of the task, which are not kept; F_new:
    see `fisher_information`, of the new b. (Schwarz et al., 2018, the compress phase.)

    Differs from the paper: no lateral adapters from knowledge base to active column, since the network is the same for
    all methods; instead the column starts a task as a copy of the knowledge base (`start`). F is not normalised, being
    that of a policy, in nats, and not of a loss. The knowledge base starts as a copy of the first task's column.
    """

    card: ClassVar[Card] = Card(
        part="whole",
        summary="an active column learns, a knowledge base takes it in under online EWC",
        paper="Schwarz et al., 2018",
        stores="2 numbers a parameter: the knowledge base and its importances",
        cost="nothing in training; 2000 passes over 512 observations at each boundary, and derivatives of 512 answers",
        own_policies=True,
    )

    def __init__(self, options: ProgressAndCompressOptions, learner: Learner, seed: int) -> None:
        super().__init__(learner, seed)
        self._options = options
        self._importances: Tensor | None = None

    def begin(self, segment_index: int, task_index: int) -> None:
        """Give the active column what it starts from, unless nothing was learned before."""
        super().begin(segment_index, task_index)
        if self._slow is not None and self._options.start == "knowledge":
            self._learner.take(self._slow.parameters)
        elif self._slow is not None and self._options.start == "fresh":
            self._learner.renew_actor()

    def state_dict(self) -> dict[str, Any]:
        """Return the knowledge base, its importances, the random stream and what was measured last."""
        return super().state_dict() | {"importances": self._importances}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a `state_dict`."""
        super().load_state_dict(state)
        stored = state["importances"]
        self._importances = None if stored is None else stored.to(self._parameters[0].device)

    def _consolidate(self, slow: OwnPolicy, task_index: int, seen: Tensor) -> None:
        """Compress, then measure how important each parameter of the knowledge base is for the new task."""
        earlier = self._importances
        if earlier is not None:
            self._compress(slow, task_index, seen, earlier)
        chosen = torch.randperm(len(seen), generator=self._generator)[: self._options.fisher_samples].to(seen.device)
        fisher = fisher_information(slow.output, seen[chosen], slow.parameters)
        self._importances = fisher if earlier is None else self._options.decay * earlier + fisher

    def _compress(self, slow: OwnPolicy, task_index: int, seen: Tensor, importances: Tensor) -> None:
        """Distill the active column into the knowledge base, held where it is by the importances (P,)."""
        penalty = QuadraticPenalty(slow.parameters, self._options.strength)
        penalty.hold(importances)
        with torch.no_grad():
            teacher = self._learner.policy.output(seen)
        lesson = TeacherMemory(len(seen), device=seen.device)
        lesson.remember(task_index, seen, teacher, self._generator)
        self._drift = distill(slow, lesson, self._options, self._generator, penalty).total

    def _bytes_beside(self) -> int:
        return 0 if self._importances is None else n_bytes([self._importances])
