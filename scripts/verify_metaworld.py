"""Does EnvPool's Meta-World, in which nestrl trains, agree with the official one? Files go to results/envpool/.

    python scripts/verify_metaworld.py runs/cw10-cloning-s0   # success of a run's policy in both -> metaworld.json
    python scripts/verify_metaworld.py --expert               # of the official scripted policies -> expert.json
    python scripts/verify_metaworld.py --agreement            # equal actions from equal starts   -> agreement.json

Wants the extra envpool. The official package wants another MuJoCo (3.3.0), so it gets a virtual environment of its own,
made in runs/metaworld-venv the first time, and runs in a process of its own (metaworld_worlds.py). EnvPool's own
MuJoCo is a later one; `--mujoco 3.6.0` gives the official package that one, against its pin, to tell what the version
does from what EnvPool's code does. In a file's name it stands behind a dash.
"""

import argparse
import json
import os
import shlex
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

import nestrl
from metaworld_worlds import (
    PINNED_MUJOCO,
    Bools,
    EnvPoolWorld,
    Floats,
    OfficialWorld,
    World,
    official_python,
    official_settings,
    opened,
)
from nestrl.errors import BadConfig, EnvironmentFault, NestrlError
from nestrl.evaluation.statistics import Interval, wilson_interval
from nestrl.report.tables import table
from nestrl.tasks.continual_world import CW10, meta_world_task
from nestrl.tasks.sequence import Task
from nestrl.training.run_folder import versions

CLONE = Path(__file__).resolve().parents[1]
VENV = CLONE / "runs" / "metaworld-venv"
RESULTS = CLONE / "results" / "envpool"
METAWORLD = "envpool:MetaWorld/"

DEVELOPMENT = ("reach", "door-open", "button-press-topdown", "drawer-close")
"""Tasks outside CW10 that are compared too."""

SIMULATIONS = 10
"""So many episodes are played side by side; few, because a simulation takes much memory."""
SEED = 20_000
STARTS = 8
"""Episodes of a task that are played step by step in both worlds; more than the numbers of a start (3 or 6)."""
AGREEMENT_STEPS = 100
SPANS = (1, 10, AGREEMENT_STEPS)
"""Differences are told over so many first steps."""
EQUAL = 1e-6
"""So near, in m and in entries of a quaternion, are observations of one state; EnvPool's rewards have 32 bits."""
NEAR = 0.01
"""Worlds that differ more, in m, after one step are not synchronised. Less is what settling does in the reset."""

PARTS = {"hand": slice(0, 3), "gripper": slice(3, 4), "object": slice(4, 7), "its orientation": slice(7, 11)}
PARTS |= {"second object": slice(11, 14), "second orientation": slice(14, 18), "goal": slice(36, 39)}
"""What stands where in an observation."""
NOW = [*range(18), *range(36, 39)]
"""All but [18:36], which is [0:18] a step before."""

Policy = Callable[[Floats], Floats]
Found = dict[str, dict[str, Any]]


# ---- the same policy in both worlds


def played(world: World, policy: Policy, episodes: int, horizon: int) -> dict[str, Bools]:
    """Play whole episodes; return which of them (episodes,) held success "at any step" and "at the end".

    All but the first are played where another has ended, as in training.
    """
    ever, last = [], []
    for first in range(0, episodes, world.n):
        observations = world.reset(None if first else [SEED + i for i in range(world.n)])
        any_step = success = np.zeros(world.n, bool)
        for _ in range(horizon):
            observations, _, success = world.step(policy(observations))
            any_step = any_step | success
        ever.append(any_step)
        last.append(success)
    return {"at any step": np.concatenate(ever)[:episodes], "at the end": np.concatenate(last)[:episodes]}


def compared(task: Task, policy: Policy, official: OfficialWorld, episodes: int) -> dict[str, Any]:
    """Return a policy's success in both worlds, and whether the intervals overlap, for success of both kinds."""
    n, horizon = min(SIMULATIONS, episodes), official_settings(task)["horizon"]
    official.make(task, n)
    envpool = EnvPoolWorld(task, n)
    try:
        here, there = (played(world, policy, episodes, horizon) for world in (envpool, official))
    finally:
        envpool.close()
    return {kind: beside(here[kind], there[kind]) for kind in here}


def beside(here: Bools, there: Bools) -> dict[str, Any]:
    """Return the success rate (episodes,) of both worlds with Wilson's 95 % intervals, and whether they overlap."""
    ours, theirs = (wilson_interval(int(each.sum()), len(each)) for each in (here, there))
    overlap = ours.low <= theirs.high and theirs.low <= ours.high
    return {"envpool": asdict(ours), "official": asdict(theirs), "overlap": overlap}


def success_table(tasks: Found) -> str:
    """Return the success of all tasks as Markdown."""
    rows = []
    for name, kinds in tasks.items():
        for kind, row in kinds.items():
            intervals = [str(Interval(**row[world])) for world in ("envpool", "official")]
            rows.append([name, kind, *intervals, "yes" if row["overlap"] else "NO"])
    return table(["task", "success", "EnvPool", "official", "overlap"], rows)


# ---- the same actions from the same start


def agreement(task: Task, official: OfficialWorld) -> dict[str, Any]:
    """Return the differences between both worlds over equal actions from equal starts, or why there are none.

    "random" actions are drawn evenly; those of the "expert" are what the official scripted policy does there.
    """
    drawn = iter(np.random.default_rng(SEED).uniform(-1, 1, (AGREEMENT_STEPS, STARTS, 4)))
    policies: dict[str, Policy] = {"random": lambda _: next(drawn), "expert": official.expert}
    envpool, bounds = EnvPoolWorld(task, STARTS), official.make(task, STARTS)
    found: dict[str, Any] = {}
    try:
        for name, policy in policies.items():
            seen, observations = synchronised(envpool, official, bounds)
            found["start"] = start_difference(seen, observations)
            measured = differences(envpool, official, observations, policy)
            after_one = measured["observation"]["first 1"]["worst"]
            if after_one > NEAR:
                return found | {"not synchronised": f"{after_one:.3f} apart after one step: not all of a start is seen"}
            found[name] = measured
    except EnvironmentFault as error:
        return found | {"not synchronised": str(error)}
    finally:
        envpool.close()
    return found


def synchronised(envpool: World, official: OfficialWorld, bounds: tuple[Floats, Floats]) -> tuple[Floats, Floats]:
    """Start the same episodes in both worlds; return both first observations (n, 39), (n, 39).

    EnvPool tells no state, only an observation. Where objects and goal stand moves an observation by as much, so the
    official task is asked how its first observation depends on its start, and the line is followed backwards.
    """
    seen = envpool.reset([SEED + i for i in range(envpool.n)])
    low, high = bounds
    free = np.flatnonzero(high > low)
    shifts = (high - low)[free] / 10
    probes = np.tile((low + high) / 2, (official.n, 1))
    probes[1 + np.arange(len(free)), free] += shifts
    answers = official.start(probes)
    slopes = (answers[1 : len(free) + 1] - answers[0]).T / shifts  # (39, free)
    moved, *_ = np.linalg.lstsq(slopes, (seen - answers[0]).T)
    starts = np.tile(probes[-1], (official.n, 1))
    starts[:, free] += moved.T
    return seen, official.start(starts)


def start_difference(seen: Floats, official: Floats) -> dict[str, Any]:
    """Return the largest difference of first observations (n, 39), and which parts of them are not equal."""
    apart = np.abs(seen - official)
    return {
        "largest": float(apart.max()),
        "not equal": [name for name, part in PARTS.items() if apart[:, part].max() > EQUAL],
    }


def differences(envpool: World, official: World, observations: Floats, policy: Policy) -> dict[str, Any]:
    """Play the same actions in both, the policy's for what the official world shows; return how far they part.

    That is, over the first steps of SPANS, the largest difference in the median start and in the worst one, of
    observations (in m, or of a quaternion's entry) and of rewards; for how many steps each start stays EQUAL; and in
    how many starts only one of the worlds saw a success.
    """
    apart, reward_apart, successes, official_successes = [], [], [], []
    for _ in range(AGREEMENT_STEPS):
        actions = policy(observations)
        seen, reward, success = envpool.step(actions)
        observations, official_reward, official_success = official.step(actions)
        apart.append(np.abs(seen - observations)[:, NOW].max(axis=1))
        reward_apart.append(np.abs(reward - official_reward))
        successes.append(success)
        official_successes.append(official_success)
    ours, theirs = np.any(successes, axis=0), np.any(official_successes, axis=0)
    return {
        "observation": _over_spans(np.array(apart)),
        "reward": _over_spans(np.array(reward_apart)),
        "equal for": (np.maximum.accumulate(apart) <= EQUAL).sum(axis=0).tolist(),
        "starts with success": {"envpool": int(ours.sum()), "official": int(theirs.sum())},
        "starts with other success": int((ours != theirs).sum()),
    }


def _over_spans(apart: Floats) -> dict[str, dict[str, float]]:
    """Return the largest of differences (steps, starts) over the first steps, of the median start and the worst."""
    largest = {f"first {span}": apart[:span].max(axis=0) for span in SPANS}
    return {name: {"median": float(np.median(each)), "worst": float(each.max())} for name, each in largest.items()}


def agreement_table(tasks: Found) -> str:
    """Return the differences of all tasks over all steps as Markdown."""
    head = ["task", "actions", "start", "equal for", "observation", "worst", "reward", "worst", "other success"]
    rows = []
    for name, found in tasks.items():
        start = f"{found['start']['largest']:.0e}" if "start" in found else "–"
        for kind in ("random", "expert"):
            cells = _cells(found[kind]) if kind in found else ["not synchronised", *["–"] * 5]
            rows.append([name, kind, start, *cells])
    return table(head, rows)


def _cells(found: dict[str, Any]) -> list[str]:
    whole = [found[what][f"first {AGREEMENT_STEPS}"] for what in ("observation", "reward")]
    numbers = [f"{each[of]:.0e}" for each in whole for of in ("median", "worst")]
    return [f"{np.median(found['equal for']):.0f}", *numbers, f"{found['starts with other success']} of {STARTS}"]


# ---- the three commands


def verify_run(run: str, official: OfficialWorld, episodes: int) -> Found:
    """Return the success of a run's policy in both worlds. Raises BadConfig if none of its tasks can be compared."""
    agent = nestrl.load(run)
    tasks = [task for task in agent.config.sequence.tasks if is_comparable(task)]
    if not tasks:
        raise BadConfig(f"{run} has no task of EnvPool's Meta-World ({METAWORLD}...) with a success of its own.")
    return {task.name: compared(task, policy_of(agent, task), official, episodes) for task in shown(tasks)}


def is_comparable(task: Task) -> bool:
    """Return whether the official package has the task and its success, and say so if not."""
    comparable = task.env_id.startswith(METAWORLD) and task.success_threshold is None
    if not comparable:
        print(f"{task.name} is left out: not of Meta-World, or its success is a return")
    return comparable


def policy_of(agent: Any, task: Task) -> Policy:
    """Return the agent's deterministic policy for a task."""
    return lambda observations: np.asarray(agent.predict(observations, task=task.name)[0], float)


def verify_experts(names: Iterable[str], official: OfficialWorld, episodes: int) -> Found:
    """Return the success of the official scripted policies in both worlds."""
    tasks = map(meta_world_task, names)
    return {task.name: compared(task, official.expert, official, episodes) for task in shown(tasks)}


def verify_steps(names: Iterable[str], official: OfficialWorld) -> Found:
    """Return the step-by-step agreement of tasks ("door-open")."""
    return {task.name: agreement(task, official) for task in shown(map(meta_world_task, names))}


def shown(tasks: Iterable[Task]) -> Iterator[Task]:
    """Name each task as its turn comes."""
    for task in tasks:
        print(task.name, flush=True)
        yield task


def arguments_given() -> argparse.Namespace:
    """Return the arguments; exactly one of run, expert and agreement is not None."""
    parser = argparse.ArgumentParser(description="Compare EnvPool's Meta-World with the official one.")
    parser.add_argument("run", nargs="?", help="a run's folder, whose policy is played in both")
    names: dict[str, Any] = {"nargs": "*", "metavar": "TASK"}
    parser.add_argument(
        "--expert", **names, help='the scripted policies; "door-open", ...; default: CW10 and four more'
    )
    parser.add_argument("--agreement", **names, help="step by step")
    parser.add_argument("--episodes", type=int, default=100, help="of each task in each world")
    parser.add_argument("--output", type=Path, help="default: in results/envpool/")
    parser.add_argument("--mujoco", default=PINNED_MUJOCO, metavar="VERSION", help="of the official package")
    parser.add_argument("--venv", type=Path, help="with the official package; made if it is not there")
    given = parser.parse_args()
    if [given.run, given.expert, given.agreement].count(None) != 2 or given.episodes < 1:
        parser.error("give a run's folder, --expert or --agreement; and at least one episode.")
    return given


def main() -> None:
    """Measure, print the table and write the file."""
    given = arguments_given()
    other = "" if given.mujoco == PINNED_MUJOCO else f"-{given.mujoco}"
    names = given.expert or given.agreement or [*DEVELOPMENT, *CW10]
    try:
        with opened(official_python(given.venv or Path(f"{VENV}{other}"), given.mujoco)) as official:
            if given.agreement is not None:
                name, found = "agreement", verify_steps(names, official)
            elif given.expert is not None:
                name, found = "expert", verify_experts(names, official, given.episodes)
            else:
                name, found = "metaworld", verify_run(given.run, official, given.episodes)
            official_versions = official.ask("versions")
    except NestrlError as error:
        sys.exit(f"verify_metaworld.py: {error}")
    if given.agreement is None:
        settings, as_table = {"episodes": given.episodes}, success_table
    else:
        settings, as_table = {"starts": STARTS, "steps": AGREEMENT_STEPS}, agreement_table
    output = given.output or RESULTS / f"{name}{other}.json"
    write(output, {"official versions": official_versions, "settings": settings, "tasks": found})
    print(f"\n{as_table(found)}\nwritten to {os.path.relpath(output)}")


def write(output: Path, result: dict[str, Any]) -> None:
    """Write a result with the command and the versions that made it."""
    command = shlex.join(["python", "scripts/verify_metaworld.py", *sys.argv[1:]])
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps({"command": command, "versions": versions(), **result}, indent=2) + "\n")


if __name__ == "__main__":
    main()
