import math

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given
from hypothesis import strategies as st

from nestrl.errors import BadConfig, UnknownName
from nestrl.nested.meta_controller import (
    ORDERS,
    RANGES,
    SHAPE,
    Context,
    LearnedController,
    Orders,
    controller_file,
    find_controller,
    load_controller,
)

CONTEXT = Context(0.5, 0.3, -0.2, 0.4, 0.25, -0.1)


def test_phi_of_zeros_gives_the_constants_exactly():
    assert LearnedController(np.zeros(SHAPE)).orders(CONTEXT) == Orders()


@given(st.integers(0, 2**32 - 1))
def test_orders_stay_in_their_ranges_and_say_when_they_sit_at_a_bound(seed):
    controller = LearnedController(np.random.default_rng(seed).normal(0, 3, SHAPE))
    orders, bounds = controller.orders(CONTEXT), controller.saturated(CONTEXT)
    for name, order, default in zip(ORDERS, orders, Orders(), strict=True):
        limits = RANGES[name]
        shift = math.log(order / default) if limits.logarithmic else order - default
        assert abs(shift) <= limits.bound * (1 + 1e-9)
        assert (name in bounds) == (abs(shift) > 0.95 * limits.bound)


def test_derivative_agrees_with_finite_differences():
    phi = np.random.default_rng(0).normal(0, 0.5, SHAPE)
    derivative = LearnedController(phi).derivative(CONTEXT)
    for row, name in enumerate(ORDERS):
        for column in range(SHAPE[1]):
            moved = phi.copy()
            moved[row, column] += 1e-6
            ends = [getattr(LearnedController(p).orders(CONTEXT), name) for p in (phi, moved)]
            if RANGES[name].logarithmic:
                ends = [math.log(end) for end in ends]
            assert (ends[1] - ends[0]) / 1e-6 == pytest.approx(derivative[row, column], abs=1e-5)


def test_saved_and_loaded_it_gives_the_same_orders(tmp_path):
    phi = np.random.default_rng(1).normal(0, 1, SHAPE)
    (tmp_path / "c.safetensors").write_bytes(controller_file(phi, {"lives": "3"}))
    loaded = find_controller(str(tmp_path / "c.safetensors"))
    assert loaded.orders(CONTEXT) == LearnedController(phi).orders(CONTEXT)


def test_shuffled_it_gives_the_orders_of_moments_met_before_and_goes_on_drawing_the_same(tmp_path):
    file = tmp_path / "c.safetensors"
    file.write_bytes(controller_file(np.random.default_rng(1).normal(0, 1, SHAPE), {}))
    learned, shuffled, resumed = (find_controller(text.format(file)) for text in ("{}", "shuffled:{}", "shuffled:{}"))
    moments = [CONTEXT._replace(progress=share) for share in np.linspace(0, 1, 40)]
    given = [shuffled.orders(moment) for moment in moments]
    met = [learned.orders(moment) for moment in moments]
    assert all(orders in met[: place + 1] for place, orders in enumerate(given))
    assert len(set(given)) > 10 and given != met
    for moment in moments[:20]:
        resumed.orders(moment)
    file.write_bytes(controller_file(np.random.default_rng(2).normal(0, 1, SHAPE), {}))  # as a search that goes on does
    state, again = resumed.state_dict(), find_controller(f"shuffled:{file}")
    again.load_state_dict(state)
    assert [again.orders(moment) for moment in moments[20:]] == given[20:]


def test_a_file_that_is_not_there_is_named_in_full(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BadConfig, match=str(tmp_path / "c.safetensors")):
        find_controller("c.safetensors")


def test_foreign_and_damaged_files_are_refused(tmp_path):
    path = tmp_path / "c.safetensors"
    path.write_bytes(b"x" * 50)
    with pytest.raises(BadConfig, match="not a meta-controller"):
        load_controller(path)
    safetensors.numpy.save_file({"phi": np.zeros(SHAPE)}, path)
    with pytest.raises(BadConfig, match="learn it anew"):
        load_controller(path)
    path.write_bytes(controller_file(np.full(SHAPE, np.nan), {}))
    with pytest.raises(BadConfig, match="finite"):
        load_controller(path)
    path.write_bytes(controller_file(np.zeros((2, 2)), {}))
    with pytest.raises(BadConfig, match=r"\(2, 2\)"):
        load_controller(path)


def test_constants_by_name():
    assert find_controller("constant").orders(CONTEXT) == Orders()
    assert find_controller("constant:share=.5, code-step=3").orders(CONTEXT) == Orders(share=0.5, code_step=3.0)
    assert find_controller("learned").orders(CONTEXT) == Orders()


@pytest.mark.parametrize(
    ("text", "error", "says"),
    [
        ("constnat", BadConfig, "No meta-controller"),
        ("constant:shore=1", UnknownName, "share"),
        ("constant:share=much", BadConfig, "must be a number"),
        ("constant:step=-1", BadConfig, "at least 0"),
        ("constant:noise=nan", BadConfig, "finite"),
    ],
)
def test_mistakes_get_one_clear_error(text, error, says):
    with pytest.raises(error, match=says):
        find_controller(text)
