"""Errors a user can act on: each says in one sentence what came, what was expected and what to do."""

import difflib
import math
import traceback
from collections.abc import Callable, Iterable, Mapping


class NestrlError(Exception):
    """A user's mistake, or a failure of the world around; the command line prints it and exits with code 2."""


class UnknownName(NestrlError, LookupError):
    """An environment, sequence, method, task or option that nobody registered."""


class BadConfig(NestrlError, ValueError):
    """A configuration, file or space that cannot be used as it is."""


class EnvironmentFault(NestrlError):
    """An environment that raised, or gave NaN, infinite or wrongly shaped values."""


class TrainingDiverged(NestrlError):
    """A loss or parameter that became NaN or infinite."""


class DamagedCheckpoint(NestrlError):
    """A checkpoint that is cut short, altered or not ours."""


class RunExists(NestrlError):
    """A run folder that is already there."""


def require_positive(owner: str, **numbers: float) -> None:
    """Raise BadConfig for a number of `owner` that is not finite and above 0."""
    _require(owner, numbers, "finite and above 0", lambda number: 0 < number < math.inf)


def require_not_negative(owner: str, **numbers: float) -> None:
    """Raise BadConfig for a number of `owner` that is not finite and at least 0."""
    _require(owner, numbers, "finite and at least 0", lambda number: 0 <= number < math.inf)


def require_share(owner: str, **numbers: float) -> None:
    """Raise BadConfig for a number of `owner` that is not between 0 and 1."""
    _require(owner, numbers, "between 0 and 1", lambda number: 0 <= number <= 1)


def _require(owner: str, numbers: Mapping[str, float], wanted: str, fits: Callable[[float], bool]) -> None:
    for name, number in numbers.items():
        if not fits(number):
            raise BadConfig(f"{owner}'s {name} is {number}; it must be {wanted}.")


def in_words(error: BaseException) -> str:
    """Return what a foreign error is and says, in one line; where it says nothing, the line that raised it."""
    kind, text = type(error).__name__, " ".join(str(error).split())
    if text:
        return f"{kind}: {text}"
    raised = traceback.extract_tb(error.__traceback__)[-1:]
    return f"{kind} in {raised[0].filename}, line {raised[0].lineno}: {raised[0].line}" if raised else kind


MANY = 100
"""So many choices are not listed."""


def nearest(word: object, choices: Iterable[str]) -> str:
    """Return " Did you mean 'a' or 'b'?" for the choices close to `word`, else " Choose from: ..." if they are few."""
    choices = sorted(choices)
    close = difflib.get_close_matches(str(word), choices, n=3, cutoff=0.5)
    if close:
        return f" Did you mean {' or '.join(repr(choice) for choice in close)}?"
    return f" Choose from: {', '.join(choices)}." if 0 < len(choices) < MANY else ""
