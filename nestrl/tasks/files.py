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

from nestrl.document import Document
from nestrl.errors import BadConfig, UnknownName, nearest
from nestrl.tasks.sequence import Segment, Task, TaskSequence

Arguments = dict[str, Any]
SEQUENCE: Arguments = {"name": str, "tasks": str | list, "segments": list, "steps": int, "revisits_are_new": bool}
SEQUENCE |= {"agent": Arguments}
TASK: Arguments = {"name": str, "env": str, "kwargs": Arguments, "success_threshold": int | float}
TASK |= {"evaluation_kwargs": Arguments, "reward_scale": int | float | str}
SEGMENT = {"task": str, "steps": int}

Named = Mapping[str, Callable[[], TaskSequence]]
"""Makers of the sequences that have a name."""


def read_sequence(path: Path, named: Named) -> TaskSequence:
    """Return the sequence in a YAML file; BadConfig if the file cannot be read or used."""
    document = Document(path)
    values = document.read(SEQUENCE, "a sequence", required=("tasks",))
    tasks, agent = _tasks(document, values["tasks"], named)
    segments = _segments(document, values, tasks)
    trained = {segment.task for segment in segments}
    known = {task.name for task in tasks}
    if isinstance(values["tasks"], str) and trained <= known:  # of a sequence; TaskSequence refuses what is not known
        tasks = [task for task in tasks if task.name in trained]
    new = values.get("revisits_are_new", False)
    with document.at():
        return TaskSequence(values.get("name", path.stem), tuple(tasks), segments, new, values.get("agent", agent))


def _tasks(document: Document, tasks: str | list[Any], named: Named) -> tuple[list[Task], Mapping[str, Any]]:
    """Return the tasks that are listed, or all of a named sequence, and the settings of the learner that it wants."""
    if isinstance(tasks, list):
        return [_task(document, place) for place in range(len(tasks))], {}
    if tasks not in named:
        where = document.where("tasks")
        raise UnknownName(f"{where}: no sequence {tasks!r} to take the tasks of.{nearest(tasks, named)}")
    sequence = named[tasks]()
    return list(sequence.tasks), sequence.agent


def _task(document: Document, place: int) -> Task:
    values = document.read(TASK, "an entry of 'tasks'", "tasks", place, required=("name", "env"))
    values |= {"env_id": values.pop("env"), "env_kwargs": values.pop("kwargs", {})}
    with document.at("tasks", place):
        return Task(**values)


def _segments(document: Document, values: Mapping[str, Any], tasks: list[Task]) -> tuple[Segment, ...]:
    if ("segments" in values) == ("steps" in values):
        raise BadConfig(
            f"{document.where()}: give either 'segments' (a list of task and steps) or 'steps' (a number for every "
            "task, in the order of 'tasks')."
        )
    if "steps" in values:
        return tuple(Segment(task.name, values["steps"]) for task in tasks)
    places = range(len(values["segments"]))
    return tuple(
        Segment(**document.read(SEGMENT, "an entry of 'segments'", "segments", place, required=SEGMENT))
        for place in places
    )
