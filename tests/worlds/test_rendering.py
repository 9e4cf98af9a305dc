"""Pictures show the scene, and a machine without OpenGL says what to install."""

import os
import subprocess
import sys

import gymnasium as gym
import numpy as np
import pytest

from nestrl_envs import TASKS, single

needs_opengl = pytest.mark.skipif(
    os.environ.get("MUJOCO_GL") not in ("egl", "osmesa"), reason="no offscreen OpenGL (libegl1 or libosmesa6)"
)


@needs_opengl
@pytest.mark.parametrize("env_id", TASKS)
def test_a_picture_shows_the_robot_and_changes_as_it_drives(env_id: str) -> None:
    env = gym.make(env_id, render_mode="rgb_array")
    env.reset(seed=0)
    before = env.render()
    for _ in range(5):
        env.step(np.array([1, 0, 0, 0, 0, 0], np.float32))
    after = env.render()
    env.close()
    assert before.shape == (480, 640, 3) and before.dtype == np.uint8
    blue = (before[..., 2].astype(int) - before[..., 0] > 30).sum()  # the base of the rover
    assert blue > 100
    assert (before != after).any(axis=-1).sum() > 100


def test_without_opengl_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*arguments: object) -> None:
        raise AttributeError("no EGL")

    monkeypatch.setattr(single.mujoco, "Renderer", broken)
    env = gym.make("nestrl/RoverReach-v0", render_mode="rgb_array").unwrapped
    env.reset(seed=0)
    with pytest.raises(RuntimeError, match="install libegl1"):
        env.render()


def test_a_choice_that_is_made_stands() -> None:
    code = "import nestrl_envs, os; print(os.environ['MUJOCO_GL'])"
    environment = os.environ | {"MUJOCO_GL": "glfw"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "glfw"
