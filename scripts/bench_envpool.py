"""How fast Meta-World is stepped and learned: EnvPool through nestrl, and the official package in processes of its own.

    python scripts/bench_envpool.py              # physics alone, PPO and SAC; writes results/envpool/benchmark.json
    python scripts/bench_envpool.py --official   # and the official package under stable-baselines3's SubprocVecEnv

Wants the extra envpool and a machine that does nothing else; absolute numbers drift with the machine. PPO is cw10's
learner but for its first noise and the scale of its rewards, with one thread. `--official` installs metaworld 3.1.1 and
stable-baselines3 into runs/metaworld-venv.
"""

import argparse
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from metaworld_worlds import official_python
from nestrl.agents.agent import Agent
from nestrl.agents.config import AgentConfig
from nestrl.agents.environments import make_environment
from nestrl.agents.vec_env import TaskVecEnv
from nestrl.report.tables import table
from nestrl.tasks.continual_world import LEARNER, meta_world_task
from nestrl.tasks.union import UnionSpace
from nestrl.training.run_folder import versions
from nestrl.training.writing import write_json

CLONE = Path(__file__).resolve().parents[1]
RESULTS = CLONE / "results" / "envpool"
VENV = CLONE / "runs" / "metaworld-venv"
SPEED = Path(__file__).resolve().with_name("metaworld_speed.py")
TASKS = ("faucet-close", "push")
PROCESSES = (2, 8)

Measured = dict[str, float]


def main() -> None:
    """Measure each task, write the file and print the table."""
    parser = argparse.ArgumentParser(description="Measure the speed of Meta-World's tasks.")
    parser.add_argument("--tasks", nargs="+", default=TASKS, metavar="NAME")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="of the physics; torch has one")
    parser.add_argument("--steps", type=int, default=100_000, help="of each measurement; SAC a tenth")
    parser.add_argument("--official", action="store_true", help="measure the official package, too")
    parser.add_argument("--output", type=Path, default=RESULTS / "benchmark.json")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    load = os.getloadavg()[0]
    python = python_with_both() if arguments.official else None
    tasks = {name: measured(name, arguments, python) for name in arguments.tasks}
    result = {
        "command": shlex.join(["python", "scripts/bench_envpool.py", *sys.argv[1:]]),
        "versions": versions(),
        "machine": {"cores": os.cpu_count(), "load_before": load},
        "settings": {"threads": arguments.threads, "steps": arguments.steps},
        "tasks": tasks,
    }
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    write_json(arguments.output, result)
    arguments.output.with_suffix(".md").write_text(as_table(tasks) + "\n")
    print(as_table(tasks), f"\nwritten to {arguments.output}")


def measured(name: str, arguments: argparse.Namespace, python: Path | None) -> Measured:
    """Return the speeds of one task, in steps/s, by what is measured; the official package's with its Python alone."""
    task = meta_world_task(name)
    ppo, sac = AgentConfig(**LEARNER), AgentConfig("sac")
    measures = {}
    with closing(make_environment(replace(task, env_kwargs={"num_threads": arguments.threads}), ppo.n_envs)) as many:
        many.reset(seed=0)
        measures[f"physics alone, {ppo.n_envs} simulations"] = physics(many, arguments.steps)
        measures[f"PPO, {ppo.n_envs} simulations"] = learning(many, ppo, arguments.steps)
        measures[f"SAC, {sac.n_envs} simulations"] = learning(many, sac, arguments.steps // 10)
    if python is not None:
        for processes in PROCESSES:
            measures[f"official, {processes} processes"] = official(python, name, processes, arguments.steps // 10)
    return measures


def official(python: Path, name: str, processes: int, steps: int) -> float:
    """Return steps/s of the official package's physics under random actions."""
    command = [str(python), str(SPEED), f"{name}-v3", str(processes), str(steps)]
    alone = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    return float(subprocess.run(command, check=True, capture_output=True, text=True, env=alone).stdout.split()[-1])


def python_with_both() -> Path:
    """Return a Python with the official package and stable-baselines3, installed first if they are missing."""
    python = official_python(VENV)
    install = [str(python), "-m", "pip", "install", "--quiet", "-c", str(CLONE / "constraints.txt")]
    subprocess.run([*install, "stable-baselines3"], check=True)
    return python


def physics(environment: Any, steps: int) -> float:
    """Return steps/s under random actions, the restarts of episodes included."""
    n, space = environment.num_envs, environment.single_action_space
    rounds = max(1, steps // n)
    actions = np.random.default_rng(0).uniform(space.low, space.high, (rounds, n, *space.shape)).astype(space.dtype)

    def play() -> None:
        for action in actions:
            environment.step(action)

    return float(rounds * n) / seconds_of(play)


def learning(environment: Any, config: AgentConfig, steps: int) -> float:
    """Return steps/s of a learner, once it updates."""
    union = UnionSpace([environment.single_observation_space], [environment.single_action_space])
    shape = 1, union.feature_size
    agent = Agent(config, union, (np.zeros(shape, np.float32), np.ones(shape, np.float32)), seed=0)
    agent.start_task(0, TaskVecEnv(environment, union, 0), first=True)
    agent.learn(getattr(agent.algorithm, "learning_starts", 0) + 1)
    began = time.perf_counter()
    return agent.learn(steps) / (time.perf_counter() - began)


def seconds_of(action: Callable[..., object], **arguments: Any) -> float:
    """Return how long a call takes, in s."""
    began = time.perf_counter()
    action(**arguments)
    return time.perf_counter() - began


def as_table(tasks: dict[str, Measured]) -> str:
    """Return the measurements as Markdown: a row for what is measured, a column a task."""
    rows = [[name, *(f"{tasks[task][name]:,.0f}" for task in tasks)] for name in next(iter(tasks.values()))]
    return table(["environment steps/s", *tasks], rows)


if __name__ == "__main__":
    main()
