"""Whole lives over tasks that this project did not write, with different spaces in one sequence."""

from pathlib import Path

import numpy as np
import pytest

import nestrl
from nestrl import AgentConfig, Segment, Task, TaskSequence

pytestmark = pytest.mark.learning
SMALL = AgentConfig(network=(16,), n_envs=4, hyperparameters={"n_steps": 32, "batch_size": 64})


def life(tasks: tuple[Task, ...], folder: Path) -> nestrl.Run:
    sequence = TaskSequence("foreign", tasks, tuple(Segment(task.name, 256) for task in tasks))
    options = {"evaluations_per_segment": 1, "evaluation_episodes": 4, "final_episodes": 4}
    return nestrl.train(sequence, method="cloning", agent=SMALL, options=options, folder=folder)


def test_gymnasiums_own_arm_pusher_and_pendulum_in_a_row(tmp_path: Path) -> None:
    tasks = (
        Task("reach", "Reacher-v5", success_threshold=-8),
        Task("push", "Pusher-v5", success_threshold=-35),
        Task("balance", "InvertedPendulum-v5", success_threshold=900),
    )
    run = life(tasks, tmp_path / "run")
    assert run.retention.shape == (3, 3) and np.isfinite(run.retention).all()
    agent = nestrl.load(run.path)
    for name, observed, acts in (("reach", 10, 2), ("push", 23, 7), ("balance", 4, 1)):
        action, _ = agent.predict(np.zeros(observed), task=name, deterministic=True)
        assert action.shape == (acts,)


def test_the_point_maze_of_gymnasium_robotics_with_its_dict_of_observations(tmp_path: Path) -> None:
    pytest.importorskip("gymnasium_robotics")
    maze = {"max_episode_steps": 50}
    tasks = (
        Task("open", "gymnasium_robotics:PointMaze_Open-v3", maze),
        Task("u", "gymnasium_robotics:PointMaze_UMaze-v3", maze),
    )
    run = life(tasks, tmp_path / "run")
    assert run.retention.shape == (2, 2)
    assert ((run.retention >= 0) & (run.retention <= 1)).all()
