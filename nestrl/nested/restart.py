"""The level that gives up on what is known where it hinders: a fresh learner takes over a task that does not get on.

What was learned before can hold a new task in a local optimum for a whole segment (a robot that drives straight at the
goal of a maze). The continued learner races against its own beginning: where its return does not rise, a fresh one
takes over. Its skill is distilled into the slow policy afterwards, so nothing is forgotten by it.
"""

import math
from typing import Any

from nestrl.agents.tally import Tally

GOOD_ENOUGH = 0.8
"""A task that succeeds this often is not started again: there is little left to gain."""
RISEN = 0.2
"""Standard deviations of the return by which its mean must have risen: a small effect (Cohen, 1988)."""
ROUNDS = 3.0
"""Episodes a simulation before anything is decided. Those of the first round are left out: quick ones end first."""
TOO_LATE = 0.6
"""Share of the segment after which a fresh learner would have too little left."""


class Restart:
    """One decision a segment.

    at: share of the segment's steps, in 0..1, before which it is not made.
    """

    def __init__(self, at: float) -> None:
        self._at = at
        self._tallies: list[Tally] = []
        self._decided = True

    def start_segment(self, *, allowed: bool) -> None:
        """A segment begins; `allowed` tells whether a fresh learner would differ from the present one."""
        self._tallies, self._decided = [], not allowed

    def due(self, progress: float, tally: Tally) -> bool:
        """Return whether a fresh learner should take over now; progress in 0..1, all episodes of the segment so far.

        The episodes since the first round are halved into early and late ones:
            (mean_late - mean_early) / sqrt((variance_late + variance_early) / 2) < .2   and   success_late < .8
        """
        if self._decided or tally.rounds < 1:
            return False
        self._tallies.append(tally)
        if progress < self._at or tally.rounds < ROUNDS:
            self._decided = progress > TOO_LATE
            return False
        self._decided = True
        first = self._tallies[0]
        middle = min(self._tallies, key=lambda one: abs(2 * one.episodes - first.episodes - tally.episodes))
        early, late = middle.since(first), tally.since(middle)
        if not (early.episodes and late.episodes):
            return False
        spread = math.sqrt((early.variance + late.variance) / 2)
        return late.success < GOOD_ENOUGH and late.mean - early.mean <= RISEN * spread

    def state_dict(self) -> dict[str, Any]:
        """Return the tallies, and whether it is decided."""
        return {"tallies": [list(tally) for tally in self._tallies], "decided": self._decided}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a `state_dict`."""
        self._tallies = [Tally(*tally) for tally in state["tallies"]]
        self._decided = state["decided"]
