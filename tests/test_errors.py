"""The checks that options share: what passes, and what the message says."""

import math

import pytest

from nestrl.errors import BadConfig, require_not_negative, require_positive, require_share


@pytest.mark.parametrize(
    ("require", "good", "bad", "wanted"),
    [
        (require_positive, (1e-9, 7), (0, -1, math.inf, math.nan), "finite and above 0"),
        (require_not_negative, (0, 3.5), (-1e-9, math.inf, math.nan), "finite and at least 0"),
        (require_share, (0, 0.5, 1), (-0.1, 1.1, math.nan), "between 0 and 1"),
    ],
)
def test_bounds_are_kept_and_named(require, good, bad, wanted):
    for number in good:
        require("ewc", decay=number)
    for number in bad:
        with pytest.raises(BadConfig, match=rf"ewc's strength is {number}; it must be {wanted}\."):
            require("ewc", decay=good[0], strength=number)
