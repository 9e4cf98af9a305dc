"""The level that regulates the inner updates: it reads where learning stands and gives orders.

A meta-controller is a function from Context to Orders. Constants are one; the learned one is a linear map phi of the
context, squashed into the range of each order, learned over lives (`nestrl learn-controller`) and, if asked for, inside
a life (`nested.meta_gradient`). phi = 0 gives exactly the constants.
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import safetensors
import safetensors.numpy
import torch
from numpy.typing import NDArray

from nestrl.errors import BadConfig, UnknownName

FORMAT = "nestrl meta-controller 1"
AT_BOUND = 0.95
"""An order whose squashed value is beyond this share of its range sits at its bound."""


class Context(NamedTuple):
    """Where learning stands, each roughly within [-1, 1]."""

    progress: float = 0.0
    """Share of the segment that is done, 0..1."""
    success: float = 0.0
    """Share of the last round of training episodes (one a simulation, or more) that succeeded, 0..1."""
    improvement: float = 0.0
    """That minus the share in the round before, times 3."""
    drift: float = 0.0
    """log of the mean drift of the old tasks over its limit, in units of log 10, cut off at -1 and 1."""
    known: float = 0.0
    """k / (k + 3) for k old tasks."""
    agreement: float = 0.0
    """Cosine between the RL gradient and the retention gradient, averaged over recent readings."""


class Orders(NamedTuple):
    """What the lower levels are told. The defaults change nothing."""

    share: float = 1.0
    """Factor on the retention gradient."""
    step: float = 1.0
    """Factor on every step of the actor."""
    depth: float = 0.0
    """Tilt of that factor: the trunk's first block gets exp(-depth) of it, the head exp(depth)."""
    code_step: float = 1.0
    """Further factor on the steps of the present task's own numbers."""
    noise: float = 0.0
    """Added to the present task's log_std at every consultation."""


class Range(NamedTuple):
    """How far an order may be from its default."""

    bound: float
    """In units of the order, or of its logarithm."""
    logarithmic: bool


RANGES = {
    "share": Range(math.log(10), logarithmic=True),
    "step": Range(math.log(3), logarithmic=True),
    "depth": Range(0.7, logarithmic=False),
    "code_step": Range(math.log(10), logarithmic=True),
    "noise": Range(0.05, logarithmic=False),
}
"""Of each order. A segment of 16 rollouts has 16 consultations, so noise can move a log_std by .8."""

FEATURES: tuple[str, ...] = Context._fields
ORDERS: tuple[str, ...] = Orders._fields
SHAPE = (len(ORDERS), len(FEATURES) + 1)
"""Of phi; its last column is a bias."""


class MetaController(Protocol):
    """Whatever gives orders."""

    def orders(self, context: Context) -> Orders:
        """Return the orders for this context."""
        ...

    def saturated(self, context: Context) -> tuple[str, ...]:
        """Return the names of the orders that sit at their bound in this context."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """Return what has changed in it since it was made."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a `state_dict`."""
        ...


class ConstantController:
    """Gives the same orders always: the best constants are what a learned controller has to beat."""

    def __init__(self, orders: Orders | None = None) -> None:
        self._orders = orders or Orders()

    def orders(self, context: Context) -> Orders:
        """Return the constants."""
        return self._orders

    def saturated(self, context: Context) -> tuple[str, ...]:
        """Return nothing: a constant is where it was put."""
        return ()

    def state_dict(self) -> dict[str, Any]:
        """Return nothing."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Stay the same."""


class LearnedController:
    """Orders as a squashed linear map of the context.

        order_k = default_k * exp(bound_k * tanh(z_k)), or default_k + bound_k * tanh(z_k);  z = phi (context, 1)

    phi: (orders, features + 1), float64.
    """

    def __init__(self, phi: NDArray[np.float64]) -> None:
        if phi.shape != SHAPE or not np.isfinite(phi).all():
            raise BadConfig(f"A meta-controller needs finite numbers of shape {SHAPE}, but got shape {phi.shape}.")
        self.phi = np.array(phi, np.float64)

    def orders(self, context: Context) -> Orders:
        """Return the orders for this context."""
        return Orders(*map(_order, Orders(), RANGES.values(), self._squashed(context)))

    def saturated(self, context: Context) -> tuple[str, ...]:
        """Return the names of the orders at their bound."""
        return tuple(n for n, value in zip(ORDERS, self._squashed(context), strict=True) if abs(value) > AT_BOUND)

    def derivative(self, context: Context) -> NDArray[np.float64]:
        """Return d(order or its logarithm) / d(phi), (orders, features + 1): row k is that of order k alone."""
        inputs = np.array([*context, 1.0])
        bounds = np.array([limits.bound for limits in RANGES.values()])
        return np.outer(bounds * (1 - self._squashed(context) ** 2), inputs)

    def state_dict(self) -> dict[str, Any]:
        """Return phi, which may have been learned on inside the life."""
        return {"phi": torch.from_numpy(self.phi.copy())}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a `state_dict`."""
        self.phi = state["phi"].numpy().copy()

    def _squashed(self, context: Context) -> NDArray[np.float64]:
        squashed: NDArray[np.float64] = np.tanh(self.phi @ np.array([*context, 1.0]))
        return squashed


class ShuffledController:
    """The null of a learned controller: the orders that it would give at another moment of the life, drawn at random.

    They are spread as those of the learned one, but have nothing to do with where learning stands. If the learned one
    is no better, it has learned constants at most.
    """

    def __init__(self, learned: LearnedController) -> None:
        self._learned = learned
        self._met: list[Context] = []

    def orders(self, context: Context) -> Orders:
        """Return the orders for one of the contexts met so far, this one among them."""
        self._met.append(context)
        return self._learned.orders(self._drawn())

    def saturated(self, context: Context) -> tuple[str, ...]:
        """Return the names of the orders that were given at their bound."""
        return self._learned.saturated(self._drawn())

    def state_dict(self) -> dict[str, Any]:
        """Return the contexts met so far, and phi: its file may be another by the time that a run goes on."""
        return {"met": torch.tensor(self._met, dtype=torch.float64), "learned": self._learned.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a `state_dict`."""
        self._met = [Context(*row) for row in state["met"].tolist()]
        self._learned.load_state_dict(state["learned"])

    def _drawn(self) -> Context:
        """Return one of the contexts met; which one depends on their number alone, so a resumed life draws the same."""
        n = len(self._met)
        return self._met[int(np.random.default_rng(n).integers(n))] if n else Context()


def _order(default: float, limits: Range, squashed: float) -> float:
    shift = limits.bound * float(squashed)
    return default * math.exp(shift) if limits.logarithmic else default + shift


def controller_file(phi: NDArray[np.float64], metadata: Mapping[str, str]) -> bytes:
    """Return a learned controller as the content of a .safetensors file, with what its rows and columns mean."""
    known = {"format": FORMAT, "orders": ",".join(ORDERS), "features": ",".join(FEATURES)}
    return safetensors.numpy.save({"phi": np.ascontiguousarray(phi, np.float64)}, {**metadata, **known})


def load_controller(path: Path) -> LearnedController:
    """Return a learned controller from a file; BadConfig if it is not there, is none, or is of another version."""
    try:
        with safetensors.safe_open(path, "np") as file:
            metadata, phi = file.metadata() or {}, file.get_tensor("phi")
    except FileNotFoundError as error:
        raise BadConfig(
            f"There is no {path.absolute()}; start from the folder where the path you gave begins, give the whole "
            "path, or make the file with nestrl learn-controller."
        ) from error
    except (OSError, safetensors.SafetensorError) as error:
        raise BadConfig(f"{path} is not a meta-controller ({error}); make one with nestrl learn-controller.") from error
    expected = {"format": FORMAT, "orders": ",".join(ORDERS), "features": ",".join(FEATURES)}
    for key, value in expected.items():
        if metadata.get(key) != value:
            raise BadConfig(f"{path} has {key} {metadata.get(key)!r}, not {value!r}; learn it anew with this nestrl.")
    return LearnedController(phi)


def find_controller(text: str) -> MetaController:
    """Return "constant", "constant:share=1,step=.5", "learned" (phi = 0), or what is in a .safetensors file.

    "shuffled:FILE.safetensors" is the null of that. Raises BadConfig for a file or value that is none, UnknownName for
    an order that there is not.
    """
    if text.startswith("shuffled:"):
        return ShuffledController(load_controller(Path(text.removeprefix("shuffled:"))))
    if text.endswith(".safetensors"):
        return load_controller(Path(text))
    if text == "learned":
        return LearnedController(np.zeros(SHAPE))
    kind, _, assignments = text.partition(":")
    if kind != "constant":
        raise BadConfig(
            f'No meta-controller {text!r}; write "constant", "constant:share=1", "learned" or a .safetensors file.'
        )
    return ConstantController(Orders()._replace(**dict(_constant(part) for part in assignments.split(",") if part)))


def _constant(assignment: str) -> tuple[str, float]:
    name, _, value = assignment.partition("=")
    name = name.strip().replace("-", "_")
    if name not in ORDERS:
        raise UnknownName(f"The meta-controller gives no order {name!r}; its orders are {', '.join(ORDERS)}.")
    try:
        number = float(value)
    except ValueError as error:
        raise BadConfig(f"The order {name} is {value!r}; it must be a number, as in {name}=1.") from error
    logarithmic = RANGES[name].logarithmic
    if not math.isfinite(number) or (logarithmic and number < 0):
        raise BadConfig(f"The order {name} is {number}; it must be finite{' and at least 0' if logarithmic else ''}.")
    return name, number
