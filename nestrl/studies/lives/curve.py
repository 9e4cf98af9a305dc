"""The learning curve over lives: a row a generation, as a table, a CSV file and a picture."""

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from nestrl.studies.lives.journal import Journal, candidate_fitness, measured_fitness, names
from nestrl.studies.lives.plan import CONSTANTS, MEAN, LivesPlan
from nestrl.training.writing import write_figure, write_file

DOTS, LINE, RIVAL = "#BBBBBB", "#0072B2", "#D55E00"  # Okabe and Ito (2008): told apart by colour-blind eyes
SIZE = (6.4, 5.2)  # inches


@dataclass(frozen=True)
class Row:
    """A generation: how fit its candidates were, and what was measured on the same lives. None: not lived (yet)."""

    generation: int
    lives: int
    """That its distribution had been learned from."""
    population: float | None
    """Mean fitness of the candidates."""
    best: float | None
    """Of the best candidate, which luck favours."""
    mean: float | None
    """Of the distribution's mean."""
    constants: float | None
    """Of phi = 0."""

    @property
    def gain(self) -> float | None:
        """Return the fitness of the mean minus that of the constants, on the same lives."""
        return None if self.mean is None or self.constants is None else self.mean - self.constants


def learning_curve(plan: LivesPlan, journal: Journal) -> list[Row]:
    """Return a row for each generation that has something to show."""
    rows = []
    for generation in range(journal.last_generation + 1):
        fitness = candidate_fitness(plan, journal.generation(generation, names(plan)))
        population, best = (float(np.mean(fitness)), max(fitness)) if fitness else (None, None)
        measured = [measured_fitness(plan, journal, generation, name) for name in (MEAN, CONSTANTS)]
        row = Row(generation, generation * plan.settings.lives_per_generation, population, best, *measured)
        if any(value is not None for value in (population, *measured)):
            rows.append(row)
    return rows


def table(rows: Sequence[Row]) -> str:
    """Return the rows as Markdown, aligned so that a terminal shows them well too."""
    head = ["lives before", "population", "best", "mean", "constants", "mean - constants"]
    cells = [
        [str(row.lives), *map(_number, (row.population, row.best, row.mean, row.constants)), _number(row.gain, "+.3f")]
        for row in rows
    ]
    widths = [max(map(len, column)) for column in zip(head, *cells, strict=True)]
    lines = [head, ["-" * (width - 1) + ":" for width in widths], *cells]
    return "\n".join(f"| {' | '.join(map(str.rjust, line, widths))} |" for line in lines)


def write_table(path: Path, rows: Sequence[Row]) -> None:
    """Write the rows as CSV. Raises NestrlError when the disk is full."""
    text = io.StringIO()
    writer = csv.DictWriter(text, [item.name for item in fields(Row)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(map(asdict, rows))
    write_file(path, text.getvalue().encode())


def write_picture(path: Path, rows: Sequence[Row]) -> None:
    """Draw the rows into a PNG file. Raises NestrlError when the disk is full."""
    write_figure(path, _drawn(rows))


def _drawn(rows: Sequence[Row]) -> Figure:
    figure = Figure(figsize=SIZE, layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=[2, 1])
    _draw(above, rows, "best", color=DOTS, linestyle="", marker=".", label="best candidate")
    _draw(above, rows, "population", color=DOTS, label="mean of the candidates")
    _draw(above, rows, "mean", color=LINE, marker="o", label="the distribution's mean")
    _draw(above, rows, "constants", color=RIVAL, marker="s", linestyle="--", label="constants")
    above.set_ylabel("fitness (other lives in each generation)", fontsize=8)
    above.legend(fontsize=8)
    _draw(below, rows, "gain", color=LINE, marker="o")
    below.axhline(0, color="black", linewidth=0.6)
    below.set_ylabel("mean - constants,\non the same lives", fontsize=8)
    below.set_xlabel("lives learned from", fontsize=8)
    for axes in (above, below):
        axes.tick_params(labelsize=7)
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def _draw(axes: Any, rows: Sequence[Row], name: str, **style: Any) -> None:
    points = [(row.lives, getattr(row, name)) for row in rows if getattr(row, name) is not None]
    axes.plot([lives for lives, _ in points], [value for _, value in points], linewidth=1.2, markersize=4, **style)


def _number(value: float | None, form: str = ".3f") -> str:
    return "" if value is None else format(value, form)
