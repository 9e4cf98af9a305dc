"""Normaliser, trunk and heads, by hand."""

import numpy as np
import pytest
import torch

from nestrl.agents.networks import Heads, Normalizer, Trunk


def test_normalizer_uses_the_row_of_the_task() -> None:
    normalizer = Normalizer(np.array([[0.0, 1.0], [2.0, 3.0]]), np.array([[1.0, 2.0], [4.0, 0.001]]))
    observations = torch.tensor([[3.0, 5.0, 1.0, 0.0], [10.0, 4.0, 0.0, 1.0]])
    assert normalizer(observations).tolist() == [[3.0, 2.0, 3.0, 0.0], [2.0, 10.0, 0.0, 3.0]]


def test_normalizer_is_saved_and_not_learned() -> None:
    normalizer = Normalizer(np.zeros((1, 2)), np.ones((1, 2)))
    assert set(normalizer.state_dict()) == {"mean", "scale"}
    assert not list(normalizer.parameters())


def test_trunk_is_blocks_of_linear_norm_silu() -> None:
    trunk = Trunk(3, (8, 4))
    assert trunk(torch.ones(5, 3)).shape == (5, trunk.outputs)
    assert trunk.outputs == 4
    assert [type(layer).__name__ for layer in trunk[0]] == ["Linear", "LayerNorm", "SiLU"]
    weight = trunk[0][0].weight.detach()
    torch.testing.assert_close(weight.T @ weight, 2 * torch.eye(3))  # orthogonal, gain sqrt 2


@pytest.mark.parametrize("n_heads", [1, 3])
def test_heads_answer_by_task(n_heads: int) -> None:
    heads = Heads(n_heads, 4, 2, gain=1.0, bias=0.5)
    hidden, tasks = torch.randn(6, 4), torch.tensor([2, 0, 0, 2, 0, 2])
    outputs = heads(hidden, torch.eye(3)[tasks])
    for row, task in enumerate(tasks.tolist()):
        torch.testing.assert_close(outputs[row], heads.heads[task if n_heads == 3 else 0](hidden[row]))


def test_a_head_that_is_not_asked_gets_no_gradient() -> None:
    heads = Heads(2, 4, 2, gain=1.0)
    heads(torch.randn(3, 4), torch.eye(2)[[1, 1, 1]]).sum().backward()
    assert heads.heads[0].weight.grad is None
    assert heads.heads[1].weight.grad is not None
