"""The worlds of nestrl: ten MuJoCo tasks of one rover, registered with gymnasium when this package is imported.

import gymnasium as gym
env = gym.make("nestrl_envs:nestrl/RoverPush-v0")
many = gym.make_vec("nestrl_envs:nestrl/RoverPush-v0", num_envs=256)
"""

from functools import partial
from importlib import metadata

from nestrl_envs.rendering import choose_opengl


def refuse_bad_mujoco(version: str) -> None:
    """Raise ImportError for a version of MuJoCo with which the tasks would compute wrong physics, or none."""
    if version == "4.0.0":
        raise ImportError(
            "mujoco 4.0.0 computes wrong accelerations with sparse Jacobians (google-deepmind/mujoco#3767); "
            "install another one: pip uninstall mujoco && pip install 'mujoco>=3.17,!=4.0.0'"
        )
    if tuple(int(part) for part in version.split(".")[:2]) < (3, 17):
        raise ImportError(f"nestrl_envs needs mujoco >= 3.17 (mujoco.batch), not {version}: pip install -U mujoco")


refuse_bad_mujoco(metadata.version("mujoco"))
choose_opengl()  # before mujoco is imported

import gymnasium as gym

from nestrl_envs.batch_env import BatchEnv
from nestrl_envs.manipulation.button import RoverButton
from nestrl_envs.manipulation.door import RoverDoor
from nestrl_envs.manipulation.drawer import RoverDrawer
from nestrl_envs.manipulation.pick_place import RoverPickPlace
from nestrl_envs.manipulation.push import RoverPush
from nestrl_envs.manipulation.reach import RoverReach
from nestrl_envs.navigation.dock import RoverDock
from nestrl_envs.navigation.ice import RoverIce
from nestrl_envs.navigation.maze import RoverMaze
from nestrl_envs.navigation.slalom import RoverSlalom
from nestrl_envs.single import SingleEnv
from nestrl_envs.vector import BatchVectorEnv

TASKS: dict[str, type[BatchEnv]] = {
    f"nestrl/{task.__name__}-{[*task.versions][-1]}": task
    for task in (
        RoverReach,
        RoverSlalom,
        RoverMaze,
        RoverDock,
        RoverIce,
        RoverPush,
        RoverButton,
        RoverDoor,
        RoverDrawer,
        RoverPickPlace,
    )
}


def register_task(env_id: str, task: type[BatchEnv]) -> None:
    """Register a `BatchEnv` class under a gymnasium id, for `gym.make`, `gym.make_vec` and nestrl alike."""
    gym.register(env_id, entry_point=partial(SingleEnv, task), vector_entry_point=partial(BatchVectorEnv, task))


for _env_id, _task in TASKS.items():
    register_task(_env_id, _task)
