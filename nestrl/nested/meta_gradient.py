"""How the meta-controller learns inside a life: a first-order meta-gradient with traces.

Outer objective, over the regulated parameters theta': L_RL(theta') + sum_i lambda_i (M_i(theta') - eps_i). An order c
moves every step by u_c a unit of c, and what it has moved is still there later:

    e_c <- decay * e_c + u_c
    dJ/dc ~ (1 - w) cos(g, e_c) + w cos(m, e_c),   w = L / (1 + L),  L = sum_i lambda_i

with the next step's RL gradient g and its retention gradient m (from another memory batch). Cosines in place of inner
products keep the estimate on one scale, whatever the gradients' lengths (La-MAML's first-order
estimate, Gupta et al., 2020, equation 5, with a trace as in Schraudolph, 1999).
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

DECAY = 0.9
"""Of the traces: displacements older than some ten steps have turned."""
TINY = 1e-12


class MetaGradient:
    """Traces of what orders have done to the parameters, and the gradient of the outer objective in each order."""

    def __init__(self, orders: tuple[str, ...], n_parameters: int, decay: float = DECAY) -> None:
        self._decay = decay
        self._traces = {name: torch.zeros(n_parameters) for name in orders}
        self._sums = dict.fromkeys(orders, 0.0)
        self._readings = 0

    def read(self, rl_gradient: Tensor, retention_gradient: Tensor | None, total_weight: float) -> None:
        """Add one reading with the present gradients (P,), before the step is applied."""
        share = total_weight / (1 + total_weight)
        self._readings += 1
        for name, trace in self._traces.items():
            trace = trace.to(rl_gradient)
            value = (1 - share) * _cosine(rl_gradient, trace)
            if retention_gradient is not None:
                value += share * _cosine(retention_gradient, trace)
            self._sums[name] += value

    def follow(self, effects: Mapping[str, Tensor]) -> None:
        """Take up what one unit of each order has done in the step just applied, (P,) each."""
        for name, effect in effects.items():
            self._traces[name] = self._decay * self._traces[name].to(effect) + effect

    def take(self) -> dict[str, float]:
        """Return the mean of the readings since the last call, the gradient in each order; 0 without readings."""
        mean = {name: value / max(1, self._readings) for name, value in self._sums.items()}
        self._sums, self._readings = dict.fromkeys(self._sums, 0.0), 0
        return mean

    def state_dict(self) -> dict[str, Any]:
        """Return traces and sums."""
        traces = {name: trace.clone() for name, trace in self._traces.items()}
        return {"traces": traces, "sums": dict(self._sums), "readings": self._readings}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a `state_dict`."""
        self._traces = {name: trace.clone() for name, trace in state["traces"].items()}
        self._sums, self._readings = dict(state["sums"]), state["readings"]


def effects(displacement: Tensor, depths: Tensor, retention_gradient: Tensor | None) -> dict[str, Tensor]:
    """Return what one unit of each order has done in a step that moved by `displacement`, (P,) each.

    log step   d
    depth      depths * d, with each parameter's depth in -1..1
    log share  -|d| m / |m|, as of a step that is all retention; nothing without old tasks
    """
    pull = torch.zeros_like(displacement)
    if retention_gradient is not None:
        pull = -displacement.norm() / (retention_gradient.norm() + TINY) * retention_gradient
    return {"step": displacement, "depth": depths * displacement, "share": pull}


def _cosine(a: Tensor, b: Tensor) -> float:
    return float(a @ b / (a.norm() * b.norm() + TINY))
