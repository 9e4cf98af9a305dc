"""What came of trying policies out before a task is learned."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class Trial(NamedTuple):
    """Whole training episodes of one task, the same starts for each of k policies."""

    returns: NDArray[np.float64]
    """(k, episodes), sums of rewards, undiscounted."""
    success: NDArray[np.bool_]
    """(k, episodes), at any step."""
    steps: int
    """Environment steps of all k policies together."""


TryOut = Callable[[Sequence[Any], int, int, int], Trial]
"""Called with k policies, task index, episodes and seed."""
