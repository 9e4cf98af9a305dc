"""Step sizes by depth, whatever the base optimizer: the displacement that it applied is made longer or shorter."""

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import Parameter


class Depths:
    """Where each parameter of an actor stands: from -1 in the trunk's first block to 1 in the head (and log_std).

    groups: an actor's parameters by depth, trunk_0, trunk_1, ..., head, and log_std where there is one.
    """

    def __init__(self, groups: Mapping[str, Sequence[Parameter]]) -> None:
        blocks = [name for name in groups if name.startswith("trunk")]
        place_of = {name: 2 * index / len(blocks) - 1 for index, name in enumerate(blocks)}
        self._parameters = [parameter for group in groups.values() for parameter in group]
        self._places = [place_of.get(name, 1.0) for name, group in groups.items() for _ in group]

    def factors(self, step: float, depth: float) -> list[float]:
        """Return step * exp(depth * place), one a parameter."""
        return [step * math.exp(depth * place) for place in self._places]

    def spread(self) -> list[Tensor]:
        """Return each parameter's place, in its shape."""
        return [torch.full_like(p, place) for p, place in zip(self._parameters, self._places, strict=True)]


def scale_displacements(parameters: Sequence[Parameter], before: Sequence[Tensor], factors: Sequence[float]) -> None:
    """Make each parameter's way from `before` to where it is now `factor` times as long, in place."""
    for parameter, start, factor in zip(parameters, before, factors, strict=True):
        parameter.data.sub_(start).mul_(factor).add_(start)
