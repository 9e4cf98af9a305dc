"""A library of snapshots: every task's policy is stored whole when its segment ends."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from nestrl.agents.policies import OwnPolicy
from nestrl.errors import BadConfig
from nestrl.methods.acting_as import ActingAs
from nestrl.methods.finetune import Finetune
from nestrl.methods.halving import successive_halving
from nestrl.methods.protocol import Card, Learner, Observations, Policy
from nestrl.updates.values import n_bytes, values_of

SELECTORS = ("oracle", "bandit")


@dataclass(frozen=True)
class SnapshotsOptions:
    """Options of the library of snapshots."""

    selector: str = "oracle"
    """Who says which snapshot to use: the task's identity ("oracle"), or its return in a few episodes ("bandit")."""
    episodes: int = 3
    """Episodes a snapshot that the bandit may spend, together, to choose for one task."""

    def __post_init__(self) -> None:
        if self.selector not in SELECTORS:
            raise BadConfig(f"snapshots' selector is {self.selector!r}; it must be one of {', '.join(SELECTORS)}.")
        if self.selector == "oracle" and self.episodes != type(self).episodes:
            raise BadConfig(f"snapshots' episodes is {self.episodes}, but only the bandit tries; set selector=bandit.")
        if not self.episodes > 0:
            raise BadConfig(f"snapshots' episodes is {self.episodes}; it must be above 0.")


class Snapshots(Finetune):
    """Stores the policy at the end of each segment and never changes it again; training is fine-tuning.

        policy_for(i) = pi_i, the network as it was at the end of task i

    The bandit knows no identity: it shows a task's observations to each stored policy as if they came from that
    policy's own task, and chooses by return with successive halving (Karnin, Koren and Somekh, 2013, but
    with the episodes of all rounds in each mean). It chooses anew at each boundary; its episodes are those of testing
    and are not charged to training.

    A task that comes back starts from its own snapshot. The task in training is acted in by the learner itself.
    """

    card: ClassVar[Card] = Card(
        part="retention",
        summary="stores every task's policy whole; the task's identity, or a bandit, selects one",
        paper="none (its bandit: Karnin et al., 2013)",
        stores="1 number a parameter a task",
        cost="nothing in training; with the bandit, 3 test episodes a snapshot for each task at each boundary",
        knows=("boundaries", "task identity"),
        own_policies=True,
    )

    def __init__(self, options: SnapshotsOptions, learner: Learner, seed: int) -> None:
        """Raises BadConfig for a bandit without given boundaries: trials would all be played in the present task."""
        if options.selector == "bandit" and not learner.knows_boundaries:
            raise BadConfig(
                "snapshots' bandit needs given boundaries. Where they are detected leave its selector at oracle; "
                "`identity=tried` tries the skills out."
            )
        self._options, self._learner = options, learner
        self._stored: dict[int, OwnPolicy] = {}
        self._choices: dict[int, int] = {}
        self._current: int | None = None

    def begin(self, segment_index: int, task_index: int) -> None:
        """Start a task that comes back from its snapshot, any other from what the learner is."""
        self._current = task_index
        self._choices.clear()
        if task_index in self._stored:
            self._learner.take(self._stored[task_index].parameters)

    def end(self, segment_index: int, task_index: int, observations: Observations) -> None:
        """Store the policy."""
        self._stored[task_index] = self._learner.policy_with()
        self._current = None
        self._choices.clear()

    def policy_for(self, task_index: int) -> Policy:
        """Return the snapshot that the selector chooses, or the learner's policy where there is none to choose."""
        if task_index == self._current or not self._stored:
            return self._learner.policy
        if self._options.selector == "oracle":
            return self._stored.get(task_index, self._learner.policy)
        if task_index not in self._choices:
            self._choices[task_index] = self._tried_out(task_index)
        return self._acting(self._choices[task_index])

    def measurements(self) -> dict[str, float]:
        """Return the bytes stored."""
        return {"memory_bytes": float(sum(n_bytes(policy.parameters) for policy in self._stored.values()))}

    def state_dict(self) -> dict[str, Any]:
        """Return all snapshots and the bandit's choices."""
        stored = {task: values_of(policy.parameters) for task, policy in self._stored.items()}
        return {"stored": stored, "choices": dict(self._choices), "current": self._current}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a `state_dict`."""
        self._stored = {task: self._learner.policy_with(values) for task, values in state["stored"].items()}
        self._choices, self._current = dict(state["choices"]), state["current"]

    def _tried_out(self, task_index: int) -> int:
        """Return the task whose snapshot does best in this one."""

        def play(policies: Sequence[Policy], first: int, episodes: int) -> NDArray[np.float64]:
            return self._learner.trial(policies, task_index, episodes, first, charged=False).returns

        arms = {task: self._acting(task) for task in self._stored}
        return successive_halving(arms, play, self._options.episodes)

    def _acting(self, task: int) -> Policy:
        return ActingAs(self._stored[task], task, self._learner.n_tasks)
