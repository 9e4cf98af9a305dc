"""Short real trainings, which a wrong sign would fail."""

import pytest

from nestrl.agents.agent import Agent
from nestrl.agents.config import AgentConfig
from nestrl.agents.environments import make_environment
from nestrl.agents.normalization import normalizer_rows
from nestrl.agents.vec_env import TaskVecEnv
from nestrl.evaluation.rollouts import evaluate
from nestrl.tasks.sequence import Task
from nestrl.tasks.union import UnionSpace

pytestmark = pytest.mark.learning


def trained(config: AgentConfig, task: Task, steps: int) -> tuple[float, float]:
    """Return success and mean return over 64 episodes after training."""
    examined = make_environment(task, 64)
    union = UnionSpace([examined.single_observation_space], [examined.single_action_space])
    agent = Agent(config, union, normalizer_rows([task], [examined], union), seed=0)
    agent.start_task(0, TaskVecEnv(make_environment(task, config.n_envs), union, 0), first=True)
    agent.learn(steps)
    episodes = evaluate(agent.policy, examined, union, 0, seed=1)
    return float(episodes.success.mean()), float(episodes.returns.mean())


def test_ppo_learns_to_reach() -> None:
    success, _ = trained(AgentConfig(), Task("reach", "nestrl_envs:nestrl/RoverReach-v0"), 115_000)
    assert success > 0.8


def test_ppo_balances_a_cart_with_discrete_actions() -> None:
    config = AgentConfig(network=(64, 64), n_envs=32, hyperparameters={"n_steps": 32, "batch_size": 128})
    _, mean_return = trained(config, Task("cartpole", "CartPole-v1"), 30_000)
    assert mean_return > 300


def test_sac_swings_up_a_pendulum() -> None:
    settings = {"learning_starts": 500, "batch_size": 128, "learning_rate": 2e-3}
    config = AgentConfig("sac", network=(64, 64), n_envs=8, hyperparameters=settings)
    _, mean_return = trained(config, Task("pendulum", "Pendulum-v1"), 5_000)
    assert mean_return > -600  # doing nothing gives -1200
