"""The constants of the policy's normaliser: declared by an environment, or measured once before training."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from gymnasium.vector import VectorEnv
from numpy.typing import NDArray

from nestrl.agents.environments import asked, make_environment, name_of
from nestrl.errors import EnvironmentFault
from nestrl.tasks.sequence import Task
from nestrl.tasks.union import UnionSpace

MEASURED_STEPS, SIMULATIONS = 2000, 16
"""Random steps over which an environment without declared scales is measured, and simulations that share them."""
MEASURING_SEED = 0
"""The same for every run: the constants belong to the task, not to the run."""
SMALLEST_SCALE = 0.05
"""A number that hardly varies under random actions may vary later: never blow it up more than twentyfold."""


def normalizer_rows(
    tasks: Sequence[Task], environments: Sequence[VectorEnv[Any, Any, Any]], union: UnionSpace
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return mean and scale (N, D) of the observations of every task, given one vector environment a task, in order.

    An environment that declares `observation_scale` (its size,) is taken at its word, with mean 0. Any other task is
    measured on 2000 steps of random actions, always the same ones, in 16 simulations as it trains in: not on held-out
    episodes, and alike however many of those are examined. Scales are floored at 0.05. Unused features have mean 0 and
    scale 1. Raises EnvironmentFault for a declaration that is no scale.
    """
    mean = np.zeros((union.n_tasks, union.feature_size), np.float32)
    scale = np.ones_like(mean)
    for index, environment in enumerate(environments):
        declared = getattr(environment, "observation_scale", None)
        if declared is not None:
            size = union.observation_sizes[index]
            scale[index, :size] = _required_scale(declared, size, environment)
            continue
        measured = make_environment(tasks[index], SIMULATIONS)
        try:
            features = _random_observations(measured, union, index)
        finally:
            asked(measured, "close")
        mean[index], spread = features.mean(0), features.std(0)
        used = np.arange(union.feature_size) < union.observation_sizes[index]
        scale[index] = np.where(used, np.maximum(spread, SMALLEST_SCALE), 1.0)
    return mean, scale


def rows_in(policy: Mapping[str, torch.Tensor]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return mean and scale (N, D) from a policy's state. Raises LookupError where it has none."""
    rows = {name.rpartition(".")[2]: values.cpu().numpy() for name, values in policy.items() if "normalizer." in name}
    return rows["mean"], rows["scale"]


def _required_scale(declared: Any, size: int, environment: VectorEnv[Any, Any, Any]) -> NDArray[np.float64]:
    scale = np.asarray(declared, float)
    if scale.shape == (size,) and np.isfinite(scale).all() and (scale > 0).all():
        return scale
    raise EnvironmentFault(
        f"{name_of(environment)} declares an observation_scale of shape {scale.shape}, from {scale.min(initial=1):g}; "
        f"it must be one finite number above 0 for each of the {size} of its flattened observation."
    )


def _random_observations(environment: VectorEnv[Any, Any, Any], union: UnionSpace, index: int) -> NDArray[np.float64]:
    """Return the features (m, D) that a task shows under random actions."""
    n, generator = environment.num_envs, np.random.default_rng(MEASURING_SEED)
    seen = [asked(environment, "reset", seed=MEASURING_SEED)[0]]
    for _ in range(MEASURED_STEPS // n):
        seen.append(asked(environment, "step", union.act(index, _random_actions(union, n, generator)))[0])
    features = np.concatenate([union.observe(index, rows)[:, : union.feature_size] for rows in seen]).astype(np.float64)
    if not np.isfinite(features).all():
        raise EnvironmentFault(
            f"{name_of(environment)} gave an observation that is NaN or infinite under random actions; `nestrl check` "
            "shows from which step on."
        )
    return features


def _random_actions(union: UnionSpace, n: int, generator: np.random.Generator) -> NDArray[Any]:
    if isinstance(union.action_space, spaces.Discrete):
        return generator.integers(union.action_space.n, size=n)
    return generator.uniform(-1.0, 1.0, (n, *union.action_space.shape)).astype(np.float32)
