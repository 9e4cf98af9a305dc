"""Which runs answer the same question, so that a table may average them."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from nestrl.training.config import as_values
from nestrl.training.result import Run

WHATEVER = ("seed", "threads", "imports", "checkpoint_every")
"""Of a configuration: what only chance or speed hang on."""
SHOWN = 3
"""Differences that a group's name spells out."""


def grouped(runs: Sequence[Run]) -> dict[tuple[str, str], list[Run]]:
    """Return the runs by (sequence, method), as first met.

    Options and steps that differ make a group of their own, whose name says in what: "nested (heads per_task)".
    """
    groups: dict[tuple[str, str], list[Run]] = {}
    first: dict[tuple[str, str], dict[str, Any]] = {}
    names: dict[str, tuple[str, str]] = {}
    for run in runs:
        kind, name = _kind(run), (run.config.sequence.name, run.config.method)
        key = json.dumps(kind, sort_keys=True)
        if key not in names:
            differences = _differences(first.setdefault(name, kind), kind)
            label = f"{name[1]} ({differences})" if differences else name[1]
            names[key] = _unused((name[0], label), groups)
        groups.setdefault(names[key], []).append(run)
    return groups


def copies(runs: Sequence[Run]) -> list[str]:
    """Return a sentence for each run that has configuration and seed of an earlier one."""
    found: dict[str, Run] = {}
    sentences = []
    for run in runs:
        known = found.setdefault(json.dumps([_kind(run), run.config.seed], sort_keys=True), run)
        if known is not run:
            sentences.append(f"{run.path} has the configuration and the seed of {known.path}; both are counted")
    return sentences


def _kind(run: Run) -> dict[str, Any]:
    """Return what decides which question a run answers, by the names of options."""
    values = as_values(run.config)
    return dict(_flat({name: value for name, value in values.items() if name not in WHATEVER}))


def _flat(values: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{before}{name}.")
        else:
            yield before + name, value


def _differences(first: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    """Return in what options another kind of runs differs from the first one of its name; empty for that itself."""
    changed = [name for name in {**other, **first} if first.get(name) != other.get(name)]
    sequence = [name for name in changed if name.startswith("sequence.")]
    said = [f"{name.rpartition('.')[2]} {_said(other.get(name))}" for name in changed if name not in sequence]
    said += ["another sequence"] if sequence else []
    return ", ".join(said[:SHOWN] + ["..."] * (len(said) > SHOWN))


def _said(value: Any) -> str:
    return "as by default" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _unused(name: tuple[str, str], taken: Mapping[tuple[str, str], object]) -> tuple[str, str]:
    """Return a group's name, with a number behind it where another group has the same."""
    numbers = (name if n == 1 else (name[0], f"{name[1]} ({n})") for n in range(1, len(taken) + 2))
    return next(candidate for candidate in numbers if candidate not in taken)
