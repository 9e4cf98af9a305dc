"""Errors a user can act on: each says in one sentence what came, what was expected and what to do."""

import difflib
from collections.abc import Iterable


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


MANY = 100
"""So many choices are not listed."""


def nearest(word: object, choices: Iterable[str]) -> str:
    """Return " Did you mean 'a' or 'b'?" for the choices close to `word`, else " Choose from: ..." if they are few."""
    choices = sorted(choices)
    close = difflib.get_close_matches(str(word), choices, n=3, cutoff=0.5)
    if close:
        return f" Did you mean {' or '.join(repr(choice) for choice in close)}?"
    return f" Choose from: {', '.join(choices)}." if 0 < len(choices) < MANY else ""
