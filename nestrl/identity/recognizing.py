"""A policy that is told nothing about the task: it recognises it in each observation, or tries out what it knows."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nestrl.agents.actor_output import ActorOutput
from nestrl.identity.recognizer import Recognizer
from nestrl.methods.acting_as import ActingAs
from nestrl.methods.halving import Play, successive_halving
from nestrl.methods.protocol import Observations, Policy

EPISODES = 3
"""Episodes a known task in which the bandit chooses."""


class Recognizing:
    """Answers each observation as the task that it is recognised as; the one-hot that stands in it is not looked at.

    policy_for: gives the policy for a task, as Method.policy_for does.
    """

    def __init__(self, policy_for: Callable[[int], Policy], recognizer: Recognizer, n_tasks: int) -> None:
        self._policy_for, self._recognizer, self._n_tasks = policy_for, recognizer, n_tasks

    def act(self, observations: Observations) -> NDArray[Any]:
        """Return one deterministic action a row: (n, A), or (n,) for Discrete."""
        rows = self._rows_of(torch.as_tensor(observations))
        parts = [self._acting(task).act(observations[where.numpy()]) for task, where in rows]
        actions: NDArray[Any] = np.concatenate(parts)[_back([where for _, where in rows]).numpy()]
        return actions

    def output(self, observations: Tensor) -> ActorOutput:
        """Return the action distribution's parameters for each row, with gradient."""
        rows = self._rows_of(observations)
        parts = [self._acting(task).output(observations[where]) for task, where in rows]
        back = _back([where for _, where in rows])
        return ActorOutput(
            *(None if fields[0] is None else torch.cat(fields)[back] for fields in zip(*parts, strict=True))
        )

    def _rows_of(self, observations: Tensor) -> list[tuple[int, Tensor]]:
        """Return each recognised task with the numbers of its rows."""
        tasks = self._recognizer.tasks(observations)
        return [(int(task), torch.nonzero(tasks == task).squeeze(1)) for task in np.unique(tasks.numpy())]

    def _acting(self, task: int) -> Policy:
        return ActingAs(self._policy_for(task), task, self._n_tasks)


def tried_out(
    policy_for: Callable[[int], Policy],
    known: Sequence[int],
    play: Play[Policy],
    n_tasks: int,
) -> Policy:
    """Return the policy that acts as the known task which earns most, for where tasks look alike.

    play: plays so many episodes of the unknown task with k policies, from the one with an index on. The task is found
    by successive halving with about three episodes a known one.
    """
    arms: dict[int, Policy] = {task: ActingAs(policy_for(task), task, n_tasks) for task in known}
    return arms[successive_halving(arms, play, EPISODES)]


def _back(parts: list[Tensor]) -> Tensor:
    """Return where each row stands among the concatenated parts."""
    return torch.argsort(torch.cat(parts))
