"""A policy that recognises the task answers as if it had been told; the bandit finds the task that earns most."""

import numpy as np
import pytest
import torch

from nestrl.identity.recognizer import Recognizer
from nestrl.identity.recognizing import Recognizing, tried_out

from .fake_learner import FEATURES, TASKS, FakeLearner


def observations(learner, task):
    """Where the task's first feature tells which task it is."""
    rows = learner.observations(task, 64)
    rows[:, 0] = 10.0 * task
    return rows


@pytest.mark.parametrize("discrete", [False, True])
def test_answers_as_if_told(discrete):
    learner = FakeLearner(discrete=discrete)
    recognizer = Recognizer(FEATURES)
    recognizer.fit({task: observations(learner, task) for task in range(TASKS)})
    told = torch.cat([observations(learner, task) for task in (1, 0, 1)])
    mixed = told[torch.randperm(len(told), generator=torch.Generator().manual_seed(0))]
    lied = mixed.clone()
    lied[:, FEATURES:] = torch.eye(TASKS)[0]
    policy = Recognizing(lambda task: learner.policy, recognizer, TASKS)
    assert np.allclose(policy.act(lied.numpy()), learner.policy.act(mixed.numpy()))
    for answer, expected in zip(policy.output(lied), learner.policy.output(mixed), strict=True):
        assert (answer is None and expected is None) or torch.allclose(answer, expected, atol=1e-6)
    assert torch.equal(lied[:, FEATURES:], torch.eye(TASKS)[[0]].expand(len(lied), -1))


def test_each_task_is_answered_by_its_own_policy():
    class Constant:
        def __init__(self, answer):
            self.answer = answer

        def act(self, rows):
            assert (rows[:, FEATURES + self.answer] == 1).all()  # told what was recognised
            return np.full((len(rows), 1), self.answer)

    learner = FakeLearner()
    recognizer = Recognizer(FEATURES)
    recognizer.fit({task: observations(learner, task) for task in range(TASKS)})
    rows = torch.cat([observations(learner, task)[:1] for task in (1, 0, 1)])
    assert Recognizing(Constant, recognizer, TASKS).act(rows.numpy()).ravel().tolist() == [1, 0, 1]


def test_bandit_finds_the_task_in_three_episodes_each():
    played = []

    def trial(policies, first, episodes):
        played.append(len(policies) * episodes)
        return np.array(
            [[float(policy.act(np.zeros((1, FEATURES + TASKS), np.float32))[0, 0])] * episodes for policy in policies]
        )

    class Paid:
        def act(self, rows):
            return 5.0 - abs(rows[:, FEATURES:].argmax(1, keepdims=True) - 1)  # task 1 earns most

    policy = tried_out(lambda task: Paid(), list(range(TASKS)), trial, TASKS)
    assert policy.act(np.zeros((1, FEATURES + TASKS), np.float32))[0, 0] == 5.0
    assert 0 < sum(played) <= 3 * TASKS
