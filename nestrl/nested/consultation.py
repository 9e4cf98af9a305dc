"""The meta-controller at work in a run: measurements go up to it, orders come down, and it may learn on the way."""

import math
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from nestrl.errors import BadConfig
from nestrl.nested.levels import ORDER, SATURATED
from nestrl.nested.meta_controller import ORDERS, Context, LearnedController, MetaController, Orders
from nestrl.nested.meta_gradient import MetaGradient
from nestrl.nested.rounds import Rounds

IMPROVEMENT_SCALE = 3.0
MEMORY_OF_AGREEMENT = 0.9
"""Of the running mean of the gradients' cosine, whose single readings scatter by .1 around means as large."""
LEARNED_INSIDE = ("share", "step", "depth")
"""Orders whose effect on a step is known in closed form, and that a life can therefore learn by gradient."""


class Consultation:
    """Builds the context, asks the controller and keeps the orders until it is asked again.

    learning_rate: of the meta-gradient inside the life; at 0 the controller stays as it is.
    """

    def __init__(self, controller: MetaController, learning_rate: float, n_parameters: int) -> None:
        if learning_rate and not isinstance(controller, LearnedController):
            raise BadConfig(
                'Constants cannot learn inside a life; give meta_controller "learned" or a .safetensors file.'
            )
        self._controller, self._learning_rate = controller, learning_rate
        self.meta_gradient = MetaGradient(LEARNED_INSIDE, n_parameters) if learning_rate else None
        self.orders, self.context = Orders(), Context()
        self.paused = False
        self._known = 0
        self._agreement = 0.0

    def start_segment(self, known: int) -> None:
        """A segment begins, with this many old tasks to keep."""
        self._known, self._agreement = known, 0.0
        self.paused = False

    def note_agreement(self, rl_gradient: Tensor, retention_gradient: Tensor) -> None:
        """Take in how far learning and keeping pull the same way, both (P,)."""
        product = rl_gradient.norm() * retention_gradient.norm()
        cosine = float(rl_gradient @ retention_gradient / product) if product > 0 else 0.0
        self._agreement = MEMORY_OF_AGREEMENT * self._agreement + (1 - MEMORY_OF_AGREEMENT) * cosine

    def ask(self, progress: float, rounds: Rounds, drift: float) -> Orders:
        """Return the orders for this moment: progress in 0..1, the segment's episodes so far, drift over its limit."""
        if self.meta_gradient is not None:
            self._learn(self.meta_gradient.take())
        success = or_zero(rounds.last.success)
        earlier = or_zero(rounds.before.success) if rounds.before.episodes else success
        over_limit = math.log10(max(drift, 1e-9)) if self._known else 0.0
        self.context = Context(
            progress,
            success,
            IMPROVEMENT_SCALE * (success - earlier),
            max(-1.0, min(1.0, over_limit)),
            self._known / (self._known + 3),
            self._agreement,
        )
        self.orders = self._controller.orders(self.context)
        return self.orders

    def measurements(self) -> dict[str, float]:
        """Return the present orders, and 1 for each that sits at its bound."""
        bounds = self._controller.saturated(self.context)
        return (
            {ORDER + name: value for name, value in zip(ORDERS, self.orders, strict=True)}
            | {SATURATED + name: float(name in bounds) for name in ORDERS}
            | {"paused": float(self.paused)}
        )

    def state_dict(self) -> dict[str, Any]:
        """Return orders, context, running means, and what has changed in the controller."""
        return {
            "orders": list(self.orders),
            "context": list(self.context),
            "known": self._known,
            "agreement": self._agreement,
            "paused": self.paused,
            "controller": self._controller.state_dict(),
            "traces": None if self.meta_gradient is None else self.meta_gradient.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a `state_dict`."""
        self.orders, self.context = Orders(*state["orders"]), Context(*state["context"])
        self._known, self._agreement, self.paused = state["known"], state["agreement"], state["paused"]
        self._controller.load_state_dict(state["controller"])
        if self.meta_gradient is not None:
            self.meta_gradient.load_state_dict(state["traces"])

    def _learn(self, gradient: Mapping[str, float]) -> None:
        """Take one step of descent of the outer objective in phi; not with a gradient that is not finite."""
        if not all(map(math.isfinite, gradient.values())):
            self.paused = True
            return
        if isinstance(self._controller, LearnedController) and not self.paused:
            slopes = self._controller.derivative(self.context)
            per_order = [[gradient.get(name, 0.0)] for name in ORDERS]
            self._controller = LearnedController(self._controller.phi - self._learning_rate * slopes * per_order)


def or_zero(value: float) -> float:
    """Return a share, and 0 in place of NaN, which stands for no episodes."""
    return 0.0 if math.isnan(value) else value
