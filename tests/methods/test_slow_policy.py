import pytest
import torch

from nestrl.nested.slow_policy import PATIENT, Attempt, SlowPolicy, quick_first
from nestrl.updates.drift import drift_between
from nestrl.updates.memory import TeacherMemory

from .fake_learner import FakeLearner, FakePolicy

HASTY = [Attempt(steps=1)]


def memory_of(learner, tasks, generator):
    memory = TeacherMemory(500)
    for task in tasks:
        learn_and_remember(learner, memory, task, generator)
    return memory


def learn_and_remember(learner, memory, task, generator):
    for _ in range(100):
        learner.step(task)
    rows = learner.observations(task, 500)
    with torch.no_grad():
        memory.remember(task, rows, learner.output(rows), generator)


def remembered(memory, generator):
    batch = memory.sample(500, list(memory.tasks), generator)
    return batch.observations, batch.teacher


def drifts(policy, memory, generator):
    batch = memory.sample(1000, list(memory.tasks), generator)
    with torch.no_grad():
        return drift_between(batch.teacher, policy.output(batch.observations)).averaged(len(batch.tasks)).total


@pytest.mark.learning
def test_brings_back_what_the_fast_policy_has_lost():
    learner, generator = FakeLearner(), torch.Generator().manual_seed(0)
    memory = memory_of(learner, [0, 1, 2], generator)
    lost = drifts(learner, memory, generator)
    slow = SlowPolicy(drift_limit=0.03)
    assert lost.max() > 0.3
    assert slow.consolidate(learner.policy_with(), [learner.policy_with()], memory, quick_first(400), generator)
    assert drifts(slow.policy, memory, generator).max() < 0.1
    assert (tuple(slow.drifts), slow.commits) == ((0, 1, 2), 1)
    assert torch.equal(
        drifts(learner, memory, torch.Generator().manual_seed(1)),
        drifts(learner, memory, torch.Generator().manual_seed(1)),
    )


@pytest.fixture
def slow_with_the_first_skill():
    """A slow policy of task 0, a fast one that has lost it over task 1, and the memory of both."""
    learner, generator = FakeLearner(), torch.Generator().manual_seed(0)
    memory, slow = memory_of(learner, [0], generator), SlowPolicy(drift_limit=0.03)
    assert slow.consolidate(learner.policy_with(), [learner.policy_with()], memory, HASTY, generator)
    learn_and_remember(learner, memory, 1, generator)
    assert drifts(learner, memory, generator)[0] > 0.3
    return slow, learner, memory, generator


@pytest.mark.learning
def test_what_does_not_come_back_at_once_is_tried_once_more(slow_with_the_first_skill):
    slow, learner, memory, generator = slow_with_the_first_skill
    attempts = [*HASTY, Attempt(PATIENT)]
    assert slow.consolidate(learner.policy_with(), [learner.policy_with()], memory, attempts, generator)
    assert drifts(slow.policy, memory, generator).max() < 0.04
    assert (tuple(slow.drifts), slow.commits) == ((0, 1), 2)


def test_what_the_fast_policy_has_lost_is_not_committed(slow_with_the_first_skill):
    slow, learner, memory, generator = slow_with_the_first_skill
    assert not slow.consolidate(learner.policy_with(), [learner.policy_with()], memory, HASTY, generator)
    assert (tuple(slow.drifts), slow.commits) == ((0,), 1)
    assert drifts(slow.policy, memory, generator)[0] < 0.001


def test_a_candidate_that_begins_without_the_new_skill_is_judged_by_who_has_it(slow_with_the_first_skill):
    slow, learner, memory, generator = slow_with_the_first_skill
    ignorant = learner.policy_with(slow.values)  # as after a race that a fresh network won
    assert drifts(ignorant, memory, generator)[1] > 0.3
    assert not slow.consolidate(ignorant, [learner.policy_with()], memory, HASTY, generator)
    assert (tuple(slow.drifts), slow.commits) == ((0,), 1)


def test_what_several_others_know_is_judged_by_the_one_who_knows_it(slow_with_the_first_skill):
    slow, learner, memory, generator = slow_with_the_first_skill
    ignorant, knows = learner.policy_with(slow.values), learner.policy_with()
    for others in ([ignorant, knows], [knows, ignorant]):
        assert not slow.consolidate(learner.policy_with(slow.values), others, memory, HASTY, generator)
    assert slow.consolidate(learner.policy_with(slow.values), [ignorant], memory, [Attempt(PATIENT)], generator)


def test_a_new_skill_may_have_room_an_old_one_has_none(slow_with_the_first_skill):
    slow, learner, memory, generator = slow_with_the_first_skill
    assert not slow.consolidate(learner.policy_with(), [learner.policy_with()], memory, HASTY, generator, room=1000)
    ignorant = learner.policy_with(slow.values)
    assert slow.consolidate(ignorant, [learner.policy_with()], memory, HASTY, generator, room=1000)
    assert (tuple(slow.drifts), slow.commits) == ((0, 1), 2)


def test_a_skill_learned_anew_is_judged_by_who_learned_it(slow_with_the_first_skill):
    slow, learner, _, generator = slow_with_the_first_skill
    memory = TeacherMemory(500)
    learn_and_remember(learner, memory, 0, generator)  # by a network that has been through task 1
    outdated = learner.policy_with(slow.values)
    assert drifts(outdated, memory, generator)[0] > 0.1
    memory.remember(1, *remembered(memory, generator), generator)  # so that there is something to distil
    slow.forget(0)
    assert not slow.consolidate(outdated, [learner.policy_with()], memory, HASTY, generator)
    assert slow.drifts == {}


def test_is_not_committed_where_a_skill_would_become_worse():
    learner, generator = FakeLearner(), torch.Generator().manual_seed(0)
    memory = memory_of(learner, [0, 1], generator)
    slow = SlowPolicy(drift_limit=1e-9)  # the fast policy is the last task's teacher, and drifts from it in any step
    assert not slow.consolidate(learner.policy_with(), [learner.policy_with()], memory, HASTY * 2, generator)
    assert slow.policy is None
    assert slow.drifts == {}


@pytest.mark.learning
def test_a_quick_attempt_will_do_where_it_leaves_little():
    """Under a wide limit it ends there; under a narrow one the longer attempt follows, and leaves less."""
    left = {}
    for limit in (10.0, 0.05):
        learner, generator = FakeLearner(), torch.Generator().manual_seed(0)
        memory = memory_of(learner, [0, 1], generator)
        slow = SlowPolicy(limit)
        assert slow.consolidate(learner.policy_with(), [learner.policy_with()], memory, quick_first(200), generator)
        left[limit] = drifts(slow.policy, memory, torch.Generator().manual_seed(1)).max()
    assert 0.05 / 3 < left[10.0] < 10 / 3
    assert left[0.05] < left[10.0]


def test_the_fast_policy_is_left_alone_and_the_state_is_whole():
    learner, generator = FakeLearner(), torch.Generator().manual_seed(0)
    memory = memory_of(learner, [0, 1], generator)
    before = learner.parameters()
    slow = SlowPolicy(drift_limit=10.0)
    slow.consolidate(learner.policy_with(), [learner.policy_with()], memory, quick_first(50), generator)
    assert all(torch.equal(a, b) for a, b in zip(before, learner.parameters(), strict=True))
    twin = SlowPolicy(drift_limit=10.0)
    twin.load_state_dict(slow.state_dict(), FakePolicy(learner))
    assert twin.drifts == slow.drifts
    assert all(torch.equal(a, b) for a, b in zip(slow.policy.parameters, twin.policy.parameters, strict=True))


def test_an_attempt_may_have_to_end_well_within_the_limit():
    learner, generator = FakeLearner(), torch.Generator().manual_seed(0)
    memory, slow = memory_of(learner, [0], generator), SlowPolicy(drift_limit=1000.0)
    learner.step(1)
    candidate = learner.policy_with()
    assert 0 < drifts(candidate, memory, generator)[0] < 1000
    assert not slow.consolidate(candidate, [candidate], memory, [Attempt(1, share=0.0)], generator)
    assert slow.consolidate(candidate, [candidate], memory, [Attempt(1)], generator)
