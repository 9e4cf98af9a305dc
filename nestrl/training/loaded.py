"""A trained agent, ready to act on what an environment gives."""

import random
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import torch

from nestrl.agents.trial import Trial
from nestrl.decode import decode
from nestrl.errors import BadConfig, DamagedCheckpoint, EnvironmentFault, UnknownName, nearest
from nestrl.evaluation.statistics import Interval, wilson_interval
from nestrl.methods import find_method
from nestrl.methods.protocol import Observations, Policy
from nestrl.training.checkpoint import load_newest, used
from nestrl.training.learner import learner_and_method
from nestrl.training.run_folder import RunFolder
from nestrl.training.worlds import FINAL_SEED, Worlds


class LoadedAgent:
    """An agent from a run's folder. It acts in the tasks of its sequence; `task_names` says which.

    config: the run's RunConfig. union: the space that holds the observations and actions of all its tasks.
    """

    def __init__(self, path: str | Path) -> None:
        """Read configuration, policy and what the method knows; the global random generators stay as they are.

        Raises BadConfig when the folder holds no policy, DamagedCheckpoint when its checkpoint cannot be used, or when
        there is none and the method acts with more than the weights in policy.safetensors.
        """
        folder = RunFolder(path)
        self.config = folder.config()
        self.task_names = self.config.sequence.task_names
        weights, self.union = folder.policy()
        shape = (self.union.n_tasks, self.union.feature_size)
        rows = np.zeros(shape, np.float32), np.ones(shape, np.float32)  # the real ones come with the weights
        own = folder.with_own_files(self.config)
        here = replace(own, agent=replace(own.agent, device="cpu"))  # it acts on any machine
        with _random_state_kept():
            self._agent, self._method = learner_and_method(here, self.union, rows, self._try_out)
        policy, found = self._agent.algorithm.policy, load_newest(folder.checkpoints)
        if found is None and (self.config.identity != "told" or find_method(self.config.method).card.own_policies):
            raise DamagedCheckpoint(
                f"{folder.checkpoints} holds no checkpoint, and {self.config.method} acts with more than the weights "
                "in policy.safetensors; put the run's checkpoints back."
            )
        if found is None:
            with used(folder.path / "policy.safetensors"):
                policy.load_state_dict(weights)
            return
        for sentence in found.left_aside:
            warnings.warn(sentence, stacklevel=3)
        with used(found.path):  # weights of the same moment as what the method knows
            policy.load_state_dict(found.state["agent"]["policy"])  # first: a method's own policies copy the normaliser
            self._method.load_state_dict(found.state["method"])

    def predict(self, obs: Any, *, task: str, deterministic: bool = True) -> tuple[np.ndarray, None]:
        """Return (action, None) for an observation as the task's own environment gives it, single or batched.

        A batch has one more leading axis (in every entry of a Dict), and so has its action. With deterministic=False
        the action is drawn from the policy's distribution with torch's random stream.
        Raises UnknownName for a task that is not in the sequence, BadConfig for an observation of another shape,
        outside a Discrete space, or that is not finite.
        """
        if task not in self.task_names:
            raise UnknownName(f"the agent knows no task {task!r}.{nearest(task, self.task_names)}")
        index = self.task_names.index(task)
        batch, single = _as_batch(self.union.observation_spaces[index], obs)
        policy = self._method.policy_for(index)
        try:
            rows = self.union.observe(index, batch)
        except (EnvironmentFault, ValueError) as error:  # ValueError: of no rows, or not as many in each entry
            raise BadConfig(f"the observation {obs} is none of the task's space: {error}") from error
        if not np.isfinite(rows).all():
            raise BadConfig(f"the observation {obs} is NaN or infinite; a policy has no action for it.")
        actions = self.union.act(index, policy.act(rows) if deterministic else self._drawn(policy, rows))
        return (actions[0] if single else actions), None

    def evaluate(self, episodes: int = 100) -> dict[str, Interval]:
        """Return the success of each task over whole episodes from fixed starts, with Wilson's 95 % interval.

        Raises BadConfig for fewer than 1, EnvironmentFault where an environment cannot be made or fails.
        """
        episodes = decode(int, episodes, "episodes")
        if episodes < 1:
            raise BadConfig(f"episodes is {episodes}; it must be at least 1.")
        worlds = Worlds(self.config.sequence, min(episodes, self.config.evaluation_episodes))
        try:
            results = worlds.examine_all(self._method.policy_for, episodes, FINAL_SEED)
        finally:
            worlds.close()
        rates = [wilson_interval(int(result.success.sum()), episodes) for result in results]
        return dict(zip(self.task_names, rates, strict=True))

    def _try_out(self, policies: Sequence[Any], task_index: int, episodes: int, seed: int) -> Trial:
        """Play episodes for a method that must see how policies do before it chooses one."""
        worlds = Worlds(self.config.sequence, 1)
        try:
            return worlds.try_out(policies, task_index, episodes, seed)
        finally:
            worlds.close()

    def _drawn(self, policy: Policy, rows: Observations) -> np.ndarray:
        with torch.no_grad():
            actions = policy.output(torch.as_tensor(rows)).sample()
        squashed: bool = self._agent.algorithm.policy.squash_output  # SAC: the distribution is that before tanh
        return (actions.tanh() if squashed else actions).numpy()


def load(path: str | Path) -> LoadedAgent:
    """Return the agent that a run has trained so far.

    The run's files run no code, but its configuration names modules (`imports`, environments, methods), and these are
    imported: a stranger's run is as safe as the modules of such names that Python finds here.

    Raises BadConfig when the folder holds no policy, or names what cannot be imported; DamagedCheckpoint when its
    checkpoint cannot be used, or is missing and needed.
    """
    return LoadedAgent(path)


@contextmanager
def _random_state_kept() -> Iterator[None]:
    """Put the generators of Python, NumPy and torch back to where they were."""
    before = random.getstate(), np.random.get_state(), torch.get_rng_state()
    try:
        yield
    finally:
        random.setstate(before[0])
        np.random.set_state(before[1])
        torch.set_rng_state(before[2])


def _as_batch(space: gymnasium.Space[Any], obs: Any) -> tuple[Any, bool]:
    """Return the observation with a batch axis, and whether it had none. Raises BadConfig if it does not fit."""
    if isinstance(obs, Mapping):
        expected = dict(space.spaces) if isinstance(space, gymnasium.spaces.Dict) else {}
        if obs.keys() != expected.keys():
            raise BadConfig(f"the observation has entries {sorted(obs)}; the task's space is {space}.")
        parts = {key: _as_batch(part, obs[key]) for key, part in expected.items()}
        return {key: part for key, (part, _) in parts.items()}, all(single for _, single in parts.values())
    try:
        array = np.asarray(obs)
    except ValueError as error:  # of rows that are not equally long
        raise BadConfig(f"the observation is no array ({error}); give what step returns first, not a tuple.") from error
    if array.dtype.kind not in "biuf":
        raise BadConfig(f"the observation holds {array.dtype}; it must be numbers.")
    if space.shape is None or array.shape[array.ndim - len(space.shape) :] != space.shape:
        raise BadConfig(f"the observation has shape {array.shape}; the task's space is {space}, one or a batch of it.")
    if array.ndim - len(space.shape) > 1:
        raise BadConfig(f"the observation has shape {array.shape}; give one or a batch of {space.shape}.")
    single = array.ndim == len(space.shape)
    return (array[None] if single else array), single
