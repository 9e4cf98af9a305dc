"""What a method of keeping skills is, and what it may see of the learner: the whole contract for a new one.

A method is a class built as `Class(options, learner, seed)`, `options` annotated with its own frozen dataclass. It
touches neither rollouts nor evaluation nor environments. `package.module:Name` makes a foreign one known.
"""

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import Parameter

from nestrl.agents.actor_output import ActorOutput
from nestrl.updates.regulated import Update

Observations = NDArray[np.float32]
"""(n, D + n_tasks): union observations, the one-hot of the task last."""


class Policy(Protocol):
    """A way to act in every task; asking it changes nothing and draws no random numbers."""

    def act(self, observations: Observations) -> NDArray[Any]:
        """Return one deterministic action a row: (n, A), or (n,) for Discrete."""
        ...

    def output(self, observations: Tensor) -> ActorOutput:
        """Return the action distribution's parameters for each row, with gradient."""
        ...


class Learner(Protocol):
    """What a method sees of the agent that is learning."""

    @property
    def policy(self) -> Policy:
        """The policy being learned: a live view, not a copy."""
        ...

    @property
    def n_tasks(self) -> int:
        """Number of tasks in the sequence."""
        ...

    def actor_groups(self) -> Mapping[str, list[Parameter]]:
        """Return the actor's parameters by depth: trunk_0, trunk_1, ..., head, log_std."""
        ...


class Method(Protocol):
    """Keeps skills while new ones are learned. Calls come as: begin, many regulate, end; begin, many regulate, ...

    A resumed run restores the state and goes on in the middle of a segment, without another `begin`.
    """

    def begin(self, segment_index: int, task_index: int) -> None:
        """A segment starts, in which the learner trains on this task."""
        ...

    def regulate(self, update: Update) -> None:
        """Take part in one step of the actor's optimizer; must call `update.apply()` exactly once."""
        ...

    def end(self, segment_index: int, task_index: int, observations: Observations) -> None:
        """The segment is over; these are the last observations (m, D + n_tasks) that the learner met in it."""
        ...

    def policy_for(self, task_index: int) -> Policy:
        """Return the policy to use for a task: a view that leaves the learner as it is."""
        ...

    def measurements(self) -> dict[str, float]:
        """Return what the method is doing right now, for log and display; changes nothing."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """Return all that `load_state_dict` needs to go on bit for bit: tensors, numbers, strings, lists, dicts."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a `state_dict`."""
        ...
