"""The level that gives up on what is known where it hinders: a fresh learner takes over a task that does not get on.

What was learned before can hold a new task in a local optimum for a whole segment (a robot that drives straight at the
goal of a maze). The continued learner races against its own beginning: where its return has not risen significantly, a
fresh one takes over. Its skill is distilled into the slow policy afterwards, so nothing is forgotten by it.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

GOOD_ENOUGH = 0.8
"""A task that succeeds this often is not started again: there is little left to gain."""
RISEN = 2.0
"""Standard errors by which a mean return must have risen: fewer come about by chance once in fifty segments."""
MINIMUM = 20
"""Episodes that a mean return is judged on at least."""


class Restart:
    """One decision a segment.

    at: share of the segment's steps, in 0..1, at which it is made; returns are compared with those at a third of it.
    """

    def __init__(self, at: float) -> None:
        self._first, self._second = at / 3, at
        self._early: tuple[float, float] | None = None
        self._decided = True

    def start_segment(self, *, allowed: bool) -> None:
        """A segment begins; `allowed` tells whether a fresh learner would differ from the present one."""
        self._early, self._decided = None, not allowed

    def due(self, progress: float, success: float, returns: NDArray[np.float64]) -> bool:
        """Return whether a fresh learner should take over now: progress in 0..1, success in 0..1, recent returns (m,).

        (mean_2 - mean_1) / sqrt(variance_1 / m_1 + variance_2 / m_2) < 2   and   success < .8
        """
        if self._decided or progress < self._first or len(returns) < MINIMUM:
            return False
        late = float(returns.mean()), float(returns.var(ddof=1) / len(returns))
        if self._early is None:
            self._early = late
        if progress < self._second:
            return False
        self._decided = True
        risen = (late[0] - self._early[0]) / math.sqrt(max(late[1] + self._early[1], 1e-12))
        return success < GOOD_ENOUGH and risen < RISEN

    def state_dict(self) -> dict[str, Any]:
        """Return what was measured, and whether it is decided."""
        return {"early": None if self._early is None else list(self._early), "decided": self._decided}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a `state_dict`."""
        self._early = None if state["early"] is None else (state["early"][0], state["early"][1])
        self._decided = state["decided"]
