"""Where the wall clock of a run goes."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager


class Stopwatch:
    """Seconds by activity, summed over everything that was done under `stopwatch.timing(activity)`."""

    def __init__(self) -> None:
        self.seconds = dict.fromkeys(("training", "evaluation", "checkpoint", "final evaluation"), 0.0)
        self.began = time.monotonic()

    @contextmanager
    def timing(self, activity: str) -> Iterator[None]:
        """Add the time spent inside to the activity."""
        began = time.monotonic()
        try:
            yield
        finally:
            self.seconds[activity] += time.monotonic() - began

    def add(self, seconds: Mapping[str, float]) -> None:
        """Go on from what an earlier process has spent."""
        self.seconds = {activity: spent + seconds.get(activity, 0.0) for activity, spent in self.seconds.items()}
