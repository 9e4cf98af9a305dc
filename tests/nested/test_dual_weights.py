import pytest
import torch

from nestrl.nested.dual_weights import DualWeights

ALL = torch.tensor([0, 1])


def test_finds_the_multipliers_of_a_convex_problem():
    """min (x-a)^2/2 subject to x_i^2/2 <= 1/2: at the solution x_i = 1, so lambda_i = a_i - 1; or 0 when a_i < 1."""
    target = torch.tensor([4.0, 0.5])
    dual_weights = DualWeights(2, drift_limit=0.5, rate=0.02)
    position = torch.zeros(2)
    for _ in range(5000):
        gradient = (position - target) + dual_weights.of(ALL) * position
        position = position - 0.05 * gradient
        dual_weights.update(ALL, position**2 / 2)
    assert position.tolist() == pytest.approx([1.0, 0.5], abs=0.01)
    assert dual_weights.of(ALL).tolist() == pytest.approx([3.0, 0.001], rel=0.02)


def test_one_step_by_hand():
    dual_weights = DualWeights(3, drift_limit=0.1, rate=0.05)
    dual_weights.update(torch.tensor([0, 2]), torch.tensor([0.15, 0.0]))
    expected = torch.exp(0.05 * torch.tensor([0.5, 0.0, -1.0]))
    torch.testing.assert_close(dual_weights.of(torch.arange(3)), expected)


def test_a_task_may_have_a_limit_of_its_own():
    dual_weights = DualWeights(2, drift_limit=0.1, rate=0.05)
    dual_weights.allow(1, 0.3)
    assert dual_weights.limits(ALL).tolist() == pytest.approx([0.1, 0.3])
    dual_weights.update(ALL, torch.tensor([0.15, 0.15]))
    torch.testing.assert_close(dual_weights.of(ALL), torch.exp(0.05 * torch.tensor([0.5, -0.5])))


def test_weights_stay_in_bounds_and_one_wild_batch_moves_them_little():
    dual_weights = DualWeights(2)
    dual_weights.update(ALL, torch.tensor([1e6, 0.0]))
    assert dual_weights.of(ALL).tolist() == pytest.approx([1.0513, 0.9512], abs=1e-4)
    for _ in range(500):
        dual_weights.update(ALL, torch.tensor([1.0, 0.0]))
    assert dual_weights.of(ALL).tolist() == pytest.approx([20.0, 1e-3])


@pytest.mark.parametrize("weight", [0.3, 0, 1])
def test_a_constant_weight_stays_also_where_it_is_a_whole_number(weight):
    dual_weights = DualWeights(2, weight=weight)
    for drift in (1.0, 0.01):
        dual_weights.update(ALL, torch.tensor([drift, 0.0]))
    assert dual_weights.of(ALL).tolist() == pytest.approx([weight, weight])
    assert dual_weights.active_share == 0.5


def test_active_share_counts_steps_over_the_limit():
    dual_weights = DualWeights(2, drift_limit=0.1)
    assert dual_weights.active_share == 0
    for drift in (0.2, 0.05, 0.05, 0.05):
        dual_weights.update(ALL, torch.tensor([drift, 0.0]))
    assert dual_weights.active_share == 0.25


def test_goes_on_exactly_from_its_state():
    first, second = DualWeights(2), DualWeights(2)
    first.allow(0, 0.035)
    first.update(ALL, torch.tensor([1.0, 0.0]))
    second.load_state_dict(first.state_dict())
    for dual_weights in (first, second):
        dual_weights.update(ALL, torch.tensor([0.04, 0.02]))
    assert torch.equal(first.of(ALL), second.of(ALL))
    assert first.active_share == second.active_share
