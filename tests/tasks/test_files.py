"""YAML sequences: what is read, and errors that name file, line, key and remedy."""

from pathlib import Path

import pytest

from nestrl.errors import BadConfig, UnknownName
from nestrl.tasks.named import sequence
from nestrl.tasks.sequence import Segment, Task, TaskSequence

GOOD = """
name: arms
tasks:
  - {name: a, env: Reacher-v5, success_threshold: -5}
  - name: b
    env: "mine:Arm-v0"
    kwargs: {payload: 0.5, noise: {joint: [1, 2]}}
    reward_scale: auto
segments:
  - {task: b, steps: 300}
  - {task: a, steps: 200}
revisits_are_new: true
agent: {n_envs: 64, hyperparameters: {gamma: 0.99}}
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "my.yaml"
    path.write_text(text)
    return path


def test_a_whole_file(tmp_path: Path) -> None:
    arms = sequence(written(tmp_path, GOOD))
    assert arms.tasks[0] == Task("a", "Reacher-v5", {}, -5)
    assert arms.tasks[1] == Task("b", "mine:Arm-v0", {"payload": 0.5, "noise": {"joint": [1, 2]}}, reward_scale="auto")
    assert arms.segments == (Segment("b", 300), Segment("a", 200))
    assert arms.revisits_are_new
    assert arms.agent == {"n_envs": 64, "hyperparameters": {"gamma": 0.99}}
    assert TaskSequence.from_dict(arms.to_dict()) == arms


def test_steps_for_all_tasks_and_name_from_the_file(tmp_path: Path) -> None:
    short = sequence(written(tmp_path, "steps: 50\ntasks:\n- {name: a, env: A-v0}\n- {name: b, env: B-v0}\n"))
    assert short.name == "my"
    assert short.segments == (Segment("a", 50), Segment("b", 50))


def test_the_tasks_of_a_named_sequence(tmp_path: Path) -> None:
    known = "tasks: mixed-10\nsegments:\n- {task: maze, steps: 50}\n- {task: reach, steps: 60}\n"
    mine = sequence(written(tmp_path, known))
    assert mine.tasks == sequence("mixed-10").reordered(["reach", "maze"]).tasks
    assert mine.segments == (Segment("maze", 50), Segment("reach", 60))
    assert sequence(written(tmp_path, "tasks: mixed-10\nsteps: 50")).n_tasks == 10
    assert sequence(written(tmp_path, "tasks: cw10\nsteps: 50")).agent == sequence("cw10").agent
    assert sequence(written(tmp_path, "tasks: cw10\nsteps: 50\nagent: {n_envs: 4}")).agent == {"n_envs": 4}
    with pytest.raises(BadConfig, match="'meze', which is not among the tasks.*Did you mean 'maze'"):
        sequence(written(tmp_path, known.replace("maze", "meze")))
    with pytest.raises(UnknownName, match="my.yaml, line 1: no sequence 'mixed-11'.*'mixed-10'"):
        sequence(written(tmp_path, known.replace("mixed-10", "mixed-11")))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (GOOD.replace("success_threshold", "succes_threshold"), "line 4.*Did you mean 'success_threshold'"),
        (GOOD.replace("steps: 300", "steps: many"), "line 10: steps is 'many'; expected int"),
        (GOOD.replace("steps: 300", "steps: true"), "line 10: steps is True"),
        (GOOD.replace("task: b, steps: 300", "task: b"), "line 10: .* has no 'steps'; add it"),
        (GOOD.replace("task: b", "task: c"), "my.yaml, line .*: Segment 1.*'c'.*among"),
        (GOOD.replace("steps: 200", "steps: 0"), "0 steps"),
        (GOOD.replace("steps: 300", "steps: 300, steps: 400"), "line 10: .*'steps' stands already"),
        (GOOD + "steps: 5\n", "either 'segments'.*or 'steps'"),
        ("tasks: 3\nsteps: 1", "line 1: tasks is 3; expected str [|] list"),
        ("tasks: [3]\nsteps: 1", "an entry of 'tasks' must be a mapping"),
        (GOOD.replace("steps: 300", f"steps: {10**400}"), "line 10: steps is a whole number of 1329 bits"),
        ("a: " + "[" * 3000 + "]" * 3000, "too deep to be read"),
        ("- a", "must be a mapping of keys"),
        ("", "must be a mapping of keys"),
        ("a: [", "is not YAML"),
        ("tasks: 2026-02-30", "is not YAML.*day is out of range"),
        (GOOD.replace("success_threshold: -5", "success_threshold: .nan"), "line [0-9]+: .*success_threshold nan"),
    ],
)
def test_mistakes_are_explained(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(BadConfig, match=message) as caught:
        sequence(written(tmp_path, text))
    assert "my.yaml" in str(caught.value)


def test_numbers_with_an_exponent(tmp_path: Path) -> None:
    arms = sequence(written(tmp_path, GOOD.replace("300", "3e2").replace("payload: 0.5", "payload: 5e-1")))
    assert arms == sequence(written(tmp_path, GOOD))


def test_few_lines_that_stand_for_billions_of_values_are_refused(tmp_path: Path) -> None:
    doubled = "".join(f"{chr(98 + n)}: &{chr(98 + n)} [*{chr(97 + n)}, *{chr(97 + n)}]\n" for n in range(24))
    with pytest.raises(BadConfig, match="more than 100,000 values"):
        sequence(written(tmp_path, "a: &a [1, 2]\n" + doubled))


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(BadConfig, match="cannot be read: No such file"):
        sequence(tmp_path / "none.yaml")
