"""Continual World's sequences, and sequences of Fetch and PointMaze: tasks that EnvPool simulates (an extra).

The order of CW10 and CW20, their steps and their horizon: Wołczyk et al., Continual World: A Robotic Benchmark For
Continual Reinforcement Learning, 2021, section 4. Differs from it in what docs/continual_world.md lists.
"""

from dataclasses import replace
from typing import Any

from nestrl.tasks.sequence import Segment, Task, TaskSequence

CW10 = (
    *("hammer", "push-wall", "faucet-close", "push-back", "stick-pull"),
    *("handle-press-side", "push", "shelf-place", "window-close", "peg-unplug-side"),
)
"""Meta-World's tasks in the order of CW10."""

LEARNER: dict[str, Any] = {
    "n_envs": 32,
    "hyperparameters": {"n_steps": 100, "batch_size": 400, "n_epochs": 10, "learning_rate": 5e-4, "gamma": 0.97},
}
"""The learner's settings, searched on Meta-World tasks outside Continual World (results/metaworld-learners)."""

META_WORLD_LEARNER = LEARNER | {"initial_log_std": 0.5}
"""The same, and noise that starts louder, searched there, too; in Fetch and PointMaze that was not tried."""

FETCH = {"reach": "FetchReachDense-v4", "push": "FetchPushDense-v4"}
FETCH |= {"slide": "FetchSlideDense-v4", "pick_and_place": "FetchPickAndPlaceDense-v4"}
"""Fetch's tasks from easy to hard, with a reward for every step's distance to the goal."""

POINTMAZE = {"open": "PointMaze_OpenDense-v3", "u": "PointMaze_UMazeDense-v3"}
POINTMAZE |= {"medium": "PointMaze_MediumDense-v3", "large": "PointMaze_LargeDense-v3"}
"""The mazes from small to large, with a reward for every step's distance to the goal."""

DESCRIPTIONS = {
    "cw10": "Continual World: ten Meta-World tasks (needs the extra envpool)",
    "cw10-fast": "cw10 in half of the steps (envpool)",
    "cw20": "cw10 twice, the second time as ten tasks of their own (envpool)",
    "fetch-4": "Fetch reaches, pushes, slides, picks and places (envpool)",
    "pointmaze-4": "a ball in an open room, a U, a medium and a large maze (envpool)",
}
"""One line for each."""


def meta_world_task(name: str) -> Task:
    """Return the Meta-World v3 task of this name ("push-wall")."""
    return Task(name, f"envpool:MetaWorld/{name.title().replace('-', '')}-v3", reward_scale="auto")


def continual_world(name: str, visits: int, steps: int) -> TaskSequence:
    """Return CW10's tasks, so many times over; as in the paper each visit has a label and a head of its own."""
    first = tuple(map(meta_world_task, CW10))
    again = (replace(task, name=f"{task.name}-{visit}") for visit in range(2, visits + 1) for task in first)
    tasks = (*first, *again)
    return TaskSequence(name, tasks, tuple(Segment(task.name, steps) for task in tasks), agent=META_WORLD_LEARNER)


def envpool_sequence(name: str, ids: dict[str, str], steps: int) -> TaskSequence:
    """Return a sequence of EnvPool's tasks, by their names here, of as many steps each."""
    tasks = tuple(Task(task, f"envpool:{env_id}", reward_scale="auto") for task, env_id in ids.items())
    return TaskSequence(name, tasks, tuple(Segment(task, steps) for task in ids), agent=LEARNER)


SEQUENCES = {
    "cw10": lambda: continual_world("cw10", visits=1, steps=1_000_000),
    "cw10-fast": lambda: continual_world("cw10-fast", visits=1, steps=500_000),
    "cw20": lambda: continual_world("cw20", visits=2, steps=1_000_000),
    "fetch-4": lambda: envpool_sequence("fetch-4", FETCH, 1_000_000),
    "pointmaze-4": lambda: envpool_sequence("pointmaze-4", POINTMAZE, 500_000),
}
"""Makers of the sequences."""
