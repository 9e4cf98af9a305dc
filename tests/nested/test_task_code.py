import pytest
import torch

from nestrl.nested.task_code import TaskCode


def code():
    return {"inputs": torch.zeros(2), "log_std": torch.zeros(1)}


def test_a_code_starts_from_the_known_ones_but_explores_as_a_new_one():
    known = [
        {"inputs": torch.tensor([1.0, 3.0]), "log_std": torch.tensor([-2.0])},
        {"inputs": torch.tensor([3.0, 1.0]), "log_std": torch.tensor([-1.0])},
    ]
    for start, expected in {"fresh": [0.0, 0.0], "blend": [2.0, 2.0], "latest": [3.0, 1.0]}.items():
        new = code()
        TaskCode(new).start_from(known, start)
        assert new["inputs"].tolist() == expected
        assert new["log_std"].tolist() == [0.0]
    assert known[0]["inputs"].tolist() == [1.0, 3.0]


def test_a_code_moves_as_far_as_told_and_explores_as_widely():
    new = code()
    task_code = TaskCode(new)
    task_code.keep()
    new["inputs"] += torch.tensor([1.0, -2.0])
    task_code.scale_step(3.0)
    task_code.widen(0.1)
    assert new["inputs"].tolist() == [3.0, -6.0]
    assert new["log_std"].tolist() == pytest.approx([0.1])
