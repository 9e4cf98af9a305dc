"""EnvPool's tasks (Meta-World, Fetch, PointMaze, dm_control, ...) as gymnasium environments, by "envpool:ITS_ID".

EnvPool steps its simulations in C++. Three of its ways differ from gymnasium's, and are mended here: it restarts an
episode in the step after its end, it takes seeds only when it is made, and its bounds of float observations are not to
be relied on (dm_control's are said to begin at 2e-308). A Dict observation stays one; the union space puts its entries
in the order of their sorted keys. It gives no state to save. Two of its tasks restart wrongly, see RUNNING_AWAY.
"""

import ctypes
import importlib
import os
import sys
import warnings
from functools import cache
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.envs.registration import EnvSpec
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from nestrl.errors import BadConfig, UnknownName, nearest

PREFIX = "envpool:"

CONTINUAL_WORLD = {"partially_observable": False, "max_episode_steps": 200}
"""How Continual World sets Meta-World's tasks: the goal is observed, and an episode has 200 steps."""

RUNNING_AWAY = frozenset({"MetaWorld/Hammer-v3", "MetaWorld/ShelfPlace-v3"})
"""Tasks whose goal moves on by its own distance from the origin with every restart in EnvPool 1.2.5, out of all reach
from the second episode on: a restart reads the goal in the frame of the body that holds it, and a step writes it there
in the frame of the world. Only a new simulation has it right."""

NOT_THE_TASKS = (
    *("num_envs", "batch_size", "num_threads", "max_num_players", "thread_affinity_offset"),
    *("base_path", "seed", "env_seed", "gym_reset_return_info", "reward_threshold"),
)
"""Arguments that all tasks have and none is to be given: they are set here, do nothing, or break what reads EnvPool."""
MOST_THREADS = 1024  # EnvPool ends the process where so many cannot be started

SEEDS = 2**31  # EnvPool keeps a seed in 32 bits with a sign


def envpool_spec(env_id: str) -> EnvSpec:
    """Return what gymnasium needs to make "envpool:ITS_ID"; nothing is registered.

    Raises UnknownName if EnvPool is not installed or has no such task.
    """
    task_id = env_id.removeprefix(PREFIX)
    known = _envpool().list_all_envs()
    if task_id not in known:
        raise UnknownName(
            f"EnvPool has no task {task_id!r}; envpool.list_all_envs() has its {len(known)}.{nearest(task_id, known)}"
        )
    single, vector = f"{__name__}:EnvPoolEnv", f"{__name__}:EnvPoolVectorEnv"
    return EnvSpec(env_id, entry_point=single, vector_entry_point=vector, kwargs={"task_id": task_id})


class EnvPoolVectorEnv(VectorEnv[Any, Any, Any]):
    """n simulations of one EnvPool task, autoreset mode SAME_STEP.

    `infos` holds what EnvPool tells (n,), of those that have just restarted about their new start. Where an episode has
    ended, `final_obs` (n,) has the observation that it ended with, `final_info` what was told of it, and `_final_obs`
    and `_final_info` (n,) say where. A time limit truncates.
    """

    metadata: dict[str, Any] = {  # noqa: RUF012 - gymnasium declares it so
        "render_modes": [],
        "autoreset_mode": AutoresetMode.SAME_STEP,
    }

    def __init__(self, task_id: str, num_envs: int = 1, num_threads: int = 1, **options: Any) -> None:
        """`options` are EnvPool's own; Meta-World's tasks are set as in Continual World unless they say otherwise.

        No simulation is made before the first reset. Raises BadConfig for an argument that EnvPool does not take.
        """
        _check_threads(num_threads)
        defaults = CONTINUAL_WORLD if task_id.startswith("MetaWorld/") else {}
        options = {**defaults, **options}
        spec = _pool_spec(task_id, options)
        self._task_id, self._options = task_id, {**options, "num_envs": num_envs, "num_threads": num_threads}
        self._pool: Any = None
        self.num_envs = num_envs
        self.single_observation_space = _unbounded(spec.observation_space)
        self.single_action_space = spec.action_space
        self.max_episode_steps: int = spec.config.max_episode_steps
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)

    def reset(
        self, *, seed: int | list[int] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Start an episode everywhere; simulation i gets the seed `seed + i`, or goes on with its stream for None.

        A seed makes all simulations anew, which takes tens of milliseconds each.
        """
        if seed is None and self._pool is None:
            seed = int(np.random.default_rng().integers(SEEDS))
        if seed is None:
            return self._restarted(np.arange(self.num_envs, dtype=np.int32))
        seeds = [seed + i for i in range(self.num_envs)] if isinstance(seed, int | np.integer) else seed
        self._make([int(each) % SEEDS for each in seeds])
        observations, info = self._pool.reset()
        return observations, _told(info)

    def step(self, actions: NDArray[Any]) -> tuple[Any, NDArray[Any], NDArray[Any], NDArray[Any], dict[str, Any]]:
        """Advance every simulation; return observations, rewards (n,), terminated (n,), truncated (n,) and infos."""
        observations, rewards, terminated, truncated, info = self.simulations.step(actions)
        infos, ended = _told(info), terminated | truncated
        if ended.any():
            rows = np.flatnonzero(ended).astype(np.int32)
            final = {"final_obs": _each(observations, rows, self.num_envs), "final_info": infos}
            starts, start_info = self._restarted(rows)
            observations = _replaced(observations, rows, starts)
            infos = _replaced(infos, rows, start_info) | final | {"_final_obs": ended, "_final_info": ended}
        return observations, rewards, terminated, truncated, infos

    def close_extras(self, **kwargs: Any) -> None:
        """Free the simulations, of which Meta-World's take 25 MB each; a reset makes them anew from its seed."""
        if self._pool is None:
            return
        self._pool.close()
        self._pool = None
        _give_back_memory()

    @property
    def simulations(self) -> Any:
        """EnvPool's own, which restart in the step after an episode. Raises ResetNeeded before the first reset."""
        if self._pool is None:
            raise gymnasium.error.ResetNeeded("EnvPool's simulations are made by reset(); call it before step().")
        return self._pool

    def _restarted(self, rows: NDArray[np.int32]) -> tuple[Any, dict[str, Any]]:
        """Start an episode in these simulations; return their observations (m, ...) and infos."""
        if self._task_id in RUNNING_AWAY:  # whose episodes end by the time limit alone, and so all at once
            self._make([int(np.random.default_rng(seed).integers(SEEDS)) for seed in self._seeds])
        observations, info = self.simulations.reset(rows)
        return observations, _told(info)

    def _make(self, seeds: list[int]) -> None:
        """Make all simulations with seeds from 0 to SEEDS, one each, in place of those that there are."""
        self.close_extras()
        self._pool, self._seeds = _envpool().make_gymnasium(self._task_id, seed=seeds, **self._options), seeds
        self.closed = False  # else gymnasium would not free them if there had been a close before


class EnvPoolEnv(gymnasium.Env[Any, Any]):
    """One simulation of an EnvPool task as an ordinary environment: the same numbers as the first of a vector."""

    metadata: dict[str, Any] = {  # noqa: RUF012 - gymnasium declares it so
        "render_modes": ["rgb_array"],
        "render_fps": 80,  # Meta-World's; of others nothing is told
    }

    def __init__(self, task_id: str, render_mode: str | None = None, **options: Any) -> None:
        """Arguments as of EnvPoolVectorEnv. Raises RuntimeError where pictures are asked for and there is no OpenGL."""
        if render_mode not in (None, *self.metadata["render_modes"]):
            raise ValueError(f"render_mode must be None or 'rgb_array', not {render_mode!r}")
        self.render_mode = render_mode
        if render_mode is not None:
            if why_no_pictures():
                raise RuntimeError(f"rendering needs OpenGL: {why_no_pictures()}")
            options |= {"render_mode": render_mode, "render_width": 640, "render_height": 480}
        self._vector = EnvPoolVectorEnv(task_id, 1, **options)
        self.observation_space = self._vector.single_observation_space
        self.action_space = self._vector.single_action_space
        self.max_episode_steps = self._vector.max_episode_steps
        self._over = False

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Start an episode."""
        super().reset(seed=seed)
        observations, infos = self._vector.reset(seed=seed)
        self._over = False
        return _row(observations, 0), _row(infos, 0)

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Advance the simulation. Raises ResetNeeded where its episode has ended, and EnvPool would begin another."""
        if self._over:
            raise gymnasium.error.ResetNeeded("the episode has ended; call reset() before step().")
        observations, rewards, terminated, truncated, info = self._vector.simulations.step(np.asarray(action)[None])
        told, self._over = _row(_told(info), 0), bool(terminated[0] or truncated[0])
        return _row(observations, 0), float(rewards[0]), bool(terminated[0]), bool(truncated[0]), told

    def render(self) -> Any:
        """Return a picture (480, 640, 3) uint8; None without render_mode. Takes some 0.2 s without a GPU."""
        return None if self.render_mode is None else self._vector.simulations.render()[0]

    def close(self) -> None:
        """Free the simulation."""
        self._vector.close()


@cache
def why_no_pictures() -> str:
    """Load what EnvPool draws with; return what to do where that fails.

    EnvPool finds it only where it was loaded before itself, and ends the process where it does not.
    """
    if "envpool" in sys.modules:
        return "EnvPool was imported before it could be loaded; leave that import to nestrl"
    try:
        for library in ("libEGL.so.1", "libGL.so.1"):
            ctypes.CDLL(library, ctypes.RTLD_GLOBAL)
    except OSError as error:
        return f"install libegl1, libgl1 and libgl1-mesa-dri ({error})"
    return ""


def _envpool() -> Any:
    """Return the package, imported; UnknownName with what to install if it cannot be imported."""
    why_no_pictures()
    try:
        return importlib.import_module("envpool")
    except ImportError as error:
        raise UnknownName(
            f"An id that begins with {PREFIX!r} asks for EnvPool, which cannot be imported: {error}. "
            "pip install 'nestrl[envpool]' installs it where there is a wheel for it: on Linux for Python 3.11 to 3.14."
        ) from error


def _give_back_memory() -> None:
    """Let the C library hand freed memory to the system: what is freed in small pieces it keeps, gigabytes in a run."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's
    if trim is not None:
        trim(0)


def _check_threads(num_threads: int) -> None:
    """Raise BadConfig for a number of threads that EnvPool would die of; warn of more threads than cores."""
    if type(num_threads) is not int or not 1 <= num_threads <= MOST_THREADS:
        raise BadConfig(f"num_threads is {num_threads!r}; it must be a whole number from 1 to {MOST_THREADS}.")
    cores = len(os.sched_getaffinity(0))
    if num_threads > cores:
        warnings.warn(
            f"num_threads is {num_threads}, but this process may use {cores} cores; more threads only wait.",
            stacklevel=3,
        )


def _pool_spec(task_id: str, options: dict[str, Any]) -> Any:
    """Return EnvPool's description of a task; BadConfig with all arguments and their defaults if one is wrong."""
    envpool = _envpool()
    try:
        if refused := options.keys() & set(NOT_THE_TASKS):
            raise ValueError(f"{', '.join(sorted(refused))} cannot be given")
        if options.get("max_episode_steps", 1) < 1:
            raise ValueError("an episode has at least one step")
        return envpool.make_spec(task_id, num_envs=1, batch_size=1, seed=0, **options)  # none of these is free
    except (TypeError, ValueError, AssertionError) as error:
        defaults = envpool.make_spec(task_id).config._asdict()
        takes = ", ".join(f"{name}={value!r}" for name, value in defaults.items() if name not in NOT_THE_TASKS)
        said = str(error).partition("\n")[0].rstrip(".:")
        raise BadConfig(
            f"EnvPool cannot make {task_id} with {options}: {said}. Its own arguments and their defaults: {takes}."
        ) from error


def _unbounded(space: Any) -> Any:
    """Return a space of observations in which float numbers have no bounds."""
    if isinstance(space, spaces.Dict):
        return spaces.Dict({key: _unbounded(part) for key, part in space.spaces.items()})
    if isinstance(space, spaces.Box) and np.issubdtype(space.dtype, np.floating):
        return spaces.Box(-np.inf, np.inf, space.shape, space.dtype.type)
    return space


def _told(info: dict[str, Any]) -> dict[str, Any]:
    """Return EnvPool's info without its bookkeeping, whose rows are players and not simulations."""
    return {key: value for key, value in info.items() if key not in ("env_id", "players")}


def _row(values: Any, row: int) -> Any:
    """Return one simulation's part of an array (n, ...) or of a dict of such."""
    return {key: _row(part, row) for key, part in values.items()} if isinstance(values, dict) else values[row]


def _each(values: Any, rows: NDArray[np.int32], n: int) -> NDArray[np.object_]:
    """Return (n,) objects: in `rows` what these simulations observed, elsewhere None."""
    each = np.full(n, None, object)
    for row in rows:
        each[row] = _row(values, row)
    return each


def _replaced(values: Any, rows: NDArray[np.int32], new: Any) -> Any:
    """Return a copy of an array (n, ...), or of a dict of such, with `new` (m, ...) in `rows` (m,)."""
    if isinstance(values, dict):
        return {key: _replaced(part, rows, new[key]) for key, part in values.items()}
    copy = values.copy()
    copy[rows] = new
    return copy
