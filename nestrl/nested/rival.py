"""The level that doubts what is known: where a new task stands still, a fresh network gets its chance.

A network that drives straight at goals does so in a maze, too, reaches those in sight, and stays there for a whole
segment. Neither a fresh critic, nor more noise, nor freedom from the old skills leads it out (docs/log.md); from
scratch the maze is learned. But a task that stands still may also be one that every network is slow to start on, and
the curve of one network does not tell the two apart. So it is tried: the task is learned afresh for a while, nothing
being kept meanwhile, since the slow policy answers for the old skills. A fresh network that gets on has the rest of the
segment, and what it has learned is distilled into a copy of the slow policy at the task's end; else the known one goes
on.

How either gets on is read off its last window of episodes, that holds at least two rounds (so that failures, which all
end together at the horizon, count as often in both halves) and a share of the segment:

    rising = mean return of the second half - of the first half > 2 standard errors
"""

import math
from typing import Any, NamedTuple, Protocol

from nestrl.agents.tally import Tally

WINDOW = 0.15
"""Share of the segment that is looked back on; also what a fresh network gets before it is judged."""
MOSTLY = 0.6
"""Share of successes from which on nobody is doubted."""
LATEST = 0.4
"""Share of the segment after which too little is left to begin anew."""
KNOWN, FRESH, SETTLED = "known", "fresh", "settled"


class Branching(Protocol):
    """What the race needs of a learner; see nestrl.methods.protocol."""

    @property
    def progress(self) -> float: ...
    @property
    def tally(self) -> Tally: ...
    def renew(self) -> None: ...
    def branch(self) -> dict[str, Any]: ...
    def return_to(self, branch: dict[str, Any]) -> None: ...


class Halves(NamedTuple):
    """The episodes of a window, the earlier and the later half."""

    earlier: Tally
    later: Tally

    @property
    def rising(self) -> bool:
        """Whether the later half has a higher mean return, by more than chance."""
        error = math.sqrt(sum(half.variance / half.episodes for half in self))
        return self.later.mean - self.earlier.mean > 2 * error


class Rival:
    """At most one race a segment, between the network that is known and a fresh one, in the same simulations."""

    def __init__(self, learner: Branching) -> None:
        self._learner = learner
        self._phase = SETTLED
        self._marks: list[tuple[float, Tally]] = []
        self._known: dict[str, Any] | None = None  # waits while the fresh one learns
        self._level = 0.0  # mean return that it had reached
        self.fresh = False
        """Whether the network is a fresh one."""
        self.races = self.won = 0

    def start_segment(self, *, doubted: bool) -> None:
        """A segment begins; `doubted` tells whether there may be a race in it."""
        self._phase, self.fresh, self._known = KNOWN if doubted else SETTLED, False, None
        self._marks = [(0.0, self._learner.tally)]

    def pause(self) -> None:
        """Between two rollouts: begin the race, or end it, where it is time."""
        if self._phase == SETTLED:
            return
        self._marks.append((self._learner.progress, self._learner.tally))
        halves = self._window()
        if halves is None:
            return
        if self._phase == FRESH:
            self._settle(halves.rising or halves.later.mean > self._level)
        elif self._learner.progress > LATEST:
            self._phase = SETTLED
        elif not halves.rising and halves.later.success < MOSTLY:
            self._race(halves.later.mean)

    def finish(self) -> None:
        """The segment is over; a fresh network that could not yet be judged has lost."""
        if self._phase == FRESH:
            self._settle(wins=False)

    def _race(self, level: float) -> None:
        self._phase, self._level, self.fresh = FRESH, level, True
        self.races += 1
        self._known = self._learner.branch()
        self._learner.renew()
        self._marks = self._marks[-1:]

    def _settle(self, wins: bool) -> None:
        if not wins and self._known is not None:
            self._learner.return_to(self._known)
        self._phase, self.fresh, self._known = SETTLED, wins, None
        self.won += wins

    def _window(self) -> Halves | None:
        """Return the halves of the present network's last window; None before it is whole."""
        progress, now = self._marks[-1]
        old = [tally for at, tally in self._marks if at <= progress - WINDOW and now.since(tally).rounds >= 2]
        if not old:
            return None
        since = now.since(old[-1])
        middle = next(t for _, t in self._marks if 2 * t.since(old[-1]).episodes >= since.episodes)
        return Halves(middle.since(old[-1]), now.since(middle))

    def measurements(self) -> dict[str, float]:
        """Return the number of races, and of those that the fresh network won."""
        return {"races": float(self.races), "races_won": float(self.won)}

    def state_dict(self) -> dict[str, Any]:
        """Return where the race stands, and the network that waits."""
        return {
            "phase": self._phase,
            "marks": [[progress, list(tally)] for progress, tally in self._marks],
            "known": self._known,
            "level": self._level,
            "fresh": self.fresh,
            "races": self.races,
            "won": self.won,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a `state_dict`."""
        self._phase, self._known, self._level = state["phase"], state["known"], state["level"]
        self._marks = [(progress, Tally(*tally)) for progress, tally in state["marks"]]
        self.fresh, self.races, self.won = state["fresh"], state["races"], state["won"]
