"""What methods may ask of the agent: separate policies, fresh starts, another task's behaviour, trials, experience."""

import numpy as np
import pytest
import torch

from nestrl.agents.environments import make_environment
from nestrl.agents.joint_vec_env import JointVecEnv
from nestrl.agents.trial import Trial
from nestrl.agents.vec_env import TaskVecEnv
from nestrl.errors import BadConfig
from nestrl.methods.acting_as import try_skills

from .test_agent import DOCK, PER_TASK, PPO, REACH, SAC, STEPS, World

CONFIGS = pytest.mark.parametrize("config", [PPO, PER_TASK, SAC], ids=["ppo", "per_task", "sac"])


def learned(config):
    """A world whose agent has learned a little of the first task, and observations of both."""
    world = World(config, REACH, DOCK)
    vec_env = world.start(0, first=True)
    world.agent.learn(STEPS)
    first = vec_env.recent_observations()
    second = world.start(1).reset()
    return world, first, second


def as_task(observations, task):
    changed = observations.copy()
    changed[:, -2:] = np.eye(2)[task]
    return changed


@CONFIGS
def test_a_separate_policy_answers_alike_until_one_of_the_two_is_trained(config):
    world, rows, _ = learned(config)
    own = world.agent.policy_with()
    before = world.agent.policy.act(rows)
    np.testing.assert_array_equal(own.act(rows), before)
    kept = [parameter.detach().clone() for parameter in own.parameters]
    with torch.no_grad():
        for parameter in own.parameters:
            parameter += 0.1
    np.testing.assert_array_equal(world.agent.policy.act(rows), before)
    np.testing.assert_array_equal(world.agent.policy_with(kept).act(rows), before)
    assert [p.shape for p in own.parameters] == [p.shape for g in world.agent.actor_groups().values() for p in g]


@CONFIGS
def test_a_renewed_actor_has_forgotten_everything_and_critics_nothing(config):
    world, rows, _ = learned(config)
    state = {name: value.clone() for name, value in world.agent.algorithm.policy.state_dict().items()}
    world.agent.renew_actor()
    assert np.abs(world.agent.policy.act(rows)).max() < 0.2  # the first answer is near zero
    for name, value in world.agent.algorithm.policy.state_dict().items():
        if "critic" in name:
            assert torch.equal(value, state[name])


@CONFIGS
def test_copied_behaviour_answers_in_one_task_as_in_the_other_and_leaves_that_alone(config):
    world, first, second = learned(config)
    agent = world.agent
    normalizer = agent.algorithm.policy.actor.normalizer if config is SAC else agent.algorithm.policy.normalizer
    for rows_of in (normalizer.mean, normalizer.scale):  # else the tasks' own scales make the answers differ
        rows_of[:] = rows_of[0]
    before = agent.policy.act(first)
    agent.copy_behaviour(0, 1)
    np.testing.assert_array_equal(agent.policy.act(first), before)
    np.testing.assert_allclose(agent.policy.act(second), agent.policy.act(as_task(second, 0)), atol=1e-6)


@CONFIGS
def test_a_skill_is_tried_as_it_would_be_copied_whatever_the_scales(config):
    world, _, second = learned(config)
    agent = world.agent
    tried = []

    def try_out(policies, task, episodes, seed):
        tried.extend(policy.act(second) for policy in policies)
        return Trial(np.zeros((len(policies), episodes)), np.zeros((len(policies), episodes), bool), 1)

    agent.allow_trials(try_out)
    before = agent.policy.act(second)
    try_skills(agent, [0], 1, 2)
    np.testing.assert_array_equal(tried[0], before)
    np.testing.assert_array_equal(agent.policy.act(second), before)
    agent.copy_behaviour(0, 1)
    np.testing.assert_array_equal(agent.policy.act(second), tried[1])
    assert np.abs(tried[1] - before).max() > 1e-4


def test_trials_are_charged_to_the_segment_and_give_all_policies_the_same_starts():
    world, *_ = learned(PPO)
    agent = world.agent
    seeds = []

    def try_out(policies, task, episodes, seed):
        seeds.append(seed)
        returns = np.array([[float(place)] * episodes for place in range(1, len(policies) + 1)])
        return Trial(returns, returns > 1, 50 * len(policies))

    with pytest.raises(BadConfig, match="within a run"):
        agent.trial([agent.policy], 1, 2)
    agent.allow_trials(try_out)
    trial = agent.trial([agent.policy, agent.policy], 1, 3)
    assert trial.returns.tolist() == [[1.0] * 3, [2.0] * 3]
    assert trial.success.tolist() == [[False] * 3, [True] * 3]
    assert agent.learn(2 * STEPS) == 100 + 2 * STEPS  # 100 charged steps, and whole rollouts for the rest
    before = agent.state_dict()["segment"]
    agent.trial([agent.policy], 1, 3, charged=False)
    assert agent.state_dict()["segment"] == before  # however often it is tested, training goes on alike
    assert agent.learn(STEPS) == STEPS
    agent.trial([agent.policy], 1, 3)
    assert len(set(seeds)) == 3


def test_progress_counts_rollouts_and_trials():
    world, *_ = learned(PPO)
    vec_env = TaskVecEnv(make_environment(REACH, 8), world.union, 0)
    world.agent.start_task(0, vec_env, first=False, steps=4 * STEPS)
    assert world.agent.progress == 0.0
    world.agent.allow_trials(lambda *asked: Trial(np.zeros((1, 1)), np.zeros((1, 1), bool), STEPS))
    world.agent.trial([world.agent.policy], 0, 1)
    assert world.agent.progress == 0.25
    assert world.agent.learn(2 * STEPS) == 2 * STEPS  # one of them were trials
    assert world.agent.progress == 0.5


def test_experience_is_the_last_rollout():
    world, *_ = learned(PPO)
    world.agent.learn(STEPS)
    experience = world.agent.experience()
    assert experience.observations.shape == (STEPS, world.union.observation_space.shape[0])
    assert len(experience.actions) == len(experience.log_probs) == len(experience.advantages) == STEPS
    assert (experience.observations[:, -1] == 1).all()  # of the second task, where it learned last
    assert World(SAC, REACH, DOCK).agent.experience() is None


def joint(world, seed, **options):
    tasks = enumerate(world.tasks)
    parts = [TaskVecEnv(make_environment(task, 4), world.union, index, **options) for index, task in tasks]
    vec_env = JointVecEnv(parts)
    vec_env.seed(seed)
    return vec_env


def test_all_tasks_at_once_are_what_each_is_by_itself():
    world = World(PPO, REACH, DOCK)
    together = joint(world, 5)
    alone = [TaskVecEnv(make_environment(task, 4), world.union, index) for index, task in enumerate(world.tasks)]
    for index, part in enumerate(alone):
        part.seed(5 + 4 * index)
    np.testing.assert_array_equal(together.reset(), np.concatenate([part.reset() for part in alone]))
    generator = np.random.default_rng(0)
    for _ in range(15):
        actions = generator.uniform(-1, 1, (8, 6)).astype(np.float32)
        observations, rewards, dones, infos = together.step(actions)
        parts = [part.step(actions[rows]) for part, rows in zip(alone, (slice(0, 4), slice(4, 8)), strict=True)]
        np.testing.assert_array_equal(observations, np.concatenate([part[0] for part in parts]))
        np.testing.assert_array_equal(rewards, np.concatenate([part[1] for part in parts]))
        assert dones.tolist() == [done for part in parts for done in part[2]]
        assert [info.get("episode") for info in infos] == [info.get("episode") for part in parts for info in part[3]]


def test_rewards_whose_scale_is_found_are_divided_when_a_replay_buffer_samples_them():
    world = World(SAC, REACH, DOCK)
    scaled = [
        TaskVecEnv(make_environment(task, SAC.n_envs), world.union, index, reward_scale=scale)
        for index, (task, scale) in enumerate(zip(world.tasks, ("auto", 0.5), strict=True))
    ]
    world.agent.start_task(0, scaled[0], first=True)
    world.agent.learn(STEPS)
    replay = world.agent.algorithm.replay_buffer
    paid = replay.rewards[: replay.size()]
    assert scaled[0].tally.episodes == SAC.n_envs  # of twelve steps each
    assert paid[:12].sum() == pytest.approx(scaled[0].tally.returns, rel=1e-5)
    spread = scaled[0].scaling.state_dict()["var"] ** 0.5
    sampled = replay.sample(500).rewards.numpy()
    assert np.isin(sampled.round(4), (paid / spread).astype(np.float32).round(4)).all()
    world.agent.start_task(1, scaled[1], first=False)
    world.agent.learn(STEPS)
    assert np.isin(replay.sample(500).rewards.numpy(), replay.rewards[: replay.size()]).all()


def test_scales_of_rewards_are_measured_on_in_joint_training():
    world = World(PPO, REACH, DOCK)
    vec_envs = [joint(world, 0, reward_scale="auto") for _ in range(2)]
    world.agent.start_task(0, vec_envs[0], first=True)
    world.agent.learn(STEPS)
    measured = [part.scaling.state_dict() for part in vec_envs[0].parts]
    world.agent.start_task(1, vec_envs[1], first=False)
    assert [part.scaling.state_dict()["var"] for part in vec_envs[1].parts] == [each["var"] for each in measured]
    world.agent.learn(STEPS)
    for part, before in zip(vec_envs[1].parts, measured, strict=True):
        assert part.scaling.state_dict()["count"] > before["count"] > 1


@pytest.mark.parametrize("config", [PPO, SAC], ids=["ppo", "sac"])
def test_joint_training_goes_on_across_segments_with_all_it_has(config):
    world = World(config, REACH, DOCK)
    world.agent.start_task(0, joint(world, 0), first=True)
    world.agent.learn(STEPS)
    critic = {name: value.clone() for name, value in world.agent.algorithm.policy.state_dict().items()}
    world.agent.start_task(1, joint(world, 0), first=False)
    assert all(torch.equal(critic[name], value) for name, value in world.agent.algorithm.policy.state_dict().items())
    assert world.agent.optimizer.state  # momentum is kept
    if config is SAC:
        assert world.agent.algorithm.replay_buffer.size() > 0
