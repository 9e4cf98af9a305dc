"""The level table: what adapts inside a nested agent, how often, on what, towards what, and what it says to others.

docs/levels.md and `nestrl levels` are rendered from LEVELS; a test counts updates against it.
Measurements go up, orders come down.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple


class LevelSpec(NamedTuple):
    """One rung."""

    name: str
    adapts: str
    every: str
    """How often it adapts, for people; `Clock` holds the numbers."""
    reads: str
    objective: str
    acts_on: str


LEVELS = (
    LevelSpec(
        "task_code",
        "the numbers that one task alone uses: its input weights, its log_std, its head if it has one",
        "gradient step",
        "rollout minibatch; at a task's start, trials of the earlier skills in it",
        "RL loss",
        "selects and blends behaviour; no other task can forget by it",
    ),
    LevelSpec(
        "fast_policy",
        "the weights that all tasks share",
        "gradient step",
        "rollout minibatch, memory",
        "RL loss + share x weighted drift",
        "acts; is consolidated into the slow policy",
    ),
    LevelSpec(
        "dual_weights",
        "one weight a task",
        "gradient step",
        "drift of each old task",
        "maximise sum of weight x (drift - limit)",
        "weigh the drift in the fast policy's step",
    ),
    LevelSpec(
        "meta_controller",
        "orders: share of retention, step size by depth and of the code, exploration noise",
        "consult_every (16) gradient steps",
        "progress, success and its slope, drift over its limit, tasks known, agreement of the gradients",
        "outer objective: new skill - drift over its limit",
        "task code, fast policy",
    ),
    LevelSpec(
        "rival",
        "whether a new task goes on from what is known or from a fresh network",
        "task start, if most skills half-solve it; four to ten rounds of episodes, while a new task does not get on",
        "trials of the earlier skills, returns and successes of the training episodes of both networks",
        "a return that rises, or the higher one, or the first success",
        "fast policy",
    ),
    LevelSpec(
        "peak",
        "which of the segment's policies is kept",
        "task end, if the last one is clearly worse than the best",
        "returns of each round of training episodes",
        "the highest return",
        "fast policy, which becomes teacher and is consolidated",
    ),
    LevelSpec(
        "slow_policy",
        "a second actor, the memory and its teachers",
        "task end",
        "memory of all tasks",
        "minimise the drift from all teachers; committed only where no skill is worse",
        "what is deployed; where the fast policy goes on from",
    ),
    LevelSpec(
        "life",
        "what the meta-controller knows at the start of a life",
        "generation of lives",
        "whole development lives",
        "average performance - forgetting + half the learning progress",
        "meta-controller",
    ),
)
"""From the fastest to the slowest."""

REMOVABLE = ("task_code", "meta_controller", "dual_weights", "rival", "peak", "slow_policy")
"""Rungs that can be taken out of a run; what is then left is said in `nestrl.methods.nested`."""


ORDER, SATURATED, UPDATES = "order.", "saturated.", "updates."
"""What names of measurements begin with: an order, 1 where it sits at its bound, how often a level has adapted."""


class Clock:
    """The one place where periods are decided: counts gradient steps, and how often each level has adapted.

    periods: gradient steps between two updates of a level; a level that is not in it adapts when it is told to.
    """

    def __init__(self, periods: Mapping[str, int]) -> None:
        self._periods = dict(periods)
        self.steps = 0
        self._updates: Counter[str] = Counter()

    def tick(self) -> None:
        """Count one gradient step; from the next call of `due` on it is the step that counts."""
        self.steps += 1

    def due(self, level: str) -> bool:
        """Return whether a level adapts at this step: at the first, and then once every period."""
        return (self.steps - 1) % self._periods[level] == 0

    def count(self, level: str) -> None:
        """A level has adapted."""
        self._updates[level] += 1

    @property
    def updates(self) -> dict[str, int]:
        """How often each level has adapted so far."""
        return dict(self._updates)

    def state_dict(self) -> dict[str, Any]:
        """Return both counts."""
        return {"steps": self.steps, "updates": dict(self._updates)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a `state_dict`."""
        self.steps, self._updates = state["steps"], Counter(state["updates"])
