"""Settings on the command line: `--set KEY=VALUE`, and `--method.KEY VALUE` for short."""

import ast
import re
from collections.abc import Sequence
from typing import Any

import yaml

from nestrl.errors import BadConfig

_SHORTHAND = re.compile(r"--((?:method|agent)\.[\w.+:-]+)(?:=(.*))?")


def spelled_out(arguments: Sequence[str]) -> list[str]:
    """Return arguments with `--method.KEY VALUE` and `--agent.KEY VALUE` written as `--set method.KEY=VALUE`."""
    spelled: list[str] = []
    rest = iter(arguments)
    for argument in rest:
        short = _SHORTHAND.fullmatch(argument)
        if short is None:
            spelled.append(argument)
            continue
        value = short[2] if short[2] is not None else next(rest, None)
        if value is None:
            raise BadConfig(f"{argument} wants a value.")
        spelled += ["--set", f"{short[1]}={value}"]
    return spelled


def options_in(settings: Sequence[str]) -> dict[str, Any]:
    """Return {key: value} of KEY=VALUE texts; values are Python or YAML: 3, 1e-3, [64, 64], true, text."""
    options = {}
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals:
            raise BadConfig(f"--set wants KEY=VALUE, but came {setting!r}.")
        options[key] = _value(text)
    return options


def _value(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError):
        try:
            return yaml.safe_load(text)
        except (yaml.YAMLError, ValueError):  # ValueError: of a date that there is not
            return text
