"""Exploration noise: its correlation in time, its marginal, and that the learners use it."""

import numpy as np
import pytest
import torch
from gymnasium import spaces

from nestrl.agents.config import AgentConfig
from nestrl.agents.exploration import ExplorationNoise
from nestrl.agents.policies import ActorCriticPolicy, Architecture, SACPolicy
from nestrl.errors import BadConfig

STEPS, N, A = 400, 64, 3


def drawn(correlation: float | tuple[float, ...], seed: int = 0) -> np.ndarray:
    torch.manual_seed(seed)
    noise = ExplorationNoise(correlation)
    return torch.stack([noise.like(torch.zeros(N, A)) for _ in range(STEPS)]).numpy()


@pytest.mark.parametrize("correlation", [0.0, 0.5, 0.9])
def test_each_step_is_standard_normal_and_correlated_as_said(correlation: float) -> None:
    noise = drawn(correlation)
    np.testing.assert_allclose([noise[0].std(), noise[1:].std()], 1.0, atol=0.12)  # the first step included
    for lag in (1, 2, 5):
        measured = np.corrcoef(noise[:-lag].ravel(), noise[lag:].ravel())[0, 1]
        assert measured == pytest.approx(correlation**lag, abs=0.03)
    others = np.corrcoef(noise[:, 0, 0], noise[:, 1, 0])[0, 1]  # simulations explore by themselves
    assert abs(others) < 0.25


def test_no_correlation_is_white_noise_to_the_bit() -> None:
    torch.manual_seed(0)
    white = torch.stack([torch.randn(N, A) for _ in range(STEPS)]).numpy()
    np.testing.assert_array_equal(drawn(0.0), white)


def test_each_number_of_an_action_may_have_a_correlation_of_its_own() -> None:
    noise = drawn((0.0, 0.5, 0.9))
    for number, correlation in enumerate((0.0, 0.5, 0.9)):
        measured = np.corrcoef(noise[:-1, :, number].ravel(), noise[1:, :, number].ravel())[0, 1]
        assert measured == pytest.approx(correlation, abs=0.03)


@pytest.mark.parametrize(("share", "lasting"), [(1.0, N), (0.5, N // 2), (0.25, N // 4), (0.0, 0)])
def test_only_a_share_of_the_simulations_explores_so(share: float, lasting: int) -> None:
    torch.manual_seed(0)
    noise = ExplorationNoise((0.0, 0.9), share)
    drawn = torch.stack([noise.like(torch.zeros(N, 2)) for _ in range(STEPS)]).numpy()
    measured = np.array([[np.corrcoef(drawn[:-1, i, a], drawn[1:, i, a])[0, 1] for a in range(2)] for i in range(N)])
    assert abs(measured[:, 0]).max() < 0.25
    lasts = measured[:, 1] > 0.7
    assert lasts.sum() == lasting
    assert measured[~lasts, 1].max(initial=0) < 0.25
    assert lasts[: N // 2].sum() == lasting // 2  # spread evenly


def test_another_number_of_simulations_begins_anew() -> None:
    noise = ExplorationNoise(0.9)
    noise.like(torch.zeros(4, A))
    assert noise.like(torch.zeros(2, A)).shape == (2, A)


@pytest.mark.parametrize("kind", [ActorCriticPolicy, SACPolicy])
@pytest.mark.parametrize("correlation", [0.0, 0.8])
def test_both_learners_act_with_it(kind: type, correlation: float) -> None:
    torch.manual_seed(0)
    rows = np.zeros((1, 2), np.float32), np.ones((1, 2), np.float32)
    architecture = Architecture((8,), 1, -2.0, *rows, noise_correlation=correlation)
    box = spaces.Box(-1, 1, (A,), np.float32)
    policy = kind(spaces.Box(-9, 9, (3,), np.float32), box, lambda _: 1e-3, architecture)
    observation = np.tile(np.float32([0.1, 0.2, 1.0]), (N, 1))
    actions = np.stack([policy.predict(observation, deterministic=False)[0] for _ in range(60)])
    measured = np.corrcoef(actions[:-1].ravel(), actions[1:].ravel())[0, 1]
    assert measured == pytest.approx(correlation, abs=0.05)
    assert np.ptp(policy.predict(observation, deterministic=True)[0], axis=0).max() == 0


@pytest.mark.parametrize("correlation", [-0.1, 1.0, float("nan"), (0.0, 1.0)])
def test_what_is_no_correlation_is_refused(correlation: float | tuple[float, ...]) -> None:
    with pytest.raises(BadConfig, match="noise_correlation"):
        AgentConfig(noise_correlation=correlation)
