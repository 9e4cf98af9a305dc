"""The agent's life: tasks one after the other, and going on from a saved state as if nothing had happened."""

import io
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from nestrl.agents.agent import Agent
from nestrl.agents.config import AgentConfig
from nestrl.agents.environments import make_environment
from nestrl.agents.normalization import normalizer_rows
from nestrl.agents.policies import NormalizedCritic
from nestrl.agents.vec_env import TaskVecEnv
from nestrl.errors import BadConfig, TrainingDiverged, UnknownName
from nestrl.tasks.sequence import Task
from nestrl.tasks.union import UnionSpace

REACH = Task("reach", "nestrl_envs:nestrl/RoverReach-v0", {"horizon": 12})
DOCK = Task("dock", "nestrl_envs:nestrl/RoverDock-v0", {"horizon": 9}, reward_scale="auto")
PENDULUM = Task("pendulum", "Pendulum-v1")
CARTPOLE = Task("cartpole", "CartPole-v1")

PPO = AgentConfig(network=(16, 16), n_envs=8, hyperparameters={"n_steps": 16})
SAC = AgentConfig(
    "sac", network=(16,), n_envs=8, hyperparameters={"learning_starts": 64, "buffer_size": 400, "batch_size": 32}
)
PER_TASK = AgentConfig(network=(16, 16), heads="per_task", n_envs=8, hyperparameters={"n_steps": 16})
LASTING = [replace(config, noise_correlation=0.5) for config in (PPO, SAC)]
STEPS = 128


class World:
    """The tasks of a test, and an agent for them."""

    def __init__(self, config: AgentConfig, *tasks: Task, seed: int = 0) -> None:
        self.tasks, self.config = tasks, config
        environments = [make_environment(task, 4) for task in tasks]
        self.union = UnionSpace(
            [environment.single_observation_space for environment in environments],
            [environment.single_action_space for environment in environments],
        )
        self.agent = Agent(config, self.union, normalizer_rows(tasks, environments, self.union), seed)

    def start(self, index: int, first: bool = False) -> TaskVecEnv:
        task = self.tasks[index]
        environment = make_environment(task, self.config.n_envs)
        vec_env = TaskVecEnv(environment, self.union, index, reward_scale=task.reward_scale)
        self.agent.start_task(index, vec_env, first)
        return vec_env


def lived(config: AgentConfig) -> World:
    """Return a world whose agent has learned reach for STEPS."""
    world = World(config, REACH)
    world.start(0, first=True)
    world.agent.learn(STEPS)
    return world


def assert_same(a: Any, b: Any) -> None:
    """Two nested states are equal to the last bit."""
    if isinstance(a, dict):
        assert a.keys() == b.keys()
        for key in a:
            assert_same(a[key], b[key])
    elif isinstance(a, list | tuple):
        assert len(a) == len(b)
        for one, other in zip(a, b, strict=True):
            assert_same(one, other)
    elif isinstance(a, Tensor | np.ndarray):
        np.testing.assert_array_equal(np.asarray(a), np.asarray(b))
    else:
        assert a == b


def through_a_file(state: Any) -> Any:
    """A state written and read as a checkpoint would, with only tensors and primitives allowed."""
    file = io.BytesIO()
    torch.save(as_tensors(state), file)
    file.seek(0)
    return torch.load(file, weights_only=True)


def as_tensors(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: as_tensors(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return torch.from_numpy(value)
    return value


@pytest.mark.parametrize(
    "config", [PPO, PER_TASK, SAC, *LASTING], ids=["ppo", "per_task", "sac", "ppo, lasting noise", "sac, lasting noise"]
)
def test_resumes_bit_for_bit_in_the_middle_of_a_task(config: AgentConfig) -> None:
    world = World(config, REACH, DOCK)
    world.start(0, first=True)
    world.agent.learn(STEPS)
    vec_env = world.start(1)
    world.agent.learn(STEPS)
    saved, simulations = world.agent.state_dict(), vec_env.state_dict()
    world.agent.learn(STEPS)
    expected, expected_simulations = world.agent.state_dict(), vec_env.state_dict()

    other = World(config, REACH, DOCK, seed=99)
    other.agent.seed = 0
    vec_env = other.start(1)
    vec_env.load_state_dict(simulations)
    other.agent.load_state_dict(saved)
    assert_same(other.agent.state_dict(), saved)
    assert other.agent.learn(STEPS) == STEPS
    assert_same(other.agent.state_dict(), expected)
    assert_same(vec_env.state_dict(), expected_simulations)


@pytest.mark.parametrize("config", [PPO, SAC], ids=["ppo", "sac"])
def test_resumes_bit_for_bit_at_a_boundary(config: AgentConfig) -> None:
    world = World(config, REACH, DOCK)
    world.start(0, first=True)
    world.agent.learn(STEPS)
    saved = world.agent.state_dict()
    world.start(1)
    world.agent.learn(STEPS)

    other = World(config, REACH, DOCK)
    other.agent.load_state_dict(saved)
    other.start(1)
    other.agent.learn(STEPS)
    assert_same(other.agent.state_dict(), world.agent.state_dict())


@pytest.mark.parametrize("config", [PPO, SAC], ids=["ppo", "sac"])
def test_state_is_safe_to_load(config: AgentConfig) -> None:
    world = lived(config)
    state = world.agent.state_dict()
    assert_same(through_a_file(state), as_tensors(state))


def test_saved_state_stays_as_it_was() -> None:
    world = lived(PPO)
    state = world.agent.state_dict()
    before = through_a_file(state)
    world.agent.learn(STEPS)
    assert_same(as_tensors(state), before)


def test_foreign_environment_restarts_its_episodes() -> None:
    world = World(PPO, PENDULUM)
    vec_env = world.start(0, first=True)
    assert not vec_env.resumes_exactly
    world.agent.learn(STEPS)
    saved, simulations = world.agent.state_dict(), vec_env.state_dict()
    other = World(PPO, PENDULUM)
    vec_env = other.start(0, first=True)
    vec_env.load_state_dict(simulations)
    other.agent.load_state_dict(saved)
    assert other.agent.learn(STEPS) == STEPS
    assert other.agent.algorithm.num_timesteps == 2 * STEPS


def test_same_seed_same_life() -> None:
    states = []
    for _ in range(2):
        world = World(PPO, CARTPOLE, PENDULUM)
        for index in range(2):
            world.start(index, first=index == 0)
            world.agent.learn(STEPS)
        states.append(world.agent.state_dict())
    assert_same(*states)


def test_all_discrete_tasks() -> None:
    world = World(PPO, CARTPOLE, Task("acrobot", "Acrobot-v1"))
    world.start(1, first=True)
    world.agent.learn(STEPS)
    observations = world.union.observe(1, np.zeros((5, 6), np.float32))
    actions = world.agent.policy.act(observations)
    assert actions.shape == (5,)
    assert set(actions.tolist()) <= {0, 1, 2}


def test_a_new_task_renews_critic_and_momentum_but_not_the_actor() -> None:
    world = World(PPO, REACH, DOCK)
    world.start(0, first=True)
    world.agent.learn(STEPS)
    policy = world.agent.algorithm.policy
    before = {name: values.clone() for name, values in policy.state_dict().items()}
    world.start(1)
    after = policy.state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed
    assert all(name.startswith("critic") for name in changed)
    assert not world.agent.optimizer.state


def test_critic_is_kept_on_request() -> None:
    world = World(AgentConfig(network=(16,), n_envs=8, fresh_critic=False), REACH, DOCK)
    world.start(0, first=True)
    before = through_a_file(world.agent.algorithm.policy.state_dict())
    world.start(1)
    assert_same(dict(world.agent.algorithm.policy.state_dict()), dict(before))


def test_log_std_of_other_tasks_stays() -> None:
    world = World(PPO, REACH, DOCK)
    world.start(1, first=True)
    world.agent.learn(STEPS)
    log_std = world.agent.algorithm.policy.log_std.detach()
    assert (log_std[0] == -0.5).all()
    assert (log_std[1] != -0.5).all()


def test_heads_of_other_tasks_stay() -> None:
    world = World(PER_TASK, REACH, DOCK)
    heads = world.agent.algorithm.policy.actor_head.heads
    before = [head.weight.detach().clone() for head in heads]
    world.start(1, first=True)
    world.agent.learn(STEPS)
    assert torch.equal(heads[0].weight, before[0])
    assert not torch.equal(heads[1].weight, before[1])


def test_sac_warms_up_and_forgets_old_experience_at_each_task() -> None:
    world = World(SAC, REACH, DOCK)
    world.start(0, first=True)
    world.agent.learn(STEPS)
    world.start(1)
    world.agent.learn(8)
    algorithm = world.agent.algorithm
    assert algorithm.replay_buffer.size() == 1
    assert algorithm.learning_starts == STEPS + 64
    assert algorithm.log_ent_coef.exp().item() == pytest.approx(0.1)


def test_the_actors_loss_asks_for_no_gradients_of_the_critics() -> None:
    world = World(SAC, REACH)
    policy = world.agent.algorithm.policy
    obs = torch.as_tensor(world.union.observe(0, np.zeros((3, world.union.feature_size))))
    actions = torch.zeros(3, *policy.action_space.shape, requires_grad=True)
    sum(values.sum() for values in policy.critic(obs, actions)).backward()
    assert actions.grad.abs().sum() > 0
    assert all(weight.grad is None for weight in policy.critic.parameters())
    sum(values.sum() for values in policy.critic(obs, actions.detach())).backward()
    assert all(weight.grad is not None for weight in policy.critic.parameters())


def test_sac_learns_the_same_where_the_actors_loss_asks_for_those_of_the_critics_too(monkeypatch) -> None:
    def learned() -> dict[str, Any]:
        world = World(SAC, REACH)
        world.start(0, first=True)
        world.agent.learn(STEPS)
        return world.agent.state_dict()

    as_it_is = learned()
    monkeypatch.setattr(NormalizedCritic, "requires_grad_", lambda self, _: self)
    assert_same(as_it_is, learned())


def test_groups_are_the_actor_from_bottom_to_top() -> None:
    for config, log_std in ((PPO, [(2, 6)]), (SAC, [(6, 16), (6,)])):
        agent = World(config, REACH, DOCK).agent
        groups = agent.actor_groups()
        assert list(groups) == [*(f"trunk_{depth}" for depth in range(len(config.network))), "head", "log_std"]
        assert [tuple(parameter.shape) for parameter in groups["log_std"]] == log_std
        optimized = {id(parameter) for group in agent.optimizer.param_groups for parameter in group["params"]}
        assert {id(parameter) for group in groups.values() for parameter in group} <= optimized


def test_acting_draws_no_random_numbers() -> None:
    for config in (PPO, SAC):
        world = World(config, REACH)
        observations = world.union.observe(0, np.random.default_rng(0).normal(size=(7, world.union.feature_size)))
        torch_before, numpy_before = torch.get_rng_state(), np.random.get_state()[1].copy()
        first, second = (world.agent.policy.act(observations) for _ in range(2))
        np.testing.assert_array_equal(first, second)
        assert first.shape == (7, 6)
        assert (np.abs(first) <= 1).all()
        assert torch.equal(torch_before, torch.get_rng_state())
        np.testing.assert_array_equal(numpy_before, np.random.get_state()[1])


def test_losses_are_reported() -> None:
    world = World(PPO, REACH)
    assert world.agent.last_losses == {}
    world.start(0, first=True)
    world.agent.learn(STEPS)
    assert {"value_loss", "policy_gradient_loss", "approx_kl"} <= set(world.agent.last_losses)


def test_the_reported_noise_is_that_of_the_present_task() -> None:
    world = World(PPO, REACH, DOCK)
    world.start(0, first=True)
    world.agent.algorithm.policy.log_std.data[0] = -2.0
    world.start(1)
    world.agent.learn(STEPS)
    assert world.agent.last_losses["std"] == pytest.approx(math.exp(-0.5), rel=0.1)


def test_divergence_is_reported() -> None:
    world = World(PPO, REACH)
    world.start(0, first=True)
    world.agent.algorithm.policy.critic[1].bias.data.fill_(float("nan"))
    with pytest.raises(TrainingDiverged, match="lower agent.hyperparameters.learning_rate"):
        world.agent.learn(STEPS)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"algorithm": "pppo"}, UnknownName, "Did you mean 'ppo'"),
        ({"algorithm": "nowhere:Algorithm"}, UnknownName, "cannot be imported"),
        ({"algorithm": "stable_baselines3:DQN"}, BadConfig, "no kind of PPO, A2C or SAC"),
        ({"algorithm": "stable_baselines3.common.on_policy_algorithm:OnPolicyAlgorithm"}, BadConfig, "no kind of PPO"),
        (
            {"algorithm": "stable_baselines3:A2C", "hyperparameters": {"use_rms_prop": True}},
            BadConfig,
            "A2C has no hyperparameter 'use_rms_prop'",
        ),
        ({"hyperparameters": {"n_epochs": 0}}, BadConfig, "'n_epochs' is 0; it must be at least 1"),
        ({"correlated_share": 0.3}, BadConfig, "noise_correlation is 0 everywhere"),
        ({"hyperparameters": {"gama": 0.9}}, BadConfig, "Did you mean 'gamma'"),
        ({"hyperparameters": {"seed": 1}}, BadConfig, "no hyperparameter 'seed'"),
        ({"hyperparameters": {"learning_rate": "fast"}}, BadConfig, "'learning_rate' is 'fast'; it must be a finite"),
        ({"hyperparameters": {"batch_size": 1}}, BadConfig, "PPO does not take these hyperparameters"),
        ({"hyperparameters": {"gamma": "abc"}}, BadConfig, "'gamma' is 'abc'; it must be a finite number"),
        ({"hyperparameters": {"ent_coef": float("inf")}}, BadConfig, "'ent_coef' is inf; it must be a finite number"),
        ({"hyperparameters": {"gae_lambda": 1.5}}, BadConfig, "'gae_lambda' is 1.5; it must be from 0 to 1"),
        ({"algorithm": "sac", "hyperparameters": {"train_freq": 0}}, BadConfig, "'train_freq' is 0; it must be at"),
        ({"algorithm": "sac", "hyperparameters": {"action_noise": 1}}, BadConfig, "no hyperparameter 'action_noise'"),
        ({"heads": "both"}, BadConfig, "'shared' or 'per_task'"),
        ({"network": ()}, BadConfig, "at least one block"),
        ({"n_envs": -1}, BadConfig, "from 1 to"),
        ({"noise_correlation": (0.5, 0.0)}, BadConfig, "has 2 numbers, but an action here has 1"),
    ],
)
def test_mistakes_are_explained(options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        World(AgentConfig(**{"n_envs": 8, **options}), PENDULUM)


def test_sac_refuses_discrete_tasks() -> None:
    with pytest.raises(BadConfig, match="ppo"):
        World(SAC, CARTPOLE)


def test_wrong_simulations_are_refused() -> None:
    world = World(PPO, REACH, DOCK)
    vec_env = TaskVecEnv(make_environment(REACH, 4), world.union, 0)
    with pytest.raises(BadConfig, match="wants 8 simulations of task 1"):
        world.agent.start_task(1, vec_env, first=True)


def test_learning_without_a_task_is_refused() -> None:
    with pytest.raises(BadConfig, match="start_task"):
        World(PPO, REACH).agent.learn(1)


@pytest.mark.parametrize(
    ("algorithm", "simulations"),
    [("ppo", 256), ("sac", 32), ("stable_baselines3:SAC", 32), ("stable_baselines3:A2C", 256)],
)
def test_as_many_simulations_as_the_kind_of_algorithm_wants(algorithm: str, simulations: int) -> None:
    assert AgentConfig(algorithm).n_envs == simulations


def test_other_on_policy_algorithms_work() -> None:
    world = World(AgentConfig("stable_baselines3:A2C", network=(8,), n_envs=8), REACH)
    world.start(0, first=True)
    assert world.agent.learn(40) == 256


def test_a_branch_stays_as_it_was_after_a_return_to_it() -> None:
    world = lived(PPO)
    branch = world.agent.branch()
    before = through_a_file(branch)
    world.agent.return_to(branch)
    world.agent.learn(STEPS)
    assert_same(as_tensors(branch), before)
