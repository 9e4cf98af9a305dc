"""A quadratic penalty on leaving a point: what L2, EWC, MAS and SI have in common."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor
from torch.nn import Parameter
from torch.nn.utils import parameters_to_vector


class QuadraticPenalty:
    """strength/2 sum_i importance_i (theta_i - anchor_i)^2 over all P numbers of some parameters.

    It is 0 until `hold` was called.
    """

    def __init__(self, parameters: Iterable[Parameter], strength: float) -> None:
        self._parameters, self._strength = list(parameters), strength
        self._anchor: Tensor | None = None
        self.importances = torch.zeros((), device=self._parameters[0].device)
        """(P,), one after the other as the parameters come; or one number () for all of them."""

    @property
    def holds(self) -> bool:
        """Whether there is an anchor."""
        return self._anchor is not None

    @property
    def n_bytes(self) -> int:
        """Size of anchor and importances."""
        return 0 if self._anchor is None else self._anchor.nbytes + self.importances.nbytes

    def hold(self, importances: Tensor) -> None:
        """Anchor the parameters where they are now, with these importances, (P,) or (), in place of all earlier."""
        self._anchor = parameters_to_vector(self._parameters).detach()
        self.importances = importances

    def value(self) -> float:
        """Return the penalty."""
        return 0.5 * float((self._pull() * self._displacement()).sum())

    def gradient(self) -> list[Tensor]:
        """Return the penalty's gradient, one tensor a parameter."""
        parts = torch.split(self._pull(), [parameter.numel() for parameter in self._parameters])
        return [part.view_as(parameter) for part, parameter in zip(parts, self._parameters, strict=True)]

    def state_dict(self) -> dict[str, Any]:
        """Return anchor and importances."""
        return {"anchor": self._anchor, "importances": self.importances}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a `state_dict`."""
        device, anchor = self._parameters[0].device, state["anchor"]
        self._anchor = None if anchor is None else anchor.to(device)
        self.importances = state["importances"].to(device)

    def _pull(self) -> Tensor:
        return self._strength * self.importances * self._displacement()

    def _displacement(self) -> Tensor:
        """Return how far the parameters are from the anchor, (P,)."""
        here = parameters_to_vector(self._parameters).detach()
        return torch.zeros_like(here) if self._anchor is None else here - self._anchor
