"""How the time of a life grows with its tasks, and that of retention with its memory: seconds on one core.

    python scripts/growth.py            # about five minutes; writes results/growth.json and .md

Every life is the first tasks of mixed-10 with equally many steps each, measured in this one run on this one machine.
Seeds and methods need no measurement: each life is a process of its own, so their time adds up.
"""

import json
import tempfile
from pathlib import Path
from typing import Any

import nestrl
from nestrl.report.tables import table
from nestrl.tasks.named import sequence
from nestrl.tasks.sequence import Segment, TaskSequence
from nestrl.training.display import Display
from nestrl.training.run_folder import RunFolder, versions

OUTPUT = Path(__file__).resolve().parents[1] / "results" / "growth.json"
STEPS = 49_152
"""Environment steps a task."""
SETTINGS = {"evaluations_per_segment": 3, "evaluation_episodes": 16, "final_episodes": 16}
LIVES: dict[str, tuple[int, str, dict[str, Any]]] = {
    **{f"{method}, {n} tasks": (n, method, {}) for method in ("finetune", "cloning", "nested") for n in (2, 5, 10)},
    "cloning, 5 tasks, twice the memory": (5, "cloning", {"method.capacity": 8192}),
    "cloning, 5 tasks, 4 times the samples a step": (5, "cloning", {"method.samples": 2048}),
}
"""By name: number of tasks, method and its options."""


def first_tasks(n: int) -> TaskSequence:
    """Return a life of the first n tasks of mixed-10."""
    tasks = sequence("mixed-10").tasks[:n]
    return TaskSequence(f"first-{n}", tasks, tuple(Segment(task.name, STEPS) for task in tasks))


def measured(n: int, method: str, options: dict[str, Any]) -> dict[str, float]:
    """Live one life; return its seconds by activity, and the bytes that its method stores at the end."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "run"
        nestrl.train(
            first_tasks(n), method=method, seed=0, folder=folder, options={**SETTINGS, **options}, display=Display()
        )
        run = RunFolder(folder)
        stored = run.log_lines("training")[-1]["method"].get("memory_bytes", 0.0)
        return {**run.summary()["seconds"], "memory_bytes": float(stored)}


def as_table(found: dict[str, dict[str, float]]) -> str:
    """Return the lives as Markdown: training a step, an evaluation of all tasks, memory."""
    rows = []
    for name, seconds in found.items():
        n = LIVES[name][0]
        evaluations = n * SETTINGS["evaluations_per_segment"] + 1
        rows.append([
            name,
            f"{1e6 * seconds['training'] / (n * STEPS):.0f} us",
            f"{seconds['evaluation'] / evaluations:.2f} s",
            f"{seconds['memory_bytes'] / 1e6:.1f} MB",
        ])  # fmt: skip
    return table(["life", "training, a step", "evaluation of all tasks", "memory, last task"], rows)


def main() -> None:
    """Measure every life, print the table and write the files."""
    found = {name: measured(*life) for name, life in LIVES.items()}
    OUTPUT.write_text(
        json.dumps({"command": "python scripts/growth.py", "versions": versions(), "lives": found}, indent=2) + "\n"
    )
    OUTPUT.with_suffix(".md").write_text(as_table(found) + "\n")
    print(as_table(found))


if __name__ == "__main__":
    main()
