"""The level that doubts what is known: where it does not help in a new task, a fresh network gets its chance.

A network that drives straight at goals does so in a maze, too, reaches those in sight, and stays there for a whole
segment; one that has learned to push may never find out how to close a window. Neither a fresh critic, nor more noise,
nor freedom from the old skills leads it out (docs/log.md). From scratch both are learned in a fifth of the steps.

Whether a task is slow or what is known stands in its way cannot be told from its own curve. So it is tried: a new task
that has not half succeeded after a share of its segment is learned afresh for as long, nothing being kept meanwhile,
since the slow policy answers for the old skills. The learner with the higher return then has the rest of the segment.
If that is the fresh one, its skill is distilled into a copy of the slow policy at the task's end.
"""

from typing import Any

from nestrl.methods.protocol import Learner
from nestrl.nested.rounds import Rounds

SHARE = 0.15
"""Of the segment that each of the two gets before they are compared."""
HALF = 0.5
"""Share of successes in the last round of episodes from which on nobody is doubted."""
WAITING, RACING, DECIDED = "waiting", "racing", "decided"


class Rival:
    """At most one race a segment between the network that goes on and one that begins afresh, in the same steps."""

    def __init__(self, learner: Learner) -> None:
        self._learner = learner
        self._phase = DECIDED
        self._began = 0.0
        self._first: dict[str, Any] | None = None
        self._score = 0.0  # of the one that went on: its mean return in a round of episodes
        self.lead = 0.0
        """Of the fresh network at the end of the last race: how much higher its mean return was."""
        self.fresh = False
        """Whether the network is the fresh one's."""
        self.races = self.won = 0

    def start_segment(self, *, doubted: bool) -> None:
        """A segment begins; `doubted` tells whether a race may come in it."""
        self._phase, self.fresh, self._first = WAITING if doubted else DECIDED, False, None

    def pause(self, rounds: Rounds) -> None:
        """Between two rollouts: begin the race, or end it, where it is time."""
        if self._phase == DECIDED or rounds.last.rounds < 1:
            return
        progress = self._learner.progress
        if self._phase == RACING:
            if progress >= self._began + SHARE:
                self._decide(rounds)
        elif progress >= SHARE:
            self._begin(progress, rounds)

    def finish(self, rounds: Rounds) -> None:
        """The segment is over; a race that still runs ends here."""
        if self._phase == RACING:
            self._decide(rounds)

    def _begin(self, progress: float, rounds: Rounds) -> None:
        if rounds.last.success >= HALF or progress > 1 - 2 * SHARE:
            self._phase = DECIDED
            return
        self._phase, self._began, self.fresh = RACING, progress, True
        self._score = rounds.last.mean
        self.races += 1
        self._first = self._learner.branch()
        self._learner.renew()

    def _decide(self, rounds: Rounds) -> None:
        self._phase = DECIDED
        self.lead = rounds.last.mean - self._score
        self.fresh = self.lead > 0
        self.won += self.fresh
        if not self.fresh and self._first is not None:
            self._learner.return_to(self._first)
        self._first = None

    def measurements(self) -> dict[str, float]:
        """Return the numbers of races and of those that the fresh network won, and what the last one was decided by."""
        counts = {"races": float(self.races), "races_won": float(self.won)}
        return counts | ({"lead": self.lead} if self._phase == DECIDED and self.races else {})

    def state_dict(self) -> dict[str, Any]:
        """Return where the race stands, and the network that waits meanwhile."""
        return {
            "phase": self._phase,
            "began": self._began,
            "first": self._first,
            "score": self._score,
            "lead": self.lead,
            "fresh": self.fresh,
            "races": self.races,
            "won": self.won,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a `state_dict`."""
        self._phase, self._began, self._first = state["phase"], state["began"], state["first"]
        self._score, self.lead = state["score"], state["lead"]
        self.fresh, self.races, self.won = state["fresh"], state["races"], state["won"]
