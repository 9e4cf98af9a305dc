"""What a run shows while it goes on: a live panel in a terminal, plain lines elsewhere, or nothing."""

import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table

from nestrl.nested.levels import ORDER, SATURATED, UPDATES
from nestrl.training.strips import History, strips

QUIET = (UPDATES, SATURATED)  # measurements that `nestrl levels` and the alarms tell of
LINE_EVERY = 10.0  # seconds between plain lines, beside those of the evaluations


@dataclass(frozen=True)
class Moment:
    """A run as it is now.

    steps, total_steps: done and planned, of the whole sequence. success: of each task at the last evaluation, in 0..1.
    steps_per_second: since this process began, evaluations included; 0 when not known yet.
    """

    title: str
    segment: int
    n_segments: int
    task: str
    steps: int
    total_steps: int
    steps_per_second: float = 0.0
    success: Mapping[str, float] = field(default_factory=dict)
    measurements: Mapping[str, float] = field(default_factory=dict)
    evaluated: bool = False

    @property
    def time_left(self) -> str:
        """As h:mm:ss, or "?" while the speed is not known."""
        if not self.steps_per_second:
            return "?"
        seconds = round(max(0, self.total_steps - self.steps) / self.steps_per_second)
        return f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}"


class Display:
    """Shows a run, of which it is a context; by itself nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def show(self, moment: Moment) -> None:
        """The run has moved on."""

    def say(self, text: str) -> None:
        """Something that the user should know has happened."""


class Plain(Display):
    """One line an evaluation, and one every ten seconds between them, on standard output."""

    def __init__(self) -> None:
        self._last_line = 0.0

    def show(self, moment: Moment) -> None:
        """Print a line if it is time for one."""
        if not moment.evaluated and time.monotonic() - self._last_line < LINE_EVERY:
            return
        self._last_line = time.monotonic()
        line = (
            f"{moment.steps:>9,} / {moment.total_steps:,} steps  segment {moment.segment + 1}/{moment.n_segments} "
            f"{moment.task}  {moment.steps_per_second:,.0f} steps/s  {moment.time_left} left"
        )
        if moment.evaluated:
            line += "  success " + " ".join(f"{task} {rate:.2f}" for task, rate in moment.success.items())
        told = {name: value for name, value in moment.measurements.items() if not name.startswith((*QUIET, ORDER))}
        print(line + "".join(f"  {name} {value:.3g}" for name, value in told.items()), flush=True)

    def say(self, text: str) -> None:
        """Print the text."""
        print(text, flush=True)


class Panelled(Display):
    """A panel that is drawn anew in place: progress, speed, success of every task, what the method measures.

    Of a nested agent it shows each level over the steps of the run, as far as it has been shown here.
    """

    def __init__(self, console: Console) -> None:
        self._live = Live(console=console, refresh_per_second=4)
        self._history = History()

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def show(self, moment: Moment) -> None:
        """Draw the panel."""
        head = Table.grid(padding=(0, 2))
        head.add_row("task", f"[bold]{escape(moment.task)}[/] (segment {moment.segment + 1} of {moment.n_segments})")
        head.add_row("steps", f"{moment.steps:,} of {moment.total_steps:,}")
        head.add_row("speed", f"{moment.steps_per_second:,.0f} steps/s, {moment.time_left} left")
        head.add_row("life", ProgressBar(total=moment.total_steps, completed=moment.steps, width=60))
        tasks = Table.grid(padding=(0, 2))
        for task, rate in moment.success.items():
            style = "bold" if task == moment.task else ""
            bar = ProgressBar(total=1, completed=rate, width=30, complete_style="green", finished_style="green")
            tasks.add_row(f"[{style}]{escape(task)}[/]" if style else escape(task), bar, f"{rate:.2f}")
        self._history.add(moment.steps, moment.segment, moment.measurements)
        levels = Table.grid(padding=(0, 1))
        for level, name, line, value in self._history.rows(moment.total_steps):
            levels.add_row(level, name, f"[cyan]{line}[/]", value)
        drawn = {strip.name for strip in strips(moment.measurements)}
        others = {name: value for name, value in moment.measurements.items() if name not in drawn}
        if drawn:  # the rest of what a nested agent measures would fill the screen
            others = {name: value for name, value in others.items() if not name.startswith(QUIET)}
        measured = "  ".join(f"{name} {value:.3g}" for name, value in others.items())
        self._live.update(Panel(Group(head, tasks, levels, measured), title=escape(moment.title), width=80))

    def say(self, text: str) -> None:
        """Print the text above the panel."""
        self._live.console.print(text, markup=False, highlight=False)


def display_for_here() -> Display:
    """Return a panel when standard output is a terminal, plain lines otherwise."""
    return Panelled(Console()) if sys.stdout.isatty() else Plain()
