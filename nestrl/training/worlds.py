"""The environments of a run: where it trains, where it is examined, and the space that its tasks share."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any

import numpy as np
from gymnasium.vector import VectorEnv
from numpy.typing import NDArray

from nestrl.agents.environments import asked, make_environment
from nestrl.agents.envpool_env import EnvPoolVectorEnv
from nestrl.agents.joint_vec_env import JointVecEnv
from nestrl.agents.normalization import normalizer_rows
from nestrl.agents.trial import Trial
from nestrl.agents.vec_env import TaskVecEnv
from nestrl.errors import BadConfig
from nestrl.evaluation.rollouts import Episodes, evaluate
from nestrl.methods.protocol import Policy
from nestrl.tasks.sequence import TaskSequence
from nestrl.tasks.union import UnionSpace, observation_size

EVALUATION_SEED = 2**30 + 2**16  # the agent seeds its simulations from below 2**30: no start is ever trained on
FINAL_SEED = 2**30 + 2**20  # the final evaluation's starts are not those that the curves were measured on


class Worlds:
    """The environments of a sequence. Those for evaluation live as long as this; close it."""

    def __init__(self, sequence: TaskSequence, simulations: int) -> None:
        """`simulations` is the number of episodes that are evaluated side by side."""
        self._tasks = sequence.tasks
        self._trained = [sequence.task_index(name) for name in sequence.trained_tasks]
        self._examined: list[VectorEnv[Any, Any, Any]] = []
        with ExitStack() as unless_all_fit:
            unless_all_fit.callback(self.close)
            for task in self._tasks:
                self._examined.append(make_environment(task, simulations, evaluation=True))
            self.union = UnionSpace(
                [environment.single_observation_space for environment in self._examined],
                [environment.single_action_space for environment in self._examined],
            )
            unless_all_fit.pop_all()

    def training(self, task_index: int, simulations: int) -> TaskVecEnv:
        """Return new simulations of a task to train in, not yet seeded."""
        task, environment = self._tasks[task_index], self._to_train_in(task_index, simulations)
        return TaskVecEnv(environment, self.union, task_index, task.success_threshold, task.reward_scale)

    def training_jointly(self, simulations: int) -> JointVecEnv:
        """Return new simulations of all tasks that are trained, as equally many of each as the number allows."""
        n_tasks = len(self._trained)
        shares = [simulations // n_tasks + (place < simulations % n_tasks) for place in range(n_tasks)]
        return JointVecEnv([self.training(*of_task) for of_task in zip(self._trained, shares, strict=True)])

    def try_out(self, policies: Sequence[Policy], task_index: int, episodes: int, seed: int) -> Trial:
        """Return what came of k policies in training episodes of a task."""
        environment, threshold = self._to_train_in(task_index, episodes), self._tasks[task_index].success_threshold
        try:
            tried = [
                evaluate(policy, environment, self.union, task_index, seed, episodes, threshold) for policy in policies
            ]
        finally:
            asked(environment, "close")
        return Trial(
            np.array([each.returns for each in tried]),
            np.array([each.success for each in tried]),
            sum(int(each.lengths.sum()) for each in tried),
        )

    def examine(self, task_index: int, policy: Policy, episodes: int, seed: int = EVALUATION_SEED) -> Episodes:
        """Return `episodes` whole episodes of a task from fixed starts seed, seed + 1, ...; draws nothing random."""
        environment, threshold = self._examined[task_index], self._tasks[task_index].success_threshold
        try:
            return evaluate(policy, environment, self.union, task_index, seed, episodes, threshold)
        finally:
            if isinstance(environment, EnvPoolVectorEnv):
                environment.close_extras()  # else ten tasks of Meta-World hold 2 GB from one evaluation to the next

    def examine_all(
        self, policy_for: Callable[[int], Policy], episodes: int, seed: int = EVALUATION_SEED
    ) -> list[Episodes]:
        """Return the episodes of every task, each with the policy for it."""
        return [self.examine(task, policy_for(task), episodes, seed) for task in range(len(self._tasks))]

    def normalizer_rows(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return mean and scale (n_tasks, D) of the observations of every task, declared or measured."""
        return normalizer_rows(self._tasks, self._examined, self.union)

    def close(self) -> None:
        """Free all simulations."""
        for environment in self._examined:
            asked(environment, "close")

    def _to_train_in(self, task_index: int, simulations: int) -> VectorEnv[Any, Any, Any]:
        """Return new simulations of a task for training; BadConfig if their spaces are not those of evaluation."""
        task, union = self._tasks[task_index], self.union
        environment = make_environment(task, simulations)
        observed, acted = environment.single_observation_space, environment.single_action_space
        if (
            observation_size(observed) == union.observation_sizes[task_index]
            and acted == union.action_spaces[task_index]
        ):
            return environment
        asked(environment, "close")
        raise BadConfig(
            f"Task {task.name!r} has other spaces in training ({observed}, {acted}) than in evaluation, where it is "
            f"made with {task.arguments(evaluation=True)}; its evaluation_kwargs must not change them."
        )
