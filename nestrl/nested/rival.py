"""The level that doubts what is known: where it does not get on with a new task, a fresh network gets its chance.

A network that drives straight at goals does so in a maze, too, reaches those in sight, and stays there for a whole
segment. Neither a fresh critic, nor more noise, nor freedom from the old skills leads it out (docs/log.md); from
scratch the maze is learned. But a task that does not get on may also be one that every network is slow to start on, and
the curve of one network does not tell the two apart. So what is known is doubted,

    if it stands still and is not mostly solved

(where it rises, but hardly an episode succeeds, it may rise to what is not the goal, and is watched on);
then the task is learned afresh for as long, nothing being kept meanwhile, since the slow policy answers for the old
skills. The fresh network has the rest of the segment, and is distilled into a copy of the slow policy at its end,

    if it rises, or stands higher than the known one.

Else the known one goes on, and where it is doubted again, the fresh one takes its next turn. It need not do both: at
first a network that stands still half-solved, or rises to what is not the goal, is higher than one that has just begun.

The window of episodes that each is judged by holds a share of the segment, and four rounds at least: failures all end
together at the horizon, so that halves of less than a round cannot be compared, and what is slow to start stands still
for a round or two as well. So a short segment has no time for a race.

    rises = mean return of the second half - of the first half > 2 standard errors
"""

import math
from typing import Any, NamedTuple, Protocol

from nestrl.agents.tally import ENOUGH, Tally

WINDOW = 0.15
"""Share of the segment that each gets before it is judged, if that holds enough rounds; else until it does."""
ROUNDS = 4
"""Rounds of episodes that are enough: two in each half."""
HARDLY, MOSTLY = 0.05, 0.6
"""Shares of successes: below the first, what rises is watched on; from the second on, nothing is doubted."""
LATEST = 0.5
"""Share of the segment after which too little is left for another turn."""
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
        error = math.sqrt(self.earlier.squared_error + self.later.squared_error)
        return self.later.mean - self.earlier.mean > 2 * error

    @property
    def doubtful(self) -> bool:
        """Whether what is known does not get on."""
        return not self.rising and self.later.success < MOSTLY

    @property
    def promising(self) -> bool:
        """Whether it rises without having arrived: hardly an episode has succeeded yet."""
        return self.rising and self.later.success < HARDLY


class Rival:
    """A network that is known and a fresh one take turns in the same simulations, until one gets on."""

    def __init__(self, learner: Branching) -> None:
        self._learner = learner
        self._phase = SETTLED
        self._marks: list[tuple[float, Tally]] = []
        self._waiting: dict[str, Any] | None = None  # the other network, once there is one
        self._level = 0.0  # mean return of the known one when it was last doubted
        self.fresh = False
        """Whether the network is a fresh one."""
        self.races = self.won = 0
        """Turns of fresh networks, and those after which they had the rest of the segment."""

    def start_segment(self, *, doubted: bool) -> None:
        """A segment begins; `doubted` tells whether there may be a race in it."""
        self._phase, self.fresh, self._waiting = KNOWN if doubted else SETTLED, False, None
        self._marks = [(0.0, self._learner.tally)]

    def pause(self) -> bool:
        """Between two rollouts: end the turn of either network where it is time; return whether they changed places."""
        if self._phase == SETTLED:
            return False
        self._marks.append((self._learner.progress, self._learner.tally))
        halves = self._window()
        if halves is None:
            return False
        if self._phase == FRESH and not (halves.rising or halves.later.mean > self._level):
            return self._change_places(KNOWN)
        if self._phase == KNOWN and self._learner.progress <= LATEST:
            if halves.promising:
                return False
            if halves.doubtful:
                self._level = halves.later.mean
                self.races += 1
                return self._change_places(FRESH)
        self.won += self.fresh
        self._phase, self._waiting = SETTLED, None
        return False

    def finish(self) -> bool:
        """The segment is over; a fresh network that could not yet be judged has lost; return whether that was so."""
        return self._phase == FRESH and self._change_places(SETTLED)

    def _change_places(self, phase: str) -> bool:
        waiting, self._waiting = self._waiting, self._learner.branch()
        if waiting is None:
            self._learner.renew()
        else:
            self._learner.return_to(waiting)
        self._phase, self.fresh, self._marks = phase, phase == FRESH, self._marks[-1:]
        return True

    def _window(self) -> Halves | None:
        """Return the halves of the present network's last window; None before it is whole."""
        progress, now = self._marks[-1]
        old = [t for at, t in self._marks if at <= progress - WINDOW and _enough(now.since(t))]
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
            "waiting": self._waiting,
            "level": self._level,
            "fresh": self.fresh,
            "races": self.races,
            "won": self.won,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a `state_dict`."""
        self._phase, self._waiting, self._level = state["phase"], state["waiting"], state["level"]
        self._marks = [(progress, Tally(*tally)) for progress, tally in state["marks"]]
        self.fresh, self.races, self.won = state["fresh"], state["races"], state["won"]


def _enough(episodes: Tally) -> bool:
    """Return whether these episodes are rounds enough, and the mean of each half means something."""
    return episodes.rounds >= ROUNDS and episodes.episodes >= 2 * ENOUGH
