import numpy as np
import pytest
import torch
from scipy import stats

from nestrl.agents.trial import Trial
from nestrl.errors import BadConfig
from nestrl.methods.fame import FAME, FAMEOptions, warm_start
from nestrl.updates.drift import drift_between

from .fake_learner import FakeLearner, live


def fame(learner, **options):
    defaults = {"steps": 300, "samples": 192, "learning_rate": 2e-2}
    return FAME(FAMEOptions(**defaults | options), learner, seed=0)


def returns_with(fresh, fast, slow):
    """A trial in which the three starts earn these returns, a little noise aside."""
    noise = np.random.default_rng(0).normal(0, 0.1, (3, 10))

    def trial(policies, task_index, episodes, first=0, *, charged=True):
        assert charged
        assert len(policies) == 3
        returns = (np.array([[fresh], [fast], [slow]]) + noise)[:, :episodes]
        return Trial(returns, np.zeros(returns.shape, bool), returns.size)

    return trial


@pytest.mark.parametrize(
    ("returns", "chosen"),
    [((0.0, 5.0, 1.0), "fast"), ((0.0, 1.0, 5.0), "slow"), ((5.0, 0.0, 1.0), "fresh"), ((1.0, 1.0, 1.0), "fresh")],
)
def test_a_task_starts_from_what_is_clearly_best_and_fresh_where_nothing_is(returns, chosen):
    learner = FakeLearner()
    method = fame(learner, steps=5)
    live(method, learner, [0, 1], 5)
    fast, slow = learner.parameters(), [value.detach().clone() for value in method.policy_for(0).parameters]
    learner.trial = returns_with(*returns)
    method.begin(2, 2)
    now = learner.parameters()[0]
    assert torch.equal(now, fast[0]) == (chosen == "fast")
    assert torch.equal(now, slow[0]) == (chosen == "slow")
    assert [key for key, value in method.measurements().items() if value == 1.0] == [f"started_{chosen}"]


def test_the_trial_is_charged_and_there_is_none_before_anything_was_learned():
    learner = FakeLearner()
    method = fame(learner, steps=2, episodes=4)
    live(method, learner, [0], 2)
    assert learner.trials == []
    live(method, learner, [1], 2)
    assert learner.trials == [(1, 4, True)]


def test_a_skill_that_helps_is_started_from():
    learner = FakeLearner()
    learner.skills[1] = learner.skills[0]
    method = fame(learner)
    live(method, learner, [0], 200)
    learner.copy_behaviour(0, 1)
    method.begin(1, 1)
    assert method.measurements()["started_fast"] == 1.0


@pytest.mark.learning
def test_slow_learner_answers_like_every_teacher():
    learner = FakeLearner()
    method = fame(learner)
    for task in range(3):
        live(method, learner, [task], 60)
        if task == 0:
            seen = learner.observations(0, 1000)
            with torch.no_grad():
                teacher = learner.output(seen)
    with torch.no_grad():
        kept = drift_between(teacher, method.policy_for(0).output(seen)).total.mean().item()
        lost = drift_between(teacher, learner.output(seen)).total.mean().item()
    assert kept < 0.1
    assert lost > 5 * kept


def test_only_a_significant_gain_over_a_fresh_start_counts():
    noise = np.random.default_rng(0).normal(0, 1, (3, 10))
    small = np.array([[0.0], [0.2], [-0.1]]) + noise
    large = np.array([[0.0], [5.0], [4.0]]) + noise
    assert warm_start(small, 0.05) == 0
    assert warm_start(large, 0.05) == 1
    assert warm_start(large[[0, 2, 1]], 0.05) == 2


def test_episodes_are_compared_start_by_start():
    start_luck = np.linspace(0, 100, 10)
    returns = np.stack([start_luck, start_luck + np.linspace(0.9, 1.1, 10), start_luck - 1])
    assert warm_start(returns, 0.05) == 1


def test_returns_without_any_spread_are_judged_by_their_means():
    assert warm_start(np.array([[1.0] * 4, [2.0] * 4, [1.0] * 4]), 0.05) == 1
    assert warm_start(np.ones((3, 4)), 0.05) == 0


def test_the_test_is_the_one_sided_paired_t_test():
    returns = np.random.default_rng(0).normal(size=(200, 2, 10))
    p_values = stats.ttest_rel(returns[:, 1], returns[:, 0], axis=1, alternative="greater").pvalue
    for significance in (0.05, 0.3):
        chosen = [warm_start(pair, significance) for pair in returns]
        assert np.array_equal(chosen, p_values <= significance)


@pytest.mark.parametrize("options", [{"episodes": 1}, {"significance": 1.5}, {"steps": 0}])
def test_senseless_options_are_refused(options):
    with pytest.raises(BadConfig, match=next(iter(options))):
        FAMEOptions(**options)
