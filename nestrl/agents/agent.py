"""The learner: a stable-baselines3 algorithm that goes from task to task and can be saved and resumed bit for bit."""

from collections import deque
from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3.common.buffers import ReplayBuffer
from stable_baselines3.common.logger import Logger
from torch import Tensor

from nestrl.agents.algorithms import algorithm_class, hyperparameters, policy_class
from nestrl.agents.config import AgentConfig
from nestrl.agents.experience import Experience, experience_of
from nestrl.agents.joint_vec_env import JointVecEnv
from nestrl.agents.policies import EXPLORATION, ActorGroups, Architecture, LivePolicy, OwnPolicy, copy_code
from nestrl.agents.saved_state import copied, load_rest, rest_of
from nestrl.agents.tally import Tally
from nestrl.agents.trial import Trial, TryOut
from nestrl.agents.unlabelled_vec_env import UnlabelledVecEnv
from nestrl.agents.vec_env import TaskVecEnv, Whole
from nestrl.errors import BadConfig, TrainingDiverged
from nestrl.tasks.union import Observations, UnionSpace

OPTIMIZER_OPTIONS = {"eps": 1e-5, "fused": True}
"""eps as stable-baselines3 has it for PPO; fused steps take a fifth of the time of ordinary ones."""


Simulations = TaskVecEnv | JointVecEnv | UnlabelledVecEnv


class Agent:
    """One learner for all tasks of a union space.

    Its life: `start_task`, `learn` as often as wanted, `start_task` with the next one, and so on. To resume, make it
    anew, call `start_task` for the task it was in, then `load_state_dict`.

    Building it sets Python's, NumPy's and torch's global generators from `seed`, as stable-baselines3 does.
    """

    def __init__(
        self,
        config: AgentConfig,
        union: UnionSpace,
        normalizer_rows: tuple[NDArray[np.float32], NDArray[np.float32]],
        seed: int,
        optimizer_class: type[torch.optim.Optimizer] = torch.optim.Adam,
        knows_boundaries: bool = True,
    ) -> None:
        """Take union, normaliser and seed; without boundaries a rollout may be of the task after the one that ends."""
        self.config, self.union, self.seed = config, union, seed
        self._starts = self._trials = 0
        self._charged = self._uncounted = 0  # steps of trials: in this segment, and not yet returned by `learn`
        self._segment_start, self._segment_steps = 0, 1
        self.renewals = 0
        """How often the actor was given other weights as a whole: by `renew`, `renew_actor`, `return_to`, `take`."""
        self._try_out: TryOut | None = None
        self.knows_boundaries = knows_boundaries
        config.require_fit(sum(union.action_space.shape or ()))
        algorithm = algorithm_class(config.algorithm)
        n_heads = union.n_tasks if config.heads == "per_task" else 1
        architecture = Architecture(
            config.network,
            n_heads,
            config.initial_log_std,
            *normalizer_rows,
            config.noise_correlation,
            config.correlated_share,
        )
        self.algorithm: Any = _made(
            algorithm,
            policy_class(algorithm, union.action_space),
            _NoSimulations(config.n_envs, union),
            seed=seed,
            device=find_device(config.device),
            policy_kwargs={
                "architecture": architecture,
                "optimizer_class": optimizer_class,
                "optimizer_kwargs": OPTIMIZER_OPTIONS,
            },
            **hyperparameters(algorithm, config.hyperparameters, config.n_envs),
        )
        self.algorithm.set_logger(Logger(None, []))
        self._learning_starts = getattr(self.algorithm, "learning_starts", 0)
        self._first_entropy_coefficient = copied(getattr(self.algorithm, "log_ent_coef", None))
        self._found_spreads: list[dict[str, Any]] | None = None  # of returns in joint training, from a checkpoint

    @property
    def policy(self) -> LivePolicy:
        """The policy being learned: a live view."""
        return LivePolicy(self.algorithm.policy)

    @property
    def weights(self) -> dict[str, Tensor]:
        """All weights of the policy, critics and normaliser among them, by name: live ones."""
        return self.algorithm.policy.state_dict()  # type: ignore[no-any-return]

    @property
    def optimizer(self) -> torch.optim.Optimizer:
        """The optimizer that moves the actor."""
        return self.algorithm.policy.actor_optimizer  # type: ignore[no-any-return]

    @property
    def n_tasks(self) -> int:
        """Number of tasks in the union."""
        return self.union.n_tasks

    @property
    def last_losses(self) -> dict[str, float]:
        """What the algorithm recorded about its last update, by stable-baselines3's names without "train/"."""
        values, prefix = self.algorithm.logger.name_to_value, "train/"
        losses = {name.removeprefix(prefix): float(value) for name, value in values.items() if name.startswith(prefix)}
        if "std" in losses and (task := self.algorithm.env.task_index) is not None:  # else the mean over all tasks
            losses["std"] = float(self.code_of(task)[EXPLORATION].exp().mean())
        return losses

    def actor_groups(self) -> ActorGroups:
        """Return the actor's parameters by depth: trunk_0, trunk_1, ..., head, log_std."""
        return self.algorithm.policy.actor_groups()  # type: ignore[no-any-return]

    @property
    def progress(self) -> float:
        """Share of the current segment's steps that are done, in 0..1; 0 where the learner knows no boundaries."""
        if not self.knows_boundaries:
            return 0.0
        done = self.algorithm.num_timesteps - self._segment_start + self._charged
        return float(min(1.0, done / self._segment_steps))

    def policy_with(self, values: Sequence[Tensor] | None = None) -> OwnPolicy:
        """Return a separate policy whose actor holds copies of these values, by default the present ones."""
        return OwnPolicy(self.algorithm.policy, values)

    def renew_actor(self) -> None:
        """Give the actor fresh weights, in place, and let its optimizer forget its momentum."""
        self.renewals += 1
        self.algorithm.policy.renew_actor()
        for parameters in self.actor_groups().values():
            for parameter in parameters:
                self.optimizer.state.pop(parameter, None)

    def renew(self) -> None:
        """Give actor and critics fresh weights, in place, and let all optimizers forget."""
        self.renewals += 1
        self.algorithm.policy.renew_actor()
        self.algorithm.policy.renew_critic()
        self._forget_momentum()

    def branch(self) -> dict[str, Any]:
        """Return copies of all that learns: policy, optimizers and, where there is one, the entropy coefficient."""
        algorithm = self.algorithm
        return {
            "policy": copied(algorithm.policy.state_dict()),
            "optimizers": {name: copied(optimizer.state_dict()) for name, optimizer in self._optimizers().items()},
            "log_ent_coef": copied(getattr(algorithm, "log_ent_coef", None)),
        }

    def return_to(self, branch: Mapping[str, Any]) -> None:
        """Go on learning from a `branch`; simulations, steps and random streams go on as they are."""
        self.renewals += 1
        self.algorithm.policy.load_state_dict(branch["policy"])
        for name, optimizer in self._optimizers().items():
            optimizer.load_state_dict(copied(branch["optimizers"][name]))  # torch would go on in these very tensors
        if branch["log_ent_coef"] is not None:
            self.algorithm.log_ent_coef.data.copy_(branch["log_ent_coef"])

    def take(self, values: Sequence[Tensor]) -> None:
        """Give the actor another network's values, in the order of `actor_groups`; what optimizers remember stays."""
        self.renewals += 1
        groups = self.actor_groups().values()
        for parameter, value in zip((each for group in groups for each in group), values, strict=True):
            parameter.data.copy_(value)

    def copy_behaviour(self, source: int, target: int) -> None:
        """Let the network answer in task `target` as it would if that were task `source`."""
        copy_code(self.code_of(source), self.code_of(target))

    def code_of(self, task_index: int) -> dict[str, Tensor]:
        """Return live views of the actor's numbers that only this task uses, by name."""
        return self.algorithm.policy.code_of(task_index)  # type: ignore[no-any-return]

    @property
    def tally(self) -> Tally:
        """The training episodes of this segment that have finished."""
        return self.algorithm.env.tally  # type: ignore[no-any-return]

    def recent_observations(self) -> Observations:
        """Return what training has met last, (m, D + N)."""
        return self.algorithm.env.recent_observations()  # type: ignore[no-any-return]

    def allow_trials(self, try_out: TryOut) -> None:
        """Let policies be tried out in training episodes from now on."""
        self._try_out = try_out

    def trial(
        self, policies: Sequence[Any], task_index: int, episodes: int, first: int = 0, *, charged: bool = True
    ) -> Trial:
        """Return whole training episodes of a task with each of k policies.

        All get the same starts, from the one with index `first` on. The steps count as steps of the segment if
        `charged`. Raises BadConfig where no episodes can be had.
        """
        if self._try_out is None:
            raise BadConfig("Policies can be tried out only within a run; use nestrl.train or nestrl.load.")
        seed = _seed(self.seed, self._starts, self._trials, 0 if charged else 1)
        trial = self._try_out(policies, task_index, episodes, seed + first)
        if charged:  # the others leave no trace: testing more often does not change training
            self._trials += 1
            self._charged += trial.steps
            self._uncounted += trial.steps
        return trial

    def experience(self) -> Experience | None:
        """Return the last rollout; None if the algorithm learns off policy, or nobody knows what task it is of."""
        if not self.knows_boundaries:
            return None
        rollout = getattr(self.algorithm, "rollout_buffer", None)
        return None if rollout is None else experience_of(rollout)

    def start_task(self, task_index: int, vec_env: Simulations, first: bool, steps: int = 1) -> None:
        """Turn to a task: new simulations (seeded from the agent's seed), no momentum, no old experience, fresh critic.

        `first` tells that nothing was learned before, `steps` how long the segment will be. In simulations of all tasks
        at once, or of nobody knows which (JointVecEnv, UnlabelledVecEnv), all goes on as it was. Raises BadConfig if
        `vec_env` does not fit the agent.
        """
        joint = vec_env.task_index is None
        if vec_env.num_envs != self.config.n_envs or not (joint or vec_env.task_index == task_index):
            raise BadConfig(
                f"The agent wants {self.config.n_envs} simulations of task {task_index}, "
                f"but got {vec_env.num_envs} of task {vec_env.task_index}."
            )
        algorithm = self.algorithm
        if isinstance(vec_env, JointVecEnv):  # whose tasks share the replay buffer, so that it cannot scale by task
            if spreads := self._spreads:
                vec_env.go_on_from(spreads)
        elif self._replay is not None:
            vec_env.scaling.divide_late(self._replay)
        algorithm.set_env(vec_env, force_reset=True)
        vec_env.seed(_seed(self.seed, self._starts))
        self._starts += 1
        algorithm.policy.noise.last = None
        self._segment_start, self._segment_steps, self._charged = algorithm.num_timesteps, steps, 0
        algorithm.ep_info_buffer = algorithm.ep_success_buffer = None
        if first or not joint:
            self._leave_the_past(first)

    def turn_to(self, task_index: int) -> None:
        """Take what comes for another task from now on: as `start_task`, but in unlabelled simulations that go on."""
        algorithm, vec_env = self.algorithm, self.algorithm.env
        vec_env.believe(task_index)
        if algorithm._last_obs is not None:
            vec_env.labelled(algorithm._last_obs)
        self._leave_the_past(first=False)

    def learn(self, steps: int) -> int:
        """Train for at least `steps` environment steps, in whole rollouts; return how many were taken.

        Steps of trials since the last call are among them. Raises TrainingDiverged if a loss or parameter is no longer
        finite, EnvironmentFault if the environment fails.
        """
        trials, self._uncounted = self._uncounted, 0
        before = self.algorithm.num_timesteps
        self.algorithm.logger.name_to_value.clear()  # else a resumed run lacks losses of before
        if steps > trials:
            try:
                self.algorithm.learn(steps - trials, reset_num_timesteps=False, log_interval=None)
            except (RuntimeError, ValueError):  # of torch, that Discrete actions cannot be drawn from NaN
                self._raise_if_diverged()
                raise
            self._raise_if_diverged()
        return int(self.algorithm.num_timesteps - before) + trials

    def _leave_the_past(self, first: bool) -> None:
        """Forget momentum, values and experience of another task."""
        algorithm = self.algorithm
        self._forget_momentum()
        if not first and self.config.fresh_critic:
            algorithm.policy.renew_critic()
        if self._replay is not None:
            self._replay.reset()
            algorithm.learning_starts = algorithm.num_timesteps + self._learning_starts

    def _forget_momentum(self) -> None:
        """Let all optimizers forget, and the entropy coefficient be what it was at first."""
        for optimizer in self._optimizers().values():
            optimizer.state.clear()
        if self._first_entropy_coefficient is not None:
            self.algorithm.log_ent_coef.data.copy_(self._first_entropy_coefficient)

    def state_dict(self) -> dict[str, Any]:
        """Return all that determines the future, between two calls of `learn`: tensors, arrays, primitives only.

        The simulations' state is TaskVecEnv's to save.
        """
        algorithm = self.algorithm
        return {
            **self.branch(),
            **rest_of(algorithm),
            "segment": {name: getattr(self, name) for name in _SEGMENT},
            "last_observations": copied(algorithm._last_obs),
            "last_episode_starts": copied(algorithm._last_episode_starts),
            "noise": copied(algorithm.policy.noise.last),
            "episodes": list(algorithm.ep_info_buffer or ()),
            "successes": list(algorithm.ep_success_buffer or ()),
            "spreads": self._spreads,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a `state_dict`, after `start_task`; where simulations cannot resume, their episodes restart."""
        algorithm = self.algorithm
        self.return_to(state)
        self.renewals = 0  # which older checkpoints lack
        for name, value in state["segment"].items():
            setattr(self, name, value)
        algorithm._last_obs = copied(state["last_observations"]) if algorithm.env.resumes_exactly else None
        algorithm._last_episode_starts = copied(state["last_episode_starts"])
        algorithm.policy.noise.last = copied(state.get("noise"))  # white before there was any other
        self._found_spreads = state.get("spreads")  # which older checkpoints lack
        algorithm.ep_info_buffer = deque(state["episodes"], maxlen=algorithm._stats_window_size)
        algorithm.ep_success_buffer = deque(state["successes"], maxlen=algorithm._stats_window_size)
        load_rest(algorithm, state)

    @property
    def _replay(self) -> ReplayBuffer | None:
        return getattr(self.algorithm, "replay_buffer", None)

    @property
    def _spreads(self) -> list[dict[str, Any]] | None:
        """What joint training has measured of each task's returns so far; None where it is not joint, or begins."""
        env = self.algorithm.env
        return env.spreads() if isinstance(env, JointVecEnv) else self._found_spreads

    def _optimizers(self) -> dict[str, torch.optim.Optimizer]:
        entropy_optimizer = getattr(self.algorithm, "ent_coef_optimizer", None)
        extra = {} if entropy_optimizer is None else {"entropy coefficient": entropy_optimizer}
        return self.algorithm.policy.optimizers | extra  # type: ignore[no-any-return]

    def _raise_if_diverged(self) -> None:
        bad = [
            name for name, value in self.last_losses.items() if not np.isfinite(value) and name != "explained_variance"
        ]
        bad += [name for name, values in self.algorithm.policy.named_parameters() if not torch.isfinite(values).all()]
        if bad:
            raise TrainingDiverged(
                f"After {self.algorithm.num_timesteps} steps {bad[0]!r} is NaN or infinite; begin a new run with a "
                f"lower agent.hyperparameters.learning_rate (now {self.algorithm.learning_rate}), or scale the rewards "
                "to about 1."
            )


def _made(algorithm: type[Any], *arguments: Any, **options: Any) -> Any:
    """Return an algorithm; BadConfig with its own words where it does not take these values."""
    try:
        return algorithm(*arguments, **options)
    except (ArithmeticError, AssertionError, AttributeError, MemoryError, RuntimeError, TypeError, ValueError) as error:
        raise BadConfig(f"{algorithm.__name__} does not take these hyperparameters: {error}") from error


def find_device(name: str) -> torch.device:
    """Return the device of this name. Raises BadConfig for none that torch knows and this machine has."""
    try:
        device = torch.device(name)
        torch.zeros(0, device=device)
    except (RuntimeError, AssertionError) as error:  # AssertionError: a torch that was built without CUDA
        reason = str(error).splitlines()[0]
        raise BadConfig(f"device {name!r} cannot be used here ({reason}); set agent.device to cpu.") from error
    if device.type not in ("cpu", "cuda"):
        raise BadConfig(f"device {name!r} is neither the CPU nor a GPU of CUDA; set agent.device to cpu.")
    return device


def _seed(*key: int) -> int:
    """Return a seed for simulations, below 2**30: those above are for evaluation."""
    return int(np.random.SeedSequence(key).generate_state(1)[0]) % 2**30


_SEGMENT = ("renewals", "_starts", "_trials", "_charged", "_uncounted", "_segment_start", "_segment_steps")


class _NoSimulations(Whole):
    """Tells an algorithm the spaces and the number of simulations before there are any."""

    resumes_exactly = True

    def __init__(self, n: int, union: UnionSpace) -> None:
        super().__init__(n, union.observation_space, deepcopy(union.action_space))
        self.tally = Tally(n)

    def reset(self) -> Any:
        raise BadConfig("The agent has no task yet; call start_task before learn.")

    step_async = step_wait = reset  # type: ignore[assignment]

    def close(self) -> None:
        pass
