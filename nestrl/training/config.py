"""Everything that determines the result of a run, as one value that is saved with it."""

import dataclasses
import importlib
import json
from collections.abc import Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nestrl.agents.config import AgentConfig
from nestrl.decode import decode, decode_in_place
from nestrl.errors import BadConfig, UnknownName, nearest
from nestrl.evaluation.retention import TARGET_SUCCESS
from nestrl.methods import find_method
from nestrl.methods.composed import field_name
from nestrl.tasks.sequence import TaskSequence

AT_LEAST = {
    "seed": 0, "evaluations_per_segment": 1, "evaluation_episodes": 1, "checkpoint_every": 1, "final_episodes": 1,
    "threads": 1, "patience": 1,
}  # fmt: skip

OWN_ARGUMENTS = ("sequence", "method", "method_options", "agent", "seed", "imports")
"""Fields of a run that are no options: `train` has an argument for each."""
MOST_THREADS = 1024
"""More than any machine has use for, and few enough for torch."""


@dataclass(frozen=True)
class RunConfig:
    """One run: which tasks in which order, learned by whom, kept how, measured when.

    sequence: what is learned, in which order and for how many steps.
    method, method_options: how skills are kept, a name of `nestrl list methods` or "package.module:Class".
    agent: the learning algorithm, its network and hyperparameters.
    seed: of everything random in training; evaluation has its own fixed starts.
    evaluations_per_segment: evaluations of all tasks within each segment, the last at its end; one more at step 0.
    evaluation_episodes: episodes of each task at each of them.
    checkpoint_every: evaluations between checkpoints; the end of a segment always has one.
    final_episodes: episodes of each task when all is done, for the success rates with intervals.
    boundaries: "given", or "detected": the learner is told neither task nor boundary, and notices by itself
        (nestrl/identity/unlabelled_training.py).
    identity: of the task in testing, "told", "observed" (it is recognised from each observation) or "tried" (three
        episodes with each known task decide).
    imports: modules that register environments, sequences or methods.
    threads: of torch; more than one seldom pays for networks this small.
    segments: "fixed", as long as planned, or "adaptive": a learned task hands its remaining steps to those that lag
        (nestrl/training/segments.py).
    target_success: in 0..1, at which a task counts as learned there, and of the metric steps_to_all.
    patience: windows of training episodes in a row that must reach it, with exploration noise or tried out without,
        before an adaptive segment ends.
    """

    sequence: TaskSequence
    method: str = "nested"
    method_options: Mapping[str, Any] = field(default_factory=dict)
    agent: AgentConfig = field(default_factory=AgentConfig)
    seed: int = 0
    evaluations_per_segment: int = 3
    evaluation_episodes: int = 16
    checkpoint_every: int = 1
    final_episodes: int = 100
    boundaries: str = "given"
    identity: str = "told"
    imports: tuple[str, ...] = ()
    threads: int = 1
    segments: str = "fixed"
    target_success: float = TARGET_SUCCESS
    patience: int = 2

    def __post_init__(self) -> None:
        decode_in_place(self, "run")
        for name, least in AT_LEAST.items():
            if getattr(self, name) < least:
                raise BadConfig(f"{name} is {getattr(self, name)}; it must be at least {least}.")
        if self.threads > MOST_THREADS:
            raise BadConfig(f"threads is {self.threads}; it must be at most {MOST_THREADS}.")
        if self.seed >= 2**32:
            raise BadConfig(f"seed is {self.seed}; it must be below 2**32.")
        self._check_what_is_told()
        if self.segments not in ("fixed", "adaptive"):
            raise BadConfig(f"segments is {self.segments!r}; it must be 'fixed' or 'adaptive'.")
        if self.segments == "fixed" and self.patience != type(self).patience:
            raise BadConfig(f"patience is {self.patience}, but only adaptive segments wait; use segments=adaptive.")
        if not 0 < self.target_success <= 1:
            raise BadConfig(f"target_success is {self.target_success}; it must be above 0 and at most 1.")
        if self.segments == "adaptive" and self.sequence.revisits_are_new:
            raise BadConfig(
                f"adaptive segments bring tasks back, but in {self.sequence.name!r} each visit counts as a new task; "
                "use fixed segments, or a sequence in which a task stays the same one."
            )

    def _check_what_is_told(self) -> None:
        for name, known in (("boundaries", ("given", "detected")), ("identity", ("told", "observed", "tried"))):
            if getattr(self, name) not in known:
                raise BadConfig(f"{name} is {getattr(self, name)!r}; it must be one of {', '.join(known)}.")
        if self.boundaries == "detected" and self.identity == "told":
            raise BadConfig(
                "With boundaries detected nobody knows which task is which, so identity cannot be 'told'; "
                "set it to 'observed' or 'tried'."
            )
        if self.boundaries == "detected" and self.segments == "adaptive":
            raise BadConfig(
                "Adaptive segments end by what is known of their task; with boundaries detected use fixed ones."
            )

    @property
    def default_folder(self) -> Path:
        """runs/<sequence>-<method>-s<seed>, below the current folder."""
        method = "+".join(part.rpartition(":")[2] for part in self.method.split("+"))
        return Path("runs") / f"{self.sequence.name}-{method}-s{self.seed}"

    @property
    def segment_rule(self) -> str:
        """How its segments end, in words; runs of different rules stand in no common table."""
        adaptive = f"adaptive to {self.target_success:g}, patience {self.patience}"
        return adaptive if self.segments == "adaptive" else "fixed"

    @property
    def trains_jointly(self) -> bool:
        """Whether the method trains on all tasks at once, so that its segments mean nothing."""
        return find_method(self.method).card.joint

    @property
    def plans_by_length(self) -> bool:
        """Whether the method must know how long a segment will be."""
        return "length of segments" in find_method(self.method).card.knows

    def require_suited_method(self) -> None:
        """Raise BadConfig where the method cannot be trained, or told as little, as this asks for."""
        name, tasks, simulations = self.method, len(self.sequence.trained_tasks), self.agent.n_envs
        if self.trains_jointly and self.segments == "adaptive":
            raise BadConfig(f"{name} trains on all tasks at once; its segments cannot be adaptive, only fixed.")
        if self.trains_jointly and self.identity != "told":
            raise BadConfig(f"{name} trains on all tasks at once; its identity must be 'told'.")
        if self.trains_jointly and simulations < tasks:
            raise BadConfig(f"{simulations} simulations cannot hold {tasks} tasks at once; set agent.n_envs higher.")
        if self.plans_by_length and self.segments == "adaptive":
            raise BadConfig(f"{name} must know how long a segment will be; adaptive ones end when it is learned.")
        if self.plans_by_length and self.boundaries == "detected":
            raise BadConfig(f"{name} must know how long a segment will be; its boundaries must be 'given'.")

    def to_json(self) -> str:
        """Return JSON that `from_json` turns into an equal value; BadConfig for what cannot be written so."""
        plain = vars(self) | {"sequence": self.sequence.to_dict(), "agent": dataclasses.asdict(self.agent)}
        try:
            return json.dumps(plain, indent=2) + "\n"
        except TypeError as error:
            raise BadConfig(f"The configuration must be numbers, text, lists and mappings: {error}.") from error

    @property
    def as_written(self) -> "RunConfig":
        """This as a run folder would give it back: tuples in options have become lists."""
        return self.from_json(self.to_json())

    @classmethod
    def from_json(cls, text: str, where: str = "config.json") -> "RunConfig":
        """Return the value; raises BadConfig or UnknownName that names `where` and the key at fault."""
        try:
            plain = json.loads(text)
            plain["sequence"] = TaskSequence.from_dict(plain["sequence"])
        except (ValueError, KeyError, TypeError) as error:
            raise BadConfig(f"{where} is not a run configuration ({error}); restore it from a backup.") from error
        return decode(cls, plain, where)

    def with_options(self, assignments: Iterable[tuple[str, Any]], method_options: type) -> "RunConfig":
        """Return this with options changed, each a (name, value) pair.

        Names are fields of RunConfig, `agent.<field>`, `agent.hyperparameters.<name>` or `method.<field>`, the last
        those of the dataclass `method_options`; where that is put together from parts, `method.<part>.<field>`. Raises
        UnknownName with the nearest names, or BadConfig.
        """
        run: dict[str, Any] = {}
        agent = dict(vars(self.agent))
        method = deepcopy(dict(self.method_options))  # a part's options are a mapping
        known = _option_names(method_options)
        spelled = {field_name(name): name for name in known}
        for given, value in assignments:
            name = str(given)
            group, _, key = name.rpartition(".")
            if group == "agent.hyperparameters":
                if not isinstance(agent["hyperparameters"], Mapping):
                    raise BadConfig(f"agent.hyperparameters is {agent['hyperparameters']!r}; it must be a mapping.")
                agent["hyperparameters"] = {**agent["hyperparameters"], key: value}
                continue
            if name not in known:
                name = spelled.get(field_name(name), name)  # parts as in the method's name
                group, _, key = name.rpartition(".")
            if name in OWN_ARGUMENTS:
                raise UnknownName(f"{name} is no option: it has an argument of its own; see `nestrl train --help`.")
            if name not in known:
                raise UnknownName(f"there is no option {name!r}.{nearest(name, known)}")
            if group.startswith("method."):
                part = method
                for field in group.split(".")[1:]:
                    part = part.setdefault(field, {})
                part[key] = value
            else:
                {"": run, "agent": agent, "method": method}[group][key] = value
        here = vars(self) | run | {"agent": decode(AgentConfig, agent, "agent"), "method_options": method}
        decode(method_options, method, "method")
        return decode(RunConfig, here, "run")


def as_values(config: RunConfig) -> dict[str, Any]:
    """Return a configuration as JSON values, to be put on record among others."""
    values: dict[str, Any] = json.loads(config.to_json())
    return values


def up_to_date(record: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return what `as_values` once gave as it would be now: fields that have come since have their defaults.

    Raises BadConfig that names `where`.
    """
    return as_values(RunConfig.from_json(json.dumps(record), where))


def import_modules(names: Iterable[str]) -> None:
    """Import modules for what they register; raises BadConfig for one that cannot be imported."""
    for name in names:
        try:
            importlib.import_module(name)
        except Exception as error:  # whatever a stranger's module raises
            raise BadConfig(
                f"could not import {name!r}: {error!r}; start from the folder that holds it, or install it."
            ) from error


def _option_names(method_options: type) -> list[str]:
    run = [item.name for item in dataclasses.fields(RunConfig) if item.name not in OWN_ARGUMENTS]
    agent = [f"agent.{item.name}" for item in dataclasses.fields(AgentConfig)]
    return run + agent + _method_option_names(method_options, "method.")


def _method_option_names(options: type, before: str) -> list[str]:
    names: list[str] = []
    for item in dataclasses.fields(options):
        is_part = dataclasses.is_dataclass(item.type)
        names += _method_option_names(item.type, f"{before}{item.name}.") if is_part else [before + item.name]  # type: ignore[arg-type]
    return names
