"""The journal of a search over lives: one line of JSON for each life that ended, only ever appended.

It is all that is kept: the search is resumed by telling a fresh CMA-ES what stands here, in the same order.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nestrl.errors import BadConfig
from nestrl.evaluation.retention import SuccessCurves, average_performance, forgetting, learning_progress
from nestrl.studies.ledger import append, read_lines
from nestrl.studies.lives.plan import CONSTANTS, MEAN, Life, LivesPlan, Weights


@dataclass(frozen=True)
class Lived:
    """What came of a life. One that failed has only `error`."""

    life: Life
    average_performance: float = 0.0
    """In 0..1."""
    forgetting: float = 0.0
    """In -1..1."""
    learning_progress: float = 0.0
    """In 0..1."""
    seconds: float = 0.0
    """Wall clock."""
    error: str = ""
    """One sentence, and where the output is; empty if all went well."""

    @classmethod
    def of(cls, life: Life, curves: SuccessCurves, seconds: float) -> "Lived":
        """Return what came of a life with these curves. Raises BadConfig if they do not reach its end."""
        return cls(life, average_performance(curves), forgetting(curves), learning_progress(curves), seconds)

    def fitness(self, weights: Weights) -> float | None:
        """Return the fitness as the module of the plan defines it; None for a life that failed."""
        if self.error:
            return None
        kept = self.average_performance - weights.forgetting * self.forgetting
        return kept + weights.progress * self.learning_progress


class Journal:
    """The lives of a search that have ended."""

    def __init__(self, path: Path) -> None:
        """Read the journal, if there is one. Raises BadConfig for a damaged line; a torn last one is left out."""
        self.path = path
        self._lived = {lived.life.name: lived for lived in read_lines(path, Lived)}

    def __len__(self) -> int:
        return len(self._lived)

    def add(self, lived: Lived) -> None:
        """Write a life down, and bring it to the disk."""
        append(self.path, lived)
        self._lived[lived.life.name] = lived

    def find(self, life: Life) -> Lived | None:
        """Return what came of a life, or None if it has not ended. Raises BadConfig if it met something else."""
        lived = self._lived.get(life.name)
        if lived is not None and (lived.life.tasks, lived.life.seed) != (life.tasks, life.seed):
            raise BadConfig(
                f"{self.path} has {life.name} with tasks {lived.life.tasks} and seed {lived.life.seed}, but the plan "
                f"draws {life.tasks} and {life.seed}; give the plan another name, or move {self.path.parent} away."
            )
        return lived

    def generation(self, number: int, candidates: Iterable[str]) -> list[list[Lived]]:
        """Return what came of these candidates in a generation, the lives of each in order."""
        lived = [each for each in self._lived.values() if each.life.generation == number]
        lived.sort(key=lambda each: each.life.index)
        return [[each for each in lived if each.life.candidate == name] for name in candidates]

    @property
    def last_generation(self) -> int:
        """The highest number of a generation with a life; -1 without any."""
        return max((lived.life.generation for lived in self._lived.values()), default=-1)

    @property
    def mean_seconds(self) -> float | None:
        """Mean wall clock of the lives that did not fail; None without any."""
        seconds = [lived.seconds for lived in self._lived.values() if not lived.error]
        return float(np.mean(seconds)) if seconds else None

    @property
    def failed(self) -> list[Lived]:
        """The lives that failed."""
        return [lived for lived in self._lived.values() if lived.error]


def names(plan: LivesPlan) -> list[str]:
    """Return the names of a generation's candidates."""
    return [f"c{number:02}" for number in range(plan.settings.population)]


def candidate_fitness(plan: LivesPlan, lived: Sequence[Sequence[Lived]]) -> list[float] | None:
    """Return the fitness of each candidate of a whole generation; None if it is not whole, or all its lives failed.

    A life that failed counts as the worst one of its generation.
    """
    if any(len(lives) < plan.settings.lives_per_candidate for lives in lived):
        return None
    each = [[life.fitness(plan.settings.weights) for life in lives] for lives in lived]
    finished = [fitness for lives in each for fitness in lives if fitness is not None]
    if not finished:
        return None
    worst = min(finished)
    return [float(np.mean([worst if fitness is None else fitness for fitness in lives])) for lives in each]


def measured_fitness(plan: LivesPlan, journal: Journal, generation: int, candidate: str) -> float | None:
    """Return the fitness of CONSTANTS or MEAN in a generation; None if it was not lived there, or a life failed."""
    before_learning = generation == 0 and candidate == MEAN  # then the mean is that of the constants
    [lived] = journal.generation(generation, [CONSTANTS if before_learning else candidate])
    fitness = [life.fitness(plan.settings.weights) for life in lived]
    known = [value for value in fitness if value is not None]
    return float(np.mean(known)) if known and len(known) == plan.settings.lives_per_candidate else None
