"""Which stable-baselines3 algorithm learns, with which policy and which settings."""

import importlib
import inspect
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from gymnasium import spaces
from stable_baselines3 import A2C, PPO, SAC
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm

from nestrl.agents.policies import ActorCriticPolicy, SACPolicy
from nestrl.decode import is_number, plain
from nestrl.errors import BadConfig, UnknownName, in_words, nearest

ALGORITHMS: dict[str, type[BaseAlgorithm]] = {"ppo": PPO, "sac": SAC}
OURS = frozenset(
    {
        *("policy", "env", "policy_kwargs", "seed", "device", "verbose", "tensorboard_log"),
        *("use_sde", "sde_sample_freq", "use_sde_at_warmup", "action_noise", "optimize_memory_usage"),
        *("use_rms_prop", "rms_prop_eps"),
    }
)
"""Arguments of an algorithm that the agent sets itself, or that it has no use for."""
COUNTS = frozenset(
    {"n_steps", "n_epochs", "batch_size", "buffer_size", "train_freq", "target_update_interval", "stats_window_size"}
)
"""Hyperparameters that are at least 1."""
SHARES = frozenset({"gamma", "gae_lambda", "tau"})
"""Hyperparameters from 0 to 1."""
PPO_DEFAULTS: dict[str, Any] = {
    "n_steps": 32,
    "n_epochs": 4,
    "learning_rate": 2e-3,
    "gamma": 0.98,
    "gae_lambda": 0.95,
    "clip_range": 0.2,
    "ent_coef": 0.0,
    "vf_coef": 0.5,
    "max_grad_norm": 0.5,
}
"""With 256 simulations a rollout is 8192 steps and a minibatch, a quarter of it, 2048: measured on rover tasks."""
SAC_DEFAULTS: dict[str, Any] = {
    "learning_rate": 1e-3,
    "buffer_size": 300_000,
    "learning_starts": 2000,
    "batch_size": 256,
    "gamma": 0.98,
    "tau": 0.01,
    "ent_coef": "auto_0.1",
    "train_freq": 1,
    "gradient_steps": 4,
}
"""Four updates for every step of the 32 simulations: an update costs as much as hundreds of steps. The entropy bonus
starts at a tenth, because the rover tasks' rewards are small (returns of -3 to 12)."""


def algorithm_class(name: str) -> type[BaseAlgorithm]:
    """Return the algorithm of this name, or of this "package.module:Class"; UnknownName if there is none."""
    if name in ALGORITHMS:
        return ALGORITHMS[name]
    module, _, class_name = name.partition(":")
    if not class_name:
        raise UnknownName(f'No algorithm {name!r}.{nearest(name, ALGORITHMS)} Or write "package.module:Class".')
    try:
        found = getattr(importlib.import_module(module), class_name)
    except Exception as error:  # whatever the user's module does while it is imported
        raise UnknownName(
            f"The algorithm {name!r} cannot be imported ({in_words(error)}); check the name, and "
            "that the package is installed."
        ) from error
    if not (isinstance(found, type) and issubclass(found, BaseAlgorithm)):
        raise BadConfig(f"{name!r} is no algorithm of stable-baselines3; use ppo or sac, or a class made from one.")
    return found


def is_off_policy(name: str) -> bool:
    """Return whether the algorithm of this name learns from a replay buffer; UnknownName if there is none."""
    return not issubclass(algorithm_class(name), OnPolicyAlgorithm)


def policy_class(
    algorithm: type[BaseAlgorithm], action_space: spaces.Box | spaces.Discrete
) -> type[ActorCriticPolicy] | type[SACPolicy]:
    """Return our policy for an algorithm; BadConfig if we have none, or the algorithm cannot act in this space."""
    if issubclass(algorithm, PPO | A2C):
        return ActorCriticPolicy
    if not issubclass(algorithm, SAC):  # others want a policy of their own, or move it past the optimizer (TRPO)
        raise BadConfig(f"{algorithm.__name__} is no kind of PPO, A2C or SAC of stable-baselines3; use ppo or sac.")
    if isinstance(action_space, spaces.Discrete):
        raise BadConfig(f"{algorithm.__name__} needs Box actions, but all tasks are Discrete; use ppo.")
    return SACPolicy


def _number(name: str, value: Any, default: Any) -> Any:
    """Return a number for text that is one, as "3e-4" in older files; a whole one where the default is whole."""
    number = plain(value)
    if isinstance(value, str):
        with suppress(ValueError):
            number = float(value)
    if type(default) is float and not callable(number) and not is_number(number):
        raise BadConfig(f"The hyperparameter {name!r} is {value!r}; it must be a finite number.")
    if default is None and isinstance(number, str):  # of what is left out by default, nothing is a text
        raise BadConfig(f"The hyperparameter {name!r} is {value!r}; it must be no text.")
    if isinstance(number, list | tuple):  # SAC's train_freq may be a pair, which comes back from a file as a list
        return tuple(number)
    if type(default) is not int:
        return number
    if isinstance(number, float) and number.is_integer():
        number = int(number)
    if not isinstance(number, int):
        raise BadConfig(f"The hyperparameter {name!r} is {value!r}; it must be a whole number.")
    return number


def _parameters(algorithm: type[BaseAlgorithm]) -> dict[str, inspect.Parameter]:
    """Return what an algorithm takes by name, with what it hands on as **kwargs to the one that it is made from."""
    found: dict[str, inspect.Parameter] = {}
    for kind in algorithm.__mro__:
        if "__init__" in vars(kind):
            own = dict(inspect.signature(vars(kind)["__init__"]).parameters)
            hands_on = [name for name, one in own.items() if one.kind is one.VAR_KEYWORD]
            named = {name: one for name, one in own.items() if one.kind not in (one.VAR_KEYWORD, one.VAR_POSITIONAL)}
            found = named | found
            if not hands_on:
                break
    return {name: one for name, one in found.items() if name != "self"}


def hyperparameters(algorithm: type[BaseAlgorithm], chosen: Mapping[str, Any], n_envs: int) -> dict[str, Any]:
    """Return our defaults with the chosen values over them; BadConfig for an argument that the algorithm has not."""
    parameters = _parameters(algorithm)
    known = {name for name in parameters if not name.startswith("_")} - OURS
    for name in chosen:
        if name not in known:
            raise BadConfig(f"{algorithm.__name__} has no hyperparameter {name!r}.{nearest(name, known)}")
    defaults = SAC_DEFAULTS if issubclass(algorithm, SAC) else PPO_DEFAULTS
    given = {name: _number(name, value, parameters[name].default) for name, value in chosen.items()}
    values = {name: value for name, value in defaults.items() if name in known} | given
    for name in COUNTS.intersection(given):
        if isinstance(given[name], int) and given[name] < 1:
            raise BadConfig(f"The hyperparameter {name!r} is {given[name]}; it must be at least 1.")
    if isinstance(given.get("train_freq"), tuple) and "episode" in given["train_freq"] and n_envs > 1:
        raise BadConfig(
            f"train_freq counts episodes, but there are {n_envs} simulations; set n_envs to 1, or use steps."
        )
    for name in SHARES.intersection(given):
        if not 0 <= given[name] <= 1:
            raise BadConfig(f"The hyperparameter {name!r} is {given[name]}; it must be from 0 to 1.")
    if issubclass(algorithm, OnPolicyAlgorithm) and "batch_size" in known:
        values.setdefault("batch_size", max(2, values["n_steps"] * n_envs // 4))
    return values
