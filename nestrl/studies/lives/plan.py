"""What a meta-controller is learned on: a YAML file as a LivesPlan, checked before the first life begins.

name: dev-lives
sequences: [dev-5.yaml]              # of development; run, steps_scale, imports and workers as in a study
reported: [mixed-5]                  # optional: sequences whose results are published; refused above
tasks_per_life: 3                    # drawn from a sequence, in a random order
context: true                        # false: constants alone are searched, so as to compare with the best of them
population: 8                        # candidates of a generation; all live through the same lives
lives_per_candidate: 1               # in each generation
seed: 0                              # of the search, and of the orders and seeds of its lives
sigma: 0.5                           # standard deviation of the first generation around phi = 0
validate_every: 5                    # generations between lives of the distribution's mean and of the constants
weights: {forgetting: 1.0, progress: 0.5}
nested: {drift_limit: 0.03}          # optional: options of the method, all but meta_controller

Fitness of a life, to be maximised, in about -1..1.5:

    fitness = P - weights.forgetting * F + weights.progress * L

    P   average performance: mean over tasks of success at the end of the life, 0..1
    F   forgetting: mean over tasks of (success at the end of the own segment - success at the end of the life), -1..1
    L   learning progress: mean over segments of (1 / steps) * area under the success curve of the segment's own task
        within the segment, 0..1; it stands for forward transfer and needs no reference curves

Fitness of a candidate: the mean over its lives.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np

from nestrl.decode import decode
from nestrl.document import Document
from nestrl.errors import BadConfig, require_not_negative
from nestrl.nested.meta_controller import FEATURES, ORDERS
from nestrl.nested.options import NestedOptions
from nestrl.studies.development import FIRST_SEED, as_study, refuse_reported
from nestrl.studies.plan import StudyPlan, plan_of
from nestrl.training.config import RunConfig, as_values, up_to_date

LAST_SEED = 2**31
LIFE_OF = "life of "
METHOD, LEARNED = "nested", "meta_controller"
LEAST_POPULATION = 4
"""With fewer, CMA-ES has no weights for its covariance."""
CONSTANTS, MEAN = "constants", "mean"
"""Lives of phi = 0, and of the distribution's mean; they measure, and nothing is learned from them."""


@dataclass(frozen=True)
class Weights:
    """How much forgetting and learning progress count beside average performance."""

    forgetting: float = 1.0
    progress: float = 0.5

    def __post_init__(self) -> None:
        require_not_negative("fitness", **asdict(self))


@dataclass(frozen=True)
class Life:
    """One life to be lived: a meta-controller, and what it meets."""

    generation: int
    candidate: str
    """c00, c01, ... of the population, CONSTANTS or MEAN."""
    index: int
    """Which of the candidate's lives in this generation."""
    sequence: str
    tasks: tuple[str, ...]
    """In the order in which they are learned."""
    seed: int
    phi: tuple[float, ...]
    """The meta-controller, flattened row by row."""

    @property
    def name(self) -> str:
        """Of the life's folder."""
        return f"{self.controller}-l{self.index}"

    @property
    def controller(self) -> str:
        """Name of the meta-controller's file."""
        return f"g{self.generation:04}-{self.candidate}"


@dataclass(frozen=True)
class Settings:
    """What the file says beside what a study says; the keys mean what the module's example says."""

    tasks_per_life: int
    reported: tuple[str, ...] = ()
    context: bool = True
    population: int = 8
    lives_per_candidate: int = 1
    seed: int = 0
    sigma: float = 0.5
    validate_every: int = 5
    weights: Weights = field(default_factory=Weights)
    nested: Mapping[str, Any] = field(default_factory=dict)

    @property
    def lives_per_generation(self) -> int:
        """Lives that one generation is learned from."""
        return self.population * self.lives_per_candidate


@dataclass(frozen=True)
class LivesPlan:
    """The file, read and checked."""

    study: StudyPlan
    """Its name, workers and imports."""
    settings: Settings
    configs: Mapping[str, RunConfig]
    """By sequence: a life through all its tasks, with the constants."""

    @property
    def name(self) -> str:
        """Of the folders of results and runs."""
        return self.study.name

    def lives(self, generation: int, candidate: str, phi: tuple[float, ...]) -> list[Life]:
        """Return a candidate's lives in a generation: tasks, orders and seeds depend on the generation alone."""
        random = np.random.default_rng([self.settings.seed, generation])
        lives = []
        for index in range(self.settings.lives_per_candidate):
            sequence = list(self.configs)[int(random.integers(len(self.configs)))]
            names = self.configs[sequence].sequence.task_names
            order = random.permutation(len(names))[: self.settings.tasks_per_life]
            tasks = tuple(names[task] for task in order)
            seed = int(random.integers(FIRST_SEED, LAST_SEED))
            lives.append(Life(generation, candidate, index, sequence, tasks, seed, phi))
        return lives

    def generations(self, lives: int) -> int:
        """Return how many whole generations `lives` are enough for. Raises BadConfig if for none."""
        each = self.settings.lives_per_generation
        if lives < each:
            raise BadConfig(f"--lives is {lives}, but one generation takes {each}; give at least as many.")
        return lives // each

    def description(self) -> dict[str, Any]:
        """Return as JSON values what all lives must have in common for the search to go on."""
        names = ("tasks_per_life", "context", "population", "lives_per_candidate", "seed", "sigma")
        values = {name: getattr(self.settings, name) for name in names}
        values |= {"weights": asdict(self.settings.weights), "orders": ORDERS, "features": FEATURES}
        values |= {f"{LIFE_OF}{name}": as_values(config) for name, config in self.configs.items()}
        plain: dict[str, Any] = json.loads(json.dumps(values))
        return plain


def described_now(description: Mapping[str, Any]) -> dict[str, Any]:
    """Return a description on record with the defaults of fields that have come since, as run folders are read."""
    return {
        key: up_to_date(value, f"{key} in the description") if key.startswith(LIFE_OF) else value
        for key, value in description.items()
    }


OF_A_STUDY = ("name", "sequences", "run", "steps_scale", "imports", "workers")
OWN = get_type_hints(Settings)


def read_lives_plan(path: Path) -> LivesPlan:
    """Return the plan in a file. Raises BadConfig with file, line, key and remedy."""
    document = Document(path)
    settings = _settings(document)
    study = plan_of(as_study(document, OF_A_STUDY, {METHOD: {}}, [FIRST_SEED]))
    refuse_reported(document, study, settings.reported)
    configs = {cell.sequence: _with_method(document, cell.config, settings.nested) for cell in study.cells}
    for name, config in configs.items():
        if config.sequence.n_tasks < settings.tasks_per_life:
            raise BadConfig(
                f"{document.where('tasks_per_life')}: tasks_per_life is {settings.tasks_per_life}, but {name!r} has "
                f"{config.sequence.n_tasks} tasks; ask for fewer, or give longer sequences."
            )
    return LivesPlan(study, settings, configs)


def _settings(document: Document) -> Settings:
    required = ("name", "sequences", "tasks_per_life")
    settings = Settings(**document.read(OWN, "a plan of lives", required=required, others=OF_A_STUDY))
    least = {"tasks_per_life": 1, "population": LEAST_POPULATION, "lives_per_candidate": 1, "seed": 0}
    for key, bound in (least | {"validate_every": 1}).items():
        if getattr(settings, key) < bound:
            raise BadConfig(f"{document.where(key)}: {key} is {getattr(settings, key)}; it must be at least {bound}.")
    if not 0 < settings.sigma < math.inf:
        raise BadConfig(f"{document.where('sigma')}: sigma is {settings.sigma}; it must be finite and above 0.")
    return settings


def _with_method(document: Document, config: RunConfig, options: Mapping[str, Any]) -> RunConfig:
    """Return a life with options of the method, each checked at its own line."""
    for name, value in options.items():
        with document.at(METHOD, name):
            if str(name).replace("-", "_") == LEARNED:
                raise BadConfig("the meta-controller is what is learned here; remove it.")
            config = config.with_options([(f"method.{name}", value)], NestedOptions)
    if LEARNED not in decode(NestedOptions, config.method_options, METHOD).levels:
        raise BadConfig(
            f"{document.where(METHOD, 'levels')}: the levels lack {LEARNED}, so no life would depend on it; add it."
        )
    return config


def with_controller(config: RunConfig, life: Life, controller: Path) -> RunConfig:
    """Return the run of a life whose meta-controller is in a file."""
    sequence = config.sequence.reordered(life.tasks, config.sequence.name)
    options = {**config.method_options, LEARNED: str(controller)}
    return replace(config, sequence=sequence, seed=life.seed, method_options=options)
