"""Learns the meta-controller over whole lives: the outermost level of the nesting, and the slowest.

Each generation CMA-ES (Hansen and Ostermeier, 2001; the library `cmaes`) draws candidates phi around its mean. All live
through the same lives, so that their fitness is comparable; the next generation meets other ones. Every few generations
the distribution's mean and the constants (phi = 0) live through the candidates' lives, too, and once more at the end
through lives that nothing was learned from: so the learning curve is paired.

The search depends on its plan and its journal alone: resuming draws all generations anew and tells them what stands in
the journal, so neither a kill nor the number of workers changes it. A kill loses at most the lives in flight.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nestrl.errors import BadConfig, NestrlError
from nestrl.nested.meta_controller import SHAPE
from nestrl.studies.lives.curve import Row, learning_curve, table, write_picture, write_table
from nestrl.studies.lives.journal import Journal, Lived, candidate_fitness, names
from nestrl.studies.lives.living import Living, write_controller
from nestrl.studies.lives.plan import CONSTANTS, MEAN, Life, LivesPlan, described_now, read_lives_plan
from nestrl.studies.pool import n_workers
from nestrl.studies.running import alone, print_line, stopped, who_is_at
from nestrl.studies.study import note_versions, places, readable_time, write_what_is_run
from nestrl.training.writing import write_json

try:
    from cmaes import CMA  # type: ignore[attr-defined]  # exported without being said so
except ModuleNotFoundError as error:
    raise BadConfig("`nestrl learn-controller` needs cmaes; install it with: pip install 'nestrl[tune]'") from error

Floats = NDArray[np.float64]
Live = Callable[[Sequence[Life]], Iterator[Lived]]
"""Yields what came of each life, in any order; ends early when it is stopped."""
JOURNAL, DESCRIPTION, CONTROLLER = "lives.jsonl", "description.json", "controller.safetensors"


class Evolution:
    """CMA-ES in phi, maximising; its draws depend on the plan's seed and on what it was told, alone.

    Where the plan leaves the context out, only the bias of each order is searched, and all else of phi stays 0.
    """

    def __init__(self, plan: LivesPlan) -> None:
        settings = plan.settings
        self._searched = np.zeros(SHAPE, bool)
        self._searched[:, 0 if settings.context else -1 :] = True
        start = np.zeros(self._searched.sum())
        self._cma = CMA(start, settings.sigma, seed=settings.seed, population_size=settings.population)

    @property
    def mean(self) -> Floats:
        """The distribution's mean, a phi."""
        return self._as_phi(self._cma.mean)

    def ask(self) -> list[Floats]:
        """Draw the candidates of the next generation, a phi each; once before each `tell`."""
        return [self._as_phi(self._cma.ask()) for _ in range(self._cma.population_size)]

    def tell(self, candidates: Sequence[Sequence[float] | Floats], fitness: Sequence[float]) -> None:
        """Learn from a generation."""
        numbers = [np.reshape(np.array(phi, np.float64), SHAPE)[self._searched] for phi in candidates]
        self._cma.tell([(searched, -value) for searched, value in zip(numbers, fitness, strict=True)])

    def _as_phi(self, numbers: Floats) -> Floats:
        phi = np.zeros(SHAPE)
        phi[self._searched] = numbers
        return phi


class Learning:
    """A search while it goes on."""

    def __init__(self, plan: LivesPlan, results: Path, live: Live, say: Callable[[str], object]) -> None:
        self.plan, self._results, self._live, self._say = plan, results, live, say
        self.journal = Journal(results / JOURNAL)
        self.evolution = Evolution(plan)
        self._generation = 0  # which the mean has been learned from all before

    def run(self, generations: int) -> bool:
        """Live through generations 0, 1, ... and measure what was learned; return False if it was stopped before.

        Raises NestrlError when all lives of a generation failed.
        """
        for generation in range(generations):
            drawn = zip(names(self.plan), self.evolution.ask(), strict=True)
            candidates = [life for name, phi in drawn for life in self.plan.lives(generation, name, _plain(phi))]
            measured = self._measuring() if generation % self.plan.settings.validate_every == 0 else []
            n_before = len(self.journal)
            if not self._complete([*measured, *candidates]):
                return False
            self._learn(generation)
            if len(self.journal) > n_before:
                self.write_results()
        return self._complete(self._measuring())

    def write_results(self) -> list[Row]:
        """Write the distribution's mean and the learning curve, and return the latter."""
        rows = learning_curve(self.plan, self.journal)
        write_table(self._results / "curve.csv", rows)
        lives = self._generation * self.plan.settings.lives_per_generation
        metadata = {"plan": self.plan.name, "lives": str(lives)}
        for row in rows:
            if row.generation == self._generation and row.mean is not None and row.constants is not None:
                metadata |= {"fitness": f"{row.mean:.4f}", "fitness of the constants": f"{row.constants:.4f}"}
        write_controller(self._results / CONTROLLER, _plain(self.evolution.mean), metadata)
        return rows

    def _measuring(self) -> list[Life]:
        """Return the lives of the constants and, once it is another, of the distribution's mean."""
        phis = {CONSTANTS: np.zeros(SHAPE)}
        if self._generation:
            phis[MEAN] = self.evolution.mean
        return [life for name, phi in phis.items() for life in self.plan.lives(self._generation, name, _plain(phi))]

    def _complete(self, lives: Sequence[Life]) -> bool:
        """Live the lives that are not in the journal; return whether all are in it then."""
        left = [life for life in lives if self.journal.find(life) is None]
        if left:
            for lived in self._live(left):
                self.journal.add(lived)
                self._say(self._line(lived))
        return all(self.journal.find(life) is not None for life in left)

    def _learn(self, generation: int) -> None:
        """Tell the distribution how fit the candidates of a whole generation were."""
        lived = self.journal.generation(generation, names(self.plan))
        fitness = candidate_fitness(self.plan, lived)
        if fitness is None:
            raise NestrlError(
                f"all lives of generation {generation} failed, the last one so: {lived[-1][-1].error} Mend the cause, "
                f"remove their lines from {self.journal.path}, and go on."
            )
        self.evolution.tell([lives[0].life.phi for lives in lived], fitness)
        self._generation = generation + 1

    def _line(self, lived: Lived) -> str:
        fitness = lived.fitness(self.plan.settings.weights)
        if fitness is None:
            return f"{lived.life.name}: failed: {lived.error}"
        parts = (
            f"average performance {lived.average_performance:.2f}, forgetting {lived.forgetting:.2f}, "
            f"learning progress {lived.learning_progress:.2f}"
        )
        what = f"{' > '.join(lived.life.tasks)}, {readable_time(lived.seconds)}"
        return f"{lived.life.name}: fitness {fitness:.3f} ({parts}); {what}"


def learn(
    path: Path,
    lives: int,
    *,
    below: Path = Path(),
    live: Live | None = None,
    say: Callable[[str], object] = print_line,
) -> str:
    """Learn from `lives` lives in all, write the results, and return the learning curve as a Markdown table.

    path: the plan's file. lives: those of candidates, in whole generations; a search that has lived some goes on.
    below: the folder that holds runs/ and results/. live: what lives; by default processes side by side.
    say: takes one line for each life.

    Raises BadConfig for a file with a mistake, or a search that was begun otherwise; RunExists when another process is
    at it; NestrlError when a whole generation failed; KeyboardInterrupt after Ctrl-C, when all is saved.
    """
    plan = read_lives_plan(path)
    generations = plan.generations(lives)
    found = places(plan.study, below)
    with alone(found.lock):
        _refuse_another(plan, found.results)
        write_what_is_run(path, found.results, "plan.yaml")
        write_json(found.results / DESCRIPTION, plan.description())
        note_versions(found.results, say)
        learning = Learning(plan, found.results, live or Living(plan, found.runs), say)
        n_before = len(learning.journal)
        generations = max(generations, _whole_generations(plan, learning.journal))
        done = learning.run(generations)
        rows = learning.write_results()
        write_picture(found.results / "curve.png", rows)
        if not done:
            raise stopped("nestrl", "learn-controller", path, "--lives", lives)
    if len(learning.journal) == n_before:
        so_far = generations * plan.settings.lives_per_generation
        say(f"nothing to do: all {so_far} lives are lived; ask for more with --lives")
    return _report(plan, learning.journal, rows)


def status(path: Path, lives: int, below: Path = Path()) -> str:
    """Return the learning curve, how far it is and who is at it; lives and writes nothing."""
    plan = read_lives_plan(path)
    found = places(plan.study, below)
    journal = Journal(found.results / JOURNAL)
    left = _lives_left(plan, journal, max(plan.generations(lives), _whole_generations(plan, journal)))
    seconds, workers = journal.mean_seconds, n_workers(plan.study.workers)
    time = readable_time(None if seconds is None else seconds * left / workers)
    report = _report(plan, journal, learning_curve(plan, journal))
    return f"{report}\n{left} lives left, about {time} with {workers} side by side; {who_is_at(found.lock)}"


def _report(plan: LivesPlan, journal: Journal, rows: Sequence[Row]) -> str:
    failed = [f"{lived.life.name} failed: {lived.error}" for lived in journal.failed]
    weights = plan.settings.weights
    title = (
        f"{plan.name}: fitness = average performance - {weights.forgetting:g} x forgetting + {weights.progress:g} x "
        f"learning progress; lives a candidate and generation: {plan.settings.lives_per_candidate}"
    )
    return "\n".join([title, "", table(rows), *failed])


def _lives_left(plan: LivesPlan, journal: Journal, generations: int) -> int:
    """Return how many lives are left until `generations` are learned from and measured."""
    every, per = plan.settings.validate_every, plan.settings.lives_per_candidate
    wanted = [(generation, name) for generation in range(generations) for name in names(plan)]
    measured = {*range(0, generations, every), generations}
    wanted += [(generation, name) for generation in measured for name in (CONSTANTS, MEAN)[: 2 if generation else 1]]
    return sum(per - len(journal.generation(generation, [name])[0]) for generation, name in wanted)


def _whole_generations(plan: LivesPlan, journal: Journal) -> int:
    whole = 0
    while candidate_fitness(plan, journal.generation(whole, names(plan))) is not None:
        whole += 1
    return whole


def _refuse_another(plan: LivesPlan, results: Path) -> None:
    """Raise BadConfig if lives stand here that were drawn by another plan."""
    path = results / DESCRIPTION
    if not path.is_file() or not (results / JOURNAL).is_file():
        return
    try:
        before = described_now(json.loads(path.read_text()))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadConfig(f"{path} is damaged ({error}); give the plan another name, or move {results} away.") from error
    now = plan.description()
    for key in {**before, **now}:
        if before.get(key) != now.get(key):
            short = isinstance(now.get(key), int | float)
            values = f" ({before.get(key)!r}, now {now[key]!r})" if short else ""
            raise BadConfig(
                f"{results} holds lives that were drawn with another {key}{values}; give the plan another name, or "
                f"move {results} away."
            )


def _plain(phi: Floats) -> tuple[float, ...]:
    return tuple(float(number) for number in phi.ravel())
