"""Whether runs belong in one table: what they must have in common, and what no flag allows to differ."""

import json
from collections.abc import Callable, Sequence
from typing import Any

from nestrl.errors import BadConfig
from nestrl.studies.ledger import Record

TOLERANCE = 0.02  # whole rollouts, and whole episodes of trials, make lives end a little apart

AS_NEEDED = "as needed"  # what adaptive segments take, each run its own
NOT_INSTALLED = "not installed"  # of an extra that not every run had, so that their tasks cannot need it

NOT_RECORDED = "not recorded"  # in records of older versions

VERSIONS: dict[str, Callable[[Record], Any]] = {
    "nestrl": lambda record: record.versions.get("nestrl", NOT_RECORDED),
    "mujoco": lambda record: record.versions.get("mujoco"),
    "torch": lambda record: record.versions.get("torch"),
    "stable-baselines3": lambda record: record.versions.get("stable-baselines3"),
    "envpool": lambda record: record.versions.get("envpool", NOT_INSTALLED),
}
MUST_AGREE: dict[str, Callable[[Record], Any]] = VERSIONS | {
    "environment steps": lambda record: record.environment_steps if record.fixed else AS_NEEDED,
    "network": lambda record: list(record.network),
    "learner": lambda record: NOT_RECORDED if record.agent is None else record.agent,
    "evaluations": lambda record: len(record.steps) if record.fixed else AS_NEEDED,
    "evaluation episodes": lambda record: record.episodes,
}
"""What runs of one table must have in common, unless a flag allows that they are mixed."""


SEGMENT_RULES = "runs with segments that end by different rules"
"""Such runs took different numbers of steps on each task: they answer different questions."""


def refuse_what_never_mixes(records: Sequence[Record]) -> None:
    """Raise BadConfig for runs that no flag puts in one table.

    They differ in tasks, in segment rules, in what one number of an order means, or in the options of one method. Only
    where the same number means the same order are two runs of one order and seed a pair.
    """
    refuse_mixed("runs of different tasks", [(record.cell, ", ".join(sorted(record.tasks))) for record in records])
    refuse_mixed(SEGMENT_RULES, [(record.cell, record.segment_rule) for record in records])
    for order in sorted({record.order for record in records}):
        alike = [(record.cell, ", ".join(record.trained_tasks)) for record in records if record.order == order]
        refuse_mixed(f"runs of order {order} that train their tasks in different orders", alike)
    for method in sorted({record.method for record in records}):
        own = [(record.cell, options_of(record)) for record in records if record.method == method]
        refuse_mixed(f"runs of {method} with different options", own)


def options_of(record: Record) -> str:
    """Return the name and the options of a run's method in one order."""
    return f"{record.method_name} {json.dumps(record.options, sort_keys=True)}"


def refuse_mixed(what: str, runs: Sequence[tuple[str, str]]) -> None:
    """Raise BadConfig if runs, each a (name, kind), are of several kinds."""
    first = {kind: name for name, kind in reversed(runs)}
    if len(first) > 1:
        found = "; ".join(f"{kind} ({name})" for kind, name in sorted(first.items()))
        raise BadConfig(f"{what} are never put in one table: {found}. Report each kind alone, or run them again alike.")


def mixed_runs(records: Sequence[Record]) -> list[str]:
    """Return a sentence for each thing that runs of one table must have in common, and do not."""
    sentences = []
    for what, of in MUST_AGREE.items():
        usual = _usual([of(record) for record in records])
        others: dict[str, list[str]] = {}
        for record in records:
            if not _same(of(record), usual):
                others.setdefault(str(of(record)), []).append(record.cell)
        sentences += [f"{what} is {value} in {_few(cells)}, but {usual} elsewhere" for value, cells in others.items()]
    return sentences


def deviations(runs: Sequence[Record], everyone: Sequence[Record]) -> list[str]:
    """Return what is different in runs of one method from what is usual among all."""
    aspects = MUST_AGREE | {"parameters": lambda record: record.n_parameters}
    different = []
    for what, of in aspects.items():
        usual = _usual([of(record) for record in everyone])
        if not all(_same(of(record), usual) for record in runs):
            different.append(f"{what} version differs" if what in VERSIONS else f"different {what}")
    return different


def _usual(values: Sequence[Any]) -> Any:
    """Return the most frequent value, of several the first."""
    known = [value for value in values if value != NOT_RECORDED] or values
    return NOT_INSTALLED if NOT_INSTALLED in known else max(known, key=known.count)


def _same(value: Any, usual: Any) -> bool:
    if usual == NOT_INSTALLED or value == NOT_RECORDED:
        return True
    if isinstance(value, int) and isinstance(usual, int):
        return abs(value - usual) <= TOLERANCE * usual
    return bool(value == usual)


def _few(cells: Sequence[str]) -> str:
    shown = ", ".join(cells[:3])
    return shown if len(cells) <= 3 else f"{shown} and {len(cells) - 3} more"
