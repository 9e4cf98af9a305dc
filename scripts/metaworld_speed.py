"""How fast the official Meta-World is stepped under stable-baselines3's SubprocVecEnv: prints steps/s.

    python scripts/metaworld_speed.py faucet-close-v3 8 20000      # task, processes, steps

Runs where metaworld 3.1.1 and stable-baselines3 are installed, for scripts/bench_envpool.py.
"""

import sys
import time
from functools import partial
from typing import Any

import numpy as np
from stable_baselines3.common.vec_env import SubprocVecEnv

from metaworld_worker import Simulations

HORIZON = 200


def environment(task: str) -> Any:
    """Return a simulation with random starts and a visible goal, as Continual World has them."""
    return Simulations.environment(task, HORIZON, partially_observable=False)


def main() -> None:
    """Step all processes with random actions; print environment steps a second, restarts of episodes included."""
    task, processes, steps = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    vec_env = SubprocVecEnv([partial(environment, task)] * processes)
    vec_env.reset()
    rounds = steps // processes
    actions = np.random.default_rng(0).uniform(-1, 1, (rounds, processes, 4)).astype(np.float32)
    began = time.perf_counter()
    for action in actions:
        vec_env.step(action)
    print(rounds * processes / (time.perf_counter() - began))
    vec_env.close()


if __name__ == "__main__":
    main()
