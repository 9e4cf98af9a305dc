"""Draw how fast each task of a sequence is learned from scratch, from the stored reference curves, and tabulate it.

nestrl reference mixed-10 --seeds 0 1 2 3 4          # trains what is missing: some 20 million steps, an hour on 2 cores
python scripts/learning_curves.py mixed-10           # -> results/learning_curves.csv, .md and .png
python scripts/learning_curves.py cw10-fast results/cw10-fast        # -> results/cw10-fast/learning_curves.csv, ...
"""

import csv
import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from nestrl.errors import BadConfig
from nestrl.evaluation.retention import RATE
from nestrl.evaluation.statistics import Interval, bootstrap_interval, wilson_interval
from nestrl.report.tables import table
from nestrl.training.config import RunConfig
from nestrl.training.from_scratch import EPISODES
from nestrl.training.references import reference_path, stored_curves
from nestrl.training.train import configure

RESULTS = Path(__file__).resolve().parents[1] / "results"
LEARNED = 0.9
Curves = dict[str, tuple[np.ndarray, np.ndarray]]


def main(sequence: str = "mixed-10", folder: str | Path = RESULTS) -> None:
    """Write the table, the numbers and the picture."""
    curves, path = read(configure(sequence)), Path(folder) / "learning_curves"
    write_numbers(curves, path.with_suffix(".csv"))
    path.with_suffix(".md").write_text(summary(curves))
    draw(curves, path.with_suffix(".png"))
    print(summary(curves))


def read(config: RunConfig) -> Curves:
    """Return steps (n,) and success (n_seeds, n) of each task."""
    found = {}
    for name in config.sequence.task_names:
        stored = stored_curves(reference_path(config, name))
        if not stored:
            raise BadConfig(f"no curve of {name} is stored; run: nestrl reference {config.sequence.name}")
        found[name] = next(iter(stored.values()))[0], np.stack([success for _, success in stored.values()])
    return found


def summary(curves: Curves) -> str:
    """Return a Markdown table: when each task is learned, and how well it stands at the end."""
    rows = []
    for name, (steps, success) in curves.items():
        reached = [steps[row >= LEARNED][0] if (row >= LEARNED).any() else np.inf for row in success]
        when = "; ".join(f"{value / 1000:.0f}k" if np.isfinite(value) else "not" for value in _median_and_last(reached))
        interval = at_the_end(success[:, -1])
        end = f"{interval.estimate:.3f} ({interval.low:.3f} to {interval.high:.3f}) of {steps[-1] / 1000:.0f}k steps"
        rows.append([name, str(len(success)), when, end])
    steps_to = f"steps to success {LEARNED} (median; slowest)"
    return table(["task", "seeds", steps_to, "success at the end (95 % interval)"], rows) + "\n"


def at_the_end(success: NDArray[np.float64]) -> Interval:
    """Return the mean over seeds (n,) with an interval that holds both the seeds' and the episodes'.

    Seeds differ by more than their episodes explain; where they agree to the last episode, resampling them finds no
    width at all. One seed has the episodes' alone.
    """
    episodes = EPISODES * len(success)
    of_episodes = wilson_interval(round(float(success.mean()) * episodes), episodes)
    of_seeds = bootstrap_interval(success, np.mean, np.random.default_rng(0)).within(RATE)
    low, high = np.fmin(of_seeds.low, of_episodes.low), np.fmax(of_seeds.high, of_episodes.high)
    return Interval(of_episodes.estimate, float(low), float(high))


def _median_and_last(values: list[float]) -> tuple[float, float]:
    return float(np.median(values)), max(values)


def write_numbers(curves: Curves, path: Path) -> None:
    """Write every point: task, seed number, steps, success."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["task", "seed", "steps", "success"])
        for name, (steps, success) in curves.items():
            for seed, row in enumerate(success):
                writer.writerows([name, seed, step, value] for step, value in zip(steps, row, strict=True))


def draw(curves: Curves, path: Path) -> None:
    """Draw one panel a task: every seed thin, the mean thick."""
    figure = Figure(figsize=(11, 4.6), layout="constrained")
    panels = figure.subplots(2, (len(curves) + 1) // 2, sharey=True).ravel()
    for panel, (name, (steps, success)) in zip(panels, curves.items(), strict=False):
        panel.plot(steps / 1000, success.T, color="#56B4E9", linewidth=0.7)
        panel.plot(steps / 1000, success.mean(axis=0), color="#0072B2", linewidth=2)
        panel.axhline(LEARNED, color="#E69F00", linewidth=0.8, linestyle="--")
        panel.set_title(name, fontsize=9)
        panel.tick_params(labelsize=7)
        panel.spines[["top", "right"]].set_visible(False)
    figure.supxlabel("thousand environment steps", fontsize=9)
    figure.supylabel(f"success ({EPISODES} episodes)", fontsize=9)
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main(*sys.argv[1:])
