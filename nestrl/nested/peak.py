"""The level that chooses which of a segment's policies is kept: where learning swings, the last one is luck.

At a constant step size a policy may solve all of a task, half of it a few rollouts later, and all of it again. Methods
that make the policy at the task's end their teacher keep the half as faithfully as the whole. So the policy that had
the best round of training episodes is remembered, and taken instead of the last one where that is clearly worse:

    mean return of the best round - of the last one > 3 standard errors

(3, since the best of many rounds has had luck.) No step is spent on that, and no evaluation looked at. What it met is
remembered with the policy: as a teacher on what the last one met, it would be asked where it never goes.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import Parameter

from nestrl.agents.tally import ENOUGH, Tally
from nestrl.updates.values import values_of

CLEARLY = 3.0
"""Standard errors between the best round and the last one from which on the last one is worse."""


class Peak:
    """Remembers the policy of the best round of a segment."""

    def __init__(self, parameters: Sequence[Parameter]) -> None:
        self._parameters = list(parameters)
        self.start_segment(Tally(1))

    def start_segment(self, tally: Tally) -> None:
        """Another segment, or another network, begins: forget what was."""
        self._mark = tally
        self._best: Tally | None = None
        self._last: Tally | None = None
        self._values: list[Tensor] = []
        self.seen: NDArray[np.float32] | None = None
        """What the remembered policy met, (m, D + n_tasks)."""

    def pause(self, tally: Tally, recent_observations: Callable[[], NDArray[np.float32]]) -> None:
        """Between two rollouts: look at a round of episodes that has become whole, and remember its policy if best."""
        latest = tally.since(self._mark)
        if latest.rounds < 1 or latest.episodes < ENOUGH:
            return
        self._last, self._mark = latest, tally
        if self._best is None or self._last.mean >= self._best.mean:
            self._best, self._values = self._last, values_of(self._parameters)
            self.seen = recent_observations()

    def better(self) -> list[Tensor] | None:
        """Return the remembered policy where the last one is clearly worse, else None."""
        if self._best is None or self._last is None:
            return None
        error = math.sqrt(self._best.squared_error + self._last.squared_error)
        return self._values if self._best.mean - self._last.mean > CLEARLY * error else None

    def state_dict(self) -> dict[str, Any]:
        """Return the rounds and the remembered policy."""
        rounds = {"mark": self._mark, "best": self._best, "last": self._last}
        return {name: None if round_ is None else list(round_) for name, round_ in rounds.items()} | {
            "values": [value.clone() for value in self._values],
            "seen": self.seen,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a `state_dict`."""
        self._mark = Tally(*state["mark"])
        self._best, self._last = (None if state[key] is None else Tally(*state[key]) for key in ("best", "last"))
        self._values, self.seen = list(state["values"]), state.get("seen")  # which older checkpoints lack
