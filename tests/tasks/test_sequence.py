"""Sequences: what they refuse, and the arithmetic of their segments."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from nestrl.errors import BadConfig
from nestrl.tasks.sequence import Segment, Task, TaskSequence

A, B = Task("a", "Reacher-v5"), Task("b", "Pendulum-v1", {"g": 9.81}, success_threshold=-200.0)


def life(*segments: tuple[str, int], tasks: tuple[Task, ...] = (A, B)) -> TaskSequence:
    return TaskSequence("life", tasks, tuple(Segment(*segment) for segment in segments))


@pytest.mark.parametrize("name", ["../up", "a/b", ".hidden"])
def test_a_name_is_no_path(name: str) -> None:
    with pytest.raises(BadConfig, match="no slash"):
        TaskSequence(name, (A,), (Segment("a", 10),))


@pytest.mark.parametrize(
    ("segments", "tasks", "message"),
    [
        ([("a", 0)], (A, B), "0 steps"),
        ([("a", 1.5)], (A, B), r"1\.5 steps"),
        ([("c", 10)], (A, B), "among the tasks"),
        ([("a", 10)], (A, A), "two tasks called 'a'"),
        ([], (A,), "no tasks or no segments"),
    ],
)
def test_nonsense_is_refused(segments: list[tuple[str, int]], tasks: tuple[Task, ...], message: str) -> None:
    with pytest.raises(BadConfig, match=message):
        life(*segments, tasks=tasks)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Task(3, "Reacher-v5"), "name is 3; give a text"),
        (lambda: Task("a", None), "'a' has env_id None; give a text"),
        (lambda: Task("a", "Reacher-v5", 3), "'a' has env_kwargs 3; give a mapping"),
        (lambda: Task("a", "Reacher-v5", reward_scale=None), "reward_scale None"),
        (lambda: Segment(0, 10), "task is 0; give a text"),
        (lambda: TaskSequence("", (A,), (Segment("a", 10),)), "name is ''; give a text"),
        (lambda: TaskSequence("two\nlines", (A,), (Segment("a", 10),)), "give a text of one line"),
        (lambda: TaskSequence("life", A, (Segment("a", 10),)), "give a list, each a Task"),
        (lambda: TaskSequence("life", (A,), [("a", 10)]), "give a list, each a Segment"),
    ],
)
def test_values_of_a_wrong_kind_are_refused(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(BadConfig, match=message):
        make()


@pytest.mark.parametrize("scale", [0.0, -1.0, float("inf"), float("nan"), "automatic"])
def test_rewards_keep_their_sign_and_size(scale: float | str) -> None:
    with pytest.raises(BadConfig, match="reward_scale"):
        Task("a", "Reacher-v5", reward_scale=scale)


def test_survives_json() -> None:
    sequence = life(("a", 100), ("b", 50))
    assert TaskSequence.from_dict(json.loads(json.dumps(sequence.to_dict()))) == sequence


def test_foreign_json_is_refused() -> None:
    with pytest.raises(BadConfig, match="not a task sequence"):
        TaskSequence.from_dict({"name": "x"})


def test_with_steps_scales_every_segment() -> None:
    assert [segment.steps for segment in life(("a", 100), ("b", 1)).with_steps(0.1).segments] == [10, 1]


def test_reordered_puts_first_visits_first() -> None:
    sequence = life(("a", 1), ("b", 2), ("a", 3)).reordered(["b", "a"], name="other")
    assert sequence.task_names == ("b", "a")
    assert sequence.segments == (Segment("b", 2), Segment("a", 1), Segment("a", 3))


def test_reordered_can_pick_one_task() -> None:
    sequence = life(("a", 1), ("b", 2)).reordered(["b"])
    assert (sequence.name, sequence.task_names, sequence.total_steps) == ("life-b", ("b",), 2)


def test_unknown_task_names_the_nearest() -> None:
    sequence = life(("reach", 1), tasks=(Task("reach", "Reacher-v5"),))
    with pytest.raises(BadConfig, match="Did you mean 'reach'"):
        sequence.task_index("raech")


@pytest.mark.parametrize("threshold", [float("nan"), float("inf"), "high"])
def test_a_threshold_is_a_finite_number(threshold: Any) -> None:
    with pytest.raises(BadConfig, match="success_threshold"):
        Task("a", "Reacher-v5", success_threshold=threshold)


def test_numbers_of_numpy_are_numbers() -> None:
    task = Task("a", "Reacher-v5", success_threshold=np.float32(0.5))  # type: ignore[arg-type]
    sequence = TaskSequence("s", (task,), (Segment("a", np.int64(64)),))  # type: ignore[arg-type]
    assert (type(task.success_threshold), type(sequence.segments[0].steps)) == (float, int)


@pytest.mark.parametrize("arguments", [{"size": (3, 4)}, {"table": {1: 2}}, {"goal": np.zeros(2)}, {"g": float("nan")}])
def test_arguments_are_what_a_file_gives_back(arguments: dict[str, Any]) -> None:
    for name in ("env_kwargs", "evaluation_kwargs"):
        with pytest.raises(BadConfig, match="'a' has arguments that a run's file would not give back"):
            Task("a", "Reacher-v5", **{name: arguments})


def test_steps_without_a_number_are_refused() -> None:
    with pytest.raises(BadConfig, match="steps_scale is 1e\\+308"):
        life(("a", 100)).with_steps(1e308)
