"""An optimizer that lets a method regulate each of its steps, and is its base bit for bit when nobody does."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.nn import Parameter

from nestrl.updates.values import add_gradients

Regulate = Callable[["Update"], None]


class Update:
    """One optimizer step in a method's hands: look, add gradients, apply it once, see what it did."""

    def __init__(self, base_step: Callable[[], object]) -> None:
        self._base_step = base_step
        self._before: dict[Parameter, Tensor] = {}
        self.applied = False

    def add_gradient(self, parameters: Iterable[Parameter], gradients: Iterable[Tensor | None]) -> None:
        """Add one gradient (or None) a parameter to those that the loss has left there; only before `apply`."""
        self._require_unapplied("add_gradient")
        add_gradients(gradients, parameters)

    def keep(self, parameters: Iterable[Parameter]) -> None:
        """Remember where these parameters are, so that `displacement` can be asked for after `apply`."""
        self._require_unapplied("keep")
        self._before.update((parameter, parameter.detach().clone()) for parameter in parameters)

    def apply(self) -> None:
        """Let the base optimizer take its step. Exactly once in each update."""
        self._require_unapplied("apply")
        self.applied = True
        self._base_step()

    def displacement(self, parameter: Parameter) -> Tensor:
        """Return how far a kept parameter has moved, in its own shape."""
        if not self.applied or parameter not in self._before:
            raise RuntimeError("displacement needs keep([parameter]) before apply() and can be asked for after it.")
        return parameter.detach() - self._before[parameter]

    def _require_unapplied(self, call: str) -> None:
        if self.applied:
            raise RuntimeError(f"{call}() came after apply(); each update is applied once, after everything else.")


def regulated_step(regulate: Regulate, base_step: Callable[[], object]) -> None:
    """Let `regulate` have its say in one step. Raises RuntimeError when it does not apply the step."""
    update = Update(base_step)
    regulate(update)
    if not update.applied:
        raise RuntimeError(f"{regulate} returned without update.apply(); a regulated step must be applied.")


class RegulatedStep(torch.optim.Optimizer):
    """Mixed in before a torch optimizer, gives its `step` into the hands of whoever is attached.

    >>> class RegulatedSGD(RegulatedStep, torch.optim.SGD):
    ...     "SGD that a method can regulate."

    What is attached is not part of the optimizer's state: it is neither saved, pickled nor copied.
    """

    _regulate: Regulate | None = None

    def attach(self, regulate: Regulate | None) -> None:
        """Call `regulate(update)` in every step from now on; None leaves the base optimizer alone again."""
        self._regulate = regulate

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Take one step, regulated if something is attached; return the closure's loss, if there is a closure.

        Raises RuntimeError when the attached function did not apply the update.
        """
        base_step = _without_hooks(super().step)
        if self._regulate is None:
            return base_step(self, closure)
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        regulated_step(self._regulate, lambda: base_step(self))
        return loss


class RegulatedAdam(RegulatedStep, torch.optim.Adam):
    """Adam that a method can regulate.

    stable-baselines3 gives PPO's optimizer eps=1e-5 only if its class is Adam itself: pass it in `optimizer_kwargs`.
    """


def _without_hooks(bound_step: Any) -> Callable[..., Any]:
    """Return a class's own step. torch wraps it with the step hooks of its instances, but ours runs those already."""
    step: Callable[..., Any] = bound_step.__func__
    if hasattr(step, "hooked"):
        step = step.__wrapped__  # type: ignore[attr-defined]
    return step
