"""How skills are kept: the protocol, one file a method, and the table of those that have a name."""

import dataclasses
import importlib
import inspect
import typing
from collections.abc import Mapping
from typing import Any, NamedTuple

from nestrl.errors import BadConfig, UnknownName, nearest
from nestrl.methods.cloning import Cloning, CloningOptions
from nestrl.methods.finetune import Finetune, FinetuneOptions
from nestrl.methods.protocol import Learner, Method, Policy

__all__ = ["METHODS", "Learner", "Method", "MethodEntry", "Policy", "find_method", "make_method", "make_options"]


class MethodEntry(NamedTuple):
    """A method's class, the frozen dataclass of its options, and one line about it."""

    method: type[Method]
    options: type[Any]
    summary: str


METHODS: dict[str, MethodEntry] = {
    "finetune": MethodEntry(Finetune, FinetuneOptions, "nothing is kept: plain training on one task after the other"),
    "cloning": MethodEntry(Cloning, CloningOptions, "holds the policy to what it did at the end of each earlier task"),
}


def find_method(name: str) -> MethodEntry:
    """Return the entry of a method by its name in METHODS, or made for a foreign one named `package.module:Name`.

    Raises UnknownName when there is none, BadConfig when a foreign class does not declare its options.
    """
    if name in METHODS:
        return METHODS[name]
    if ":" not in name:
        raise UnknownName(
            f"unknown method {name!r}; a method outside of nestrl is named package.module:Name.{nearest(name, METHODS)}"
        )
    return _foreign_entry(name)


def make_options(name: str, options: Mapping[str, Any]) -> Any:
    """Return the method's frozen options with these values over its defaults.

    Raises UnknownName for an option that the method does not have, BadConfig for a value that it refuses.
    """
    entry = find_method(name)
    known = [field.name for field in dataclasses.fields(entry.options)]
    for option in options:
        if option not in known:
            advice = nearest(option, known) or " It has none."
            raise UnknownName(f"method {name!r} has no option {option!r}.{advice}")
    try:
        return entry.options(**options)
    except TypeError as error:  # a value missing, or of a type that the method's own check cannot compare
        raise BadConfig(f"options {dict(options)} do not fit method {name!r}: {error}.") from error


def make_method(name: str, options: Mapping[str, Any], learner: Learner, seed: int) -> Method:
    """Return a new method by name; errors are those of `find_method` and `make_options`."""
    method: Method = find_method(name).method(make_options(name, options), learner, seed)  # type: ignore[call-arg]
    return method


def _foreign_entry(name: str) -> MethodEntry:
    module_name, _, class_name = name.partition(":")
    try:
        method = getattr(importlib.import_module(module_name), class_name)
        options = typing.get_type_hints(method.__init__).get("options")
    except (ImportError, AttributeError, ValueError) as error:
        raise UnknownName(
            f"cannot import method {name!r}: {error}. Check the name and that the package is installed."
        ) from error
    if not dataclasses.is_dataclass(options):
        raise BadConfig(f"method {name!r} must be a class whose __init__ annotates `options` with a frozen dataclass.")
    return MethodEntry(method, typing.cast(type[Any], options), (inspect.getdoc(method) or name).splitlines()[0])
