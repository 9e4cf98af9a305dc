"""How fast training is, beside stable-baselines3's own vector environments over the same task, and beside the limit.

    python scripts/benchmark.py            # about ten minutes; writes results/benchmark.json and .md

Everything is measured in this one run on this one machine, each stack in a process of its own, with one and with two
torch threads, of which the faster counts. Absolute numbers drift with the machine; ratios hold.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from gymnasium.wrappers import TransformObservation
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv, VecEnv
from torch import nn

import nestrl
from nestrl.agents.agent import Agent
from nestrl.agents.config import AgentConfig
from nestrl.agents.environments import make_environment
from nestrl.agents.networks import Trunk
from nestrl.agents.vec_env import TaskVecEnv
from nestrl.report.tables import table
from nestrl.tasks.named import sequence
from nestrl.tasks.sequence import Task
from nestrl.tasks.union import UnionSpace
from nestrl.training.run_folder import versions
from nestrl.updates.regulated import RegulatedAdam

ENV_ID = "nestrl_envs:nestrl/RoverPush-v0"
ROLLOUT = 8192  # environment steps between updates, the same for all stacks
N_ENVS, EPOCHS, MINIBATCH, NETWORK = 256, 4, 2048, (128, 128)
LIFE, METHODS = "mixed-5", ("finetune", "cloning", "nested")
OURS = "nestrl (mujoco.batch, 256)"
RIVALS: dict[str, tuple[type[VecEnv], int]] = {
    "SubprocVecEnv(8)": (SubprocVecEnv, 8),
    "DummyVecEnv(8)": (DummyVecEnv, 8),
    "DummyVecEnv(64)": (DummyVecEnv, 64),
}
OUTPUT = Path(__file__).resolve().parents[1] / "results" / "benchmark.json"

Measured = dict[str, float]


def main() -> None:
    """Run every measurement, or one in this process (as the whole does with each)."""
    parser = argparse.ArgumentParser(description="Measure the speed of training.")
    parser.add_argument("--measure", choices=sorted(MEASURES), help="do only this, and print JSON")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--output", type=Path, default=OUTPUT)
    arguments = parser.parse_args()
    if arguments.measure:
        torch.set_num_threads(arguments.threads)
        print(json.dumps(MEASURES[arguments.measure](arguments.threads)))
        return
    result = everything()
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(json.dumps(result, indent=2) + "\n")
    arguments.output.with_suffix(".md").write_text(summary(result) + "\n")
    print(summary(result), f"\nwritten to {arguments.output}")


def everything() -> dict[str, Any]:
    """Measure all; return what goes into the file."""
    threads = (1, 2)
    stacks = {name: [measure(name, n) for n in threads] for name in (OURS, *RIVALS)}
    speeds = {name: max(found["steps_per_second"] for found in measured) for name, measured in stacks.items()}
    pair = measure_side_by_side()
    parts = {name: [measure(name, n) for n in threads] for name in ("physics", "arithmetic")}
    physics = min(found["seconds_per_step"] for found in parts["physics"])
    arithmetic = min(found["seconds_per_step"] for found in parts["arithmetic"])
    best_rival = max(speeds[name] for name in RIVALS)
    limit = 1 / (physics + arithmetic)
    return {
        "command": "python scripts/benchmark.py",
        "versions": versions(),
        "machine": {"cores": os.cpu_count(), "processor": processor(), "load_before": os.getloadavg()[0]},
        "settings": {
            "env_id": ENV_ID, "rollout": ROLLOUT, "epochs": EPOCHS, "minibatch": MINIBATCH, "network": list(NETWORK),
        },
        "steps_per_second": speeds | {"two side by side": pair, "physics alone": 1 / physics, "limit": limit},
        "ratios": {
            "to the best rival": speeds[OURS] / best_rival,
            "to the limit": speeds[OURS] / limit,
            **measure("lives", 1),
        },
        "shares of a run": measure("shares", 1),
        "microseconds per step": {name: 1e6 * seconds for name, seconds in measure("profile", 1).items()},
        "by threads": {name: dict(zip(threads, found, strict=True)) for name, found in (stacks | parts).items()},
    }  # fmt: skip


def measure(name: str, threads: int) -> Measured:
    """Measure one thing in a process of its own."""
    print(f"measuring {name}, {threads} thread{'s' if threads > 1 else ''} ...", file=sys.stderr, flush=True)
    return finished(started(name, threads))


def measure_side_by_side() -> float:
    """Return the steps per second of two trainings at once, one thread each, added up."""
    print("measuring two trainings side by side ...", file=sys.stderr, flush=True)
    processes = [started(OURS, 1) for _ in range(2)]
    return sum(finished(process)["steps_per_second"] for process in processes)


def started(name: str, threads: int) -> "subprocess.Popen[str]":
    """Start measuring in another process."""
    command = [sys.executable, __file__, "--measure", name, "--threads", str(threads)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def finished(process: "subprocess.Popen[str]") -> Measured:
    """Wait for a measurement."""
    output, _ = process.communicate()
    if process.returncode:
        raise SystemExit(f"{' '.join(map(str, process.args))} failed")  # type: ignore[arg-type]
    measured: Measured = json.loads(output.splitlines()[-1])
    return measured


def make_agent(n_envs: int, union: UnionSpace) -> Agent:
    """Return the learner that all stacks share; only the number of simulations differs."""
    settings = {"n_steps": ROLLOUT // n_envs, "batch_size": MINIBATCH, "n_epochs": EPOCHS}
    config = AgentConfig(network=NETWORK, n_envs=n_envs, hyperparameters=settings)
    shape = union.n_tasks, union.feature_size
    rows = np.zeros(shape, np.float32), np.ones(shape, np.float32)
    return Agent(config, union, rows, seed=0, optimizer_class=RegulatedAdam)


def make_ours(threads: int = 0) -> TaskVecEnv:
    """Return our vector environment of the task; 0 physics threads are all cores."""
    environment = make_environment(Task(ENV_ID, ENV_ID, {"threads": threads}), N_ENVS)
    union = UnionSpace([environment.single_observation_space], [environment.single_action_space])
    return TaskVecEnv(environment, union, 0)


def training_speed(agent: Agent, environment: Any, rollouts: int) -> Measured:
    """Return the steps per second of training, after one rollout to warm up."""
    agent.start_task(0, environment, first=True)
    agent.learn(ROLLOUT)
    began = time.perf_counter()
    done = agent.learn(rollouts * ROLLOUT)
    return {"steps_per_second": done / (time.perf_counter() - began)}


def ours(threads: int) -> Measured:
    """Train over mujoco.batch, physics on all cores as it is by default."""
    environment = make_ours()
    return training_speed(make_agent(N_ENVS, environment.union), environment, rollouts=16)


def ordinary() -> gym.Env[Any, Any]:
    """Return the same task as an ordinary environment, with the union's one-hot of the only task."""
    env = gym.make(ENV_ID)
    size = env.observation_space.shape[0] + 1  # type: ignore[index]
    space = gym.spaces.Box(-np.inf, np.inf, (size,), np.float32)
    return Monitor(TransformObservation(env, with_task, space))


def with_task(observation: np.ndarray) -> np.ndarray:
    """Append the one-hot of the only task."""
    return np.append(observation, np.float32(1))


def rival(name: str, threads: int) -> Measured:
    """Train the same learner over a vector environment of stable-baselines3."""
    kind, n_envs = RIVALS[name]
    env = gym.make(ENV_ID)
    union = UnionSpace([env.observation_space], [env.action_space])
    environment: Any = kind([ordinary] * n_envs)  # type: ignore[arg-type, call-arg]
    environment.task_index = 0
    measured = training_speed(make_agent(n_envs, union), environment, rollouts=3)
    environment.close()
    return measured


def physics(threads: int) -> Measured:
    """Step the simulations alone, no observation, no reward."""
    environment = make_ours(threads)
    environment.reset()
    generator = np.random.default_rng(0)
    simulations: Any = environment.environment.unwrapped.simulations
    simulations.step(generator.uniform(-1, 1, (N_ENVS, 6)))
    seconds = seconds_of(lambda: simulations.batch.step(None, nstep=simulations.substeps), repeats=100)
    return {"seconds_per_step": seconds / N_ENVS}


def arithmetic(threads: int) -> Measured:
    """Do a policy's and a critic's matrix arithmetic alone: one forward a step, and the updates of all epochs."""
    size = make_ours(threads).observation_space.shape[0]  # type: ignore[index]
    networks = nn.ModuleList(nn.Sequential(Trunk(size, NETWORK), nn.Linear(NETWORK[-1], n)) for n in (6, 1))
    optimizer = torch.optim.Adam(networks.parameters())

    def forward() -> None:
        with torch.no_grad():
            for network in networks:
                network(few)

    def update() -> None:
        optimizer.zero_grad()
        torch.stack([network(many).square().mean() for network in networks]).sum().backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    few, many = torch.randn(N_ENVS, size), torch.randn(MINIBATCH, size)
    per_step = seconds_of(forward, 200) / N_ENVS
    return {"seconds_per_step": per_step + EPOCHS * seconds_of(update, 100) / MINIBATCH}


def seconds_of(action: Callable[[], object], repeats: int) -> float:
    """Return the median time of one call, in s."""
    action()
    clock = [time.perf_counter()]
    for _ in range(repeats):
        action()
        clock.append(time.perf_counter())
    return statistics.median(after - before for before, after in pairwise(clock))


def profile(threads: int) -> Measured:
    """Return where the time of one step of ours goes, in s: environment, update, and the rest of the rollout."""
    environment = make_ours()
    agent = make_agent(N_ENVS, environment.union)
    spent = {"environment": 0.0, "update": 0.0}
    clock(spent, "environment", environment, "step_wait")
    clock(spent, "update", agent.algorithm, "train")
    whole = ROLLOUT / training_speed(agent, environment, rollouts=16)["steps_per_second"]
    each = {name: seconds / (17 * ROLLOUT) for name, seconds in spent.items()}
    return each | {"policy in the rollout, and the rest": whole / ROLLOUT - sum(each.values())}


def clock(spent: dict[str, float], name: str, owner: Any, method: str) -> None:
    """Add the time that a method takes to `spent[name]`, from now on."""
    original = getattr(owner, method)

    def timed(*arguments: Any) -> Any:
        began = time.perf_counter()
        try:
            return original(*arguments)
        finally:
            spent[name] += time.perf_counter() - began

    setattr(owner, method, timed)


def lives(threads: int) -> Measured:
    """Return the wall clock of a whole life with cloning and with nested over that with finetune, boundaries included.

    Each method lives twice, with two seeds, in turns, so that a machine that slows down slows all of them.
    """
    turns = (METHODS, METHODS[::-1])
    rounds = [{method: life(method, seed) for method in turn} for seed, turn in enumerate(turns)]
    return {
        f"time of {method} to finetune's (a whole {LIFE})": statistics.mean(
            each[method] / each["finetune"] for each in rounds
        )
        for method in METHODS
        if method != "finetune"
    }


def life(method: str, seed: int) -> float:
    """Return how long a life takes with one torch thread, evaluation included, in s."""
    with tempfile.TemporaryDirectory() as folder:
        run = nestrl.train(sequence(LIFE), method=method, seed=seed, folder=Path(folder) / "run")
        return float(sum(run.folder.summary()["seconds"].values()))


def shares(threads: int) -> Measured:
    """Return the shares of training, evaluation and checkpoints in the wall clock of a whole run."""
    with tempfile.TemporaryDirectory() as folder:
        run = nestrl.train(sequence("quick-3"), method="cloning", seed=0, folder=Path(folder) / "run")
        seconds: Measured = run.folder.summary()["seconds"]
    return {activity: spent / sum(seconds.values()) for activity, spent in seconds.items()}


def summary(result: dict[str, Any]) -> str:
    """Return the speeds as Markdown."""
    speeds = [[name, f"{speed:,.0f}"] for name, speed in result["steps_per_second"].items()]
    ratios = [[name, f"{ratio:.3f}"] for name, ratio in result["ratios"].items()]
    spent = ", ".join(f"{part} {each:.0f} us" for part, each in result["microseconds per step"].items())
    return "\n\n".join(
        [
            table(["stack", "environment steps/s, training included"], speeds),
            table(["ratio", ""], ratios),
            f"Where a step goes: {spent}. {result['machine']['cores']} cores.",
        ]
    )


def processor() -> str:
    """Return the processor's name."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.processor())


MEASURES: dict[str, Callable[[int], Measured]] = {
    OURS: ours,
    **{name: partial(rival, name) for name in RIVALS},
    "physics": physics,
    "arithmetic": arithmetic,
    "profile": profile,
    "lives": lives,
    "shares": shares,
}

if __name__ == "__main__":
    main()
