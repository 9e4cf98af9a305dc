import math

import pytest
import torch
from torch.nn import Parameter

from nestrl.updates.step_sizes import Depths, scale_displacements


def groups():
    names = ("trunk_0", "trunk_1", "head", "log_std")
    return {name: [Parameter(torch.tensor([float(place)]))] for place, name in enumerate(names)}


def test_factors_rise_with_depth():
    depths = Depths(groups())
    assert depths.factors(2.0, 0.5) == pytest.approx([2 * math.exp(0.5 * place) for place in (-1, 0, 1, 1)])
    assert depths.factors(1.0, 0.0) == [1.0] * 4
    assert [float(part) for part in depths.spread()] == [-1.0, 0.0, 1.0, 1.0]


def test_a_displacement_is_made_longer_in_place():
    parameter = Parameter(torch.tensor([1.0, 2.0]))
    before = [parameter.detach().clone()]
    parameter.data.add_(torch.tensor([1.0, -1.0]))
    scale_displacements([parameter], before, [0.5])
    assert parameter.tolist() == [1.5, 1.5]
