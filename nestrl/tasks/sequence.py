"""A task, a segment of training on it, and the sequence of segments that makes up a life: plain frozen data."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from typing import Any

from nestrl.decode import TOO_LARGE, is_number, plain
from nestrl.errors import BadConfig, nearest


def require_text(what: str, value: Any) -> None:
    """Raise BadConfig that begins with `what` for anything but a text of one line that is not empty."""
    if not isinstance(value, str) or not value or not value.isprintable():
        raise BadConfig(f"{what}; give a text of one line.")


@dataclass(frozen=True)
class Task:
    """One environment to be mastered. Raises BadConfig for numbers that make no sense.

    An episode is a success if the environment's info said `is_success` (or `success`) at any of its steps; with a
    `success_threshold`, if its return (sum of rewards) reached that number.
    """

    name: str
    env_id: str
    """Any gymnasium id; "package:Env-v0" imports the package first, "envpool:ID" is one of EnvPool's."""
    env_kwargs: Mapping[str, Any] = field(default_factory=dict)
    """Arguments of the environment; JSON values only, so that a run can be written down."""
    success_threshold: float | None = None
    evaluation_kwargs: Mapping[str, Any] = field(default_factory=dict)
    """Arguments that differ when success is measured: held-out layouts, for example, or no eased starts."""
    reward_scale: float | str = 1.0
    """By what the learner's rewards are multiplied, or "auto": by what brings discounted returns to a standard
    deviation of 1 at any time. The learner's settings are made for returns of about 10; where they are hundreds, or
    grow a thousandfold, the critic cannot follow. Returns are measured and reported without it."""

    def __post_init__(self) -> None:
        require_text(f"A task's name is {self.name!r}", self.name)
        require_text(f"Task {self.name!r} has env_id {self.env_id!r}", self.env_id)
        scale = plain(self.reward_scale)
        if scale != "auto" and not (is_number(scale) and scale > 0):
            raise BadConfig(f"Task {self.name!r} has reward_scale {scale!r}; give a number above 0, or 'auto'.")
        threshold = plain(self.success_threshold)
        if threshold is not None and not is_number(threshold):
            raise BadConfig(f"Task {self.name!r} has success_threshold {threshold!r}; give a finite number.")
        object.__setattr__(self, "success_threshold", threshold)
        for name in ("env_kwargs", "evaluation_kwargs"):
            given = getattr(self, name)
            if not isinstance(given, Mapping):
                raise BadConfig(f"Task {self.name!r} has {name} {given!r}; give a mapping of arguments.")
            self._require_json(given)

    def _require_json(self, arguments: Mapping[str, Any]) -> None:
        """Raise BadConfig for what would come back from a file as something else: the run could not be resumed."""
        try:
            same = json.loads(json.dumps(dict(arguments))) == arguments
        except (TypeError, ValueError):
            same = False
        if not same:
            raise BadConfig(
                f"Task {self.name!r} has arguments that a run's file would not give back: {dict(arguments)!r}; give "
                "finite numbers, text, true, false, null, lists, and mappings with text as keys."
            )

    def arguments(self, *, evaluation: bool) -> dict[str, Any]:
        """Return the environment's arguments for training or for evaluation."""
        return {**self.env_kwargs, **(self.evaluation_kwargs if evaluation else {})}


@dataclass(frozen=True)
class Segment:
    """Training on one task for a number of environment steps."""

    task: str
    steps: int

    def __post_init__(self) -> None:
        require_text(f"A segment's task is {self.task!r}", self.task)
        object.__setattr__(self, "steps", plain(self.steps))


@dataclass(frozen=True)
class TaskSequence:
    """The tasks an agent meets and the order in which it is trained on them. Raises BadConfig if it makes no sense.

    A task may come back in a later segment. Forgetting is then counted from its last segment, unless
    `revisits_are_new`: then each visit counts as a task of its own (as in Continual World's CW20).
    """

    name: str
    tasks: tuple[Task, ...]
    segments: tuple[Segment, ...]
    revisits_are_new: bool = False
    agent: Mapping[str, Any] = field(default_factory=dict)
    """Settings of the learner that these tasks want, as of AgentConfig; what a user sets goes before them."""

    def __post_init__(self) -> None:
        require_text(f"A sequence's name is {self.name!r}", self.name)
        for name, kind in (("tasks", Task), ("segments", Segment)):
            given = getattr(self, name)
            if not isinstance(given, Sequence) or not all(isinstance(each, kind) for each in given):
                raise BadConfig(f"Sequence {self.name!r} has {name} {given!r}; give a list, each a {kind.__name__}.")
            object.__setattr__(self, name, tuple(given))
        if not self.tasks or not self.segments:
            raise BadConfig(f"Sequence {self.name!r} has no tasks or no segments; give it at least one of each.")
        if any(sign in self.name for sign in "/\\\0") or self.name.startswith("."):
            raise BadConfig(f"The sequence's name {self.name!r} becomes a folder's; use no slash and no dot before it.")
        doubled = sorted({name for name in self.task_names if self.task_names.count(name) > 1})
        if doubled:
            raise BadConfig(f"Sequence {self.name!r} has two tasks called {doubled[0]!r}; give each its own name.")
        for number, segment in enumerate(self.segments, start=1):
            where = f"Segment {number} of sequence {self.name!r}"
            if segment.task not in self.task_names:
                known = nearest(segment.task, self.task_names)
                raise BadConfig(f"{where} trains {segment.task!r}, which is not among the tasks.{known}")
            if not isinstance(segment.steps, int) or not 1 <= segment.steps < TOO_LARGE:
                raise BadConfig(f"{where} lasts {segment.steps!r} steps; it must be a whole number from 1 to 2**63.")

    @property
    def trained_tasks(self) -> tuple[str, ...]:
        """Names of the tasks that some segment trains, in the order of `tasks`; others are only evaluated."""
        trained = {segment.task for segment in self.segments}
        return tuple(name for name in self.task_names if name in trained)

    @property
    def task_names(self) -> tuple[str, ...]:
        """Names of the tasks; their position is the task's index everywhere."""
        return tuple(task.name for task in self.tasks)

    @property
    def n_tasks(self) -> int:
        """Number of different tasks."""
        return len(self.tasks)

    @property
    def total_steps(self) -> int:
        """Environment steps of the whole life."""
        return sum(segment.steps for segment in self.segments)

    def task_index(self, name: str) -> int:
        """Return the index of a task; BadConfig with the nearest names if there is none of that name."""
        if name not in self.task_names:
            raise BadConfig(f"Sequence {self.name!r} has no task {name!r}.{nearest(name, self.task_names)}")
        return self.task_names.index(name)

    def with_steps(self, scale: float) -> "TaskSequence":
        """Return the same sequence with every segment `scale` times as long, at least one step each."""
        if not 0 < scale < math.inf:
            raise BadConfig(f"steps_scale is {scale}; it must be finite and above 0.")
        if not self.total_steps * scale < TOO_LARGE:
            raise BadConfig(f"steps_scale is {scale}; so many steps have no number.")
        segments = tuple(replace(segment, steps=max(1, round(segment.steps * scale))) for segment in self.segments)
        return replace(self, segments=segments)

    def reordered(self, names: Sequence[str], name: str | None = None) -> "TaskSequence":
        """Return the sequence with its tasks in this order, leaving out those that are not named.

        Where tasks come back, all first visits come first, then all second ones.
        """
        tasks = tuple(self.tasks[self.task_index(task)] for task in names)
        visits = [[segment for segment in self.segments if segment.task == task] for task in names]
        segments = tuple(segment for round_ in zip_longest(*visits) for segment in round_ if segment is not None)
        return replace(self, name=name or "-".join((self.name, *names)), tasks=tasks, segments=segments)

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values from which `from_dict` makes an equal sequence."""
        return {
            "name": self.name,
            "tasks": [
                {**vars(task), "env_kwargs": dict(task.env_kwargs), "evaluation_kwargs": dict(task.evaluation_kwargs)}
                for task in self.tasks
            ],
            "segments": [dict(vars(segment)) for segment in self.segments],
            "revisits_are_new": self.revisits_are_new,
            "agent": dict(self.agent),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "TaskSequence":
        """Make a sequence from the values of `to_dict`; BadConfig if something is missing or unknown."""
        try:
            return cls(
                **{
                    **values,
                    "tasks": tuple(Task(**task) for task in values["tasks"]),
                    "segments": tuple(Segment(**segment) for segment in values["segments"]),
                }
            )
        except (KeyError, TypeError) as error:
            raise BadConfig(f"This is not a task sequence as to_dict writes it: {error}.") from error
