"""A policy told that every task is one and the same: how an earlier skill behaves in a task that is not its own."""

from typing import Any

from numpy.typing import NDArray
from torch import Tensor

from nestrl.agents.actor_output import ActorOutput
from nestrl.methods.protocol import Observations, Policy
from nestrl.tasks.union import label_as


class ActingAs:
    """Answers union observations of any task as `policy` would if they came from `task`."""

    def __init__(self, policy: Policy, task: int, n_tasks: int) -> None:
        self._policy, self._task, self._n_tasks = policy, task, n_tasks

    def act(self, observations: Observations) -> NDArray[Any]:
        """Return one deterministic action a row: (n, A), or (n,) for Discrete."""
        relabelled = observations.copy()
        label_as(relabelled, self._n_tasks, self._task)
        return self._policy.act(relabelled)

    def output(self, observations: Tensor) -> ActorOutput:
        """Return the action distribution's parameters for each row, with gradient."""
        relabelled = observations.clone()
        label_as(relabelled, self._n_tasks, self._task)
        return self._policy.output(relabelled)
