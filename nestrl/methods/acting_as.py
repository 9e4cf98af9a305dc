"""How an earlier skill behaves in a task that is not its own: by the label it knows, or copied into the new task."""

from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray
from torch import Tensor

from nestrl.agents.actor_output import ActorOutput
from nestrl.agents.trial import Trial
from nestrl.methods.protocol import Learner, Observations, Policy
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


def try_skills(learner: Learner, known: Sequence[int], task_index: int, episodes: int) -> Trial:
    """Return trials in a new task, charged to its segment: of the network as it is, then with each known skill.

    A skill is tried as `copy_behaviour` would leave it, on observations normalised as those of the new task.
    """
    copies = [learner.policy_with() for _ in known]
    for copy, task in zip(copies, known, strict=True):
        copy.copy_behaviour(task, task_index)
    return learner.trial([learner.policy, *copies], task_index, episodes)
