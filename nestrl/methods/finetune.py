"""Fine-tuning: nothing is kept. The floor that every method must beat, and the ceiling of plasticity."""

from dataclasses import dataclass
from typing import Any, ClassVar

from nestrl.methods.protocol import Card, Learner, Observations, Policy
from nestrl.updates.regulated import Update


@dataclass(frozen=True)
class FinetuneOptions:
    """Fine-tuning has no options."""


class Finetune:
    """Trains on one task after the other and leaves every update as it is."""

    card: ClassVar[Card] = Card(
        part="whole",
        summary="nothing is kept: plain training on one task after the other",
        paper="",
        stores="nothing",
        cost="nothing",
        knows=(),
    )

    def __init__(self, options: FinetuneOptions, learner: Learner, seed: int) -> None:
        self._learner = learner

    def begin(self, segment_index: int, task_index: int) -> None:
        """Do nothing."""

    def regulate(self, update: Update) -> None:
        """Apply the base optimizer's step unchanged."""
        update.apply()

    def end(self, segment_index: int, task_index: int, observations: Observations) -> None:
        """Keep nothing."""

    def policy_for(self, task_index: int) -> Policy:
        """Return the one policy that there is."""
        return self._learner.policy

    def measurements(self) -> dict[str, float]:
        """Return nothing: there is nothing to measure."""
        return {}

    def state_dict(self) -> dict[str, Any]:
        """Return an empty state."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Do nothing."""
