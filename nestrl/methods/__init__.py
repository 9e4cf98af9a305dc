"""How skills are kept: the protocol, one file a method, and the table of those that have a name."""

import dataclasses
import importlib
import inspect
import typing
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

from nestrl.decode import decode
from nestrl.errors import BadConfig, UnknownName, in_words, nearest
from nestrl.methods.agem import AGEM
from nestrl.methods.best_start import BestStart
from nestrl.methods.cloning import Cloning
from nestrl.methods.cms import CMS
from nestrl.methods.composed import ORDER, Composed, card_of, field_name, in_order
from nestrl.methods.ewc import EWC
from nestrl.methods.fame import FAME
from nestrl.methods.finetune import Finetune
from nestrl.methods.l2 import L2
from nestrl.methods.mas import MAS
from nestrl.methods.multitask import Multitask
from nestrl.methods.nested import Nested
from nestrl.methods.packnet import PackNet
from nestrl.methods.pcgrad import PCGrad
from nestrl.methods.progress_and_compress import ProgressAndCompress
from nestrl.methods.protocol import Card, Learner, Method, Policy
from nestrl.methods.reset_and_distill import ResetAndDistill
from nestrl.methods.si import SI
from nestrl.methods.snapshots import Snapshots
from nestrl.methods.trac import TRAC
from nestrl.methods.upgd import UPGD

__all__ = [
    "METHODS",
    "Card",
    "Learner",
    "Method",
    "MethodEntry",
    "Policy",
    "as_numbers",
    "find_method",
    "make_method",
    "make_options",
]


class MethodEntry(NamedTuple):
    """How to make a method, the frozen dataclass of its options, and its card."""

    make: Callable[[Any, Learner, int], Method]
    options: type[Any]
    card: Card


METHODS: dict[str, type[Method] | str] = {
    "nested": Nested,
    "finetune": Finetune,
    "l2": L2,
    "ewc": EWC,
    "mas": MAS,
    "si": SI,
    "packnet": PackNet,
    "agem": AGEM,
    "pcgrad": PCGrad,
    "cloning": Cloning,
    "clonex": "cloning+best-start",
    "progress-and-compress": ProgressAndCompress,
    "reset-and-distill": ResetAndDistill,
    "fame": FAME,
    "snapshots": Snapshots,
    "cms": CMS,
    "trac": TRAC,
    "upgd": UPGD,
    "best-start": BestStart,
    "multitask": Multitask,
}
"""Classes by name, and compositions that have a name of their own."""
REQUIRED = tuple(name for name, member in vars(Method).items() if callable(member) and not name.startswith("_"))
"""What every method must be able to do."""


def find_method(name: str) -> MethodEntry:
    """Return the entry of a method.

    name: one of METHODS, `package.module:Name` for a foreign class, or parts put together, "cloning+trac". Raises
    UnknownName when there is none, BadConfig when a foreign class does not declare its options or parts do not go
    together.
    """
    known = METHODS.get(name, name)
    if not isinstance(known, str):
        return _entry(known)
    names = known.split("+")
    if len(names) == 1:
        return _entry(_foreign_class(name))
    if len(set(names)) < len(names):
        raise BadConfig(f"{known} names a part twice.")
    entries = {part: find_method(part) for part in names}
    parts = in_order([(part, entry.make, entry.card) for part, entry in entries.items()])
    fields = [
        (field_name(part), entry.options, dataclasses.field(default_factory=entry.options))
        for part, entry in entries.items()
    ]
    options = dataclasses.make_dataclass(known, fields, frozen=True, namespace={"__doc__": f"Options of {known}."})
    return MethodEntry(partial(Composed, parts), options, card_of(parts))


def make_options(name: str, options: Mapping[str, Any]) -> Any:
    """Return the method's frozen options with these values over its defaults; a composition has a mapping a part.

    Raises UnknownName for an option that the method does not have, BadConfig for a value that it refuses.
    """
    return decode(find_method(name).options, options, f"method {name!r}")


def make_method(name: str, options: Mapping[str, Any], learner: Learner, seed: int) -> Method:
    """Return a new method by name; errors are those of `find_method` and `make_options`."""
    return find_method(name).make(make_options(name, options), learner, seed)


def as_numbers(measurements: Mapping[str, Any]) -> dict[str, float]:
    """Return what a method measures as plain numbers; raises BadConfig for what is none."""
    try:
        return {name: float(value) for name, value in measurements.items()}
    except (AttributeError, TypeError, ValueError) as error:
        raise BadConfig(
            f"The method's measurements() gave {measurements!r}; it must be a mapping, every value a number."
        ) from error


def _entry(method: type[Method]) -> MethodEntry:
    options = typing.get_type_hints(method.__init__).get("options")
    if not (isinstance(options, type) and dataclasses.is_dataclass(options)):
        raise BadConfig(
            f"method {method.__name__!r} must be a class whose __init__ annotates `options` with a frozen dataclass."
        )
    missing = [name for name in REQUIRED if not callable(getattr(method, name, None))]
    if missing:
        raise BadConfig(
            f"method {method.__name__!r} has no {', '.join(missing)}; nestrl.methods.Method says what they do."
        )
    card = getattr(method, "card", None) or _plain_card(method)
    if not isinstance(card, Card) or card.part not in ORDER:
        raise BadConfig(
            f"method {method.__name__!r} has the card {card!r}; it must be a Card whose part is {' or '.join(ORDER)}."
        )
    return MethodEntry(typing.cast(Any, method), options, card)


def _plain_card(method: type[Method]) -> Card:
    """Return the card of a foreign class that has none."""
    summary = (inspect.getdoc(method) or method.__name__).splitlines()[0]
    return Card("whole", summary, "", "unknown", "unknown")


def _foreign_class(name: str) -> type[Method]:
    module_name, colon, class_name = name.partition(":")
    if not colon:
        raise UnknownName(
            f"unknown method {name!r}; a method outside of nestrl is named package.module:Name.{nearest(name, METHODS)}"
        )
    try:
        found: type[Method] = getattr(importlib.import_module(module_name), class_name)
        typing.get_type_hints(found.__init__)
    except Exception as error:  # whatever the user's module does while it is imported
        raise UnknownName(
            f"cannot import method {name!r} ({in_words(error)}). Check the name and that the package is installed."
        ) from error
    if not isinstance(found, type):
        raise BadConfig(f"method {name!r} is a {type(found).__name__}; it must be a class.")
    return found
