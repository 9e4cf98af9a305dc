"""The official Meta-World behind two pipes, for scripts/metaworld_worlds.py; runs where metaworld 3.1.1 is installed.

Reads one request a line from standard input and answers each with one line on standard output, both JSON objects:

{"do": "versions"}                                        {"metaworld": "3.1.1", ...}
{"do": "make", "task": "push-v3", "n": 8, "horizon": 200, "partially_observable": false}
                                                          {"low": [...], "high": [...]}: bounds (d,) of a start
{"do": "reset", "seeds": [n numbers] or null}             {"observations": (n, 39)}: random starts
{"do": "start", "starts": (n, d)}                         {"observations": (n, 39)}: these starts
{"do": "step", "actions": (n, 4)}                         {"observations": (n, 39), "rewards": (n,), "success": (n,)}
{"do": "expert", "observations": (n, 39)}                 {"actions": (n, 4)}: of the task's scripted policy

A request that fails is answered with {"error": "..."}. A start is the random vector that an official task draws in its
reset: where object and goal shall stand.
"""

import json
import os
import platform
import sys
import warnings
from collections.abc import Callable
from importlib.metadata import version
from itertools import count
from typing import Any

import numpy as np
from metaworld.env_dict import ALL_V3_ENVIRONMENTS
from metaworld.policies import ENV_POLICY_MAP

Answer = dict[str, Any]

MANY_DRAWS = 20
"""A reset draws twice, and again while object and goal are too near; a given start would be refused for ever."""


def versions() -> Answer:
    """Return the versions that the official physics depends on."""
    packages = {name: version(name) for name in ("metaworld", "mujoco", "numpy", "gymnasium")}
    return {"python": platform.python_version(), **packages}


class Simulations:
    """n simulations of one official task, stepped one after the other."""

    def __init__(self, task: str, n: int, horizon: int, partially_observable: bool) -> None:
        """Make them ready for any start: no task of a benchmark is set, but each reset draws anew."""
        self._environments = [self.environment(task, horizon, partially_observable) for _ in range(n)]
        self._experts = [ENV_POLICY_MAP[task]() for _ in range(n)]

    def bounds(self) -> Answer:
        """Return the bounds (d,) of the random vector of a start."""
        space = self._environments[0]._random_reset_space
        return {"low": space.low.tolist(), "high": space.high.tolist()}

    def reset(self, seeds: list[int] | None) -> Answer:
        """Start an episode everywhere; simulation i draws with seeds[i], or goes on. `reset(seed=)` does nothing."""
        for environment in self._environments:
            vars(environment).pop("_get_state_rand_vec", None)
        if seeds is not None:
            for environment, seed in zip(self._environments, seeds, strict=True):
                environment.seed(seed)
        return self._started()

    def start(self, starts: list[list[float]]) -> Answer:
        """Start an episode everywhere, simulation i with the random vector starts[i] in place of a drawn one."""
        for environment, start in zip(self._environments, starts, strict=True):
            environment._get_state_rand_vec = given(np.array(start))
        return self._started()

    def step(self, actions: list[list[float]]) -> Answer:
        """Advance every simulation."""
        steps = [each.step(np.array(action)) for each, action in zip(self._environments, actions, strict=True)]
        return {
            "observations": [step[0].tolist() for step in steps],
            "rewards": [float(step[1]) for step in steps],
            "success": [bool(step[4]["success"]) for step in steps],
        }

    def expert(self, observations: list[list[float]]) -> Answer:
        """Return what the scripted policy does, within the bounds of actions."""
        pairs = zip(self._experts, observations, strict=True)
        return {"actions": [np.clip(expert.get_action(np.array(seen)), -1, 1).tolist() for expert, seen in pairs]}

    def _started(self) -> Answer:
        return {"observations": [environment.reset()[0].tolist() for environment in self._environments]}

    @staticmethod
    def environment(task: str, horizon: int, partially_observable: bool) -> Any:
        """Return one simulation, ready for any start."""
        environment = ALL_V3_ENVIRONMENTS[task]()
        environment._partially_observable = partially_observable
        del environment.sawyer_observation_space  # it is kept, and would clip a visible goal to 0
        environment._set_task_called = True
        environment._freeze_rand_vec = False
        environment.seeded_rand_vec = True
        environment.max_path_length = horizon
        return environment


def given(start: Any) -> Callable[[], Any]:
    """Return a draw that gives always `start`, and raises ValueError when the task keeps refusing it."""
    draws = count()

    def draw() -> Any:
        if next(draws) >= MANY_DRAWS:
            raise ValueError(f"the official task refuses the start {start.tolist()}")
        return start.copy()

    return draw


class Worker:
    """Answers requests."""

    def __init__(self) -> None:
        self._simulations: Simulations | None = None

    def answer(self, do: str, **arguments: Any) -> Answer:
        """Return the answer to one request; raises what goes wrong."""
        if do == "versions":
            return versions()
        if do == "make":
            self._simulations = Simulations(**arguments)
            return self._simulations.bounds()
        if do not in ("reset", "start", "step", "expert"):
            raise ValueError(f"cannot do {do!r}")
        if self._simulations is None:
            raise ValueError(f"asked to {do} before there is a task; make one first")
        answer: Answer = getattr(self._simulations, do)(**arguments)
        return answer


def main() -> None:
    """Answer until standard input ends."""
    answers = os.fdopen(os.dup(1), "w")  # what libraries print goes elsewhere
    os.dup2(2, 1)
    warnings.filterwarnings("ignore", "Constant")  # scripted policies ask for more than the bounds; it is clipped
    worker = Worker()
    for line in sys.stdin:
        try:
            answer = worker.answer(**json.loads(line))
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
