"""How fast EnvPool's tasks are stepped and learned through nestrl: physics alone, and PPO.

    python scripts/bench_envpool.py          # some minutes; prints a table and writes results/envpool/benchmark.json

Wants the extra envpool and a machine that does nothing else; absolute numbers drift with the machine.
"""

import argparse
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from nestrl.agents.agent import Agent, AgentConfig
from nestrl.agents.environments import make_environment
from nestrl.agents.vec_env import TaskVecEnv
from nestrl.report.tables import table
from nestrl.tasks.sequence import Task
from nestrl.tasks.union import UnionSpace
from nestrl.training.run_folder import versions

ENV_IDS = ("envpool:MetaWorld/FaucetClose-v3", "envpool:FetchPushDense-v4")
OUTPUT = Path(__file__).resolve().parents[1] / "results" / "envpool" / "benchmark.json"

Measured = dict[str, float]


def main() -> None:
    """Measure each task, write the file and print the table."""
    parser = argparse.ArgumentParser(description="Measure the speed of EnvPool's tasks.")
    parser.add_argument("--env-ids", nargs="+", default=ENV_IDS, metavar="ID")
    parser.add_argument("--n-envs", type=int, default=64, help="simulations side by side")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="of the physics; torch has one")
    parser.add_argument("--steps", type=int, default=100_000, help="of each measurement")
    parser.add_argument("--output", type=Path, default=OUTPUT)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    load = os.getloadavg()[0]
    tasks = {env_id: measured(env_id, arguments) for env_id in arguments.env_ids}
    result = {
        "command": "python scripts/bench_envpool.py",
        "versions": versions(),
        "machine": {"cores": os.cpu_count(), "load_before": load},
        "settings": {"n_envs": arguments.n_envs, "threads": arguments.threads, "steps": arguments.steps},
        "tasks": tasks,
    }
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(json.dumps(result, indent=2) + "\n")
    print(as_table(tasks), f"\nwritten to {arguments.output}")


def measured(env_id: str, arguments: argparse.Namespace) -> Measured:
    """Return the speeds of one task in steps/s, and what it takes to make its simulations and start episodes, in ms."""
    environment = make_environment(Task(env_id, env_id, {"num_threads": arguments.threads}), arguments.n_envs)
    made = seconds_of(environment.reset, seed=0)
    started = seconds_of(environment.reset)
    each = {"make, ms each": made - started, "start, ms each": started}
    measures = {name: 1e3 * seconds / arguments.n_envs for name, seconds in each.items()}
    measures["physics, steps/s"] = physics(environment, arguments.steps)
    measures["PPO, steps/s"] = learning(environment, arguments.steps)
    environment.close()
    return measures


def physics(environment: Any, steps: int) -> float:
    """Return steps/s under random actions, the restarts of episodes included."""
    n, space = environment.num_envs, environment.single_action_space
    rounds = max(1, steps // n)
    actions = np.random.default_rng(0).uniform(space.low, space.high, (rounds, n, *space.shape)).astype(space.dtype)

    def play() -> None:
        for action in actions:
            environment.step(action)

    return float(rounds * n) / seconds_of(play)


def learning(environment: Any, steps: int) -> float:
    """Return steps/s of the default learner, after one rollout to warm up."""
    union = UnionSpace([environment.single_observation_space], [environment.single_action_space])
    shape = 1, union.feature_size
    rows = np.zeros(shape, np.float32), np.ones(shape, np.float32)
    agent = Agent(AgentConfig(n_envs=environment.num_envs), union, rows, seed=0)
    agent.start_task(0, TaskVecEnv(environment, union, 0), first=True)
    agent.learn(1)
    began = time.perf_counter()
    return agent.learn(steps) / (time.perf_counter() - began)


def seconds_of(action: Callable[..., object], **arguments: Any) -> float:
    """Return how long a call takes, in s."""
    began = time.perf_counter()
    action(**arguments)
    return time.perf_counter() - began


def as_table(tasks: dict[str, Measured]) -> str:
    """Return the measurements as Markdown."""
    names = list(next(iter(tasks.values())))
    return table(
        ["task", *names], [[env_id, *(f"{row[name]:,.0f}" for name in names)] for env_id, row in tasks.items()]
    )


if __name__ == "__main__":
    main()
