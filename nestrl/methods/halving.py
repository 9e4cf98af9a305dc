"""Which of several candidates earns most, found in few episodes."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Arm = TypeVar("Arm")
Play = Callable[[Sequence[Arm], int, int], NDArray[np.float64]]
"""Called with k arms, the episodes that each has had, and how many more to play; gives these returns (k, episodes)."""


def successive_halving(arms: Mapping[int, Arm], play: Play[Arm], episodes: int) -> int:
    """Return the key of the arm with the highest mean return, found with about `episodes` episodes an arm.

    Each round spends an equal share of all episodes on the arms that are left (at least one on each), and drops the
    worse half of them (Karnin, Koren and Somekh, 2013, but with the episodes of all rounds in each mean).
    """
    rounds = max(1, math.ceil(math.log2(len(arms))))
    returns: dict[int, list[float]] = {arm: [] for arm in arms}
    left = list(arms)
    while len(left) > 1:
        share = max(1, episodes * len(arms) // rounds // len(left))
        for arm, new in zip(left, play([arms[arm] for arm in left], len(returns[left[0]]), share), strict=True):
            returns[arm].extend(new)
        left.sort(key=lambda arm: -float(np.mean(returns[arm])))
        left = left[: math.ceil(len(left) / 2)]
    return left[0]
