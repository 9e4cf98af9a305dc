"""A task may be measured under other arguments than it is trained under."""

from pathlib import Path

from nestrl.agents.environments import make_environment
from nestrl.tasks.named import sequence
from nestrl.tasks.sequence import Task, TaskSequence


def test_the_maze_is_examined_on_layouts_never_trained_on() -> None:
    nav = sequence("nav-5")
    maze = nav.tasks[nav.task_index("maze")]
    trained, examined = (make_environment(maze, 1, evaluation=flag).unwrapped.simulations for flag in (False, True))
    assert not {tuple(row) for row in trained.layouts} & {tuple(row) for row in examined.layouts}
    assert TaskSequence.from_dict(nav.to_dict()) == nav


def test_a_yaml_file_can_say_so(tmp_path: Path) -> None:
    path = tmp_path / "one.yaml"
    path.write_text(
        "tasks:\n"
        "  - {name: maze, env: 'nestrl_envs:nestrl/RoverMaze-v0', kwargs: {gap: 1.0}, evaluation_kwargs: {gap: 0.8}}\n"
        "steps: 1000\n"
    )
    (task,) = sequence(path).tasks
    assert task.arguments(evaluation=False) == {"gap": 1.0}
    assert task.arguments(evaluation=True) == {"gap": 0.8}


def test_evaluation_arguments_replace_only_those_they_name() -> None:
    task = Task("maze", "Maze-v0", {"gap": 1.0, "layouts": "train"}, evaluation_kwargs={"layouts": "held_out"})
    assert task.arguments(evaluation=True) == {"gap": 1.0, "layouts": "held_out"}
