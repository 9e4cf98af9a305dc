"""Any gymnasium id as a vector environment that restarts finished episodes within the step, and how to read one."""

import importlib
import warnings
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import replace
from typing import Any

import gymnasium
import numpy as np
from gymnasium.envs.registration import EnvSpec
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import concatenate, create_empty_array
from numpy.typing import NDArray

from nestrl.agents.envpool_env import PREFIX, envpool_spec
from nestrl.decode import is_number
from nestrl.errors import EnvironmentFault, NestrlError, UnknownName, in_words, nearest
from nestrl.tasks.sequence import Task

OUR_IDS = "nestrl/"
"""In the ids of our own environments, which declare the scales of their observations."""
SUCCESS_KEYS = ("is_success", "success", "solved")
"""Entries of a step's info, any of which tells that an episode has succeeded; the last is MyoSuite's."""
DIVERGED_KEYS = ("diverged",)
"""An entry of a step's info that tells that the simulation broke down, and its episode has ended with that."""


def make_environment(task: Task, n: int, *, evaluation: bool = False) -> VectorEnv[Any, Any, Any]:
    """Return n simulations of the task as one vector environment with autoreset SAME_STEP, not yet reset.

    The environment's own vector class is used if it restarts episodes within the step (the rover tasks' does); else n
    ordinary environments are stepped one after the other, of whose info only what is read comes through.

    Raises UnknownName for an id that nobody registered, EnvironmentFault if making it fails.
    """
    spec, given = find_spec(task.env_id), task.arguments(evaluation=evaluation)
    try:
        own = None if spec.vector_entry_point is None else _own_vector(spec, n, given)
        if isinstance(own, VectorEnv):
            return own
        same_step = {"autoreset_mode": AutoresetMode.SAME_STEP}
        wrappers = (OnlyWhatIsRead,)
        ordinary = gymnasium.make_vec(
            spec, n, vectorization_mode="sync", vector_kwargs=same_step, wrappers=wrappers, **given
        )
        if own is not None:  # said only now: a wrong argument lets neither be made
            warnings.warn(
                f"{spec.id}: its vector class could not be made ({in_words(own)}); ordinary environments "
                "are stepped one after the other in its place, which is slower.",
                stacklevel=2,
            )
        return ordinary
    except NestrlError:
        raise
    except Exception as error:
        arguments = f" with {given}" if given else ""
        raise EnvironmentFault(
            f"{task.env_id} could not be made{arguments}: {in_words(error)}. "
            f"Try gymnasium.make({task.env_id!r}) by itself, and check the task's arguments."
        ) from error


def make_single(spec: EnvSpec, given: Mapping[str, Any], **ways: Any) -> gymnasium.Env[Any, Any]:
    """Return one simulation with a task's arguments as an ordinary environment; `ways` are gymnasium.make's own.

    EnvPool takes a limit of steps itself, which gymnasium.make would take for its own.
    """
    if spec.id.startswith(PREFIX):
        return gymnasium.make(replace(spec, kwargs=spec.kwargs | dict(given)), **ways)
    return gymnasium.make(spec, **given, **ways)


def _own_vector(spec: EnvSpec, n: int, given: dict[str, Any]) -> VectorEnv[Any, Any, Any] | Exception | None:
    """Return n simulations in the environment's own vector class, None where that is of no use here, or why not."""
    try:
        environment = gymnasium.make_vec(spec, n, vectorization_mode="vector_entry_point", **given)
    except NestrlError:
        raise
    except Exception as error:
        return error
    if environment.metadata.get("autoreset_mode") == AutoresetMode.SAME_STEP:
        return environment
    environment.close()
    return None


class OnlyWhatIsRead(gymnasium.Wrapper[Any, Any, Any, Any]):
    """An ordinary environment without what a vector of them would stumble over.

    gymnasium packs every entry of info into an array, which not all can be, and keeps the last observation of an
    episode by reference, which `reset` may then fill with the next start.
    """

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Start an episode; its info is not read."""
        return self.env.reset(seed=seed, options=options)[0], {}

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Advance the environment; `info` has what it says of SUCCESS_KEYS and DIVERGED_KEYS, as bools."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        if terminated or truncated:
            observation = deepcopy(observation)
        told = {key: _one_bool(key, info[key]) for key in (*SUCCESS_KEYS, *DIVERGED_KEYS) if key in info}
        return observation, reward, bool(terminated), bool(truncated), told


def _one_bool(key: str, said: Any) -> bool:
    if np.size(said) != 1:
        raise EnvironmentFault(f"info[{key!r}] has shape {np.shape(said)}; it must be one bool.")
    value = np.asarray(said).item()
    if value is not None and not is_number(value):
        raise EnvironmentFault(f"info[{key!r}] is {said!r}; it must be one bool.")
    return bool(value)


def find_spec(env_id: str) -> EnvSpec:
    """Return what gymnasium has registered under an id; "package:Env-v0" imports the package first.

    "envpool:Env-v0" is a task of EnvPool, which registers nothing with gymnasium.
    """
    if env_id.startswith(PREFIX):
        return envpool_spec(env_id)
    module, _, name = env_id.rpartition(":")
    if module:
        try:
            importlib.import_module(module)
        except Exception as error:  # whatever the user's package does while it is imported
            raise UnknownName(
                f"{env_id!r} asks for the package {module!r}, which cannot be imported: {error}. Install it, put its "
                "folder on PYTHONPATH, or correct the name before the colon."
            ) from error
    try:
        return gymnasium.spec(name)
    except gymnasium.error.Error as error:
        remedy = nearest(name, gymnasium.registry) if module else f" {_how_to_import(name)}"
        raise UnknownName(f"No environment {name!r} is registered.{remedy}") from error


def _how_to_import(name: str) -> str:
    if name.startswith(OUR_IDS):
        return f'Our own are in the package nestrl_envs: write "nestrl_envs:{name}".'
    remedy = f'If a package registers it, write "PACKAGE:{name}" with its name, or pass --import PACKAGE.'
    return remedy + nearest(name, gymnasium.registry)


def name_of(environment: VectorEnv[Any, Any, Any]) -> str:
    """Return the id of an environment, or its class where it was made without one."""
    return environment.spec.id if environment.spec else type(environment).__name__


def asked(environment: VectorEnv[Any, Any, Any], method: str, *arguments: Any, **options: Any) -> Any:
    """Return what `reset`, `step` or `close` does; what it raises becomes an EnvironmentFault with the world's name."""
    try:
        return getattr(environment, method)(*arguments, **options)
    except NestrlError:
        raise
    except Exception as error:
        raise EnvironmentFault(
            f"{name_of(environment)} raised in {method}: {in_words(error)}. `nestrl check` looks for more."
        ) from error


def ended_observations(environment: VectorEnv[Any, Any, Any], infos: Mapping[str, Any], rows: NDArray[np.intp]) -> Any:
    """Return the last observations (m, ...) of the episodes that ended in simulations `rows` (m,) during a step."""
    if "final_obs" not in infos:
        raise EnvironmentFault(
            f"{name_of(environment)} restarts episodes within the step, but its infos have no 'final_obs' with their "
            "last observations, as gymnasium's SAME_STEP wants it; mend its vector class."
        )
    final = infos["final_obs"]
    if isinstance(final, np.ndarray) and final.dtype != object:
        return final[rows]
    space = environment.single_observation_space
    empty: Any = create_empty_array(space, len(rows))
    return concatenate(space, [final[row] for row in rows], empty)


def succeeded(infos: Mapping[str, Any], n: int) -> NDArray[np.bool_]:
    """Return which of n simulations reported `is_success` or `success` in the step that they have just taken, (n,).

    Where an episode has ended, gymnasium keeps its report in `final_info`; what stands beside it is the next start's.
    """
    return _reported(infos, n, SUCCESS_KEYS)


def diverged(infos: Mapping[str, Any], n: int) -> NDArray[np.bool_]:
    """Return which of n simulations reported `diverged` in the step that they have just taken, (n,)."""
    return _reported(infos, n, DIVERGED_KEYS)


def tells_success(infos: Mapping[str, Any]) -> bool:
    """Return whether any simulation reported success or failure in the step that has just been taken."""
    return any(key in report for report in (infos, infos.get("final_info", {})) for key in SUCCESS_KEYS)


def _reported(infos: Mapping[str, Any], n: int, keys: tuple[str, ...]) -> NDArray[np.bool_]:
    """Return which of n simulations said so under any of the keys, (n,)."""
    any_said = np.zeros(n, bool)
    for key in keys:
        if key in infos:
            said = np.asarray(infos[key])
            if said.size != n:
                raise EnvironmentFault(f"info[{key!r}] has shape {said.shape[1:]}; it must be one bool.")
            any_said |= said.astype(bool).reshape(n)
    if "_final_info" in infos:
        any_said = np.where(infos["_final_info"], _reported(infos["final_info"], n, keys), any_said)
    return any_said
