"""The level that weighs retention: one dual weight a task, raised while the task drifts beyond its limit."""

from typing import Any

import torch
from torch import Tensor


class DualWeights:
    """Multiplicative dual ascent on `drift_i <= eps_i` for every task i.

    maximise over lambda:  sum_i lambda_i (M_i - eps_i)
    by  lambda_i <- clip(lambda_i exp(rate * clip((M_i - eps_i) / eps_i, -1, 1)), minimum, maximum)

    The relative excess is clipped, so that one bad batch changes a weight by no more than a factor exp(rate).

    drift_limit: eps_i of every task, until `allow` says otherwise, in nats. rate: a step of the ascent, relative.
    weight: of every task, in place of the ascent; the limit then only says when a constraint is active.
    """

    def __init__(
        self, n_tasks: int, drift_limit: float = 0.03, weight: float | None = None, rate: float = 0.05
    ) -> None:
        start, self._minimum, self._maximum = (1.0, 1e-3, 20.0) if weight is None else (weight, weight, weight)
        self._rate = rate
        self._limits = torch.full((n_tasks,), drift_limit, dtype=torch.float32)
        self._weights = torch.full((n_tasks,), start, dtype=torch.float32)
        self._steps = 0
        self._active_steps = 0

    def of(self, tasks: Tensor) -> Tensor:
        """Return the weights (k,) of the tasks with these indices (k,)."""
        return self._weights[tasks]

    def limits(self, tasks: Tensor) -> Tensor:
        """Return the limits (k,) of the tasks with these indices (k,), in nats."""
        return self._limits[tasks]

    def allow(self, task: int, limit: float) -> None:
        """Let a task drift up to this limit from now on, in nats."""
        self._limits[task] = limit

    def update(self, tasks: Tensor, drifts: Tensor) -> None:
        """Take one step of ascent with the measured drifts (k,), in nats, of the tasks with these indices (k,)."""
        limits = self._limits[tasks]
        excess = drifts.detach().to(limits) - limits
        self._steps += 1
        constraining = (self._weights[tasks] > self._minimum) | (self._minimum == self._maximum)
        self._active_steps += int(((excess > 0) & constraining).any())
        growth = torch.exp(self._rate * torch.clamp(excess / limits, -1, 1))
        self._weights[tasks] = torch.clamp(self._weights[tasks] * growth, self._minimum, self._maximum)

    @property
    def active_share(self) -> float:
        """Share of all steps so far at which some task was over its limit with a weight above the minimum, in 0..1.

        Constant weights have no minimum.

        Under .05 the limit constrains nothing, over .95 the weights cannot enforce it: both are alarms.
        """
        return self._active_steps / max(self._steps, 1)

    def state_dict(self) -> dict[str, Any]:
        """Return everything that `load_state_dict` needs to go on exactly: tensors and numbers."""
        return {
            "weights": self._weights.clone(),
            "limits": self._limits.clone(),
            "steps": self._steps,
            "active_steps": self._active_steps,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a `state_dict`."""
        self._weights, self._limits = state["weights"].clone(), state["limits"].clone()
        self._steps, self._active_steps = state["steps"], state["active_steps"]
