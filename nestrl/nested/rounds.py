"""The training episodes of a segment in whole rounds: as many as there are simulations, or more, in each."""

from typing import Any

from nestrl.agents.tally import Tally


class Rounds:
    """Remembers a segment's tally at each reading, and tells how the last round of episodes went and the one before."""

    def __init__(self) -> None:
        self._tallies = [Tally(1)]

    def start_segment(self, tally: Tally) -> None:
        """A segment begins, with this tally of no episodes."""
        self._tallies = [tally]

    def read(self, tally: Tally) -> None:
        """Take in all episodes of the segment so far."""
        self._tallies.append(tally)

    @property
    def last(self) -> Tally:
        """The last round; all episodes so far where there is not yet a whole one."""
        now = self._tallies[-1]
        return now.since(self._a_round_before(now))

    @property
    def before(self) -> Tally:
        """The round before the last one; without episodes where there is none."""
        middle = self._a_round_before(self._tallies[-1])
        return middle.since(self._a_round_before(middle))

    def _a_round_before(self, tally: Tally) -> Tally:
        """Return the latest tally that lacks a whole round of this one's episodes; the empty one if there is none."""
        old = (one for one in reversed(self._tallies) if tally.since(one).rounds >= 1)
        return next(old, Tally(tally.simulations))

    def state_dict(self) -> dict[str, Any]:
        """Return all tallies."""
        return {"tallies": [list(tally) for tally in self._tallies]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a `state_dict`."""
        self._tallies = [Tally(*tally) for tally in state["tallies"]]
