"""Policies for stable-baselines3's PPO and SAC, made of the same parts, and the view of them that all others see."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray
from stable_baselines3.common.policies import ActorCriticPolicy as OnPolicy
from stable_baselines3.common.policies import ContinuousCritic
from stable_baselines3.common.type_aliases import Schedule
from stable_baselines3.sac.policies import LOG_STD_MAX, LOG_STD_MIN
from stable_baselines3.sac.policies import Actor as OffPolicyActor
from stable_baselines3.sac.policies import SACPolicy as OffPolicy
from torch import Tensor, nn
from torch.nn import Parameter

from nestrl.agents.actor_output import ActorOutput
from nestrl.agents.exploration import ExplorationNoise
from nestrl.agents.networks import Heads, Normalizer, Trunk, linear
from nestrl.tasks.union import Observations

ACTOR_GAIN = 0.01
"""The actor's first answer is near zero everywhere: exploration starts from noise alone."""

EXPLORATION = "log_std"
"""The entry of a task's code that says how widely it explores, where there is a log_std a task."""

ActorGroups = dict[str, list[Parameter]]


@dataclass(frozen=True)
class Architecture:
    """What both policies are built from."""

    network: tuple[int, ...]
    """Widths of the trunk's blocks, the same for actor and critics."""
    n_heads: int
    """1, or the number of tasks."""
    initial_log_std: float
    mean: NDArray[np.float32]
    """(N, D), see Normalizer."""
    scale: NDArray[np.float32]
    """(N, D), see Normalizer."""
    noise_correlation: float | tuple[float, ...] = 0.0
    """Of the exploration noise, see ExplorationNoise."""
    correlated_share: float = 1.0
    """Of the simulations, see ExplorationNoise."""

    def normalizer(self) -> Normalizer:
        """Return the normaliser."""
        return Normalizer(self.mean, self.scale)

    def exploration_noise(self) -> ExplorationNoise:
        """Return what a policy explores with."""
        return ExplorationNoise(self.noise_correlation, self.correlated_share)

    def critic(self, inputs: int) -> nn.Sequential:
        """Return a fresh critic: (n, inputs) -> (n, 1)."""
        trunk = Trunk(inputs, self.network)
        return nn.Sequential(trunk, linear(trunk.outputs, 1, gain=1.0))


class ActorCriticPolicy(OnPolicy):
    """For PPO and its kind: actor and critic with a trunk each, and for Box actions a log_std a task and action.

    The log_std is a parameter (N, A): a new task explores as `initial_log_std` says, whatever old ones have learned.
    """

    def __init__(
        self,
        observation_space: spaces.Box,
        action_space: spaces.Box | spaces.Discrete,
        lr_schedule: Schedule,
        architecture: Architecture,
        optimizer_class: type[torch.optim.Optimizer] = torch.optim.Adam,
        optimizer_kwargs: dict[str, Any] | None = None,
        use_sde: bool = False,
    ) -> None:
        self.architecture = architecture
        self.noise = architecture.exploration_noise()
        super().__init__(
            observation_space,
            action_space,
            lr_schedule,
            optimizer_class=optimizer_class,
            optimizer_kwargs=optimizer_kwargs,
        )

    def _build(self, lr_schedule: Schedule) -> None:
        parts, action_space = self.architecture, self.action_space
        self.normalizer = parts.normalizer()
        self.actor_trunk = Trunk(self.features_dim, parts.network)
        outputs = int(action_space.n) if isinstance(action_space, spaces.Discrete) else action_space.shape[0]  # type: ignore[index]
        self.actor_head = Heads(parts.n_heads, self.actor_trunk.outputs, outputs, ACTOR_GAIN)
        if isinstance(action_space, spaces.Box):
            self.log_std = Parameter(torch.full((len(parts.mean), outputs), parts.initial_log_std))
        self.critic = parts.critic(self.features_dim)
        self.optimizer = self.optimizer_class(self.parameters(), lr=lr_schedule(1), **self.optimizer_kwargs)  # type: ignore[call-arg]

    def forward(self, obs: Tensor, deterministic: bool = False) -> tuple[Tensor, Tensor, Tensor]:
        """Return actions (n, A) or (n,), values (n, 1) and log likelihoods (n,)."""
        normalized = self.normalizer(obs)
        output = self._output(normalized, self.normalizer.split(obs)[1])
        actions = output.mode() if deterministic else self._drawn(output)
        return actions, self.critic(normalized), output.log_prob(actions)

    def evaluate_actions(self, obs: Any, actions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return values (n, 1), log likelihoods (n,) of these actions, and entropies (n,)."""
        normalized = self.normalizer(obs)
        output = self._output(normalized, self.normalizer.split(obs)[1])
        return self.critic(normalized), output.log_prob(actions), output.entropy()

    def predict_values(self, obs: Any) -> Tensor:
        """Return values (n, 1)."""
        return self.critic(self.normalizer(obs))  # type: ignore[no-any-return]

    def obs_to_tensor(self, observation: Any) -> tuple[Tensor, bool]:
        """Return one observation (D + N,) or a batch of them as a batch, and whether it was one already."""
        batched = observation.ndim == 2
        return torch.as_tensor(observation if batched else observation[None], device=self.device), batched

    def actor_distribution(self, obs: Tensor) -> ActorOutput:
        """Return the parameters of the action distribution for observations (n, D + N)."""
        return self._output(self.normalizer(obs), self.normalizer.split(obs)[1])

    def act(self, obs: Tensor) -> Tensor:
        """Return deterministic actions: (n, A) within [-1, 1], or (n,) Discrete."""
        actions = self.actor_distribution(obs).mode()
        return actions.clamp(-1.0, 1.0) if actions.ndim == 2 else actions

    def _predict(self, observation: Any, deterministic: bool = False) -> Tensor:
        output = self.actor_distribution(observation)
        return output.mode() if deterministic else self._drawn(output)

    def _drawn(self, output: ActorOutput) -> Tensor:
        return output.sample(None if output.mean is None else self.noise.like(output.mean))

    def _output(self, normalized: Tensor, one_hot: Tensor) -> ActorOutput:
        answer = self.actor_head(self.actor_trunk(normalized), one_hot)
        if isinstance(self.action_space, spaces.Discrete):
            return ActorOutput(logits=answer)
        return ActorOutput(mean=answer, log_std=one_hot @ self.log_std)

    def actor_groups(self) -> ActorGroups:
        """Return the actor's parameters by depth."""
        log_std = [self.log_std] if isinstance(self.action_space, spaces.Box) else []
        return _groups(self.actor_trunk, self.actor_head, log_std)

    @property
    def actor_optimizer(self) -> torch.optim.Optimizer:
        """The optimizer that moves the actor (and here the critic too)."""
        return self.optimizer

    @property
    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        """All optimizers of the policy."""
        return {"policy": self.optimizer}

    def renew_critic(self) -> None:
        """Give the critic fresh weights, in place."""
        self.critic.load_state_dict(self.architecture.critic(self.features_dim).state_dict())

    def renew_actor(self) -> None:
        """Give the actor fresh weights, in place."""
        parts, head = self.architecture, self.actor_head
        inputs = self.actor_trunk.outputs
        self.actor_trunk.load_state_dict(Trunk(self.features_dim, parts.network).state_dict())
        head.load_state_dict(Heads(parts.n_heads, inputs, head.outputs, ACTOR_GAIN).state_dict())
        if isinstance(self.action_space, spaces.Box):
            self.log_std.data.fill_(parts.initial_log_std)

    def code_of(self, task: int) -> dict[str, Tensor]:
        """Return live views of the actor's numbers that only this task uses."""
        code = _code_of(self.actor_trunk, {"head": self.actor_head}, self.normalizer.width, task)
        return code | {EXPLORATION: self.log_std.data[task]} if isinstance(self.action_space, spaces.Box) else code


class SquashedActor(OffPolicyActor):
    """The actor of SAC: trunk, then a head for the mean and one for log_std, which here depends on the observation."""

    def __init__(self, architecture: Architecture, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.normalizer = architecture.normalizer()
        self.noise = architecture.exploration_noise()
        self.latent_pi = Trunk(self.features_dim, architecture.network)
        outputs, n_heads, width = self.action_space.shape[0], architecture.n_heads, self.latent_pi.outputs
        self.mu = Heads(n_heads, width, outputs, ACTOR_GAIN)
        bias = architecture.initial_log_std
        self.log_std = Heads(n_heads, width, outputs, ACTOR_GAIN, bias)  # type: ignore[assignment]

    def forward(self, obs: Any, deterministic: bool = False) -> Tensor:
        """Return actions (n, A) within [-1, 1] for simulations; those that updates draw are white."""
        mean, log_std, _ = self.get_action_dist_params(obs)
        return torch.tanh(mean if deterministic else ActorOutput(mean, log_std).sample(self.noise.like(mean)))

    def get_action_dist_params(self, obs: Any) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """Return mean and log_std (n, A) before the squash, and nothing else."""
        hidden, one_hot = self.latent_pi(self.normalizer(obs)), self.normalizer.split(obs)[1]
        log_std = self.log_std(hidden, one_hot)  # type: ignore[operator]
        return self.mu(hidden, one_hot), log_std.clamp(LOG_STD_MIN, LOG_STD_MAX), {}


class NormalizedCritic(ContinuousCritic):
    """The critics of SAC on normalised observations, with our trunk."""

    def __init__(self, architecture: Architecture, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.normalizer = architecture.normalizer()
        inputs = kwargs["features_dim"] + kwargs["action_space"].shape[0]
        self.q_networks = [architecture.critic(inputs) for _ in range(self.n_critics)]
        for index, network in enumerate(self.q_networks):
            setattr(self, f"qf{index}", network)
        self._weights = list(self.parameters())  # asked for once: walking through the modules takes a fifth of a call

    def forward(self, obs: Any, actions: Tensor) -> tuple[Tensor, ...]:
        """Return the value of these actions (n, A) according to each critic, (n, 1) each.

        Actions with a gradient are those of the actor's loss, which asks for no gradients of the critics' own weights.
        """
        inputs = torch.cat((self.normalizer(obs), actions), dim=1)
        self._ask_for_gradients(not actions.requires_grad)
        values = tuple(network(inputs) for network in self.q_networks)
        self._ask_for_gradients(True)
        return values

    def _ask_for_gradients(self, wanted: bool) -> None:
        for weight in self._weights:
            weight.requires_grad_(wanted)


class SACPolicy(OffPolicy):
    """For SAC: an actor and two critics, each with a trunk of its own."""

    def __init__(
        self,
        observation_space: spaces.Box,
        action_space: spaces.Box,
        lr_schedule: Schedule,
        architecture: Architecture,
        optimizer_class: type[torch.optim.Optimizer] = torch.optim.Adam,
        optimizer_kwargs: dict[str, Any] | None = None,
        use_sde: bool = False,
    ) -> None:
        self.architecture = architecture
        super().__init__(
            observation_space,
            action_space,
            lr_schedule,
            optimizer_class=optimizer_class,
            optimizer_kwargs=optimizer_kwargs,
        )

    @property
    def noise(self) -> ExplorationNoise:
        """What the actor explores with."""
        return self.actor.noise  # type: ignore[return-value]

    def make_actor(self, features_extractor: Any = None) -> SquashedActor:
        """Return a fresh actor."""
        return SquashedActor(
            self.architecture, **self._update_features_extractor(self.actor_kwargs, features_extractor)
        )

    def make_critic(self, features_extractor: Any = None) -> NormalizedCritic:
        """Return fresh critics."""
        return NormalizedCritic(
            self.architecture, **self._update_features_extractor(self.critic_kwargs, features_extractor)
        )

    def actor_distribution(self, obs: Tensor) -> ActorOutput:
        """Return mean and log_std before the squash for observations (n, D + N)."""
        mean, log_std, _ = self.actor.get_action_dist_params(obs)
        return ActorOutput(mean=mean, log_std=log_std)

    def act(self, obs: Tensor) -> Tensor:
        """Return deterministic actions (n, A) within [-1, 1]."""
        return torch.tanh(self.actor.get_action_dist_params(obs)[0])

    def actor_groups(self) -> ActorGroups:
        """Return the actor's parameters by depth."""
        log_std = list(self.actor.log_std.parameters())  # type: ignore[attr-defined]
        return _groups(self.actor.latent_pi, self.actor.mu, log_std)

    @property
    def actor_optimizer(self) -> torch.optim.Optimizer:
        """The optimizer that moves the actor."""
        return self.actor.optimizer

    @property
    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        """All optimizers of the policy."""
        return {"actor": self.actor.optimizer, "critic": self.critic.optimizer}

    def renew_critic(self) -> None:
        """Give the critics and their targets fresh weights, in place."""
        fresh = self.make_critic().state_dict()
        self.critic.load_state_dict(fresh)
        self.critic_target.load_state_dict(fresh)

    def renew_actor(self) -> None:
        """Give the actor fresh weights, in place."""
        self.actor.load_state_dict(self.make_actor().state_dict())

    def code_of(self, task: int) -> dict[str, Tensor]:
        """Return live views of the actor's numbers that only this task uses."""
        actor: Any = self.actor
        heads = {"head": actor.mu, "log_std_head": actor.log_std}
        return _code_of(actor.latent_pi, heads, actor.normalizer.width, task)


def _groups(trunk: nn.Module, head: nn.Module, log_std: list[Parameter]) -> ActorGroups:
    """Return the actor's parameters by depth: trunk_0, trunk_1, ..., head, and log_std where there is one."""
    groups = {f"trunk_{depth}": list(block.parameters()) for depth, block in enumerate(trunk.children())}
    groups["head"] = list(head.parameters())
    return groups | {"log_std": log_std} if log_std else groups


def copy_code(source: Mapping[str, Tensor], target: Mapping[str, Tensor]) -> None:
    """Give a task another one's code, in place; not its exploration noise, which has narrowed in learning that."""
    for name, values in target.items():
        if not name.startswith(EXPLORATION):
            values.copy_(source[name])


def _code_of(trunk: Trunk, heads: dict[str, Heads], width: int, task: int) -> dict[str, Tensor]:
    """Return views of the one-hot's input weights and, where there is a head a task, of that head."""
    inputs: Tensor = trunk[0][0].weight.data  # type: ignore[index]
    code = {"inputs": inputs[:, width + task]}
    for name, head in heads.items():
        if len(head.heads) > 1:
            code |= {f"{name}.{part}": values.data for part, values in head.heads[task].named_parameters()}
    return code


class LivePolicy:
    """A way to act in every task: a live view of a network. Asking it changes nothing and draws no random numbers."""

    def __init__(self, network: ActorCriticPolicy | SACPolicy) -> None:
        self.network = network

    def act(self, observations: Observations) -> NDArray[Any]:
        """Return a deterministic action a row of union observations (n, D + N): (n, A) in [-1, 1], or (n,) Discrete."""
        with torch.no_grad():
            actions = self.network.act(torch.as_tensor(observations, device=self.network.device))
        return actions.cpu().numpy()

    def output(self, observations: Tensor) -> ActorOutput:
        """Return the action distribution's parameters for union observations (n, D + N), with gradient."""
        return self.network.actor_distribution(observations)


class OwnPolicy(LivePolicy):
    """A policy with a network of its own, that nobody else trains."""

    def __init__(self, network: ActorCriticPolicy | SACPolicy, values: Sequence[Tensor] | None = None) -> None:
        """Copy a network, and give its actor these values in the order of `parameters`, if there are any."""
        super().__init__(deepcopy(network))
        for parameter, value in zip(self.parameters, values or self.parameters, strict=True):
            parameter.data.copy_(value)

    @property
    def parameters(self) -> list[Parameter]:
        """The actor's parameters, group by group as `actor_groups` gives them."""
        return [parameter for group in self.network.actor_groups().values() for parameter in group]

    def copy_behaviour(self, source: int, target: int) -> None:
        """Let it answer in task `target` as if that were task `source`, as the learner's method of that name does."""
        copy_code(self.network.code_of(source), self.network.code_of(target))
