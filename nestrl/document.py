"""A YAML file that knows the line of every key, so that a mistake in it can be shown where it stands."""

import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from functools import reduce
from operator import getitem
from pathlib import Path
from typing import Any

import yaml

from nestrl.decode import decode
from nestrl.errors import BadConfig, NestrlError, nearest

TEXT = ("tag:yaml.org,2002:str", "tag:yaml.org,2002:merge")
"""Tags of keys: "name", and "<<", which takes in another mapping."""
MOST_VALUES = 100_000
"""No file for people has more; a few aliases of aliases stand for billions."""
Place = tuple[str | int, ...]
"""The keys (and positions in lists) that lead to a value: ("methods", "ewc", "strength")."""


class Loader(yaml.SafeLoader):
    """YAML with the numbers of YAML 1.2: 3e-4 and 1e6, which PyYAML takes for text."""


Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"), list("-+.0123456789")
)


class Document:
    """The values of a YAML file, and where each stands."""

    def __init__(self, path: Path) -> None:
        """Read the file. Raises BadConfig when it cannot be read, is not a YAML mapping, or has a key twice."""
        self.path = path
        self._lines: dict[Place, int] = {}
        try:
            text = path.read_text(encoding="utf-8")
            node = yaml.compose(text, Loader)
            values = yaml.load(text, Loader)
        except OSError as error:
            hint = "" if path.is_absolute() else f" Paths count from the current folder, {Path.cwd()}."
            raise BadConfig(f"{path} cannot be read: {error.strerror}.{hint}") from error
        except (yaml.YAMLError, ValueError) as error:  # ValueError: of a date that there is not, or not UTF-8
            raise BadConfig(f"{path} is not YAML: {' '.join(str(error).split())}.") from error
        except RecursionError as error:
            raise BadConfig(f"{path} has values within values, too deep to be read.") from error
        if not isinstance(values, dict) or node is None:
            raise BadConfig(f"{path} must be a mapping of keys and values, not {values!r}.")
        self.values: Mapping[Any, Any] = values
        self._note_lines(node, (), ())

    def where(self, *place: str | int) -> str:
        """Return "FILE, line N" of a key, or of the nearest thing around it."""
        while place not in self._lines:
            place = place[:-1]
        return f"{self.path}, line {self._lines[place]}"

    @contextmanager
    def at(self, *place: str | int) -> Iterator[None]:
        """Turn a NestrlError raised inside into a BadConfig that begins with the file and the line of a key."""
        try:
            yield
        except NestrlError as error:
            raise BadConfig(f"{self.where(*place)}: {error}") from error

    def read(
        self,
        kinds: Mapping[str, Any],
        what: str,
        *place: str | int,
        required: Collection[str],
        others: Collection[str] = (),
    ) -> dict[str, Any]:
        """Return what a mapping in the file has of the keys in `kinds`, each decoded as its kind; `others` are let be.

        Raises BadConfig with the line of a key that is unknown, missing or of another kind.
        """
        values: Any = reduce(getitem, place, self.values)
        if not isinstance(values, Mapping):
            raise BadConfig(f"{self.where(*place)}: {what} must be a mapping with {', '.join(kinds)}, not {values!r}.")
        known = [*kinds, *others]
        for key in values:
            if key not in known:
                raise BadConfig(f"{self.where(*place, key)}: {what} has no key {key!r}.{nearest(str(key), known)}")
        for key in required:
            if key not in values:
                raise BadConfig(f"{self.where(*place)}: {what} has no {key!r}; add it.")
        found = {}
        for key, kind in kinds.items():
            if key in values:
                with self.at(*place, key):
                    found[key] = decode(kind, values[key], key)
        return found

    def _note_lines(self, node: yaml.Node, place: Place, around: tuple[yaml.Node, ...]) -> None:
        self._lines.setdefault(place, node.start_mark.line + 1)
        if len(self._lines) > MOST_VALUES:
            raise BadConfig(f"{self.path} stands for more than {MOST_VALUES:,} values; take aliases out of it.")
        if any(node is outer for outer in around):
            raise BadConfig(f"{self.path}, line {node.start_mark.line + 1}: an alias stands within what it stands for.")
        around = (*around, node)
        if isinstance(node, yaml.SequenceNode):
            for index, item in enumerate(node.value):
                self._note_lines(item, (*place, index), around)
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                line = key.start_mark.line + 1
                if key.tag not in TEXT:
                    raise BadConfig(
                        f"{self.path}, line {line}: the key {key.value!r} must be a text; put it in quotes."
                    )
                inner = (*place, key.value)
                if inner in self._lines:
                    raise BadConfig(
                        f"{self.path}, line {line}: {key.value!r} stands already in line {self._lines[inner]}; "
                        "remove one of them."
                    )
                self._lines[inner] = line
                self._note_lines(value, inner, around)
