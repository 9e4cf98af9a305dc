"""How long segments last, and which ones follow those of the sequence: the rule behind `RunConfig.segments`."""

from collections.abc import Callable, Sequence
from typing import Any

from nestrl.agents.tally import Tally
from nestrl.tasks.sequence import Segment, TaskSequence
from nestrl.training.config import RunConfig

WINDOW = 100
"""Training episodes, at the least, over which success is measured; a whole round (one a simulation) if that is more:
the episodes of less than a round are no measure (see Tally). A task that succeeds in .85 of its episodes looks like .9
in ten of a hundred windows of 100 episodes, and in two in a row once in a hundred."""
PROMISING = 0.3
"""By how much fewer of a window's episodes than wanted may succeed for the policy to be tried out without its noise."""
TRIED = 32
"""Training episodes in which it is tried out."""
LEAST = 0.1
"""Of the steps that a task was planned to have, the share below which it does not come back: little is learned in it,
and a method may spend as much on trials before it learns."""

SuccessIn = Callable[[int], float]
"""Tells the present policy's success, in 0..1, without its noise in so many training episodes, and charges them."""


def segments_of(config: RunConfig) -> "FixedSegments":
    """Return the rule that a run asks for."""
    if config.segments == "fixed":
        return FixedSegments(config.sequence)
    return AdaptiveSegments(config.sequence, config.target_success, config.patience)


class FixedSegments:
    """Every segment lasts as long as it is planned, and none follows those of the sequence."""

    def __init__(self, sequence: TaskSequence) -> None:
        self.known = list(sequence.segments)
        """All segments that have been or are planned, in order."""

    def start(self) -> None:
        """A segment begins."""

    def ends_early(self, tally: Tally, without_noise: SuccessIn) -> bool:
        """Return whether the segment is over before its planned steps; `tally`: its training episodes so far."""
        return False

    def extend(self, spent: int, success: Sequence[float]) -> None:
        """All known segments are over: add one more, or none if the run is over.

        spent: environment steps of the whole run so far. success: of each task at the last evaluation, in 0..1.
        """

    def state_dict(self) -> dict[str, Any]:
        """Return all that `load_state_dict` needs to go on exactly."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a `state_dict`."""


class AdaptiveSegments(FixedSegments):
    """A task that is learned hands its remaining steps to those that lag; the total is never more than planned.

    A segment ends early by its own *training* episodes, whose steps are all charged: when `patience` windows of them in
    a row, without a common episode and all begun in this segment, have succeeded in `target` or more; or in so many
    that it may be for the noise alone, and the policy without noise, tried out after each window, succeeds in `target`
    of its trials. The first round is left out, since quick episodes end first. After the sequence's segments, the task
    that succeeded least at the last evaluation comes back, for as long as it was planned or as the steps last, until
    all tasks stand at the target together.

    Which task comes back, and that the run is over, is decided by the evaluation, whose episodes are not charged: they
    are the measure ("steps until all stand at .9 together"). So evaluate on enough episodes; and compare such runs with
    nothing that ends by another rule.
    """

    def __init__(self, sequence: TaskSequence, target: float, patience: int) -> None:
        """target: success in 0..1 at which a task counts as learned. patience: windows in a row, at least 1."""
        super().__init__(sequence)
        self._sequence, self._target, self._patience = sequence, target, patience
        self._mark: Tally | None = None  # where the present window began
        self._in_a_row = 0

    def start(self) -> None:
        """Forget the episodes of the segment before."""
        self._mark, self._in_a_row = None, 0

    def ends_early(self, tally: Tally, without_noise: SuccessIn) -> bool:
        """Return whether the task is learned by the segment's training episodes so far, and by trials if in doubt."""
        if self._mark is None:
            self._mark = tally if tally.rounds >= 1 else None
            return False
        window = tally.since(self._mark)
        if window.episodes < max(WINDOW, tally.simulations):
            return False
        self._mark = tally
        learned = window.success >= self._target
        if not learned and window.success >= self._target - PROMISING:
            learned = without_noise(TRIED) >= self._target
        self._in_a_row = self._in_a_row + 1 if learned else 0
        return self._in_a_row >= self._patience

    def extend(self, spent: int, success: Sequence[float]) -> None:
        """Let the worst task come back, of several the one whose last segment is longest ago, if steps are left."""
        left = self._sequence.total_steps - spent
        last = {segment.task: place for place, segment in enumerate(self.known)}
        rates = dict(zip(self._sequence.task_names, success, strict=True))
        worst = min(last, key=lambda task: (rates[task], last[task]))
        planned = max(segment.steps for segment in self._sequence.segments if segment.task == worst)
        if rates[worst] < self._target and left >= LEAST * planned:
            self.known.append(Segment(worst, min(planned, left)))

    def state_dict(self) -> dict[str, Any]:
        """Return the segments added, and where the windows are."""
        added = self.known[len(self._sequence.segments) :]
        return {
            "added": [[segment.task, segment.steps] for segment in added],
            "mark": None if self._mark is None else list(self._mark),
            "in_a_row": self._in_a_row,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a `state_dict`."""
        self.known = [*self._sequence.segments, *(Segment(task, steps) for task, steps in state["added"])]
        self._mark = None if state["mark"] is None else Tally(*state["mark"])
        self._in_a_row = state["in_a_row"]
