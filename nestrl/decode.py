"""Plain values (from JSON or the command line) as typed dataclasses, strictly: nothing unknown, nothing mistyped."""

import dataclasses
import sys
import types
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import numpy as np

from nestrl.errors import BadConfig, UnknownName, nearest

T = TypeVar("T")
TOO_LARGE = 2**63
"""Neither NumPy nor torch has whole numbers from here on."""


def decode(kind: type[T], value: Any, where: str) -> T:
    """Return `value` as `kind`: a dataclass, tuple, mapping, union, literal or plain type.

    Numbers may be given as integers where a float is expected, as whole floats (1e6) where an integer is, one element
    where a tuple is, and a tuple of texts as one text with commas. Raises BadConfig, or UnknownName for a key that the
    dataclass has not; both name `where`.
    """
    return _decode(kind, value, where)  # type: ignore[no-any-return]


def decode_in_place(value: Any, where: str) -> None:
    """Make the fields of a frozen dataclass what they are declared as, as `decode` would; for its `__post_init__`."""
    for name, kind in get_type_hints(type(value)).items():
        object.__setattr__(value, name, _decode(kind, getattr(value, name), f"{where}.{name}"))


def plain(value: Any) -> Any:
    """Return a number of NumPy's as one of Python's, anything else as it is."""
    return value.item() if isinstance(value, np.generic) else value


def is_number(value: Any) -> bool:
    """Return whether a value is a finite number that a float can hold; True and False are."""
    return isinstance(value, int | float) and abs(value) <= sys.float_info.max


def _decode(kind: Any, value: Any, where: str) -> Any:
    origin = get_origin(kind) or kind
    value = plain(value)
    if isinstance(value, int) and abs(value) >= TOO_LARGE:
        raise BadConfig(f"{where} is a whole number of {value.bit_length()} bits; it must be below 2**63.")
    if kind is Any or (kind is None and value is None):
        return value
    if origin in (Union, types.UnionType):
        return _first_that_fits(get_args(kind), value, where, kind)
    if origin is Literal and value in get_args(kind):
        return value
    if origin is tuple:
        if isinstance(value, str) and get_args(kind)[:1] == (str,):
            value = [part.strip() for part in value.split(",") if part.strip()]
        return _decode_items(kind, value if isinstance(value, list | tuple) else [value], where)
    if dataclasses.is_dataclass(kind) and isinstance(kind, type) and isinstance(value, kind):
        return value
    if dataclasses.is_dataclass(kind) and isinstance(value, Mapping):
        return _decode_fields(kind, value, where)
    if origin in (Mapping, dict) and isinstance(value, Mapping):
        _, inner = get_args(kind) or (Any, Any)
        return {key: _decode(inner, item, f"{where}.{key}") for key, item in value.items()}
    if origin in (Sequence, list) and isinstance(value, list | tuple):
        (inner,) = get_args(kind) or (Any,)
        return [_decode(inner, item, where) for item in value]
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if kind is int and isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(kind, type) and isinstance(value, kind) and (kind is bool or not isinstance(value, bool)):
        return value
    raise BadConfig(f"{where} is {value!r}; expected {_readable(kind)}.")


def _decode_items(kind: Any, items: Sequence[Any], where: str) -> tuple[Any, ...]:
    """Return items as a tuple of any length (`tuple[int, ...]`) or of a fixed one (`tuple[int, float]`)."""
    kinds = get_args(kind) or (Any, ...)
    if kinds[-1] is Ellipsis:
        return tuple(_decode(kinds[0], item, where) for item in items)
    if len(items) != len(kinds):
        raise BadConfig(f"{where} is {items!r}; expected {_readable(kind)}.")
    return tuple(_decode(inner, item, where) for inner, item in zip(kinds, items, strict=True))


def _first_that_fits(kinds: tuple[Any, ...], value: Any, where: str, union: Any) -> Any:
    for kind in sorted(kinds, key=lambda kind: kind is not type(value)):  # what it is, before what it may become
        if value is None and kind is types.NoneType:
            return None
        try:
            return _decode(kind, value, where)
        except BadConfig:
            continue
    raise BadConfig(f"{where} is {value!r}; expected {_readable(union)}.")


def _decode_fields(kind: Any, values: Mapping[str, Any], where: str) -> Any:
    kinds = get_type_hints(kind)
    names = [field.name for field in dataclasses.fields(kind)]
    for name in values:
        if name not in names:
            raise UnknownName(f"{where} has no option {name!r}.{nearest(name, names) or ' It has none.'}")
    needed = [field.name for field in dataclasses.fields(kind) if _is_required(field) and field.name not in values]
    if needed:
        raise BadConfig(f"{where} lacks {', '.join(needed)}.")
    decoded = {name: _decode(kinds[name], value, f"{where}.{name}") for name, value in values.items()}
    try:
        return kind(**decoded)
    except TypeError as error:  # a value that the dataclass's own check cannot compare
        raise BadConfig(f"{where} does not take {decoded}: {error}.") from error


def _is_required(field: "dataclasses.Field[Any]") -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _readable(kind: Any) -> str:
    if isinstance(kind, type) and not get_args(kind):
        return kind.__name__
    return str(kind).replace("typing.", "").replace("collections.abc.", "")
