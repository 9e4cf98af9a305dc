"""The closed forms against torch.distributions, and what must hold for any divergence."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.distributions import Categorical, Independent, Normal, kl_divergence

from nestrl.agents.actor_output import ActorOutput
from nestrl.updates.drift import Drift, categorical_drift, drift_between, gaussian_drift

seeds = st.integers(0, 2**32 - 1)


def random(seed, *shapes, scale=1.0):
    generator = torch.Generator().manual_seed(seed)
    return [scale * torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes]


@given(seeds)
def test_gaussian_drift_is_the_kl_divergence(seed):
    arguments = random(seed, *[(5, 3)] * 4)
    teacher_mean, teacher_log_std, mean, log_std = arguments
    teacher = Independent(Normal(teacher_mean, teacher_log_std.exp()), 1)
    student = Independent(Normal(mean, log_std.exp()), 1)
    torch.testing.assert_close(gaussian_drift(*arguments).total, kl_divergence(teacher, student))


@given(seeds)
def test_categorical_drift_is_the_kl_divergence(seed):
    teacher, student = random(seed, (5, 4), (5, 4), scale=3.0)
    expected = kl_divergence(Categorical(logits=teacher), Categorical(logits=student))
    torch.testing.assert_close(categorical_drift(teacher, student).total, expected)


@given(seeds)
def test_each_part_is_zero_exactly_where_nothing_has_moved(seed):
    mean, log_std, other = random(seed, *[(4, 2)] * 3)
    only_mean = gaussian_drift(mean, log_std, other, log_std)
    only_log_std = gaussian_drift(mean, log_std, mean, other)
    assert (only_mean.log_std == 0).all()
    assert (only_log_std.mean == 0).all()
    assert (only_mean.mean >= 0).all()
    assert (only_log_std.log_std >= 0).all()


def test_by_hand():
    one, zero = torch.ones(1, 1), torch.zeros(1, 1)
    assert gaussian_drift(zero, zero, 2 * one, zero).mean.item() == pytest.approx(2.0)
    wider = gaussian_drift(zero, zero, zero, torch.log(2 * one))
    assert wider.log_std.item() == pytest.approx(0.6931 - 0.375, abs=1e-4)


def test_no_gradient_reaches_the_teacher():
    teacher_mean, teacher_log_std, mean, log_std = (part.requires_grad_() for part in random(0, *[(3, 2)] * 4))
    gaussian_drift(teacher_mean, teacher_log_std, mean, log_std).total.sum().backward()
    assert teacher_mean.grad is None
    assert teacher_log_std.grad is None
    assert mean.grad is not None
    assert log_std.grad is not None


def test_gradient_is_right():
    teacher_mean, teacher_log_std, mean, log_std = random(1, *[(3, 2)] * 4)
    students = mean.requires_grad_(), log_std.requires_grad_()
    assert torch.autograd.gradcheck(lambda *s: gaussian_drift(teacher_mean, teacher_log_std, *s).total, students)


def test_outputs_of_both_kinds_of_policy_are_understood():
    mean, log_std, other = random(2, *[(3, 2)] * 3)
    continuous = drift_between(ActorOutput(mean=mean, log_std=log_std), ActorOutput(mean=other, log_std=log_std))
    torch.testing.assert_close(continuous, gaussian_drift(mean, log_std, other, log_std))
    discrete = drift_between(ActorOutput(logits=mean), ActorOutput(logits=other))
    torch.testing.assert_close(discrete, categorical_drift(mean, other))


def test_averaged_by_consecutive_rows():
    drift = Drift(torch.tensor([1.0, 3.0, 10.0, 20.0]), torch.zeros(4)).averaged(2)
    assert drift.total.tolist() == [2.0, 15.0]
