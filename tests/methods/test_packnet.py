import pytest
import torch
from torch.nn import Linear, Parameter

from nestrl.errors import BadConfig
from nestrl.methods.finetune import Finetune, FinetuneOptions
from nestrl.methods.packnet import FREE, PackNet, PackNetOptions, first_owners

from .fake_learner import FEATURES, FakeLearner, live


def packnet(learner, **options):
    return PackNet(PackNetOptions(**options), learner, seed=0)


def error(policy, learner, task):
    """Mean squared error of a policy at a task's skill."""
    observations = learner.observations(task, 2000)
    with torch.no_grad():
        target = observations[:, :FEATURES] @ learner.skills[task]
        return ((policy.output(observations).mean - target) ** 2).mean().item()


def answer(policy, observations):
    """Mean and log_std side by side."""
    with torch.no_grad():
        return torch.cat(policy.output(observations).gaussian, 1)


def train(learner, task, progress, steps=10):
    learner.progress = progress
    for _ in range(steps):
        learner.step(task)


def test_policies_and_weights_of_earlier_tasks_never_change_by_a_bit():
    learner = FakeLearner()
    method = packnet(learner)
    probes = [learner.observations(task) for task in range(3)]
    kept = []  # of each segment: which numbers are owned at its end, the numbers, and what the task's policy answers
    for task in range(3):
        live(method, learner, [task], 40)
        owned = [(owner >= 0) & (owner <= task) for owner in method._owners]
        kept.append((owned, learner.parameters(), answer(method.policy_for(task), probes[task])))
        for earlier, (masks, values, answered) in enumerate(kept):
            for mask, value, now in zip(masks, values, learner.parameters(), strict=True):
                assert torch.equal(value[mask], now[mask])
            assert torch.equal(answered, answer(method.policy_for(earlier), probes[earlier]))


@pytest.mark.learning
def test_all_tasks_are_learned_and_kept_where_finetuning_forgets():
    learner, plain = FakeLearner(), FakeLearner()
    method = packnet(learner)
    live(method, learner, [0, 1, 2], 150)
    live(Finetune(FinetuneOptions(), plain, 0), plain, [0, 1, 2], 150)
    errors = [error(method.policy_for(task), learner, task) for task in range(3)]
    assert max(errors) < 0.5
    assert error(plain, plain, 0) > 5 * max(errors)


def test_tasks_own_equal_parts_of_every_matrix_and_the_first_all_biases():
    learner = FakeLearner()
    method = packnet(learner)
    live(method, learner, [2, 0, 1], 20)
    features = method._owners[0][:, :FEATURES]
    assert [int((features == task).sum()) for task in (2, 0, 1)] == pytest.approx([128 / 3] * 3, abs=1)
    assert all((owner == 2).all() for owner in method._owners if owner.dim() == 1)
    assert method.measurements()["free_share"] == 0


def test_what_is_kept_is_the_largest_and_the_rest_becomes_zero():
    learner = FakeLearner()
    method = packnet(learner)
    method.begin(0, 0)
    learner.optimizer.attach(method.regulate)
    train(learner, 0, 0.5)
    before = learner.head.weight.detach().clone()
    method.end(0, 0, None)
    threshold = before.abs().flatten().kthvalue(before.numel() - round(before.numel() / 3)).values
    kept = before.abs() > threshold
    assert int(kept.sum()) == round(before.numel() / 3)
    assert torch.equal(learner.head.weight.detach(), before * kept)


def test_retraining_moves_what_was_kept_and_nothing_moves_before_the_next_rollout():
    learner = FakeLearner()
    method = packnet(learner, retrain_from=0.6)
    method.begin(0, 0)
    learner.optimizer.attach(method.regulate)
    train(learner, 0, 0.59)
    assert method.measurements()["free_share"] > 0.3
    method._prune(0)
    pruned = learner.parameters()
    learner.progress = method._pruned_at
    train(learner, 0, 0.59)
    assert all(torch.equal(one, other) for one, other in zip(pruned, learner.parameters(), strict=True))
    train(learner, 0, 0.7)
    moved = learner.parameters()[0] != pruned[0]
    assert moved.any()
    assert not moved[method._owners[0] != 0].any()


def test_pruning_waits_for_its_share_of_the_segment():
    learner = FakeLearner()
    method = packnet(learner, retrain_from=0.6)
    method.begin(0, 0)
    learner.optimizer.attach(method.regulate)
    train(learner, 0, 0.59)
    assert (learner.head.weight != 0).all()
    train(learner, 0, 0.6, steps=1)
    assert (learner.head.weight == 0).float().mean().item() == pytest.approx(2 / 3, abs=0.02)


def test_a_task_that_comes_back_trains_only_while_no_other_builds_on_it():
    learner = FakeLearner()
    method = packnet(learner)
    live(method, learner, [0], 20)
    before = learner.parameters()
    live(method, learner, [0], 20)
    moved = [one != other for one, other in zip(before, learner.parameters(), strict=True)]
    assert moved[0].any()
    assert not any(mask[owner != 0].any() for mask, owner in zip(moved, method._owners, strict=True))
    live(method, learner, [1], 20)
    before = learner.parameters()
    live(method, learner, [0], 20)
    assert all(torch.equal(one, other) for one, other in zip(before, learner.parameters(), strict=True))


def test_the_task_in_training_is_acted_in_by_the_learner():
    learner = FakeLearner()
    method = packnet(learner)
    live(method, learner, [0], 5)
    method.begin(1, 1)
    assert method.policy_for(1) is learner.policy
    assert method.policy_for(0) is not learner.policy


def test_what_one_task_alone_uses_is_its_own_from_the_start():
    heads = [Linear(8, 2) for _ in range(3)]
    groups = {
        "trunk_0": [Parameter(torch.zeros(8, 5 + 3)), Parameter(torch.zeros(8))],
        "trunk_1": [Parameter(torch.zeros(8, 8)), Parameter(torch.zeros(8))],
        "head": [parameter for head in heads for parameter in head.parameters()],
        "log_std": [Parameter(torch.zeros(3, 2))],
    }
    first, bias, second, _, *head, log_std = first_owners(groups, 3)
    assert (first[:, :5] == FREE).all()
    assert first[0, 5:].tolist() == [0, 1, 2]
    assert (bias == FREE).all()
    assert (second == FREE).all()
    assert [int(owner.unique()) for owner in head] == [0, 0, 1, 1, 2, 2]
    assert log_std[:, 1].tolist() == [0, 1, 2]


def test_a_shared_head_of_log_std_is_weights_like_others():
    shared = list(Linear(8, 2).parameters())
    groups = {"trunk_0": [Parameter(torch.zeros(8, 8))], "head": shared, "log_std": shared}
    assert all((owner == FREE).all() for owner in first_owners(groups, 3)[1:])


def test_memory_is_an_owner_of_two_bytes_for_each_number():
    learner = FakeLearner()
    assert packnet(learner).measurements()["memory_bytes"] == 2 * sum(v.numel() for v in learner.parameters())


@pytest.mark.parametrize("retrain_from", [0.0, 1.5, float("nan")])
def test_senseless_options_are_refused(retrain_from):
    with pytest.raises(BadConfig, match="retrain_from"):
        PackNetOptions(retrain_from)
