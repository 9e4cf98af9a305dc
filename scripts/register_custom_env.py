"""An environment of your own, from its first line to the retention matrix of a sequence over it.

python scripts/register_custom_env.py
"""

from typing import Any

import gymnasium as gym
import numpy as np

import nestrl

DT = 0.1  # s


class Cart(gym.Env[np.ndarray, np.ndarray]):
    """A cart on a rail must reach a mark and stop there; `motor` is the acceleration at full command in m/s^2."""

    observation_space = gym.spaces.Box(-10, 10, (2,), np.float32)  # way to the mark in m, speed in m/s
    action_space = gym.spaces.Box(-1, 1, (1,), np.float32)

    def __init__(self, motor: float = 2.0, drag: float = 0.2) -> None:
        self.motor, self.drag = motor, drag
        self.way = self.speed = 0.0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Put the mark 0.5 to 2 m away, on either side."""
        super().reset(seed=seed)
        self.way, self.speed = self.np_random.uniform(0.5, 2.0) * self.np_random.choice([-1, 1]), 0.0
        return self.observe(), {}

    def observe(self) -> np.ndarray:
        """Return way and speed, within the bounds of the space."""
        return np.clip([self.way, self.speed], -10, 10).astype(np.float32)

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Push for 0.1 s; what pays is to come nearer, and to stop at the mark."""
        before = abs(self.way)
        self.speed += DT * (self.motor * float(action[0]) - self.drag * self.speed)
        self.way -= DT * self.speed
        success = bool(abs(self.way) < 0.1 and abs(self.speed) < 0.2)
        reward = 2.0 * (before - abs(self.way)) + 5.0 * success - 0.02
        return self.observe(), reward, success, False, {"is_success": success}


if "mine/Cart-v0" not in gym.registry:  # this file runs as a script and is imported by the id below
    gym.register("mine/Cart-v0", entry_point="register_custom_env:Cart", max_episode_steps=60)


def main(steps: int = 30_000) -> None:
    """Train through three carts, `steps` each, plainly and with retention; print what is left of each skill."""
    carts: dict[str, dict[str, float]] = {
        "plain": {},
        "reversed": {"motor": -2.0},
        "weak": {"motor": 1.0, "drag": 0.5},
    }
    sequence = nestrl.TaskSequence(
        name="carts",
        tasks=tuple(nestrl.Task(name, "register_custom_env:mine/Cart-v0", kwargs) for name, kwargs in carts.items()),
        segments=tuple(nestrl.Segment(name, steps) for name in carts),
    )
    agent = nestrl.AgentConfig(n_envs=16, hyperparameters={"n_steps": 128, "batch_size": 512})
    for method in ("finetune", "cloning"):
        run = nestrl.train(sequence, method=method, seed=0, agent=agent)
        print(f"{method}: success on {', '.join(carts)} after each segment\n{np.round(run.retention, 2)}")


if __name__ == "__main__":
    main()
