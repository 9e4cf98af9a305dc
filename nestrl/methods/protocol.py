"""What a method of keeping skills is, and what it may see of the learner: the whole contract for a new one.

A method is a class built as `Class(options, learner, seed)`, `options` annotated with its own frozen dataclass, that
carries its `Card`. It touches neither rollouts nor evaluation nor environments. `package.module:Name` makes a foreign
one known.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import Parameter

from nestrl.agents.actor_output import ActorOutput
from nestrl.agents.experience import Experience
from nestrl.agents.policies import OwnPolicy
from nestrl.agents.tally import Tally
from nestrl.agents.trial import Trial
from nestrl.updates.regulated import Update

Observations = NDArray[np.float32]
"""(n, D + n_tasks): union observations, the one-hot of the task last."""


class Card(NamedTuple):
    """What a reader should know of a method before comparing it; `nestrl list methods --long` prints the cards."""

    part: str
    """What it may be composed with: "retention", "start" and "plasticity" parts with each other; "whole" stands for
    itself, except for plasticity."""
    summary: str
    """One line."""
    paper: str
    stores: str
    """What it keeps beside the network, a task or in all."""
    cost: str
    """What it adds to each gradient step and to each boundary."""
    knows: tuple[str, ...] = ("boundaries",)
    """What it must be told: "boundaries", "length of segments", "number of tasks", "task identity" (when it acts, and
    not only as one input of many)."""
    joint: bool = False
    """Whether it trains on all tasks at once, so that its segments mean nothing."""
    own_policies: bool = False
    """Whether it answers in old tasks with policies that are not the learner's, and that only its checkpoints hold."""


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

    @property
    def knows_boundaries(self) -> bool:
        """Whether it is told when a task begins; if not, nobody knows how long a segment will be, and nobody pauses."""
        ...

    @property
    def progress(self) -> float:
        """Share of the current segment's steps that are done, in 0..1; 0 where it knows no boundaries."""
        ...

    @property
    def tally(self) -> Tally:
        """The training episodes of this segment that have finished."""
        ...

    def recent_observations(self) -> Observations:
        """Return what training has met last, (m, D + n_tasks): what `end` is given, at any time."""
        ...

    def actor_groups(self) -> Mapping[str, list[Parameter]]:
        """Return the actor's parameters by depth: trunk_0, trunk_1, ..., head, log_std."""
        ...

    def policy_with(self, values: Sequence[Tensor] | None = None) -> OwnPolicy:
        """Return a separate policy whose actor holds copies of these values, in the order of `actor_groups`.

        Without values it holds those of the present moment. A method may train it.
        """
        ...

    def renew_actor(self) -> None:
        """Give the actor fresh weights in place, as a new learner would have, and no momentum."""
        ...

    def renew(self) -> None:
        """Give actor and critics fresh weights in place, and no momentum: a new learner in the same simulations."""
        ...

    def branch(self) -> dict[str, Any]:
        """Return copies of all that learns, for `return_to`: actor, critics and what their optimizers remember."""
        ...

    def return_to(self, branch: dict[str, Any]) -> None:
        """Go on learning from where `branch` was called; simulations and steps go on as they are."""
        ...

    def take(self, values: Sequence[Tensor]) -> None:
        """Give the actor another network's values, in the order of `actor_groups`; what optimizers remember stays."""
        ...

    @property
    def renewals(self) -> int:
        """How often the actor was given other weights as a whole, by the four above."""
        ...

    def copy_behaviour(self, source: int, target: int) -> None:
        """Let the network answer in task `target` as it would if that were task `source`; other tasks do not change.

        Observations are still normalised as those of `target`, so that it is the same only where both share scales.
        """
        ...

    def code_of(self, task_index: int) -> Mapping[str, Tensor]:
        """Return live views of the actor's numbers that only this task uses: its code.

        inputs: the input weights of its one-hot; log_std: its exploration noise, where there is one a task (PPO, Box);
        head.*: its head, where there is one a task.
        """
        ...

    def trial(
        self, policies: Sequence[Policy], task_index: int, episodes: int, first: int = 0, *, charged: bool = True
    ) -> Trial:
        """Return whole training episodes of a task with each of k policies.

        All policies get the same starts, from the one with index `first` on. Their steps are charged to the
        segment, unless `charged` is False.
        """
        ...

    def experience(self) -> Experience | None:
        """Return the last rollout of an on-policy learner; None for an off-policy one."""
        ...


class Method(Protocol):
    """Keeps skills while new ones are learned. Calls come as: begin, many regulate, end; begin, many regulate, ...

    A run resumed in the middle of a segment calls `begin` again, and then restores the state over it.
    """

    card: ClassVar[Card]

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


@runtime_checkable
class Pausing(Protocol):
    """A method that also has a say between two rollouts, the only place where a network may change at once."""

    def pause(self) -> None:
        """Look, and change what is learned from the next rollout on; called some fifty times a segment."""
        ...
