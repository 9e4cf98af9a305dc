"""How the training episodes of a segment went, as sums: two tallies give the episodes between them."""

from typing import NamedTuple

ENOUGH = 30
"""Episodes from which on a mean return and its standard error are worth reading."""


class Tally(NamedTuple):
    """Finished episodes, all begun in one segment, in n simulations side by side.

    The last hundred of them are no measure: n simulations start at once, so failures all end together at the horizon,
    and their share rings. Whole rounds, `n` episodes and more, are.
    """

    simulations: int
    episodes: int = 0
    returns: float = 0.0
    """Sum of their returns."""
    squares: float = 0.0
    """Sum of their squared returns."""
    successes: int = 0

    @property
    def rounds(self) -> float:
        """Episodes a simulation."""
        return self.episodes / self.simulations

    @property
    def mean(self) -> float:
        """Mean return; nan without episodes."""
        return self.returns / self.episodes if self.episodes else float("nan")

    @property
    def variance(self) -> float:
        """Variance of the returns; nan without episodes."""
        return max(0.0, self.squares / self.episodes - self.mean**2) if self.episodes else float("nan")

    @property
    def success(self) -> float:
        """Share that succeeded, in 0..1; nan without episodes."""
        return self.successes / self.episodes if self.episodes else float("nan")

    @property
    def squared_error(self) -> float:
        """Squared standard error of the mean return; nan without episodes."""
        return self.variance / self.episodes if self.episodes else float("nan")

    def since(self, earlier: "Tally") -> "Tally":
        """Return the episodes that came after an earlier tally of the same segment."""
        return Tally(
            self.simulations,
            self.episodes - earlier.episodes,
            self.returns - earlier.returns,
            self.squares - earlier.squares,
            self.successes - earlier.successes,
        )

    def plus(self, other: "Tally") -> "Tally":
        """Return the episodes of both, side by side."""
        return Tally(
            self.simulations + other.simulations,
            self.episodes + other.episodes,
            self.returns + other.returns,
            self.squares + other.squares,
            self.successes + other.successes,
        )
