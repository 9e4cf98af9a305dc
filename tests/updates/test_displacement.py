import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nestrl.updates.displacement import Gates, regulate

number = st.floats(-10, 10, width=32).map(lambda value: 0.0 if abs(value) < 1e-3 else value)
vector = st.lists(number, min_size=4, max_size=4).map(lambda values: torch.tensor(values, dtype=torch.float64))
share = st.floats(0, 2)


def regulated(d, m, **gates):
    """Regulate with the four numbers in two tensors of different shapes."""
    parts = regulate([d[:3].view(3, 1), d[3:]], [m[:3].view(3, 1), m[3:]], Gates(**gates))
    assert [part.shape for part in parts] == [(3, 1), (1,)]
    return torch.cat([part.flatten() for part in parts])


@given(vector, vector)
def test_default_gates_are_fine_tuning_bit_for_bit(d, m):
    assert torch.equal(regulated(d, m), d)


@given(vector, vector)
def test_closed_gates_are_a_gems_projection(d, m):
    kept = regulated(d, m, pass_=0.0)
    assert kept @ m <= 1e-9 * (1 + d.norm() * m.norm())
    expected = d - (d @ m) / (m @ m) * m if d @ m > 0 else d
    torch.testing.assert_close(kept, expected)


@given(vector, vector, share)
def test_pull_with_an_open_gate_never_shortens_the_step(d, m, pull):
    move = regulated(d, m, pull=pull) - d
    assert move @ d >= -1e-9 * (1 + d @ d)
    assert move @ m <= 1e-9 * (1 + d.norm() * m.norm())
    assert move.norm() <= pull * d.norm() + 1e-12 * (1 + d.norm())


@given(vector, vector, share, share, share)
def test_it_is_the_formula(d, m, pass_, pull, scale):
    h, r, a = (torch.zeros(4, dtype=torch.float64) for _ in range(3))
    if m.norm() > 0:
        h = max(0, d @ m) / (m @ m) * m
        r = -d.norm() * m / m.norm()
    if d.norm() > 0:
        a = min(0, r @ d) / (d @ d) * d
    expected = scale * (d - h) + pass_ * h + pull * ((r - a) + (1 - pass_) * a)
    torch.testing.assert_close(regulated(d, m, pass_=pass_, pull=pull, scale=scale), expected)


@pytest.mark.parametrize(
    ("gates", "expected"),
    [
        (Gates(), [1.0, 1.0]),
        (Gates(pass_=0.0), [1.0, 0.0]),
        (Gates(pass_=0.5), [1.0, 0.5]),
        (Gates(pass_=0.0, scale=2.0), [2.0, 0.0]),
        (Gates(pull=2**0.5), [2.0, 0.0]),
        (Gates(pass_=0.0, pull=2**0.5), [1.0, -2.0]),
    ],
)
def test_a_worked_example(gates, expected):
    (moved,) = regulate([torch.tensor([1.0, 1.0])], [torch.tensor([0.0, 3.0])], gates)
    torch.testing.assert_close(moved, torch.tensor(expected))


def test_no_drift_and_no_step_change_nothing():
    nothing, something = [torch.zeros(3)], [torch.ones(3)]
    gates = Gates(pass_=0.0, pull=1.0)
    assert torch.equal(regulate(something, nothing, gates)[0], something[0])
    assert torch.equal(regulate(nothing, something, gates)[0], nothing[0])
