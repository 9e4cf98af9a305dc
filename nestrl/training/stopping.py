"""Ctrl-C and SIGTERM (what clusters send before they kill) as a wish to stop at the next place that can be saved."""

import os
import signal
import threading
from contextlib import suppress
from types import FrameType
from typing import Any, Self

SIGNALS = (signal.SIGINT, signal.SIGTERM)
NOTICE = b"\nStopping at the next place that can be saved; once more to stop at once.\n"


class StopRequest:
    """While in this context, the first signal sets `made`, the second raises KeyboardInterrupt at once.

    Outside of the main thread Python allows no handlers, and signals do what they did before.
    """

    def __init__(self) -> None:
        self.made = False
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._notice) for number in SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _notice(self, number: int, frame: FrameType | None) -> None:
        if self.made:
            raise KeyboardInterrupt
        self.made = True
        with suppress(OSError):  # Ctrl-C has ended whoever read the output, too
            os.write(2, NOTICE)  # print is not safe in a signal handler
