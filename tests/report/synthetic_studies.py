"""Results of studies that were never run: a folder with study.yaml, finished.jsonl and references.json, made up."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import yaml

from nestrl.studies.ledger import Record, append

TASKS = ("reach", "slalom", "button", "ice", "door")
ORDERS = (TASKS, TASKS[::-1], ("button", "reach", "door", "slalom", "ice"))
VERSIONS = {"mujoco": "3.17.0", "torch": "2.13.0", "stable-baselines3": "2.9.2", "nestrl": "0.1.0", "git": None}
SEGMENT = 100_000
EVALUATIONS, EPISODES = 5, 16  # evaluations of a segment, episodes of each


def made_up_counts(kept: float, rng: np.random.Generator, n_tasks: int = 5) -> np.ndarray:
    """Return successes (evaluations, n_tasks): learned in turn, then left to shrink towards `kept` of what it was."""
    success = np.zeros((1 + n_tasks * EVALUATIONS, n_tasks))
    for row in range(1, len(success)):
        now = (row - 1) // EVALUATIONS
        for task in range(n_tasks):
            if task == now:
                success[row, task] = min(1.0, 0.28 * (row - now * EVALUATIONS) * rng.uniform(0.7, 1.2))
            elif task < now:
                best = success[(task + 1) * EVALUATIONS, task]
                success[row, task] = best * max(kept, 1 - (1 - kept) * (row - (task + 1) * EVALUATIONS) / 8)
    return rng.binomial(EPISODES, success)


def record(
    method: str = "cloning",
    seed: int = 0,
    counts: np.ndarray | None = None,
    tasks: Sequence[str] = TASKS,
    regime: str = "shared",
    order: int = 0,
    **changes: object,
) -> Record:
    """Return a finished run whose tasks are trained in the order given, evaluated equally often in each segment."""
    n = len(tasks)
    rows = np.array(made_up_counts(0.5, np.random.default_rng(seed), n) if counts is None else counts)
    made = Record(
        cell=f"{method}-{regime}-mixed-5-o{order}-s{seed}",
        method=method,
        method_name=method,
        options={},
        regime=regime,
        sequence="mixed-5",
        order=order,
        tasks=tuple(tasks),
        seed=seed,
        status="finished",
        steps=tuple(int(step) for step in np.linspace(0, n * SEGMENT, len(rows))),
        counts=tuple(tuple(int(count) for count in row) for row in rows),
        episodes=EPISODES,
        segments=tuple((task, task * SEGMENT, (task + 1) * SEGMENT) for task in range(n)),
        final={task: (int(count), EPISODES) for task, count in zip(tasks, rows[-1], strict=True)},
        seconds={"training": 100.0 + seed, "evaluation": 20.0},
        memory_bytes=0 if method == "finetune" else 1_500_000,
        environment_steps=n * SEGMENT,
        network=(64, 64),
        n_parameters=12_345,
        versions=VERSIONS,
    )
    return replace(made, **changes)


def write_study(
    folder: Path, records: Sequence[Record], methods: Sequence[str] | None = None, references: bool = True
) -> Path:
    """Write a study's results; `methods` stand in study.yaml, by default those that have records."""
    folder.mkdir(parents=True, exist_ok=True)
    labels = list(dict.fromkeys(methods or [record.method for record in records]))
    regimes = {regime: {} if regime == "shared" else {"agent.heads": regime} for regime in _regimes(records)}
    plan = {
        "name": folder.name,
        "sequences": ["mixed-5"],
        "orders": [list(order) for order in ORDERS],
        "seeds": max(record.seed for record in records) + 1,
        "methods": {label: {} for label in labels},
        "regimes": regimes,
    }
    (folder / "study.yaml").write_text(yaml.safe_dump(plan, sort_keys=False))
    (folder / "command.txt").write_text("nestrl study study.yaml\n")
    for each in records:
        append(folder / "finished.jsonl", each)
    line = {"steps": [0, SEGMENT], "success": [0.0, 1.0]}  # its area is 1/2
    scratch = line | {"seeds": 3, "standard_error": 0.05, "same_starts": True}
    stored = {regime: {"mixed-5": dict.fromkeys(TASKS, scratch)} for regime in regimes} if references else {}
    (folder / "references.json").write_text(json.dumps(stored))
    return folder


def plausible_study(folder: Path, kept: dict[str, float], seeds: int = 6, regimes: Sequence[str] = ("shared",)) -> Path:
    """Write a study of methods that keep this share of their skills, over three orders."""
    records = []
    for seed in range(seeds):
        for regime in regimes:
            for number, (method, share) in enumerate(kept.items()):
                counts = made_up_counts(share, np.random.default_rng([seed, number, len(regime)]))
                order = seed % len(ORDERS)
                records.append(record(method, seed, counts, ORDERS[order], regime, order))
    return write_study(folder, records)


def _regimes(records: Sequence[Record]) -> list[str]:
    return list(dict.fromkeys(record.regime for record in records))
