"""Methods put together from parts: "cloning+best-start+trac" keeps, starts and stays plastic at once."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, ClassVar

from nestrl.errors import BadConfig
from nestrl.methods.protocol import Card, Learner, Method, Observations, Pausing, Policy
from nestrl.updates.regulated import Update, regulated_step

ORDER = ("start", "retention", "whole", "plasticity")
"""In which parts are called: a start changes the network that retention then looks at, and plasticity regulates the
step that all the others have prepared. Of several that retain, one with policies of its own is first: what it leaves of
a segment is what the others keep."""

Part = tuple[str, Callable[[Any, Learner, int], Method], Card]
"""Name, what makes it, and card."""


class Composed:
    """Calls its parts in turn. What one part applies is the step that the next regulates, the last the base step."""

    card: ClassVar[Card] = Card("whole", "parts put together", "", "", "")

    def __init__(self, parts: Sequence[Part], options: Any, learner: Learner, seed: int) -> None:
        """Build every part with its own options, an attribute of `options` by its name."""
        self._parts = {name: kind(getattr(options, field_name(name)), learner, seed) for name, kind, _ in parts}
        self._speaks = _speaker(parts)

    def begin(self, segment_index: int, task_index: int) -> None:
        """A segment starts for every part."""
        for part in self._parts.values():
            part.begin(segment_index, task_index)

    def regulate(self, update: Update) -> None:
        """Let the first part regulate a step that is the second part's regulated step, and so on."""
        step = update.apply
        for part in reversed(self._parts.values()):
            step = partial(regulated_step, part.regulate, step)
        step()

    def pause(self) -> None:
        """Give every part that wants it a say between two rollouts."""
        for part in self._parts.values():
            if isinstance(part, Pausing):
                part.pause()

    def end(self, segment_index: int, task_index: int, observations: Observations) -> None:
        """The segment is over for every part."""
        for part in self._parts.values():
            part.end(segment_index, task_index, observations)

    def policy_for(self, task_index: int) -> Policy:
        """Return the policy that the part which speaks would use: its own, or else the learner's."""
        return self._parts[self._speaks].policy_for(task_index)

    def measurements(self) -> dict[str, float]:
        """Return those of the part that speaks as they are, of others as `part.name`, and the bytes of all together."""
        each = {name: part.measurements() for name, part in self._parts.items()}
        measured = {
            key if name == self._speaks else f"{name}.{key}": value
            for name, values in each.items()
            for key, value in values.items()
        }
        return measured | {"memory_bytes": sum(values.get("memory_bytes", 0.0) for values in each.values())}

    def state_dict(self) -> dict[str, Any]:
        """Return every part's."""
        return {name: part.state_dict() for name, part in self._parts.items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a `state_dict`."""
        for name, part in self._parts.items():
            part.load_state_dict(state[name])


def in_order(parts: Sequence[Part]) -> list[Part]:
    """Return parts in the order in which they are called. Raises BadConfig for those that do not go together."""
    wholes = [name for name, _, card in parts if card.part == "whole"]
    others = [name for name, _, card in parts if card.part not in ("whole", "plasticity")]
    if len(wholes) > 1 or (wholes and others):
        raise BadConfig(
            f"{wholes[0]} cannot be put together with {(wholes[1:] + others)[0]}; only with plasticity parts."
        )
    if len(own := [name for name, _, card in parts if card.own_policies]) > 1:
        raise BadConfig(
            f"{own[0]} cannot be put together with {own[1]}: both answer old tasks with policies of theirs."
        )
    return sorted(parts, key=lambda part: (ORDER.index(part[2].part), not part[2].own_policies))


def _speaker(parts: Sequence[Part]) -> str:
    """Return the part whose policies are deployed: that with own ones, else the one that retains, else the first."""
    own = [name for name, _, card in parts if card.own_policies]
    retaining = [name for name, _, card in parts if card.part in ("retention", "whole")]
    return (own or retaining or [parts[0][0]])[0]


def card_of(parts: Sequence[Part]) -> Card:
    """Return the card of parts put together."""
    cards = [card for _, _, card in parts]
    return Card(
        part="whole",
        summary=_together(card.summary for card in cards),
        paper=_together(card.paper for card in cards),
        stores=_together(card.stores for card in cards if card.stores != "nothing") or "nothing",
        cost=_together(card.cost for card in cards if card.cost != "nothing") or "nothing",
        knows=tuple(dict.fromkeys(known for card in cards for known in card.knows)),
        joint=any(card.joint for card in cards),
        own_policies=any(card.own_policies for card in cards),
    )


def _together(texts: Iterable[str]) -> str:
    return "; ".join(dict.fromkeys(texts))


def field_name(name: str) -> str:
    """Return what the options of a part are called among those of the whole: its name as an identifier."""
    return name.replace("-", "_").replace(":", "_").replace(".", "_")
