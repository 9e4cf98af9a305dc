"""PackNet: each task gets its own share of the weights, and the weights of earlier tasks never move again."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import Parameter

from nestrl.agents.policies import OwnPolicy
from nestrl.errors import BadConfig
from nestrl.methods.protocol import Card, Learner, Observations, Policy
from nestrl.updates.regulated import Update
from nestrl.updates.values import beside, flattened, n_bytes, values_of

FREE = -1
"""Owner of a number that no task owns yet."""


@dataclass(frozen=True)
class PackNetOptions:
    """Options of PackNet."""

    retrain_from: float = 0.75
    """Share of a segment after which the task's weights are pruned; what is left is retrained in the rest of it."""

    def __post_init__(self) -> None:
        if not 0 < self.retrain_from <= 1:
            raise BadConfig(f"packnet's retrain_from is {self.retrain_from}; it must be above 0 and at most 1.")


class PackNet:
    """Trains the free weights on a task, keeps the largest of them for it, frees the others, and retrains those kept.

        policy_for(i) = pi(theta * [owner <= i]),   kept of each matrix: the largest |theta| among those still free,
        1/(tasks left) of them, so that all tasks own equal parts in the end; those freed are set to 0

    (Mallya and Lazebnik, 2018; in RL: Wolczyk et al., 2021.) Biases and LayerNorm are the first task's and
    frozen after it, as in the paper. What only one task uses is that task's own from the start and not pruned: its
    head where there is one a task, its row of log_std, and the input weights of its one-hot.

    A task that comes back trains its own weights on, if no other came after it; otherwise nothing moves, since later
    tasks build on them. Between pruning and the next rollout nothing moves either: what was collected before came from
    another policy. So a segment needs four rollouts or more: of fewer, none is left to retrain in.
    """

    card: ClassVar[Card] = Card(
        part="retention",
        summary="gives each task a share of the weights and freezes it (prune and retrain)",
        paper="Mallya and Lazebnik, 2018",
        stores="2 bytes a parameter: its owner",
        cost="a mask over the actor a step; the last quarter of each segment retrains the pruned network",
        knows=("boundaries", "length of segments", "task identity", "number of tasks"),
        own_policies=True,
    )

    def __init__(self, options: PackNetOptions, learner: Learner, seed: int) -> None:
        self._options, self._learner = options, learner
        self._parameters = flattened(learner.actor_groups())
        self._owners = first_owners(learner.actor_groups(), learner.n_tasks)
        self._packed: list[int] = []  # tasks that own weights, in the order in which they came
        self._current: int | None = None
        self._pruned_at: float | None = None  # the learner's progress in this segment
        self._policies: dict[int, OwnPolicy] = {}

    def begin(self, segment_index: int, task_index: int) -> None:
        """Let the task train what is free, or what it owns already."""
        self._current, self._pruned_at = task_index, None
        self._policies.clear()
        if not self._packed:
            for owner in self._owners:
                if owner.dim() == 1:
                    owner[owner == FREE] = task_index

    def regulate(self, update: Update) -> None:
        """Prune when it is time; then apply, but leave everything where it is that the task may not move."""
        task = self._current
        if task is not None and task not in self._packed and self._learner.progress >= self._options.retrain_from:
            self._prune(task)
        movable = self._movable()
        before = values_of(self._parameters)
        for parameter, mask in zip(self._parameters, movable, strict=True):
            if parameter.grad is not None:
                parameter.grad *= mask
        update.apply()
        for parameter, mask, value in zip(self._parameters, movable, before, strict=True):
            parameter.data.copy_(torch.where(mask, parameter.data, value))

    def end(self, segment_index: int, task_index: int, observations: Observations) -> None:
        """Prune if it was not done yet; from now on the task's policy stays as it is."""
        if task_index not in self._packed:
            self._prune(task_index)
        self._current = None
        self._policies.clear()

    def policy_for(self, task_index: int) -> Policy:
        """Return the policy of the weights of this task and those before it; the learner's for one in training."""
        in_training = task_index == self._current and self._packed[-1:] == [task_index]
        if in_training or task_index not in self._packed:
            return self._learner.policy
        if task_index not in self._policies:
            self._policies[task_index] = self._learner.policy_with(self._values_for(task_index))
        return self._policies[task_index]

    def measurements(self) -> dict[str, float]:
        """Return the share of the actor's numbers that are still free, and the bytes of the owners."""
        free = sum(int((owner == FREE).sum()) for owner in self._owners)
        return {
            "free_share": free / sum(owner.numel() for owner in self._owners),
            "memory_bytes": float(n_bytes(self._owners)),
        }

    def state_dict(self) -> dict[str, Any]:
        """Return who owns what, and where in the segment it was pruned."""
        return {
            "owners": values_of(self._owners),
            "packed": list(self._packed),
            "current": self._current,
            "pruned_at": self._pruned_at,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a `state_dict`."""
        self._owners = values_of(beside(state["owners"], self._parameters))
        self._packed, self._current = list(state["packed"]), state["current"]
        self._pruned_at = state["pruned_at"]
        self._policies.clear()

    def _movable(self) -> list[Tensor]:
        """Return masks, True where the current task may move a number."""
        if self._current in self._packed[:-1] or self._learner.progress == self._pruned_at:
            return [torch.zeros_like(owner, dtype=torch.bool) for owner in self._owners]
        if self._current in self._packed:
            return [owner == self._current for owner in self._owners]
        return [(owner == FREE) | (owner == self._current) for owner in self._owners]

    def _prune(self, task_index: int) -> None:
        """Give the task its share of what is free, and set the rest to 0."""
        share = 1 / (self._learner.n_tasks - len(self._packed))
        for parameter, owner in zip(self._parameters, self._owners, strict=True):
            free = (owner == FREE).flatten().nonzero().squeeze(1)
            by_size = free[parameter.data.flatten()[free].abs().argsort(descending=True, stable=True)]
            n_kept = round(share * len(free))
            owner.view(-1)[by_size[:n_kept]] = task_index
            parameter.data.view(-1)[by_size[n_kept:]] = 0.0
        self._packed.append(task_index)
        self._pruned_at = self._learner.progress

    def _values_for(self, task_index: int) -> list[Tensor]:
        """Return the actor's numbers with 0 in place of those of later tasks and free ones."""
        seen = torch.tensor(self._packed[: self._packed.index(task_index) + 1], device=self._owners[0].device)
        pairs = zip(self._parameters, self._owners, strict=True)
        return [torch.where(torch.isin(owner, seen), parameter.detach(), 0.0) for parameter, owner in pairs]


def first_owners(groups: Mapping[str, list[Parameter]], n_tasks: int) -> list[Tensor]:
    """Return the owner of each number before anything is learned, int16 in the parameters' shapes.

    FREE, except for what only one task uses.
    """
    tasks = torch.arange(n_tasks, dtype=torch.int16)
    owners = []
    for name, group in groups.items():
        for index, parameter in enumerate(group):
            owner = torch.full(parameter.shape, FREE, dtype=torch.int16, device=parameter.device)
            if name == "trunk_0" and parameter.dim() == 2:
                owner[:, -n_tasks:] = tasks.to(parameter.device)
            elif name == "log_std" and len(group) == 1:  # a row a task
                owner[:] = tasks[:, None].to(parameter.device)
            elif name in ("head", "log_std") and len(group) == 2 * n_tasks:  # weight and bias of a head a task
                owner.fill_(index // 2)
            owners.append(owner)
    return owners
