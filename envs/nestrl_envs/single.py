"""One simulation as an ordinary gymnasium environment, which renders."""

from typing import Any

import gymnasium as gym
import mujoco
import numpy as np

from nestrl_envs.batch_env import BatchEnv
from nestrl_envs.fields import column
from nestrl_envs.rendering import REMEDY


class SingleEnv(gym.Env[np.ndarray, np.ndarray]):
    """A `BatchEnv` of one simulation: the same numbers, to the last bit, as any row of a larger batch.

    `info` holds is_success, diverged and the terms of the reward. A diverged simulation truncates its episode.
    """

    metadata: dict[str, Any] = {  # noqa: RUF012 - gymnasium declares it so
        "render_modes": ["rgb_array"],
        "render_fps": 12,
    }

    def __init__(self, task: type[BatchEnv], render_mode: str | None = None, **options: Any) -> None:
        if render_mode not in (None, "rgb_array"):
            raise ValueError(f"render_mode must be None or 'rgb_array', not {render_mode!r}")
        self.render_mode = render_mode
        self.simulations = task(1, **options)
        self.observation_space, self.action_space = spaces_of(self.simulations)
        self._renderer: mujoco.Renderer | None = None

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        if seed is None and self.simulations.episode[0] == 0:
            seed = int(self.np_random.integers(2**31))
        self.simulations.reset(seeds=None if seed is None else np.array([seed]))
        return self.simulations.observe()[0], {"is_success": False}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        outcome = self.simulations.step(np.asarray(action)[None])
        info: dict[str, Any] = {name: float(values[0]) for name, values in outcome.terms.items()}
        info |= {"is_success": bool(outcome.success[0]), "diverged": bool(outcome.diverged[0])}
        observation = self.simulations.observe()[0]
        return observation, float(outcome.reward[0]), bool(outcome.terminated[0]), bool(outcome.truncated[0]), info

    def render(self) -> np.ndarray | None:
        """Return a picture (480, 640, 3) uint8 from the overview camera; software rendering takes some 0.1 s."""
        if self.render_mode is None:
            return None
        batch = self.simulations.batch
        model, data = batch.get_model(0), batch.get_data(0)
        mujoco.mj_forward(model, data)
        if self._renderer is None:
            self._renderer = new_renderer(self.simulations.model)
        self._renderer.model.body_pos[:] = model.body_pos
        self._renderer.update_scene(data, "overview")
        return self._renderer.render()

    def close(self) -> None:
        if self._renderer is not None:
            self._renderer.close()
            self._renderer = None


def new_renderer(model: mujoco.MjModel) -> mujoco.Renderer:
    """Return a renderer; RuntimeError with the remedy where there is no OpenGL."""
    try:
        return mujoco.Renderer(model, 480, 640)
    except Exception as error:  # each OpenGL fails in its own way
        raise RuntimeError(f"{REMEDY} ({type(error).__name__}: {error})") from error


def spaces_of(simulations: BatchEnv) -> tuple[gym.spaces.Box, gym.spaces.Box]:
    """Return observation and action space of one simulation."""
    size = len(column(simulations.observed, "low"))
    observation = gym.spaces.Box(-np.inf, np.inf, (size,), np.float32)
    low, high = column(simulations.driven, "low"), column(simulations.driven, "high")
    return observation, gym.spaces.Box(low, high, dtype=np.float32)
