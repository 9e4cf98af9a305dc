"""The continuum memory system of Nested Learning, its update frequencies alone: deeper blocks change more often."""

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor
from torch.nn import Parameter

from nestrl.errors import BadConfig
from nestrl.methods.finetune import Finetune
from nestrl.methods.protocol import Card, Learner
from nestrl.updates.regulated import Update


@dataclass(frozen=True)
class CMSOptions:
    """Options of the continuum memory system."""

    factor: int = 4
    """How many times slower each block of the trunk is than what comes after it: with two blocks, 16, 4, 1."""
    periods: tuple[int, ...] | None = None
    """Gradient steps between two updates, from trunk_0 up, the head last; takes the place of `factor`."""

    def __post_init__(self) -> None:
        if self.periods is not None:
            object.__setattr__(self, "periods", tuple(self.periods))
        if self.periods is not None and self.factor != type(self).factor:
            raise BadConfig(
                f"cms's factor is {self.factor}, but periods {self.periods} take its place; give one of them."
            )
        if not self.factor >= 1:
            raise BadConfig(f"cms's factor is {self.factor}; it must be at least 1.")
        if self.periods is not None and not all(period >= 1 for period in self.periods):
            raise BadConfig(f"cms's periods are {self.periods}; each must be at least 1.")


class CMS(Finetune):
    """Moves block l of the network only every C_l gradient steps, by the gradients of all of them.

    theta_l <- theta_l - step(sum of the last C_l gradients)   every C_l steps, else theta_l stays

    (Behrouz et al., 2025, "Nested Learning", equation 71.) log_std, where it is no part of the network's depth, moves
    in every step.

    Differs from the paper: the optimizer, Adam, gets the mean of the gradients in place of their sum, since the scale
    is its own; and blocks are those of an ordinary actor.
    """

    card: ClassVar[Card] = Card(
        part="plasticity",
        summary="lets deeper blocks change in every step and the others every few steps",
        paper="Behrouz et al., 2025",
        stores="1 number for each parameter of a slow block",
        cost="nothing but sums",
        knows=(),
    )

    def __init__(self, options: CMSOptions, learner: Learner, seed: int) -> None:
        """Raises BadConfig when the number of periods is not that of blocks and head."""
        self._learner = learner
        groups = learner.actor_groups()
        periods = _periods(options, [name for name in groups if name != "log_std"])
        if len(groups.get("log_std", [])) > 1:  # a head beside the other: SAC's
            periods["log_std"] = periods["head"]
        self._slow: list[tuple[Parameter, int]] = [
            (parameter, period) for name, period in periods.items() if period > 1 for parameter in groups[name]
        ]
        self._sums: list[Tensor | None] = [None] * len(self._slow)
        self._steps = 0

    def regulate(self, update: Update) -> None:
        """Hold back the gradients of slow blocks until their step is due, then apply."""
        self._steps += 1
        for index, (parameter, period) in enumerate(self._slow):
            total = _sum(self._sums[index], parameter.grad)
            due = self._steps % period == 0
            self._sums[index] = None if due else total
            parameter.grad = total / period if due and total is not None else None
        update.apply()

    def measurements(self) -> dict[str, float]:
        """Return the bytes of the gradients that wait before a step is due."""
        return {"memory_bytes": float(sum(parameter.nbytes for parameter, _ in self._slow))}

    def state_dict(self) -> dict[str, Any]:
        """Return the clock and the gradients that wait."""
        return {"steps": self._steps, "sums": list(self._sums)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a `state_dict`."""
        self._steps = state["steps"]
        pairs = zip(state["sums"], self._slow, strict=True)
        self._sums = [None if total is None else total.to(parameter.device) for total, (parameter, _) in pairs]


def _periods(options: CMSOptions, names: list[str]) -> dict[str, int]:
    """Return the period of each of these groups, which are sorted by depth."""
    if options.periods is None:
        return {name: options.factor ** (len(names) - 1 - depth) for depth, name in enumerate(names)}
    if len(options.periods) != len(names):
        raise BadConfig(
            f"cms has {len(options.periods)} periods, {options.periods}, for {len(names)} groups of parameters: "
            f"{', '.join(names)}; give one each."
        )
    return dict(zip(names, options.periods, strict=True))


def _sum(total: Tensor | None, gradient: Tensor | None) -> Tensor | None:
    """Return the sum in a new tensor; None stands for zeros. The learner may write into its gradients again."""
    if gradient is None:
        return total
    return gradient.clone() if total is None else total + gradient
