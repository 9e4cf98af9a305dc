"""How far the fast policy may drift from what the slow one answers for: the same segments, from the same checkpoints.

    python scripts/leeway.py 1310 1311     # development lives by their seeds, 12 minutes of a core each
    -> results/leeway.csv and results/leeway.md

A life of ten tasks is lived with no leeway and without races. From its checkpoint at the start of each segment but the
first three this segment is learned again with each of the others, so that nothing else differs.
"""

import csv
import json
import random
import shutil
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

import nestrl
from nestrl.methods.nested import Nested
from nestrl.nested.levels import REMOVABLE
from nestrl.report.tables import table
from nestrl.tasks.named import sequence
from nestrl.training.run_folder import RunFolder

ROOT = Path(__file__).resolve().parents[1]
RUNS, FOUND = ROOT / "runs" / "leeway", ROOT / "results" / "leeway.csv"
OTHERS = (10 / 3, 10.0)
"""Beside 1, in drift limits: .1 and .3 nats."""
MEASURED = ("new", "old", "drift")
FIRST = 3
"""The first segment that is learned again: before it there is little to drift from."""


class SegmentOver(Exception):
    """The segment to be learned again is over."""


class Marked(Nested):
    """The nested agent, whose run is copied at each boundary, or which stops at the next one."""

    at_boundary: Any = staticmethod(lambda segment: None)

    def begin(self, segment_index: int, task_index: int) -> None:
        """Tell that a segment begins, of which nothing is done yet."""
        Marked.at_boundary(segment_index)
        super().begin(segment_index, task_index)


def live(seed: int) -> None:
    """Live a life without leeway, and learn its later segments again with leeway."""
    life = sequence(ROOT / "scripts" / "studies" / "dev-10.yaml")
    names = list(life.task_names)
    random.Random(seed).shuffle(names)
    whole = RUNS / f"{seed}"
    levels = [level for level in REMOVABLE if level != "rival"]
    options = {"method.levels": ",".join(levels), "method.leeway": 1, "final_episodes": 1}
    Marked.at_boundary = lambda segment: segment >= FIRST and shutil.copytree(whole, RUNS / f"{seed}-{segment}")
    nestrl.train(life.reordered(names), method=f"{__name__}:Marked", seed=seed, options=options, folder=whole)
    for place in range(FIRST, len(names)):
        for leeway in OTHERS:
            _again(seed, place, leeway)
        _write(seed, place, names[place])


def _again(seed: int, place: int, leeway: float) -> None:
    folder = RUNS / f"{seed}-{place}-{leeway:.1f}"
    shutil.copytree(RUNS / f"{seed}-{place}", folder)
    config = json.loads((folder / "config.json").read_text())
    config["method_options"]["leeway"] = leeway
    (folder / "config.json").write_text(json.dumps(config))
    Marked.at_boundary = lambda segment: _stop_after(place, segment)
    with suppress(SegmentOver):
        nestrl.resume(folder)


def _stop_after(place: int, segment: int) -> None:
    if segment > place:
        raise SegmentOver


def _write(seed: int, place: int, task: str) -> None:
    """Add a line for each leeway: success in training over the segment, the old tasks' in evaluation at its end."""
    folders = {1.0: RUNS / f"{seed}"} | {leeway: RUNS / f"{seed}-{place}-{leeway:.1f}" for leeway in OTHERS}
    new = not FOUND.exists()
    with FOUND.open("a", newline="") as file:
        writer = csv.writer(file)
        if new:
            writer.writerow(["seed", "place", "task", "leeway", *MEASURED])
        for leeway, folder in folders.items():
            writer.writerow([seed, place, task, f"{leeway:.1f}", *measured(RunFolder(folder), place, task)])


def measured(folder: RunFolder, place: int, task: str) -> Iterator[str]:
    """Yield mean success in training over a segment, mean success of the earlier tasks at its end, the last drift."""
    lines = [line for line in folder.log_lines("training") if line["task"] == task]
    yield f"{np.mean([line['method']['inner'] for line in lines]):.3f}"
    earlier = [segment.task for segment in folder.config().sequence.segments[:place]]
    end = next(line for line in folder.log_lines("evaluation") if line["steps"] >= lines[-1]["steps"])
    yield f"{np.mean([end['success'][name] for name in earlier]):.3f}"
    yield f"{lines[-1]['method']['drift']:.3f}"


def as_table() -> str:
    """Return a row a leeway: means over all segments, and of the differences to none."""
    rows = list(csv.DictReader(FOUND.open()))
    names = list(dict.fromkeys(row["leeway"] for row in rows))
    found = {
        name: {k: np.array([float(row[k]) for row in rows if row["leeway"] == name]) for k in MEASURED}
        for name in names
    }
    cells = []
    for name, of_each in found.items():
        means = [f"{of_each[k].mean():.2f}" for k in MEASURED]
        gains = [of_each[k] - found["1.0"][k] for k in ("new", "old")]
        cells.append([name, str(len(of_each["new"])), *means, *(f"{gain.mean():+.3f}" for gain in gains)])
    head = ["leeway", "segments", "new task", "old tasks", "drift, nats", "new task: gain", "old tasks: gain"]
    return table(head, cells)


def main() -> None:
    """Live the lives of the given seeds, and write the table."""
    for seed in sys.argv[1:]:
        live(int(seed))
    FOUND.with_suffix(".md").write_text(as_table() + "\n")


if __name__ == "__main__":
    main()
