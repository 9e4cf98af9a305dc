"""A sequence as a YAML file, for people to write. Errors name the file, the line, the key and what to do.

    name: two-arms
    tasks:
      - {name: reacher, env: Reacher-v5, success_threshold: -5}
      - {name: mine, env: "my_package:MyArm-v0", kwargs: {payload: 0.5}}
    segments:
      - {task: reacher, steps: 200000}
      - {task: mine, steps: 300000}

In place of `segments`, `steps: 200000` trains every task once, in the order of the list. `tasks: mixed-10` takes those
tasks of a named sequence that the segments name, and the learner that it wants. `revisits_are_new: true` counts a task
that comes back as a new one. `evaluation_kwargs` of a task replace some of its `kwargs` when success is measured.
`reward_scale: 0.01` multiplies the rewards that the learner gets, `reward_scale: auto` finds by what. `agent: {n_envs:
64}` gives the settings of the learner (nestrl.AgentConfig) that these tasks want; what is set at the command line goes
before them.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from nestrl.errors import BadConfig, UnknownName, nearest
from nestrl.tasks.sequence import Segment, Task, TaskSequence

SEQUENCE_KEYS = {"name": str, "tasks": (list, str), "segments": list, "steps": int, "revisits_are_new": bool}
SEQUENCE_KEYS |= {"agent": dict}
TASK_KEYS = {"name": str, "env": str, "kwargs": dict, "success_threshold": (int, float), "evaluation_kwargs": dict}
TASK_KEYS |= {"reward_scale": (int, float, str)}
SEGMENT_KEYS = {"task": str, "steps": int}

LINE = "__line__"  # where a mapping starts; set by the loader
Keys = dict[str, Any]
Named = Mapping[str, Callable[[], TaskSequence]]
"""Makers of the sequences that have a name."""


def read_sequence(path: Path, named: Named) -> TaskSequence:
    """Return the sequence in a YAML file; BadConfig if the file cannot be read or used."""
    try:
        values = yaml.load(path.read_text(encoding="utf-8"), _LineLoader)
    except OSError as error:
        raise BadConfig(f"{path} cannot be read: {error.strerror}.") from error
    except (yaml.YAMLError, ValueError) as error:  # ValueError: of a date that there is not, or not UTF-8
        raise BadConfig(f"{path} is not YAML: {' '.join(str(error).split())}.") from error
    values = _mapping(path, values, 1, "the file", SEQUENCE_KEYS, required=("tasks",))
    tasks, agent = _tasks(path, values, named)
    segments = _segments(path, values, tasks)
    trained = {segment.task for segment in segments}
    known = {task.name for task in tasks}
    if isinstance(values["tasks"], str) and trained <= known:  # of a sequence; TaskSequence refuses what is not known
        tasks = [task for task in tasks if task.name in trained]
    try:
        return TaskSequence(
            values.get("name", path.stem),
            tuple(tasks),
            segments,
            values.get("revisits_are_new", False),
            _without_lines(values["agent"]) if "agent" in values else agent,
        )
    except BadConfig as error:
        raise BadConfig(f"{path}: {error}") from error


def _tasks(path: Path, values: Keys, named: Named) -> tuple[list[Task], Mapping[str, Any]]:
    """Return the tasks that are listed, or all of a named sequence, and the settings of the learner that it wants."""
    tasks = values["tasks"]
    if isinstance(tasks, list):
        return [_task(path, entry, values[LINE]) for entry in tasks], {}
    if tasks not in named:
        where = f"{path}, line {values[LINE]}"
        raise UnknownName(f"{where}: no sequence {tasks!r} to take the tasks of.{nearest(tasks, named)}")
    sequence = named[tasks]()
    return list(sequence.tasks), sequence.agent


def _task(path: Path, entry: Any, line: int) -> Task:
    values = _mapping(path, entry, line, "an entry of 'tasks'", TASK_KEYS, required=("name", "env"))
    try:
        return Task(
            values["name"],
            values["env"],
            _without_lines(values.get("kwargs", {})),
            values.get("success_threshold"),
            _without_lines(values.get("evaluation_kwargs", {})),
            values.get("reward_scale", 1.0),
        )
    except BadConfig as error:
        raise BadConfig(f"{path}, line {values[LINE]}: {error}") from error


def _segments(path: Path, values: Keys, tasks: list[Task]) -> tuple[Segment, ...]:
    if ("segments" in values) == ("steps" in values):
        raise BadConfig(
            f"{path}, line {values[LINE]}: give either 'segments' (a list of task and steps) or 'steps' (a number for "
            "every task, in the order of 'tasks')."
        )
    if "steps" in values:
        return tuple(Segment(task.name, values["steps"]) for task in tasks)
    name = "an entry of 'segments'"
    entries = [
        _mapping(path, entry, values[LINE], name, SEGMENT_KEYS, tuple(SEGMENT_KEYS)) for entry in values["segments"]
    ]
    return tuple(Segment(entry["task"], entry["steps"]) for entry in entries)


def _mapping(path: Path, values: Any, line: int, what: str, keys: Keys, required: tuple[str, ...]) -> Keys:
    """Return `values` if it is a mapping that has all required keys and none but known ones, each of the right type."""
    if not isinstance(values, dict):
        raise BadConfig(f"{path}, line {line}: {what} must be a mapping with {', '.join(keys)}, not {values!r}.")
    where = f"{path}, line {values[LINE]}"
    for key, value in values.items():
        if key == LINE:
            continue
        if key not in keys:
            raise BadConfig(f"{where}: {what} has an unknown key {key!r}.{nearest(str(key), keys)}")
        if not isinstance(value, keys[key]) or (isinstance(value, bool) and keys[key] is not bool):
            raise BadConfig(f"{where}: {key!r} is {_without_lines(value)!r}, but must be {_KINDS[keys[key]]}.")
    for key in required:
        if key not in values:
            raise BadConfig(f"{where}: {what} has no {key!r}; add it.")
    return values


_KINDS: dict[Any, str] = {
    str: "text",
    int: "a whole number",
    bool: "true or false",
    list: "a list",
    (list, str): "a list, or the name of a sequence",
    dict: "a mapping",
    (int, float): "a number",
    (int, float, str): "a number or 'auto'",
}


class _LineLoader(yaml.SafeLoader):
    """Reads plain YAML values and notes in every mapping the line at which it starts."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        return {**super().construct_mapping(node, deep=True), LINE: node.start_mark.line + 1}


def _without_lines(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_lines(item) for key, item in value.items() if key != LINE}
    return [_without_lines(item) for item in value] if isinstance(value, list) else value
