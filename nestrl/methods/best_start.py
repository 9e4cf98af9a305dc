"""Start each task with the behaviour of that earlier skill which earns most in it."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from nestrl.errors import BadConfig
from nestrl.methods.acting_as import try_skills
from nestrl.methods.finetune import Finetune
from nestrl.methods.protocol import Card, Learner, Observations


@dataclass(frozen=True)
class BestStartOptions:
    """Options of the start with the best earlier skill."""

    episodes: int = 8
    """Training episodes in which each earlier skill is tried out. Their steps are counted."""

    def __post_init__(self) -> None:
        if self.episodes < 1:
            raise BadConfig(f"best-start's episodes is {self.episodes}; it must be at least 1.")


class BestStart(Finetune):
    """At a task's start, tries all earlier skills and what the network does by itself, and starts from the best.

        source = argmax_i mean return of pi(. | observation, task i)

    This is best-return exploration (Wolczyk et al., 2022, ClonEx-SAC, section 4.2).

    Differs from the paper: the earlier skill does not only collect the first experience. An on-policy learner must
    learn from what it does itself, so the network is made to answer in the new task as in the best earlier one: the
    input weights of the task's one-hot are copied, and the head where there is one a task. Other tasks do not change.
    """

    card: ClassVar[Card] = Card(
        part="start",
        summary="a task starts with the earlier skill that earns most in it",
        paper="Wolczyk et al., 2022",
        stores="nothing",
        cost="8 episodes with each earlier skill and the network as it is at a task's start, counted as its steps",
    )

    def __init__(self, options: BestStartOptions, learner: Learner, seed: int) -> None:
        self._options, self._learner = options, learner
        self._known: list[int] = []
        self._source = -1  # of the current task; -1 where it started from what the network did by itself

    def begin(self, segment_index: int, task_index: int) -> None:
        """Try out, and copy the best; a task that comes back starts as it is."""
        self._source = -1
        if not self._known or task_index in self._known:
            return
        trial = try_skills(self._learner, self._known, task_index, self._options.episodes)
        best = int(np.argmax(trial.returns.mean(axis=1))) - 1
        if best >= 0:
            self._source = self._known[best]
            self._learner.copy_behaviour(self._source, task_index)

    def end(self, segment_index: int, task_index: int, observations: Observations) -> None:
        """Count the task among those known."""
        if task_index not in self._known:
            self._known.append(task_index)

    def measurements(self) -> dict[str, float]:
        """Return the index of the task whose skill the current one started from, -1 for none."""
        return {"source": float(self._source)}

    def state_dict(self) -> dict[str, Any]:
        """Return which tasks are known, and the source."""
        return {"known": list(self._known), "source": self._source}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a `state_dict`."""
        self._known, self._source = list(state["known"]), state["source"]
