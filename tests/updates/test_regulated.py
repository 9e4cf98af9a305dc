"""The regulated optimizer: bit-identical to its base when left alone, and strict about how it is used."""

import copy
import io
import pickle

import gymnasium as gym
import numpy as np
import pytest
import torch
from stable_baselines3 import PPO, SAC
from torch.nn import Parameter

from nestrl.updates.regulated import RegulatedAdam, RegulatedStep


def trained(optimizer_class, attach=None, steps=1000):
    """Train a small regression for some steps and return parameters and optimizer."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Tanh(), torch.nn.Linear(8, 2))
    inputs, targets = torch.randn(32, 4), torch.randn(32, 2)
    optimizer = optimizer_class(model.parameters(), lr=1e-2)
    if attach is not None:
        optimizer.attach(attach)
    for _ in range(steps):
        optimizer.zero_grad()
        torch.nn.functional.mse_loss(model(inputs), targets).backward()
        optimizer.step()
    return list(model.parameters()), optimizer


def assert_same_bits(first, second):
    for one, other in zip(first, second, strict=True):
        assert torch.equal(one, other)


class PlainStepSGD(RegulatedStep, torch.optim.SGD):
    """Shows that another base takes one line."""


@pytest.mark.parametrize("attach", [None, lambda update: update.apply()], ids=["nothing attached", "apply only"])
def test_bit_identical_to_adam_for_1000_steps(attach):
    plain, plain_optimizer = trained(torch.optim.Adam)
    ours, our_optimizer = trained(RegulatedAdam, attach)
    assert_same_bits(plain, ours)
    buffers = [[state["exp_avg"] for state in each.state.values()] for each in (plain_optimizer, our_optimizer)]
    assert_same_bits(*buffers)


def test_another_base_optimizer_is_one_line():
    assert_same_bits(trained(torch.optim.SGD, steps=50)[0], trained(PlainStepSGD, steps=50)[0])


@pytest.mark.learning
@pytest.mark.parametrize(
    ("algorithm", "arguments"),
    [(PPO, {"n_steps": 64, "batch_size": 16, "n_epochs": 10}), (SAC, {"learning_starts": 20, "batch_size": 8})],
)
def test_bit_identical_inside_stable_baselines3_for_1000_steps(algorithm, arguments):
    parameters = []
    for optimizer_class in (torch.optim.Adam, RegulatedAdam):
        policy = {"optimizer_class": optimizer_class, "optimizer_kwargs": {"eps": 1e-5}, "net_arch": [16]}
        model = algorithm("MlpPolicy", gym.make("Pendulum-v1"), seed=0, device="cpu", policy_kwargs=policy, **arguments)
        model.learn(1600 if algorithm is PPO else 1020)  # 25 rollouts x 40 minibatches; one update a step
        parameters.append(list(model.policy.parameters()))
        optimizer = model.policy.optimizer if algorithm is PPO else model.actor.optimizer
        assert type(optimizer) is optimizer_class
        assert next(iter(optimizer.state.values()))["step"] >= 1000
    assert_same_bits(*parameters)


def test_stable_baselines3_saves_and_loads_it(tmp_path):
    policy = {"optimizer_class": RegulatedAdam, "net_arch": [8]}
    model = PPO("MlpPolicy", gym.make("Pendulum-v1"), n_steps=64, batch_size=64, policy_kwargs=policy, device="cpu")
    model.learn(64)
    model.policy.optimizer.attach(lambda update: update.apply())
    model.save(tmp_path / "model")
    loaded = PPO.load(tmp_path / "model", device="cpu")
    assert type(loaded.policy.optimizer) is RegulatedAdam
    assert_same_bits(model.policy.parameters(), loaded.policy.parameters())


def one_parameter(attach=None):
    parameter = Parameter(torch.tensor([1.0, -2.0]))
    optimizer = PlainStepSGD([parameter], lr=0.1)
    optimizer.attach(attach)
    parameter.grad = torch.tensor([1.0, 1.0])
    return parameter, optimizer


def test_added_gradient_joins_the_step():
    def regulate(update):
        update.add_gradient([parameter, idle], [torch.tensor([2.0, 0.0]), None])
        update.add_gradient([idle], [torch.tensor([1.0])])
        update.apply()

    parameter, optimizer = one_parameter(regulate)
    idle = Parameter(torch.zeros(1))
    optimizer.add_param_group({"params": [idle]})
    optimizer.step()
    torch.testing.assert_close(parameter.detach(), torch.tensor([0.7, -2.1]))
    torch.testing.assert_close(idle.detach(), torch.tensor([-0.1]))


def test_displacement_is_what_the_base_really_applied():
    seen = []

    def regulate(update):
        update.keep([parameter])
        update.apply()
        seen.append(update.displacement(parameter))

    parameter, optimizer = one_parameter(regulate)
    optimizer.step()
    torch.testing.assert_close(seen[0], torch.tensor([-0.1, -0.1]))


@pytest.mark.parametrize(
    "misuse",
    [
        lambda update, parameter: None,
        lambda update, parameter: (update.apply(), update.apply()),
        lambda update, parameter: (update.apply(), update.add_gradient([parameter], [parameter.data])),
        lambda update, parameter: (update.apply(), update.keep([parameter])),
        lambda update, parameter: (update.apply(), update.displacement(parameter)),
    ],
    ids=["never applied", "applied twice", "gradient too late", "keep too late", "displacement not kept"],
)
def test_misuse_is_refused(misuse):
    parameter, optimizer = one_parameter(lambda update: misuse(update, parameter))
    with pytest.raises(RuntimeError, match="apply"):
        optimizer.step()


def test_closure_runs_once_before_the_method_and_its_loss_comes_back():
    order = []

    def regulate(update):
        order.append("regulate")
        update.apply()

    def closure():
        order.append("closure")
        optimizer.zero_grad()
        loss = (parameter**2).sum()
        loss.backward()
        return loss

    parameter, optimizer = one_parameter(regulate)
    assert optimizer.step(closure).item() == 5.0
    assert order == ["closure", "regulate"]
    torch.testing.assert_close(parameter.detach(), torch.tensor([0.8, -1.6]))


def test_state_is_the_base_state_and_what_is_attached_stays_behind():
    _, optimizer = trained(RegulatedAdam, lambda update: update.apply(), steps=3)
    state = optimizer.state_dict()
    assert set(state) == {"state", "param_groups"}
    buffer = io.BytesIO()
    torch.save(state, buffer)
    buffer.seek(0)
    torch.load(buffer, weights_only=True)
    for twin in (copy.deepcopy(optimizer), pickle.loads(pickle.dumps(optimizer))):
        assert type(twin) is RegulatedAdam
        assert twin._regulate is None


def test_step_hooks_run_once_whatever_was_built_before():
    parameter = Parameter(torch.zeros(1))
    optimizer = RegulatedAdam([parameter])
    torch.optim.Adam([parameter])  # makes torch wrap Adam.step with hooks, too
    calls = []
    optimizer.register_step_post_hook(lambda *_: calls.append("after"))
    parameter.grad = torch.ones(1)
    for attach in (None, lambda update: update.apply()):
        optimizer.attach(attach)
        optimizer.step()
    assert calls == ["after", "after"]
    assert np.isfinite(parameter.detach().numpy()).all()
