"""The regulated step: what becomes of the step that an optimizer has taken, once the drift's gradient is known.

It is the displacement that is regulated, not the gradient: Adam scales each coordinate, which would turn a projected
gradient back towards the drift.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

TINY = 1e-30
"""Keeps the divisions defined when nothing moves or nothing drifts; far below any squared norm that matters."""


class Gates(NamedTuple):
    """How much of each part of a step passes. The default leaves the step alone, bit for bit."""

    pass_: float = 1.0
    """Share of the part that raises the drift."""
    pull: float = 0.0
    """Length of the move against the drift, in lengths of the step."""
    scale: float = 1.0
    """Factor of the part that does not raise the drift."""


def regulate(displacement: Sequence[Tensor], drift_gradient: Sequence[Tensor], gates: Gates) -> list[Tensor]:
    """Return the regulated displacement, in the shapes of the given one; all tensors together are one vector.

    With displacement d and drift gradient m:
        h = max(0, <d, m>) / |m|^2 * m          the part of d that raises the drift
        r = -|d| * m / |m|                      a move against the drift, as long as the step
        a = min(0, <r, d>) / |d|^2 * d          the part of r that is against d
        d' = scale * (d - h) + pass * h + pull * (r - pass * a)

    (pass, pull) = (1, 0) is fine-tuning, (0, 0) A-GEM's projection (Chaudhry et al., 2019, equation 11) of the
    displacement, (1, constant) PCGrad's (Yu et al., 2020, algorithm 1) with only the retention move changed.
    """
    d = torch.cat([part.flatten() for part in displacement])
    m = torch.cat([part.flatten() for part in drift_gradient])
    harmful = torch.clamp(d @ m, min=0) / (m @ m + TINY) * m
    move = -d.norm() * m / (m.norm() + TINY)
    against = torch.clamp(move @ d, max=0) / (d @ d + TINY) * d
    regulated = gates.scale * d + (gates.pass_ - gates.scale) * harmful + gates.pull * (move - gates.pass_ * against)
    parts = regulated.split([part.numel() for part in displacement])
    return [part.view_as(like) for part, like in zip(parts, displacement, strict=True)]
