"""PCGrad, asymmetric and with constants: each step keeps its length and direction, and retention moves beside it."""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import Parameter

from nestrl.errors import BadConfig
from nestrl.methods.protocol import Card, Learner, Observations, Policy
from nestrl.nested.dual_weights import DualWeights
from nestrl.updates.displacement import Gates, regulate
from nestrl.updates.drift import Drift, drift_between
from nestrl.updates.memory import TeacherMemory
from nestrl.updates.regulated import Update


@dataclass(frozen=True)
class PCGradOptions:
    """Options of asymmetric PCGrad."""

    pull: float = 0.5
    """Length of the move against the drift, in lengths of the optimizer's step; 0 is fine-tuning."""
    drift_limit: float | None = 0.03
    """Nats: tasks that drift further weigh more, by dual ascent. None: all old tasks weigh the same."""
    samples: int = 512
    """Remembered observations in each gradient step, shared equally by the old tasks."""
    capacity: int = 4096
    """Remembered observations a task."""

    def __post_init__(self) -> None:
        if not self.pull >= 0:
            raise BadConfig(f"pcgrad's pull is {self.pull}; it must be at least 0.")
        if self.drift_limit is not None and not self.drift_limit > 0:
            raise BadConfig(f"pcgrad's drift_limit is {self.drift_limit}; it must be above 0, or None.")
        for name in ("samples", "capacity"):
            if not getattr(self, name) > 0:
                raise BadConfig(f"pcgrad's {name} is {getattr(self, name)}; it must be above 0.")


class PCGrad:
    """Adds to each step d of the optimizer a move against the drift of old tasks, less its part against d.

    theta <- theta + d + pull * (r - min(0, <r, d>) / |d|^2 * d)   with r = -|d| * m / |m|, m = sum_i q_i grad M_i

    for each group of parameters by itself: trunk block, head, log_std (Yu et al., 2020, algorithm 1, for two tasks of
    which one is the old tasks' drift). M_i is the mean KL(teacher_i || policy) on task i's memory before the step, q_i
    the share of its dual weight.

    Differs from the paper: only the retention move is projected, the step is kept; the move has a constant length, and
    the projection acts on what Adam did and not on the gradients. A length a group stands for Adam's scaling, which
    makes steps of all groups similarly long where gradients are not.
    """

    card: ClassVar[Card] = Card(
        part="retention",
        summary="moves against the drift beside each step, by a constant share of its length, never against it",
        paper="Yu et al., 2020",
        stores="4096 observations and outputs a task",
        cost="one backward pass of the actor over 512 remembered observations a gradient step",
    )

    def __init__(self, options: PCGradOptions, learner: Learner, seed: int) -> None:
        self._options, self._learner = options, learner
        self._groups = [list(group) for group in learner.actor_groups().values()]
        self._parameters = [parameter for group in self._groups for parameter in group]
        self._gates = Gates(pass_=1.0, pull=options.pull)
        self._memory = TeacherMemory(options.capacity, device=self._parameters[0].device)
        self._dual_weights = _dual_weights(options, learner.n_tasks)
        self._generator = torch.Generator().manual_seed(seed)
        self._old_tasks: list[int] = []
        self._drift = Drift(torch.zeros(1), torch.zeros(1))

    def begin(self, segment_index: int, task_index: int) -> None:
        """Move against the drift from the teachers of all other tasks from now on."""
        self._old_tasks = [task for task in self._memory.tasks if task != task_index]

    def regulate(self, update: Update) -> None:
        """Apply, then add the move against the drift."""
        if not self._old_tasks:
            update.apply()
            return
        gradients = self._drift_gradients()
        update.keep(self._parameters)
        update.apply()
        for group in self._groups:
            _move(group, [update.displacement(parameter) for parameter in group], gradients, self._gates)

    def end(self, segment_index: int, task_index: int, observations: Observations) -> None:
        """Make the policy as it is now the teacher of the task, on what it has seen last."""
        seen = torch.as_tensor(observations, device=self._parameters[0].device)
        with torch.no_grad():
            teacher = self._learner.policy.output(seen)
        self._memory.remember(task_index, seen, teacher, self._generator)

    def policy_for(self, task_index: int) -> Policy:
        """Return the one policy that there is."""
        return self._learner.policy

    def measurements(self) -> dict[str, float]:
        """Return the drift (nats) of the old tasks at the last step."""
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

    def _drift_gradients(self) -> dict[Parameter, Tensor]:
        """Return the gradient of the weighted drift by parameter, and let the dual weights take their step."""
        batch = self._memory.sample(self._options.samples, self._old_tasks, self._generator)
        drift = drift_between(batch.teacher, self._learner.policy.output(batch.observations)).averaged(len(batch.tasks))
        weights = self._dual_weights.of(batch.tasks).to(drift.total)
        gradients = torch.autograd.grad(
            weights @ drift.total / weights.sum(), self._parameters, materialize_grads=True, allow_unused=True
        )
        self._dual_weights.update(batch.tasks, drift.total)
        self._drift = drift.detach()
        return dict(zip(self._parameters, gradients, strict=True))


def _move(group: list[Parameter], moved: list[Tensor], gradients: dict[Parameter, Tensor], gates: Gates) -> None:
    """Bring parameters from where the step has moved them to where the regulated step would have."""
    regulated = regulate(moved, [gradients[parameter] for parameter in group], gates)
    for parameter, wanted, had in zip(group, regulated, moved, strict=True):
        parameter.data += wanted - had


def _dual_weights(options: PCGradOptions, n_tasks: int) -> DualWeights:
    """Return weights that ascend on the drift limit, or equal ones if there is none."""
    if options.drift_limit is None:
        return DualWeights(n_tasks, minimum=1.0, maximum=1.0)
    return DualWeights(n_tasks, options.drift_limit)
