"""FAME: a fast learner for each task, a slow one for all, and a test of which of them a new task should start from."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr

from nestrl.errors import BadConfig, require_share
from nestrl.methods.protocol import Card, Learner
from nestrl.methods.reset_and_distill import ResetAndDistill, ResetAndDistillOptions
from nestrl.updates.values import values_of

STARTS = ("fresh", "fast", "slow")


@dataclass(frozen=True)
class FAMEOptions(ResetAndDistillOptions):
    """Options of FAME, those of its distillation among them."""

    episodes: int = 10
    """Training episodes in which each of the three starts is tried out. Their steps are counted."""
    significance: float = 0.05
    """Level of the test that a warm start must pass against a fresh one: at 1 the highest mean return decides."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.episodes >= 2:
            raise BadConfig(f"fame's episodes is {self.episodes}; a test needs at least 2.")
        require_share("fame", significance=self.significance)


class FAME(ResetAndDistill):
    """Starts a task from the fast learner, the slow one or a fresh actor, whichever a test of their returns favours.

        start = argmax { mean R_fast, mean R_slow : significantly above R_fresh },  fresh if there is none

    R: returns of the same training episodes with each. The test is a one-sided t-test on their differences. The fast
    learner is the actor of the task before; the slow (meta) learner minimises the sum of KL divergences from the
    teachers of all tasks, by distillation at each boundary. (Sun et al., 2026, "Principled fast and meta knowledge
    learners for continual RL".)

    Differs from the paper: the episodes are paired, since all three get the same starts (Welch's test there); a fresh
    actor is tried out like the others; the slow learner is started from, as in the paper's Meta-World experiments, and
    not also cloned in the first steps; its experience is not used for training.
    """

    card: ClassVar[Card] = Card(
        part="whole",
        summary="a test chooses what a task starts from: the last learner, the slow one, or fresh weights",
        paper="Sun et al., 2026",
        stores="4096 observations and outputs a task, and a second actor",
        cost="30 counted episodes at a task's start; 2000 passes over 512 remembered observations at its end",
        own_policies=True,
    )

    def __init__(self, options: FAMEOptions, learner: Learner, seed: int) -> None:
        super().__init__(options, learner, seed)
        self._episodes, self._significance = options.episodes, options.significance
        self._start = 0  # of the current task, in STARTS

    def begin(self, segment_index: int, task_index: int) -> None:
        """Try out the three starts and give the learner the chosen one, unless nothing was learned before."""
        fast = values_of(self._parameters)
        super().begin(segment_index, task_index)
        if self._slow is None:
            return
        starts = [self._learner.policy_with(), self._learner.policy_with(fast), self._slow]
        self._start = warm_start(self._learner.trial(starts, task_index, self._episodes).returns, self._significance)
        self._learner.take(starts[self._start].parameters)

    def measurements(self) -> dict[str, float]:
        """Return drift, bytes, and whether the task started from the fast or the slow learner (0 or 1 each)."""
        started_from = {f"started_{name}": float(self._start == i) for i, name in enumerate(STARTS)}
        return super().measurements() | started_from

    def state_dict(self) -> dict[str, Any]:
        """Return slow learner, memory, the random stream, and what the task started from."""
        return super().state_dict() | {"start": self._start}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a `state_dict`."""
        super().load_state_dict(state)
        self._start = state["start"]


def warm_start(returns: NDArray[np.float64], significance: float) -> int:
    """Return the row of returns (k, episodes) with the highest mean among those significantly above row 0, else 0."""
    gains = returns[1:] - returns[0]
    means, spreads = gains.mean(axis=1), gains.std(axis=1, ddof=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        statistic = means / (spreads / np.sqrt(gains.shape[1]))
    p_values = stdtr(gains.shape[1] - 1, -statistic)  # NaN where nothing differs at all
    better = [row for row in range(len(gains)) if means[row] > 0 and p_values[row] <= significance]
    return 1 + max(better, key=lambda row: means[row]) if better else 0
