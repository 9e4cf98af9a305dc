import os
import random
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch

from nestrl.errors import BadConfig
from nestrl.training.checkpoint import KEPT, keep_newest, load_newest, save


def test_everything_comes_back_as_it_was(tmp_path: Path) -> None:
    state = {
        "tensor": torch.arange(3, dtype=torch.float64),
        "arrays": [np.array([True, False]), np.arange(4, dtype=np.uint32), np.float32(1.5), np.zeros((0, 3))],
        "numbers": (2**127, -0.1, None, True, "text"),
        "python": random.getstate(),
        3: {"nested": {}},
    }
    save(tmp_path, 7, state)
    found = load_newest(tmp_path)
    assert found is not None
    back = found.state
    assert torch.equal(back["tensor"], state["tensor"])
    for came, went in zip(back["arrays"], state["arrays"], strict=True):
        assert np.asarray(came).dtype.kind == np.asarray(went).dtype.kind
        assert np.array_equal(came, went)
    assert back["numbers"] == state["numbers"]
    assert back["python"] == state["python"]
    assert back[3] == {"nested": {}}


def test_arrays_do_not_change_after_saving(tmp_path: Path) -> None:
    array = np.zeros(3)
    save(tmp_path, 1, {"array": array})
    array += 1
    found = load_newest(tmp_path)
    assert found is not None
    assert not found.state["array"].any()


def test_only_the_last_two_are_kept(tmp_path: Path) -> None:
    (tmp_path / "step-000000000001-abc.pt.part").write_bytes(b"of a save that was killed")
    for steps in (5, 1_000_000, 20):
        save(tmp_path, steps, {"steps": steps})
    assert len(list(tmp_path.iterdir())) == KEPT
    found = load_newest(tmp_path)
    assert found is not None
    assert found.state["steps"] == 1_000_000


def test_what_is_just_saved_is_kept_beside_damaged_ones_of_later(tmp_path: Path) -> None:
    for steps in (900, 960):
        save(tmp_path, steps, {}).write_bytes(b"damaged")
    assert save(tmp_path, 500, {"steps": 500}).is_file()
    found = load_newest(tmp_path)
    assert found is not None and found.state["steps"] == 500


def test_the_newest_is_that_of_most_steps_whenever_it_was_copied(tmp_path: Path) -> None:
    old, new = save(tmp_path, 64, {}), save(tmp_path, 128, {})
    os.utime(new, ns=(0, 0))
    keep_newest(tmp_path)
    assert (old.is_file(), new.is_file()) == (False, True)


def test_what_is_not_plain_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(BadConfig, match=r"state\.agent\[0\] is a Path|state\.agent\[0\] is a PosixPath"):
        save(tmp_path, 1, {"agent": [tmp_path]})
    assert not list(tmp_path.iterdir())


def test_no_checkpoint_at_all(tmp_path: Path) -> None:
    assert load_newest(tmp_path) is None
    assert load_newest(tmp_path / "missing") is None


def test_a_named_tuple_comes_back_as_its_values(tmp_path: Path) -> None:
    class Pair(NamedTuple):
        one: np.ndarray
        other: int

    save(tmp_path, 7, {"pair": Pair(np.arange(3), 2)})
    found = load_newest(tmp_path)
    assert found is not None
    one, other = found.state["pair"]
    assert (one.tolist(), other) == ([0, 1, 2], 2)
