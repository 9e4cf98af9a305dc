"""Which task a single observation belongs to, among ten, under random actions: what can be recognised without a label.

    python scripts/recognition.py     # a minute; writes results/recognition.md

The recognizer is fitted to 2,048 observations of each of mixed-10's tasks, as `identity=observed` does, and asked about
observations of other episodes.
"""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nestrl.agents.environments import make_environment
from nestrl.identity.recognizer import Recognizer
from nestrl.identity.unlabelled_testing import SAMPLES
from nestrl.report.tables import table
from nestrl.tasks.named import sequence
from nestrl.tasks.sequence import Task

OUTPUT = Path(__file__).resolve().parents[1] / "results" / "recognition.md"
SEEDS, SIMULATIONS, STEPS = (0, 1, 2), 32, 200
OTHERS = 1000
"""Added to a seed: episodes that the recognizer was not fitted to."""
OFTEN = 0.05
"""Share of a task's observations that are taken for another one, from which on that one is named."""


def observed(task: Task, seed: int) -> Tensor:
    """Return SAMPLES observations (m, D), evenly spaced over some episodes with random actions."""
    simulations = make_environment(task, SIMULATIONS)
    simulations.action_space.seed(seed)
    seen = [simulations.reset(seed=seed)[0]]
    seen += [simulations.step(simulations.action_space.sample())[0] for _ in range(STEPS)]
    simulations.close()
    rows = np.concatenate(seen)
    return torch.from_numpy(rows[np.linspace(0, len(rows) - 1, SAMPLES).astype(int)])


def confusion(known: list[Tensor], asked: list[Tensor]) -> NDArray[np.float64]:
    """Return the share (k, k) of each task's observations that are taken for each one."""
    recognizer = Recognizer(known[0].shape[1])
    recognizer.fit(dict(enumerate(known)))
    return np.array([np.bincount(recognizer.tasks(rows).numpy(), minlength=len(known)) / len(rows) for rows in asked])


def main() -> None:
    """Write the table."""
    tasks = sequence("mixed-10").tasks
    names = np.array([task.name for task in tasks])
    found = []
    for seed in SEEDS:
        known, asked = ([observed(task, start + seed) for task in tasks] for start in (0, OTHERS))
        found.append(confusion(known, asked))
    rows = []
    for i, row in enumerate(np.mean(found, axis=0)):
        mistaken = [j for j in np.argsort(-row) if j != i and row[j] > OFTEN]
        rows.append([names[i], f"{row[i]:.2f}", ", ".join(f"{names[j]} ({row[j]:.2f})" for j in mistaken)])
    overall = [float(shares.diagonal().mean()) for shares in found]
    rows.append(["all", f"{min(overall):.2f} to {max(overall):.2f} ({len(SEEDS)} seeds)", ""])
    OUTPUT.write_text(table(["task", "recognised", "taken for"], rows) + "\n")
    print(OUTPUT.read_text())


if __name__ == "__main__":
    main()
