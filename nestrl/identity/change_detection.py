"""Whether the world has become another task, told from what the learner observes: no label, no boundary.

Means and variances are no measure: n simulations start together and the policy improves, so both ring and wander. What
stays is where a task's observations lie. So each slice of training is asked how far it lies from what was seen before:

    x = log mean_q min_p |q - p|        q: 256 observations of the slice, p: the reference, all divided by their scale
    s <- max(0, s + x - level - .03)    level: highest x of the last six quiet slices (CUSUM: Page, 1954)

The highest, since x rings too: the end of an episode lies farther out than its start. The policy's own progress makes x
fall or rise by a few hundredths, most changes of the rover's task by .2 to 1. A slice with s > 0 is withheld from the
reference. s > .2 after three of them in a row is a change; what has not become one within five slices was the
learner's own doing, and is taken into the reference.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

QUESTIONS = 256
"""Observations of a slice that are asked about."""
ADDED = 512
"""Observations of each quiet slice that go into the reference."""
REFERENCE = 4096
"""Observations in the reference, at most; new ones replace random ones."""
ALLOWANCE = 0.03
"""By how much x may lie above its level for nothing: its noise."""
THRESHOLD = 0.2
CONFIRMATIONS = 3
"""Slices in a row that must be suspicious before a change is believed."""
PATIENCE = 5
"""Suspicious slices that are withheld; older ones are taken into the reference."""
WARM_UP = 4
"""Slices of a new task in which nothing is believed: too little is known of it."""
WARM_UP_ROUNDS = 2.0
"""Episodes a simulation that belong to the warm-up, too."""
RECENT = 6
"""Quiet slices over which the level is the highest x: in PPO's defaults 192 steps of each simulation."""
FAMILIAR = 0.1
"""A task has come back where x lies at most this much above the level with which it was left."""
KEPT = 2048
"""Observations of each slice that are kept, for the teacher of a task whose end is noticed later."""
SLICES_KEPT = 4
"""Quiet slices of which they are kept."""


class Place:
    """Where a task's observations lie: a reference, and how novel its own last slices were.

    scale: (D,), how large each feature typically is.
    reference: (p, D), observations divided by it.
    """

    def __init__(self, scale: Tensor, reference: Tensor | None = None, recent: Sequence[float] = ()) -> None:
        self._scale = scale
        self.reference = torch.zeros(0, len(scale)) if reference is None else reference
        self.recent = list(recent)

    @property
    def level(self) -> float:
        """The highest novelty of the last slices that belonged to the task."""
        return max(self.recent, default=0.0)

    def novelty(self, observations: Tensor) -> float:
        """Return x of observations (m, D) or wider; the reference must not be empty."""
        distances = torch.cdist(self._scaled(observations), self.reference)
        return float(distances.min(1).values.mean().clamp_min(1e-6).log())

    def note(self, novelty: float) -> None:
        """Count the novelty of a slice that belonged to the task."""
        self.recent = [*self.recent, novelty][-RECENT:]

    def take_in(self, observations: Tensor, generator: torch.Generator) -> None:
        """Add observations (m, D) or wider to the reference."""
        known = self.reference
        crowd = max(0, len(known) + len(observations) - REFERENCE)
        kept = torch.randperm(len(known), generator=generator)[crowd:] if crowd else torch.arange(len(known))
        self.reference = torch.cat([known[kept], self._scaled(observations)])

    def _scaled(self, observations: Tensor) -> Tensor:
        return observations[:, : len(self._scale)] / self._scale


class ChangeDetector:
    """Watches one task after the other: `notice` each slice of training, `start` after each change."""

    def __init__(self, scale: Tensor, seed: int) -> None:
        self._scale = scale
        self._generator = torch.Generator().manual_seed(seed)
        self.place = Place(scale)
        self._slices, self._sum = 0, 0.0
        self._quiet: list[Tensor] = []
        self._withheld: list[Tensor] = []

    @property
    def suspicious(self) -> bool:
        """Whether the last slice was withheld."""
        return bool(self._withheld)

    @property
    def evidence(self) -> float:
        """s, at least 0; over .2 a change is believed once it is confirmed."""
        return self._sum

    @property
    def n_bytes(self) -> int:
        """Size of the slices that it keeps."""
        return sum(observations.nbytes for observations in (*self._quiet, *self._withheld))

    @property
    def before(self) -> Tensor:
        """The last union observations (m, D + N) that surely belong to the task, m up to 8192."""
        return torch.cat(self._quiet)

    @property
    def since(self) -> Tensor:
        """The union observations (m, D + N) of the withheld slices; m is 0 where none is."""
        return torch.cat(self._withheld) if self._withheld else self._quiet[-1][:0]

    def notice(self, observations: Tensor, rounds: float) -> bool:
        """Take in the union observations (m, D + N) of a slice; return whether the world has changed.

        rounds: episodes a simulation since the task began, as far as is believed.
        """
        rows = torch.randperm(len(observations), generator=self._generator)
        kept = observations[rows[:KEPT]]
        self._slices += 1
        if not len(self.place.reference):
            self._believe(kept)
            return False
        x = self.place.novelty(observations[rows[-QUESTIONS:]])
        if self._slices <= WARM_UP or rounds < WARM_UP_ROUNDS:
            self.place.note(x)
            self._believe(kept)
            return False
        self._sum = max(0.0, self._sum + x - self.place.level - ALLOWANCE)
        if self._sum == 0.0:
            self.place.note(x)
            self._believe(*self._withheld, kept)
            self._withheld = []
            return False
        self._withheld.append(kept)
        if self._sum > THRESHOLD and len(self._withheld) >= CONFIRMATIONS:
            return True
        if len(self._withheld) > PATIENCE:
            self.place.note(x)
            self._believe(self._withheld.pop(0))
        return False

    def start(self, place: Place | None = None) -> None:
        """Watch another task from now on, a known place or a new one; the withheld slices are its first."""
        first = self._withheld
        self.place = place or Place(self._scale)
        self._slices, self._sum, self._quiet, self._withheld = 0, 0.0, [], []
        self._believe(*first)

    def dismiss(self) -> None:
        """Take the withheld slices for the task's own after all."""
        self._believe(*self._withheld)
        self._sum, self._withheld = 0.0, []

    def known_place(self, reference: Tensor, recent: Sequence[float]) -> Place:
        """Return a place as it was."""
        return Place(self._scale, reference, recent)

    def familiar(self, places: Mapping[int, Place]) -> int | None:
        """Return the task whose place the withheld slices fit best, if they fit any."""
        rows = torch.randperm(len(self.since), generator=self._generator)[:QUESTIONS]
        above = {task: place.novelty(self.since[rows]) - place.level for task, place in places.items()}
        best = min(above, key=lambda task: above[task], default=None)
        return best if best is not None and above[best] <= FAMILIAR else None

    def state_dict(self) -> dict[str, Any]:
        """Return everything that `load_state_dict` needs: tensors and numbers."""
        return {
            "reference": self.place.reference,
            "recent": list(self.place.recent),
            "slices": self._slices,
            "sum": self._sum,
            "quiet": list(self._quiet),
            "withheld": list(self._withheld),
            "generator": self._generator.get_state(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a `state_dict`."""
        self.place = Place(self._scale, state["reference"], state["recent"])
        self._slices, self._sum = state["slices"], state["sum"]
        self._quiet, self._withheld = list(state["quiet"]), list(state["withheld"])
        self._generator.set_state(state["generator"])

    def _believe(self, *slices: Tensor) -> None:
        """Count slices to the task."""
        for kept in slices:
            rows = torch.randperm(len(kept), generator=self._generator)[:ADDED]
            self.place.take_in(kept[rows], self._generator)
            self._quiet = [*self._quiet, kept][-SLICES_KEPT:]
