"""What a study runs: its YAML file as a StudyPlan, with every run configured and checked before the first begins.

    name: mixed-5
    sequences: [mixed-5]                 # names, or YAML files
    orders:                              # optional: seed k lives through order k, counted round and round
      - [reach, slalom, button, ice, door]
      - [door, ice, button, slalom, reach]
    seeds: 10                            # 0 to 9, or a list
    methods:                             # a label, and the method's options
      finetune: {}
      cloning-constant: {method: cloning, weight: 0.1}    # `method` where the label is not its name
    tuned: results/tune-dev-3/best.yaml  # optional: options, by label, of the methods that give none themselves
    regimes:                             # optional: a label, and options as of --set
      shared: {}
      per_task: {agent.heads: per_task}
    run: {evaluations_per_segment: 5}    # optional: options of every run, as of --set
    steps_scale: 1.0                     # optional, and so are the following
    imports: [my_package]                # modules that register environments, sequences or methods
    workers: 0                           # runs side by side; 0: one a core
    references: 3                        # seeds of the reference curves that are made first; 0: none are made

Mistakes are answered with the file, the line, the key and what to do.
"""

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, get_type_hints

from nestrl.agents.algorithms import algorithm_class, hyperparameters
from nestrl.agents.config import AgentConfig
from nestrl.agents.environments import find_spec
from nestrl.decode import decode
from nestrl.document import Document
from nestrl.errors import BadConfig, NestrlError, nearest
from nestrl.tasks.named import sequence as find_sequence
from nestrl.tasks.sequence import TaskSequence
from nestrl.training.config import RunConfig, import_modules
from nestrl.training.train import configure

Options = Mapping[str, Any]
LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]*")
MOST_SEEDS = 1000  # more are one seed that was meant
"""What labels and names are made of: they become names of folders."""


@dataclass(frozen=True)
class Cell:
    """One run of a study: a method under a regime, through a sequence in an order, from a seed."""

    method: str
    """The label of the method in the study."""
    regime: str
    sequence: str
    order: int
    """Which of the study's orders; 0 where there is none."""
    seed: int
    config: RunConfig

    @property
    def name(self) -> str:
        """Of the run's folder."""
        return f"{self.method}-{self.regime}-{self.sequence}-o{self.order}-s{self.seed}"


@dataclass(frozen=True)
class StudyPlan:
    """A study's file, read and checked. The keys mean what the module's example says."""

    name: str
    sequences: tuple[str, ...]
    methods: Mapping[str, Options]
    orders: tuple[tuple[str, ...], ...] = ()
    seeds: tuple[int, ...] = (0,)
    regimes: Mapping[str, Options] = field(default_factory=lambda: {"shared": {}})
    run: Options = field(default_factory=dict)
    steps_scale: float = 1.0
    imports: tuple[str, ...] = ()
    workers: int = 0
    references: int = 0
    tuned: str = ""
    untuned: tuple[str, ...] = ()
    """Methods without options of their own, of which the file named in `tuned` has none: they keep their defaults."""
    cells: tuple[Cell, ...] = ()
    """All runs, in rounds: every method with the first seed, then with the second, and so on, so that a study that is
    stopped early is balanced."""


KEYS = {name: kind for name, kind in get_type_hints(StudyPlan).items() if name not in ("untuned", "cells")}
KEYS["seeds"] = int | tuple[int, ...]
KEYS["methods"] = KEYS["regimes"] = Mapping[str, Any]  # where nothing at all stands for no options; see `_options`


def read_plan(path: Path) -> StudyPlan:
    """Return the plan in a file, with its cells. Raises BadConfig with file, line, key and remedy."""
    return plan_of(Document(path))


def read_outline(path: Path) -> StudyPlan:
    """Return the plan in a file without its cells, its options unchecked. Raises BadConfig for a wrong key or type."""
    return _decoded(Document(path))


def plan_of(document: Document) -> StudyPlan:
    """Return the plan that a document holds, as `read_plan` does."""
    plan = _decoded(document)
    if plan.tuned:
        plan = _with_tuned(document, plan)
    with document.at("imports"):
        import_modules(plan.imports)
    _check_values(document, plan)
    sequences = _sequences(document, plan)
    _check_options(document, plan)
    return replace(plan, cells=_cells(document, plan, sequences))


def _decoded(document: Document) -> StudyPlan:
    values = dict(document.values)
    for key, value in values.items():
        if key not in KEYS:
            raise BadConfig(f"{document.where(key)}: a study has no {key!r}.{nearest(str(key), KEYS)}")
        with document.at(key):
            values[key] = decode(KEYS[key], value, key)
    for key in ("name", "sequences", "methods"):
        if not values.get(key):
            raise BadConfig(f"{document.where(key)}: the study has no {key}; add at least one.")
    if isinstance(values.get("seeds"), int):
        if values["seeds"] > MOST_SEEDS:
            raise BadConfig(
                f"{document.where('seeds')}: {values['seeds']} seeds are too many; [{values['seeds']}] is one."
            )
        values["seeds"] = tuple(range(values["seeds"]))
    for key in ("methods", "regimes"):
        for label, options in values.get(key, {}).items():
            values[key][label] = _options(document, options, key, label)
    return StudyPlan(**values)


def _with_tuned(document: Document, plan: StudyPlan) -> StudyPlan:
    """Return the plan; methods that give no options but their name have those in a file that `nestrl tune` wrote."""
    with document.at("tuned"):
        found = Document(Path(plan.tuned)).values
    plain = [label for label, options in plan.methods.items() if set(options) <= {"method"}]
    tuned = {
        label: {**_options(document, found[label], "methods", label), **plan.methods[label]}
        for label in plain
        if label in found
    }
    untuned = tuple(label for label in plain if label not in found)
    return replace(plan, methods={**plan.methods, **tuned}, untuned=untuned)


def _options(document: Document, options: Any, *place: str) -> Options:
    """Return the options under a label; nothing at all stands for none of them."""
    if options is None:
        return {}
    if not isinstance(options, dict) or not all(isinstance(key, str) for key in options):
        what = f"{place[-1]!r} must be a mapping of options, such as {{}}, not {options!r}"
        raise BadConfig(f"{document.where(*place)}: {what}.")
    return options


def _check_values(document: Document, plan: StudyPlan) -> None:
    places = [("methods", label) for label in plan.methods] + [("regimes", label) for label in plan.regimes]
    for key, label in [("name", plan.name), *places]:
        if not isinstance(label, str) or not LABEL.fullmatch(label):
            remedy = "give a name of letters, digits and _.+-, in quotes if it is a number"
            raise BadConfig(f"{document.where(key, label)}: {label!r} cannot name a folder; {remedy}.")
    if not plan.seeds or not plan.regimes:
        raise BadConfig(f"{document.where('seeds')}: the study has no seeds or no regimes; give at least one of each.")
    for key, least in (("workers", 0), ("references", 0)):
        if getattr(plan, key) < least:
            raise BadConfig(f"{document.where(key)}: {key} is {getattr(plan, key)}; it must be at least {least}.")


def _sequences(document: Document, plan: StudyPlan) -> dict[str, list[TaskSequence]]:
    """Return the sequences by name, each in all its orders, with the steps scaled."""
    if plan.orders and len(plan.sequences) > 1:
        where, count = document.where("orders"), len(plan.sequences)
        raise BadConfig(f"{where}: orders name the tasks of one sequence, but there are {count}; make a study of each.")
    found: dict[str, list[TaskSequence]] = {}
    for index, name in enumerate(plan.sequences):
        with document.at("sequences", index):
            whole = find_sequence(name)
            for task in whole.tasks:
                find_spec(task.env_id)
        if whole.name in found:
            raise BadConfig(f"{document.where('sequences', index)}: {whole.name!r} comes twice; remove one.")
        orders = [_reordered(document, whole, order, number) for number, order in enumerate(plan.orders)]
        found[whole.name] = orders or [whole]
    return found


def _reordered(document: Document, whole: TaskSequence, order: Sequence[str], number: int) -> TaskSequence:
    with document.at("orders", number):
        reordered = whole.reordered(order, whole.name)
        left_out = set(whole.task_names) - set(order)
        if left_out:
            raise BadConfig(f"an order names every task once; this one lacks {', '.join(sorted(left_out))}.")
    return reordered


def _check_options(document: Document, plan: StudyPlan) -> None:
    """Try all groups of options, so that a wrong one is shown at its own line."""
    sequence = find_sequence(plan.sequences[0])
    with document.at("steps_scale"):
        configure(sequence, steps_scale=plan.steps_scale)
    groups: dict[tuple[str, ...], Options] = {("run",): plan.run}
    groups |= {("regimes", label): options for label, options in plan.regimes.items()}
    for place, options in groups.items():
        for key in options:
            if key.startswith("method."):
                where = document.where(*place, key)
                raise BadConfig(f"{where}: {key!r} belongs under 'methods', without 'method.'.")
        _try_group(document, place, options, partial(configure, sequence))
    for label, options in plan.methods.items():
        name, own = method_and_options(label, options)
        with document.at("methods", label, "method"):
            configure(sequence, name)
        _try_group(document, ("methods", label), own, partial(configure, sequence, name))


def _try_group(document: Document, place: tuple[str, ...], options: Options, attempt: Callable[..., object]) -> None:
    """Try options together, since some need one another; at fault is the one without which the rest is accepted."""
    with document.at(*place, *_at_fault(options, attempt)):
        attempt(options=options)


def _at_fault(options: Options, attempt: Callable[..., object]) -> tuple[str, ...]:
    """Return the key of the first option without which the others are accepted; nothing if there is none."""
    for left_out in options:
        try:
            attempt(options={key: value for key, value in options.items() if key != left_out})
        except NestrlError:
            continue
        return (left_out.removeprefix("method."),)
    return ()


def method_and_options(label: str, options: Options) -> tuple[str, Options]:
    """Return the method's name in the registry, and its options as of --set, of an entry of `methods`."""
    own = {f"method.{key}": value for key, value in options.items() if key != "method"}
    return str(options.get("method", label)), own


def _cells(document: Document, plan: StudyPlan, sequences: Mapping[str, list[TaskSequence]]) -> tuple[Cell, ...]:
    cells = []
    for seed in plan.seeds:
        for name, orders in sequences.items():
            order = seed % len(orders)
            for regime in plan.regimes:
                for method in plan.methods:
                    config = _config(document, plan, method, regime, orders[order], seed)
                    cells.append(Cell(method, regime, name, order, seed, config))
    doubled = [name for name, count in Counter(cell.name for cell in cells).items() if count > 1]
    if doubled:
        raise BadConfig(f"{document.where()}: two runs would be called {doubled[0]!r}; change a label or a seed.")
    return tuple(cells)


def _config(
    document: Document, plan: StudyPlan, label: str, regime: str, sequence: TaskSequence, seed: int
) -> RunConfig:
    method, own = method_and_options(label, plan.methods[label])
    options = {**plan.run, **plan.regimes[regime], **own}
    with document.at("methods", label):
        config = configure(
            sequence, method, seed=seed, steps_scale=plan.steps_scale, options=options, imports=plan.imports
        )
        _check_agent(config.agent)
    return config


def _check_agent(agent: AgentConfig) -> None:
    """Raise UnknownName or BadConfig for an algorithm or a hyperparameter that there is not."""
    hyperparameters(algorithm_class(agent.algorithm), agent.hyperparameters, agent.n_envs)
