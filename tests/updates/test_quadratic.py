import pytest
import torch
from torch.nn import Parameter

from nestrl.updates.quadratic import QuadraticPenalty


def test_penalty_and_gradient_around_the_anchor():
    one, two = Parameter(torch.tensor([[1.0, 2.0]])), Parameter(torch.tensor([3.0]))
    penalty = QuadraticPenalty([one, two], strength=10.0)
    penalty.hold(torch.tensor([1.0, 0.0, 0.5]))
    one.data += 2.0
    two.data -= 4.0
    assert penalty.value() == pytest.approx(10 / 2 * (1 * 4 + 0 * 4 + 0.5 * 16))
    gradient = penalty.gradient()
    assert gradient[0].tolist() == [[20.0, 0.0]]
    assert gradient[1].tolist() == [-20.0]


def test_nothing_is_held_or_stored_before_the_first_anchor():
    parameter = Parameter(torch.ones(3))
    penalty = QuadraticPenalty([parameter], strength=10.0)
    assert (penalty.holds, penalty.n_bytes, penalty.value()) == (False, 0, 0.0)
    penalty.load_state_dict(penalty.state_dict())
    assert not penalty.holds


def test_a_later_anchor_replaces_the_earlier():
    parameter = Parameter(torch.zeros(2))
    penalty = QuadraticPenalty([parameter], strength=1.0)
    penalty.hold(torch.ones(2))
    parameter.data += 1.0
    penalty.hold(torch.tensor([1.0, 3.0]))
    assert penalty.value() == 0.0
    parameter.data += 1.0
    assert penalty.gradient()[0].tolist() == [1.0, 3.0]
    assert penalty.n_bytes == 2 * 2 * 4
