"""The learner of a run, and the method that regulates it, told as much as the run's configuration allows."""

from collections.abc import Sequence
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray

from nestrl.agents.agent import Agent
from nestrl.agents.trial import TryOut
from nestrl.identity.change_detection import ChangeDetector
from nestrl.identity.unlabelled_testing import Recognised
from nestrl.identity.unlabelled_training import Unlabelled
from nestrl.methods import make_method
from nestrl.methods.protocol import Method
from nestrl.tasks.union import UnionSpace
from nestrl.training.config import RunConfig
from nestrl.updates.regulated import RegulatedAdam

Rows = tuple[NDArray[np.float32], NDArray[np.float32]]
"""Mean and scale (N, D) of the observations of every task."""


def learner_and_method(
    config: RunConfig, union: UnionSpace, rows: Rows, try_out: TryOut
) -> tuple[Agent, Method | Recognised]:
    """Return the agent of a run and the method that regulates its optimizer, both new; rows: of the normaliser."""
    agent = Agent(config.agent, union, rows, config.seed, RegulatedAdam, config.boundaries == "given")
    agent.allow_trials(try_out)
    method = make_method(config.method, config.method_options, agent, config.seed)
    told = with_less_told(config, method, agent, rows[1], try_out)
    cast(RegulatedAdam, agent.optimizer).attach(told.regulate)
    return agent, told


def with_less_told(
    config: RunConfig, method: Method, agent: Agent, scale: NDArray[np.float32], try_out: TryOut
) -> Method | Recognised:
    """Return the method as a run's `boundaries` and `identity` want it; where all is told, the method itself.

    scale: (N, D), of the normaliser.
    """
    if config.identity == "told":
        return method
    size, n_tasks, tried = agent.union.feature_size, agent.n_tasks, config.identity == "tried"
    if config.boundaries == "given":
        return Recognised(method, size, n_tasks, try_out, tried=tried)
    detector = ChangeDetector(torch.from_numpy(scale[0].copy()), config.seed)
    unlabelled = Unlabelled(method, agent, detector, try_out, tried=tried)
    agent.allow_trials(unlabelled.try_out_here)
    return unlabelled


def common_rows(rows: Rows, sizes: Sequence[int]) -> Rows:
    """Return normaliser rows (N, D) that tell no task: the same for all.

    The mean is the mean, the scale the largest of the tasks that have the feature at all (the first `size` of each).
    The largest, since a number that a task hardly uses is harmless when it is small, but drowns others when blown up.
    """
    used = np.arange(rows[0].shape[1]) < np.array(sizes)[:, None]
    mean = np.where(used, rows[0], 0.0).sum(0) / used.sum(0)
    scale = np.where(used, rows[1], 0.0).max(0)
    return tuple(np.tile(row.astype(np.float32), (len(sizes), 1)) for row in (mean, scale))  # type: ignore[return-value]
