"""The numbers of an actor, as plain lists in the order of its parameters: copied, put back, counted."""

from collections.abc import Iterable, Mapping
from itertools import chain

import torch
from torch import Tensor
from torch.nn import Parameter
from torch.nn.utils import parameters_to_vector


def flattened(groups: Mapping[str, list[Parameter]]) -> list[Parameter]:
    """Return the parameters of all groups one after the other."""
    return list(chain.from_iterable(groups.values()))


def values_of(parameters: Iterable[Tensor]) -> list[Tensor]:
    """Return copies without a graph."""
    return [parameter.detach().clone() for parameter in parameters]


def put_values(values: Iterable[Tensor], parameters: Iterable[Parameter]) -> None:
    """Give the parameters these values, in place."""
    for parameter, value in zip(parameters, values, strict=True):
        parameter.data.copy_(value)


def beside(values: Iterable[Tensor], parameters: Iterable[Tensor]) -> list[Tensor]:
    """Return values, one a parameter, on the devices of the parameters."""
    return [value.to(parameter.device) for value, parameter in zip(values, parameters, strict=True)]


def as_vector(parts: Iterable[Tensor | None], parameters: Iterable[Tensor]) -> Tensor:
    """Return parts, one a parameter, as one vector (P,) without a graph; None counts as zeros."""
    pairs = zip(parts, parameters, strict=True)
    return parameters_to_vector([torch.zeros_like(p) if part is None else part for part, p in pairs]).detach()


def add_gradients(gradients: Iterable[Tensor | None], parameters: Iterable[Parameter]) -> None:
    """Add to the gradients that are there; None adds nothing."""
    for parameter, gradient in zip(parameters, gradients, strict=True):
        if gradient is not None:
            parameter.grad = gradient if parameter.grad is None else parameter.grad + gradient


def n_bytes(tensors: Iterable[Tensor]) -> int:
    """Return the size of all tensors together."""
    return sum(tensor.nbytes for tensor in tensors)
