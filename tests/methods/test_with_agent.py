"""Methods on the real agent: stable-baselines3's PPO and SAC, two small foreign tasks."""

import pytest
import torch

from nestrl.agents.agent import Agent
from nestrl.agents.config import AgentConfig
from nestrl.agents.environments import make_environment
from nestrl.agents.normalization import normalizer_rows
from nestrl.agents.vec_env import TaskVecEnv
from nestrl.methods import make_method
from nestrl.tasks.sequence import Task
from nestrl.tasks.union import UnionSpace
from nestrl.updates.drift import drift_between
from nestrl.updates.regulated import RegulatedAdam

DRIFT_LIMIT = 0.005
"""Nats: a tenth or less of what fine-tuning loses in these short lives, so that there is something to hold."""
PENDULUMS = (Task("hanging", "Pendulum-v1", {"g": 10.0}), Task("upside_down", "Pendulum-v1", {"g": -10.0}))
PPO = AgentConfig(
    network=(32, 32),
    n_envs=16,
    hyperparameters={"n_steps": 64, "batch_size": 128, "n_epochs": 10, "learning_rate": 5e-3},
)
SAC = AgentConfig(
    algorithm="sac", network=(32, 32), n_envs=16, hyperparameters={"learning_starts": 160, "learning_rate": 3e-3}
)


def drift_of_first_task(config, method_name, optimizer_class=RegulatedAdam, steps=5 * 1024):
    """Train on both tasks in turn; return the drift on the first since its end, and all parameters."""
    environments = [make_environment(task, config.n_envs) for task in PENDULUMS]
    union = UnionSpace(
        [environment.single_observation_space for environment in environments],
        [environment.single_action_space for environment in environments],
    )
    agent = Agent(
        config, union, normalizer_rows(PENDULUMS, environments, union), seed=0, optimizer_class=optimizer_class
    )
    options = {"drift_limit": DRIFT_LIMIT} if method_name == "cloning" else {}
    method = make_method(method_name, options, agent, seed=0)
    if optimizer_class is RegulatedAdam:
        agent.optimizer.attach(method.regulate)
    seen, teacher = [], []
    for index, environment in enumerate(environments):
        vec_env = TaskVecEnv(environment, union, index)
        agent.start_task(index, vec_env, first=index == 0)
        method.begin(index, index)
        agent.learn(steps)
        method.end(index, index, vec_env.recent_observations())
        seen.append(torch.as_tensor(vec_env.recent_observations()))
        with torch.no_grad():
            teacher.append(agent.policy.output(seen[-1]))
        vec_env.close()
    with torch.no_grad():
        drift = drift_between(teacher[0], agent.policy.output(seen[0])).total.mean().item()
    return drift, [parameter.detach().clone() for parameter in agent.algorithm.policy.parameters()]


@pytest.mark.learning
@pytest.mark.parametrize(("config", "steps"), [(PPO, 5 * 1024), (SAC, 1600)], ids=["ppo", "sac"])
def test_cloning_holds_the_drift_near_its_limit(config, steps):
    kept, _ = drift_of_first_task(config, "cloning", steps=steps)
    lost, _ = drift_of_first_task(config, "finetune", steps=steps)
    assert kept < 2 * DRIFT_LIMIT
    assert lost > 5 * DRIFT_LIMIT


@pytest.mark.learning
@pytest.mark.parametrize(("config", "steps"), [(PPO, 1024), (SAC, 320)], ids=["ppo", "sac"])
def test_finetuning_is_plain_adam_to_the_last_bit(config, steps):
    _, plain = drift_of_first_task(config, "finetune", torch.optim.Adam, steps)
    _, regulated = drift_of_first_task(config, "finetune", RegulatedAdam, steps)
    assert all(torch.equal(one, other) for one, other in zip(plain, regulated, strict=True))
