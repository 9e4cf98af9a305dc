"""What a task's arguments may be: numbers within a range, said in one sentence where they are not."""

from typing import Any

import numpy as np


def require(name: str, value: Any, low: float, high: float) -> None:
    """Raise ValueError unless `value` is a number from `low` to `high`."""
    if isinstance(value, bool) or not isinstance(value, int | float | np.number) or not low <= value <= high:
        raise ValueError(f"{name} must be a number from {low:g} to {high:g}, not {value!r}")


def require_whole(name: str, value: Any, low: int) -> None:
    """Raise ValueError unless `value` is a whole number, at least `low`."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < low:
        raise ValueError(f"{name} must be a whole number, at least {low}, not {value!r}")


def require_range(name: str, value: Any, low: float, high: float) -> None:
    """Raise ValueError unless `value` is a pair [lowest, highest] of numbers from `low` to `high`."""
    if not isinstance(value, tuple | list) or len(value) != 2:
        raise ValueError(f"{name} must be a pair [lowest, highest], not {value!r}")
    for end in value:
        require(f"each number of {name}", end, low, high)
    if value[0] > value[1]:
        raise ValueError(f"{name} must be a pair [lowest, highest], and {value!r} has the higher one first")
