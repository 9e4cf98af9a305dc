"""The level that doubts what is known: where it does not get on with a new task, a fresh network gets its chance.

A network that drives straight at goals does so in a maze, too, reaches those in sight, and stays there for a whole
segment. Neither a fresh critic, nor more noise, nor freedom from the old skills leads it out (docs/log.md); from
scratch the maze is learned. But a task that does not get on may also be one that every network is slow to start on. So
what is known is watched for four rounds of episodes (a segment has many, unless it is short), or for six where few
episodes succeed. It is doubted

    if it stands still and is not mostly solved;

where it rises, but hardly an episode succeeds, it may rise to what is not the goal, and is watched on; and if it has
not succeeded once for long, it is doubted though it rises. (What has learned to hold a can before it has ever let go
may never see a success again.)

What is doubted is learned afresh. Nothing is kept meanwhile: the slow policy answers for the old skills, and what the
fast one was for those that the slow one could not take in. After two rounds the fresh network has the rest of the
segment, and is distilled into a copy of what knows the others at its end,

    if it rises, or stands clearly higher than the known one, or succeeds now and then where that one never has,
    or is no lower than that one, which has had more steps, where hardly an episode succeeds with it.

One of these is enough: at first a network that stands still half-solved, or rises to what is not the goal, is
higher than one that has just begun. Else the known one goes on, and where it is doubted again, the fresh one takes its
next turn.
With mean returns m and variances s^2 of the two halves of the rounds (whole ones, since failures all end together at
the horizon):

    rises = m_2 - m_1 > 1/4 sqrt((s_1^2 + s_2^2) / 2),

or 1/20 of it where few episodes succeed: what is slow to start is not what is stuck, and as it is looked at after every
rollout, what stands still soon falls below that by chance.

The fresh network has the first turn where most skills half-solve a new task as they are, in the same episodes, and none
solves it: then what succeeds is what they have in common, driving at the goal, and a network that knows it is about to
stand still.

Rounds, margin and shares were chosen on curves of development lives (results/race). Of the networks that succeed in .3
to .6 of the episodes after four rounds, those that are stuck have risen by .17 standard deviations at most, the others
by .38 at least; those that succeed in fewer need six rounds to show it.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from nestrl.agents.tally import ENOUGH, Tally
from nestrl.agents.trial import Trial

SHARE = 0.15
"""Share of the segment, its trials included, that each gets before it is judged, if that holds rounds enough."""
WATCHED, SLOW, TURN = 4, 6, 2
"""Rounds of episodes that are enough: of what is known, the same where few succeed, and of a fresh network."""
LONG, MANY = 10, 2500
"""Rounds and episodes after which what has hardly ever succeeded in the last SLOW rounds is doubted, though it rises.
Both: a few simulations have soon played ten rounds each, and may yet be at the beginning."""
CLEARLY, SLOWLY = 0.25, 0.05
"""Standard deviations of the return between two means of which one is clearly higher; the same where few succeed."""
NEVER, HARDLY, FEW, MOSTLY = 0.005, 0.05, 0.3, 0.6
"""Shares of successes below which none succeeds but by chance, hardly an episode does, or few do; and from which on
nothing is doubted."""
LATEST = 0.45
"""Share of the segment after which too little is left for another turn."""
SKILLS, MOST, PARTLY, NEARLY = 3, 2 / 3, 0.25, 0.75
"""A trap seen beforehand: at least so many skills are known, more than this share of them succeed in PARTLY of their
trials or more, and no policy in more than NEARLY."""
ALIKE = 0.6
"""How much those skills succeed in the same episodes, at least; see `alike`."""
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

    def rise(self, margin: float = CLEARLY) -> bool:
        """Return whether the later half is higher by this margin."""
        return clearly_higher(self.later, self.earlier, margin)

    @property
    def fails(self) -> bool:
        """Whether hardly an episode of the later half succeeded."""
        return self.later.success < HARDLY


def clearly_higher(one: Tally, other: Tally, margin: float = CLEARLY) -> bool:
    """Return whether the mean return of one is above that of the other by more than chance or a trifle."""
    return one.mean - other.mean > margin * spread(one, other)


def spread(one: Tally, other: Tally) -> float:
    """Return the standard deviation of the returns within both."""
    return math.sqrt((one.variance + other.variance) / 2)


def last_window(marks: Sequence[tuple[float, Tally]], rounds: int) -> Halves | None:
    """Return the halves of the last window of (progress, tally), of `rounds` at least; None before both are whole."""
    progress, now = marks[-1]
    old = [t for at, t in marks if at <= progress - SHARE and _enough(now.since(t), rounds)]
    if not old:
        return None
    since = now.since(old[-1])
    middle = next(t for _, t in marks if 2 * t.since(old[-1]).episodes >= since.episodes)
    halves = Halves(middle.since(old[-1]), now.since(middle))
    return halves if min(half.episodes for half in halves) >= ENOUGH else None


def is_trap(trial: Trial) -> bool:
    """Return whether most of the earlier skills (policies 1..k-1 of a trial) half-solve a task, and in the same way.

    In other tasks at most half of the skills succeed in a quarter of their trials, of five skills or more a third; or
    one skill, or the network as it is (policy 0), tells how; or each succeeds in episodes of its own.
    """
    success, skills = trial.success.mean(axis=1), trial.success[1:]
    partly = success[1:] >= PARTLY
    if len(skills) < SKILLS or partly.mean() <= MOST or success.max() > NEARLY:
        return False
    return alike(skills[partly]) >= ALIKE


def alike(success: NDArray[np.bool_]) -> float:
    """Return how much policies (k, episodes) succeed in the same episodes: 1 if in just the same, about 1/k by chance.

    The variance between episodes of the share that succeeds, over what it would be if all always did the same.
    """
    rate = float(success.mean())
    return float(success.mean(axis=0).var()) / (rate * (1 - rate)) if 0 < rate < 1 else 1.0


class Rival:
    """A network that is known and a fresh one take turns in the same simulations, until one gets on."""

    def __init__(self, learner: Branching) -> None:
        self._learner = learner
        self._phase = SETTLED
        self._marks: list[tuple[float, Tally]] = []
        self._waiting: dict[str, Any] | None = None  # the other network, once there is one
        self._doubted = Tally(1)  # the last episodes of the known one; none where it was doubted beforehand
        self.fresh = False
        """Whether the network is a fresh one."""
        self.races = self.won = 0
        """Turns of fresh networks, and those after which they had the rest of the segment."""

    def start_segment(self, *, doubted: bool, trial: Trial | None = None) -> None:
        """A segment begins; `doubted` tells whether there may be a race in it, `trial` how the earlier skills do."""
        self._phase, self.fresh, self._waiting = KNOWN if doubted else SETTLED, False, None
        self._marks = [(0.0, self._learner.tally)]
        self._doubted = Tally(1)
        if doubted and trial is not None and is_trap(trial):
            self._begin_turn()

    def pause(self) -> bool:
        """Between two rollouts: end the turn of either network where it is time; return whether they changed places."""
        if self._phase == SETTLED:
            return False
        self._marks.append((self._learner.progress, self._learner.tally))
        return self._judge_fresh() if self._phase == FRESH else self._judge_known()

    def finish(self) -> bool:
        """The segment is over; a fresh network that could not yet be judged has lost; return whether that was so.

        It has won where the segment is over before its planned steps, since that means that the task is learned; and
        where the known one, doubted beforehand, has learned nothing of the task.
        """
        alone = not self._doubted.episodes
        if self._phase == FRESH and (self._learner.progress < 1 or alone):
            self.won += 1
            return self._settle()
        return self._phase == FRESH and self._change_places(SETTLED)

    def _judge_known(self) -> bool:
        halves = last_window(self._marks, WATCHED)
        few = halves is not None and halves.later.success < FEW
        if few:
            halves = last_window(self._marks, SLOW)
        if halves is None:
            return False
        rises = halves.rise(SLOWLY if few else CLEARLY)
        gets_on = (rises and not halves.fails) or halves.later.success >= MOSTLY
        if gets_on or self._learner.progress > LATEST:
            return self._settle()
        if rises and not self._is_hopeless(halves):
            return False
        self._doubted = halves.later
        return self._begin_turn()

    def _is_hopeless(self, halves: Halves) -> bool:
        watched = self._marks[-1][1].since(self._marks[0][1])
        enough = watched.rounds >= LONG and watched.episodes >= MANY
        return enough and max(half.success for half in halves) < NEVER

    def _begin_turn(self) -> bool:
        self.races += 1
        return self._change_places(FRESH)

    def _judge_fresh(self) -> bool:
        halves = last_window(self._marks, TURN)
        if halves is None:
            return False
        known, fresh = self._doubted, halves.later  # the former's success is nan where it was doubted beforehand
        succeeds = known.success < NEVER <= fresh.success
        no_lower = known.success < HARDLY and not clearly_higher(known, fresh)
        if succeeds or no_lower or halves.rise() or clearly_higher(fresh, known):
            self.won += 1
            return self._settle()
        return self._change_places(KNOWN)

    def _settle(self) -> bool:
        self._phase, self._waiting = SETTLED, None
        return False

    def _change_places(self, phase: str) -> bool:
        waiting, self._waiting = self._waiting, self._learner.branch()
        if waiting is None:
            self._learner.renew()
        else:
            self._learner.return_to(waiting)
        self._phase, self.fresh, self._marks = phase, phase == FRESH, self._marks[-1:]
        return True

    def measurements(self) -> dict[str, float]:
        """Return the number of races, and of those that the fresh network won."""
        return {"races": float(self.races), "races_won": float(self.won)}

    def state_dict(self) -> dict[str, Any]:
        """Return where the race stands, and the network that waits."""
        return {
            "phase": self._phase,
            "marks": [[progress, list(tally)] for progress, tally in self._marks],
            "waiting": self._waiting,
            "doubted": list(self._doubted),
            "fresh": self.fresh,
            "races": self.races,
            "won": self.won,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a `state_dict`."""
        self._phase, self._waiting = state["phase"], state["waiting"]
        self._doubted = Tally(*state["doubted"])
        self._marks = [(progress, Tally(*tally)) for progress, tally in state["marks"]]
        self.fresh, self.races, self.won = state["fresh"], state["races"], state["won"]


def _enough(episodes: Tally, rounds: int) -> bool:
    """Return whether these episodes are rounds enough, and enough that the mean of each half can mean something."""
    return episodes.rounds >= rounds and episodes.episodes >= 2 * ENOUGH
