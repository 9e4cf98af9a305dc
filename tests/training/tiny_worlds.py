"""Worlds that cost nothing: a point on a line that can give its state, and others that fail on purpose."""

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from nestrl.agents.config import AgentConfig
from nestrl.tasks.named import register_sequence
from nestrl.tasks.sequence import Segment, Task, TaskSequence
from nestrl.training.config import RunConfig

HORIZON = 12  # steps
SPEED = 0.2  # of the point, a step


class PointVectorEnv(VectorEnv):
    """n points on a line that shall stop at 0; `wind` blows them away. Success: within .1 at the end."""

    metadata = {"autoreset_mode": AutoresetMode.SAME_STEP}  # noqa: RUF012

    def __init__(self, num_envs: int = 1, wind: float = 0.0, bad_reward_at: int = 0, diverge_at: int = 0) -> None:
        self.num_envs, self.wind = num_envs, wind
        self.bad_reward_at, self.diverge_at = bad_reward_at, diverge_at
        self.single_observation_space = spaces.Box(-10, 10, (2,), np.float32)
        self.single_action_space = spaces.Box(-1, 1, (1,), np.float32)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.observation_scale = np.array([0.5, 1.0], np.float32)
        self.place, self.age = np.zeros(num_envs), np.zeros(num_envs, np.int64)
        self.random = np.random.default_rng(0)
        self.total = np.zeros(1, np.int64)

    def observe(self) -> np.ndarray:
        return np.stack([self.place, self.age / HORIZON], axis=1).astype(np.float32)

    def start(self, ids: np.ndarray) -> None:
        self.place[ids], self.age[ids] = self.random.uniform(-1, 1, len(ids)), 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict[str, Any]]:
        if seed is not None:
            self.random = np.random.default_rng(seed)
        self.start(np.arange(self.num_envs))
        return self.observe(), {}

    def step(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        self.place += SPEED * np.clip(actions[:, 0], -1, 1) + self.wind + 0.02 * self.random.normal(size=self.num_envs)
        self.age += 1
        self.total += 1
        reward = -np.abs(self.place)
        if self.bad_reward_at and self.total[0] >= self.bad_reward_at:
            reward[0] = np.nan
        truncated = self.age >= HORIZON
        infos: dict[str, Any] = {"is_success": truncated & (np.abs(self.place) < 0.1)}
        if self.diverge_at and self.total[0] == self.diverge_at:
            truncated[0] = True
            infos["diverged"] = np.arange(self.num_envs) == 0
        if truncated.any():
            infos |= {"final_obs": self.observe(), "_final_obs": truncated}
            self.start(np.flatnonzero(truncated))
        return self.observe(), reward, np.zeros(self.num_envs, bool), truncated, infos

    def get_state(self) -> dict[str, np.ndarray]:
        generator = self.random.bit_generator.state["state"]
        words = [generator[name] >> shift & (2**64 - 1) for name in ("state", "inc") for shift in (0, 64)]
        state = {"place": self.place, "age": self.age, "total": self.total}
        return {name: values.copy() for name, values in state.items()} | {"random": np.array(words, np.uint64)}

    def set_state(self, state: dict[str, np.ndarray]) -> None:
        self.place[:], self.age[:], self.total[:] = state["place"], state["age"], state["total"]
        low, high, low_inc, high_inc = (int(word) for word in state["random"])
        whole = self.random.bit_generator.state
        whole["state"] = {"state": low | high << 64, "inc": low_inc | high_inc << 64}
        self.random.bit_generator.state = whole


class ForgetfulVectorEnv(PointVectorEnv):
    """The same, but it cannot give its state."""

    get_state = set_state = property()  # type: ignore[assignment]


def _no_single(**_: Any) -> gym.Env[Any, Any]:
    raise NotImplementedError("the tiny worlds exist as vector environments only")


gym.register("TinyPoint-v0", entry_point=_no_single, vector_entry_point=PointVectorEnv)
gym.register("TinyForgetful-v0", entry_point=_no_single, vector_entry_point=ForgetfulVectorEnv)


def tasks(env_id: str = "TinyPoint-v0", **kwargs: Any) -> tuple[Task, ...]:
    """Return two tasks: calm, and with wind."""
    return Task("calm", env_id, kwargs), Task("windy", env_id, {"wind": 0.1} | kwargs)


TINY = TaskSequence("tiny-2", tasks(), (Segment("calm", 600), Segment("windy", 600)))
register_sequence(TINY, "two tasks for tests")

AGENTS = {
    "ppo": AgentConfig(network=(16,), n_envs=8, hyperparameters={"n_steps": 8, "n_epochs": 2}),
    "sac": AgentConfig(
        algorithm="sac",
        network=(16,),
        n_envs=4,
        hyperparameters={"learning_starts": 50, "batch_size": 16, "buffer_size": 400, "gradient_steps": 1},
    ),
}


def tiny_config(algorithm: str = "ppo", sequence: TaskSequence = TINY, **changes: Any) -> RunConfig:
    """Return a run of two seconds that has everything: two tasks, policy cloning, three evaluations a segment."""
    values: dict[str, Any] = {
        "method": "cloning",
        "method_options": {"samples": 32, "capacity": 64},
        "evaluation_episodes": 4,
        "final_episodes": 8,
        "imports": ("tiny_worlds",),
    }
    return RunConfig(sequence, agent=AGENTS[algorithm], **(values | changes))
