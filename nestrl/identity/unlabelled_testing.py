"""Testing without a label: the observation tells which task it is, or a few episodes with each known one do."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nestrl.agents.agent import Simulations
from nestrl.agents.trial import TryOut
from nestrl.identity.recognizer import Recognizer
from nestrl.identity.recognizing import Recognizing, tried_out
from nestrl.methods.acting_as import ActingAs
from nestrl.methods.protocol import Method, Observations, Pausing, Policy
from nestrl.updates.regulated import Update

SAMPLES = 2048
"""Observations of each task that are kept to recognise it by: a quarter of a megabyte for a rover."""
TRIAL_SEED = 2**30 + 2**18
"""The starts of trials are neither those of training nor those of any evaluation."""


class Recognised:
    """A method whose policies are not told the task when they are tested; training goes on as it would.

    It keeps observations of each task, renewed after each slice of training on it. With identity "observed" a
    classifier tells from each observation which task it belongs to; with "tried" successive halving over the known
    tasks, three episodes each, decides for a whole evaluation. Those episodes are not charged.
    """

    def __init__(self, method: Method, n_features: int, n_tasks: int, try_out: TryOut, *, tried: bool) -> None:
        self._method, self._n_tasks, self._try_out, self._tried = method, n_tasks, try_out, tried
        self._n_features = n_features
        self.present = 0
        self._seen: dict[int, Tensor] = {}
        self._recognizer = Recognizer(n_features)
        self._fitted = False
        self._choices: dict[int, Policy] = {}

    def begin(self, segment_index: int, task_index: int) -> None:
        """A segment starts, as the method is told, too."""
        self.present = task_index
        self._choices.clear()
        self._method.begin(segment_index, task_index)

    def regulate(self, update: Update) -> None:
        """Let the method take part in a step of the optimizer."""
        self._choices.clear()
        self._method.regulate(update)

    def pause(self) -> None:
        """Give the method a say between two rollouts, if it wants one."""
        if isinstance(self._method, Pausing):
            self._method.pause()

    def end(self, segment_index: int, task_index: int, observations: Observations) -> None:
        """The segment is over, as the method is told, too."""
        self._choices.clear()
        self._method.end(segment_index, task_index, observations)

    def notice(self, environment: Simulations) -> bool:
        """Take in what a slice of training has shown; return whether another task has begun, unannounced: never."""
        self._remember(self.present, torch.from_numpy(environment.recent_observations()))
        return False

    def policy_for(self, task_index: int) -> Policy:
        """Return the policy with which a task is tested; nothing else is done with its index than playing trials."""
        if not self._seen:
            return ActingAs(self._method.policy_for(self.present), self.present, self._n_tasks)
        if self._tried:
            if task_index not in self._choices:
                self._choices[task_index] = self._best_in(task_index)
            return self._choices[task_index]
        if not self._fitted:
            self._recognizer.fit(self._seen)
            self._fitted = True
        return Recognizing(self._method.policy_for, self._recognizer, self._n_tasks)

    def measurements(self) -> dict[str, float]:
        """Return what the method measures, and the bytes kept to recognise tasks by."""
        seen = float(sum(rows.nbytes for rows in self._seen.values()))
        return self._method.measurements() | {"recognition_bytes": seen}

    def state_dict(self) -> dict[str, Any]:
        """Return the method's state and what was seen; the classifier is fitted anew from that, to the same bits."""
        return {"method": self._method.state_dict(), "present": self.present, "seen": dict(self._seen)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a `state_dict`."""
        self._method.load_state_dict(state["method"])
        self.present, self._seen = state["present"], dict(state["seen"])
        self._fitted = False
        self._choices.clear()

    def _remember(self, task: int, observations: Tensor) -> None:
        """Replace what is kept of a task by evenly spaced rows of these observations (m, D + N), if there are any."""
        if not len(observations):
            return
        rows = torch.linspace(0, len(observations) - 1, min(SAMPLES, len(observations))).long()
        self._seen[task] = observations[rows, : self._n_features].clone()
        self._fitted = False
        self._choices.clear()

    def _best_in(self, task_index: int) -> Policy:
        def trial(policies: Sequence[Policy], first: int, episodes: int) -> NDArray[np.float64]:
            return self._try_out(policies, task_index, episodes, TRIAL_SEED + first).returns

        return tried_out(self._method.policy_for, sorted(self._seen), trial, self._n_tasks)
