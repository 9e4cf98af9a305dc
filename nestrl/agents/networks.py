"""The parts that every policy is made of: a fixed normaliser, a trunk, and heads."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

TASK_FEATURE_SCALE = 3.0
"""How loud the task's one-hot is after normalisation: at 1 it drowns behind LayerNorm, and tasks interfere."""
CLIP = 10.0
"""Normalised observations are cut off here, so that one wild sensor reading cannot wreck an update."""


class Normalizer(nn.Module):
    """Scales union observations by constants of their task, (n, D + N) -> (n, D + N); saved with the policy.

    x = clip((observation - mean[task]) / scale[task], -10, 10), then the task's one-hot times 3
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, mean: NDArray[np.float32], scale: NDArray[np.float32]) -> None:
        """Take the mean and scale (N, D) of every number of the observation in every task; scale > 0."""
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32))
        self.register_buffer("scale", torch.tensor(scale, dtype=torch.float32))

    def forward(self, observations: Tensor) -> Tensor:
        """Return normalised observations, the loud one-hot last."""
        features, one_hot = self.split(observations)
        normalized = (features - one_hot @ self.mean) / (one_hot @ self.scale)
        return torch.cat((normalized.clamp_(-CLIP, CLIP), one_hot * TASK_FEATURE_SCALE), dim=1)

    @property
    def width(self) -> int:
        """D, the number of features before the one-hot."""
        return self.mean.shape[1]

    def split(self, observations: Tensor) -> tuple[Tensor, Tensor]:
        """Return the task's own features (n, D) and the one-hot of the task (n, N)."""
        return observations[:, : self.width], observations[:, self.width :]


class Trunk(nn.Sequential):
    """Blocks of Linear, LayerNorm and SiLU, one a size: (n, inputs) -> (n, sizes[-1]).

    LayerNorm keeps a network able to learn for many tasks in a row (Lyle et al., 2023) and learns our tasks in a
    fraction of the steps that plain tanh layers need.
    """

    def __init__(self, inputs: int, sizes: Sequence[int]) -> None:
        widths = (inputs, *sizes)
        super().__init__(*(_block(widths[i], widths[i + 1]) for i in range(len(sizes))))
        self.outputs = widths[-1]


def _block(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(linear(inputs, outputs, gain=2**0.5), nn.LayerNorm(outputs), nn.SiLU())


class Heads(nn.Module):
    """One linear head that all tasks share, or one a task: (n, inputs) and one-hot (n, N) -> (n, outputs).

    A head a task exists from the start, so that checkpoints of any moment have the same entries; the head of a task
    that is not in the batch gets no gradient at all, and so does not move by momentum.
    """

    def __init__(self, n_heads: int, inputs: int, outputs: int, gain: float, bias: float = 0.0) -> None:
        super().__init__()
        self.outputs = outputs
        self.heads = nn.ModuleList(linear(inputs, outputs, gain, bias) for _ in range(n_heads))

    def forward(self, hidden: Tensor, one_hot: Tensor) -> Tensor:
        """Return each row's output from the head of its task."""
        if len(self.heads) == 1:
            return self.heads[0](hidden)  # type: ignore[no-any-return]
        task_of_row = one_hot.argmax(1)
        outputs = hidden.new_zeros(len(hidden), self.outputs)
        for task in task_of_row.unique().tolist():  # type: ignore[no-untyped-call]
            rows = (task_of_row == task).nonzero().squeeze(1)
            outputs = outputs.index_copy(0, rows, self.heads[task](hidden[rows]))
        return outputs


def linear(inputs: int, outputs: int, gain: float, bias: float = 0.0) -> nn.Linear:
    """Return a linear layer with orthogonal weights of this gain and a constant bias."""
    layer = nn.Linear(inputs, outputs)
    nn.init.orthogonal_(layer.weight, gain)
    nn.init.constant_(layer.bias, bias)
    return layer
