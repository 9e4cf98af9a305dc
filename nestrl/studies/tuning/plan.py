"""What a search for options tries: its YAML file as a TunePlan, checked before the first run begins.

name: tune-dev-3
sequences: [dev-3.yaml]              # of development; orders, run, steps_scale, imports and workers as in a study
reported: [mixed-5]                  # optional: sequences whose results are published; refused above
seeds: [1000, 1001]                  # 1000 and up: studies take theirs from 0
trials: 12                           # of every method that has a space; of the others one
methods:                             # a label, and what is searched
  finetune: {}
  ewc: {space: {strength: {low: 0.001, high: 100, log: true}}}
  cms: {space: {factor: {choices: [2, 4, 8]}}}
  cloning-constant:
    method: cloning                  # where the label is not its name
    fixed: {samples: 256}            # options of all trials
    start: {weight: 0.1}             # of the first trial, where the default lies outside of the space
    space: {weight: {low: 0.001, high: 10, log: true}}
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nestrl.decode import decode
from nestrl.document import Document
from nestrl.errors import BadConfig
from nestrl.methods import find_method
from nestrl.studies.development import FIRST_SEED, as_study, refuse_reported
from nestrl.studies.plan import StudyPlan, plan_of
from nestrl.training.config import RunConfig, as_values, up_to_date

if TYPE_CHECKING:
    from optuna.trial import Trial

VALUE = "average performance, by the curves"
"""What a trial's number is; trials that had another cannot go on with it."""


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`, both included; whole ones where the option is one."""

    low: int | float
    high: int | float
    log: bool = False
    """Search the logarithm: for options whose scale is unknown."""

    def __post_init__(self) -> None:
        if not self.low < self.high:
            raise BadConfig(f"low is {self.low} and high is {self.high}; low must be below high.")
        if self.log and not self.low > 0:
            raise BadConfig(f"low is {self.low}; with log it must be above 0.")

    @property
    def examples(self) -> tuple[int | float, int | float]:
        """Values that stand for all when the option is checked."""
        return self.low, self.high

    def __contains__(self, value: Any) -> bool:
        return isinstance(value, int | float) and self.low <= value <= self.high

    def suggest(self, trial: "Trial", name: str, first: Any) -> int | float:
        """Return the trial's value; an integer where the option's `first` value is one."""
        if isinstance(first, int):
            return trial.suggest_int(name, int(self.low), int(self.high), log=self.log)
        return trial.suggest_float(name, self.low, self.high, log=self.log)

    def stored(self, value: Any) -> Any:
        """Return a value as a trial stores it."""
        return value


@dataclass(frozen=True)
class Choices:
    """Some values of any kind."""

    choices: tuple[Any, ...]

    def __post_init__(self) -> None:
        if not self.choices:
            raise BadConfig("choices is empty; give at least one.")

    @property
    def examples(self) -> tuple[Any, ...]:
        """All of them."""
        return self.choices

    def __contains__(self, value: Any) -> bool:
        return self.stored(value) in map(self.stored, self.choices)

    def suggest(self, trial: "Trial", name: str, first: Any) -> Any:
        """Return the trial's value."""
        return json.loads(trial.suggest_categorical(name, [self.stored(choice) for choice in self.choices]))

    def stored(self, value: Any) -> str:
        """Return a value as a trial stores it: as text, since a list cannot be stored."""
        return json.dumps(value)


Space = Mapping[str, Range | Choices]
Options = Mapping[str, Any]


@dataclass(frozen=True)
class Search:
    """What is searched of one method."""

    label: str
    method: str
    fixed: Options
    space: Space
    first: Options
    """Options of the first trial: the method's defaults, or what the file says under `start`."""
    lives: Mapping[str, RunConfig]
    """The runs of each trial by sequence, order and seed, as the first trial configures them."""
    trials: int

    def config(self, life: RunConfig, options: Options) -> RunConfig:
        """Return the configuration of a life with other options."""
        changes = {f"method.{name}": value for name, value in options.items()}
        return life.with_options(changes.items(), find_method(self.method).options)

    def description(self) -> dict[str, Any]:
        """Return as JSON values what trials must have in common to be compared."""
        values = {
            "value": VALUE,
            "space": {name: asdict(part) for name, part in self.space.items()},
            "lives": {name: as_values(life) for name, life in self.lives.items()},
        }
        plain: dict[str, Any] = json.loads(json.dumps(values))
        return plain


def described_now(description: Mapping[str, Any]) -> dict[str, Any]:
    """Return a description on record with the defaults of fields that have come since, as run folders are read."""
    lives = {name: up_to_date(life, f"life {name} of the journal") for name, life in description["lives"].items()}
    return {**description, "lives": lives}


@dataclass(frozen=True)
class TunePlan:
    """A search's file, read and checked."""

    study: StudyPlan
    """The first trial of every method, as a study."""
    searches: tuple[Search, ...]


@dataclass(frozen=True)
class _Entry:
    """What the file says about one method."""

    method: str = ""
    fixed: Options = field(default_factory=dict)
    start: Options = field(default_factory=dict)
    space: Mapping[str, Any] = field(default_factory=dict)


OF_A_STUDY = ("name", "sequences", "orders", "run", "steps_scale", "imports", "workers")
OWN = {"reported": tuple[str, ...], "seeds": tuple[int, ...], "trials": int, "methods": dict[str, Any]}


def read_tune_plan(path: Path) -> TunePlan:
    """Return the plan in a file. Raises BadConfig with file, line, key and remedy."""
    document = Document(path)
    own = _decoded(document)
    entries = {label: _entry(document, label, entry or {}) for label, entry in own["methods"].items()}
    firsts = {
        label: {"method": entry.method or label, **entry.fixed, **entry.start} for label, entry in entries.items()
    }
    study = plan_of(as_study(document, OF_A_STUDY, firsts, own["seeds"]))
    refuse_reported(document, study, own["reported"])
    searches = (_search(document, study, label, entry, own["trials"]) for label, entry in entries.items())
    return TunePlan(study, tuple(searches))


def _decoded(document: Document) -> dict[str, Any]:
    """Return the keys that a study does not have."""
    values: dict[str, Any] = {"reported": (), "seeds": (FIRST_SEED, FIRST_SEED + 1)}
    values |= document.read(OWN, "a search", required=("methods", "trials"), others=OF_A_STUDY)
    if values["trials"] < 1:
        raise BadConfig(f"{document.where('trials')}: trials is {values['trials']}; it must be at least 1.")
    if not values["seeds"] or min(values["seeds"]) < FIRST_SEED:
        raise BadConfig(
            f"{document.where('seeds')}: seeds are {list(values['seeds'])}, but those below {FIRST_SEED} are kept for "
            f"what is reported; give some from {FIRST_SEED} on."
        )
    return values


def _entry(document: Document, label: str, values: Any) -> _Entry:
    with document.at("methods", label):
        return decode(_Entry, values, str(label))


def _search(document: Document, study: StudyPlan, label: str, entry: _Entry, trials: int) -> Search:
    cells = [cell for cell in study.cells if cell.method == label]
    lives = {f"{cell.sequence}-o{cell.order}-s{cell.seed}": cell.config for cell in cells}
    search = Search(label, entry.method or label, entry.fixed, {}, {}, lives, trials if entry.space else 1)
    if strange := [name for name in entry.start if name not in entry.space]:
        raise BadConfig(
            f"{document.where('methods', label, 'start')}: start has {strange[0]!r}, which is not searched; give what "
            "all trials share under `fixed`."
        )
    space: dict[str, Range | Choices] = {}
    first: dict[str, Any] = {}
    for name, values in entry.space.items():
        with document.at("methods", label, "space", name):
            part = _part(name, values)
            examples = [_value(search.config(cells[0].config, {name: example}), name) for example in part.examples]
            space[name] = Choices(tuple(examples)) if isinstance(part, Choices) else part  # 1 of a float option: 1.0
            first[name] = _value(cells[0].config, name)
            if first[name] not in space[name]:
                raise BadConfig(
                    f"the first trial's {name} is {first[name]!r}, which is not in the space; widen the space, or add "
                    f"`start: {{{name}: ...}}` with a value in it."
                )
    return replace(search, space=space, first=first)


def _part(name: str, values: Any) -> Range | Choices:
    if isinstance(values, dict) and "choices" in values:
        return decode(Choices, values, name)
    return decode(Range, values, name)


def _value(config: RunConfig, name: str) -> Any:
    """Return the value that a run's method has for an option, as JSON values."""
    options = decode(find_method(config.method).options, config.method_options, config.method)
    return json.loads(json.dumps(reduce(getattr, name.replace("-", "_").split("."), options)))
