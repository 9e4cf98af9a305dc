import numpy as np
import pytest
import torch

from nestrl.errors import BadConfig
from nestrl.methods.acting_as import ActingAs
from nestrl.methods.halving import successive_halving
from nestrl.methods.snapshots import Snapshots, SnapshotsOptions

from .fake_learner import FakeLearner, live


def snapshots(learner, **options):
    return Snapshots(SnapshotsOptions(**options), learner, seed=0)


def answers(policy, observations):
    with torch.no_grad():
        return policy.output(observations).mean


def test_each_task_keeps_exactly_the_policy_of_its_end_while_the_learner_forgets():
    learner = FakeLearner()
    method = snapshots(learner)
    for task in range(3):
        live(method, learner, [task], 60)
        if task == 0:
            observations = learner.observations(0)
            at_the_end = answers(learner, observations)
    assert torch.equal(answers(method.policy_for(0), observations), at_the_end)
    assert (answers(learner, observations) - at_the_end).abs().max() > 0.1


def test_tasks_in_training_or_never_met_are_acted_in_by_the_learner():
    learner = FakeLearner()
    method = snapshots(learner)
    assert method.policy_for(1) is learner.policy
    live(method, learner, [0], 2)
    method.begin(1, 1)
    assert method.policy_for(1) is learner.policy
    assert method.policy_for(2) is learner.policy
    assert method.policy_for(0) is not learner.policy


def test_a_task_that_comes_back_starts_from_its_own_snapshot():
    learner = FakeLearner()
    method = snapshots(learner)
    live(method, learner, [0], 5)
    first = learner.parameters()
    live(method, learner, [1], 5)
    method.begin(2, 0)
    assert all(torch.equal(one, other) for one, other in zip(first, learner.parameters(), strict=True))


def test_memory_is_an_actor_a_task():
    learner = FakeLearner()
    method = snapshots(learner)
    assert method.measurements() == {"memory_bytes": 0.0}
    live(method, learner, [0, 1, 0], 1)
    assert method.measurements()["memory_bytes"] == 2 * sum(values.nbytes for values in learner.parameters())


def test_bandit_finds_each_tasks_own_snapshot_without_its_identity():
    learner = FakeLearner()
    method = snapshots(learner, selector="bandit")
    oracle = snapshots(learner)
    live(method, learner, [0, 1, 2], 200)
    oracle._stored = method._stored
    for task in range(3):
        observations = learner.observations(task)
        right = answers(oracle.policy_for(task), observations)
        assert torch.equal(answers(method.policy_for(task), observations), right)
        hidden = observations.clone()
        hidden[:, -3:] = 0.0
        assert torch.equal(answers(method.policy_for(task), hidden), right)


def test_bandit_chooses_once_between_boundaries_and_is_not_charged():
    learner = FakeLearner()
    method = snapshots(learner, selector="bandit")
    live(method, learner, [0, 1], 2)
    for _ in range(3):
        method.policy_for(0)
    n_trials = len(learner.trials)
    assert n_trials > 0
    assert not any(charged for _, _, charged in learner.trials)
    method.begin(2, 2)
    method.policy_for(0)
    assert len(learner.trials) == 2 * n_trials


@pytest.mark.parametrize("n_arms", [1, 2, 3, 5, 10])
@pytest.mark.parametrize("episodes", [2, 3, 8])
def test_halving_finds_the_best_arm_within_its_episodes(n_arms, episodes):
    spent = []

    def trial(arms, first, n):
        spent.append(len(arms) * n)
        return np.array([[float(arm)] * n for arm in arms])

    arms = list(np.random.default_rng(0).permutation(n_arms))
    assert successive_halving({arm: arm for arm in arms}, trial, episodes) == n_arms - 1
    assert sum(spent) <= n_arms * episodes * 1.2


def test_halving_spends_more_on_those_that_are_close():
    generator = np.random.default_rng(0)
    n_tried = np.zeros(8)

    def trial(arms, first, n):
        n_tried[arms] += n
        return generator.normal(np.array(arms)[:, None], 1.0, (len(arms), n))

    assert successive_halving({arm: arm for arm in range(8)}, trial, 12) == 7
    assert n_tried[7] > 3 * n_tried[0]


def test_acting_as_another_task_shows_its_one_hot_and_changes_no_observation():
    learner = FakeLearner()
    seen = learner.observations(2)
    relabelled = seen.clone()
    relabelled[:, -3:] = torch.tensor([0.0, 1.0, 0.0])
    before = seen.clone()
    policy = ActingAs(learner, 1, 3)
    assert torch.equal(answers(policy, seen), answers(learner, relabelled))
    assert np.array_equal(policy.act(seen.numpy()), learner.act(relabelled.numpy()))
    assert torch.equal(seen, before)


@pytest.mark.parametrize("options", [{"selector": "orcale"}, {"episodes": 0}])
def test_senseless_options_are_refused(options):
    with pytest.raises(BadConfig, match=next(iter(options))):
        SnapshotsOptions(**options)


def test_halving_plays_new_episodes_in_each_round():
    played = {arm: [] for arm in range(10)}

    def trial(arms, first, n):
        for arm in arms:
            played[arm] += range(first, first + n)
        return np.array([[float(arm)] * n for arm in arms])

    assert successive_halving({arm: arm for arm in range(10)}, trial, 3) == 9
    assert all(episodes == list(range(len(episodes))) for episodes in played.values())
    assert len(played[9]) > 3
