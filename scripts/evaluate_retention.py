"""Measure what finished runs still know: success of every task with its 95 % interval, matrix and metrics.

python scripts/evaluate_retention.py runs/quick-3-finetune-s0 runs/quick-3-cloning-s0 --episodes 200
"""

import argparse

import numpy as np

from nestrl.evaluation.retention import MEASURES
from nestrl.training.result import Run


def main() -> None:
    """Evaluate each run folder anew and print the measures."""
    parser = argparse.ArgumentParser(description="Measure what finished runs still know.")
    parser.add_argument("runs", nargs="+", help="run folders that `nestrl train` made")
    parser.add_argument("--episodes", type=int, default=100, help="evaluation episodes of each task")
    arguments = parser.parse_args()
    for folder in arguments.runs:
        run = Run(folder)
        print(f"\n{folder}: {run.config.method} on {run.config.sequence.name}, seed {run.config.seed}")
        for task, success in run.evaluate(arguments.episodes).items():
            print(f"  {task:12} {success}")
        print(f"  success on task j after segment i:\n{np.round(run.retention, 2)}")
        for name, measure in MEASURES.items():
            value = getattr(run.metrics, name)
            print(f"  {name}: {'unknown' if value is None else f'{value:+.3f}'}. {measure.definition}")


if __name__ == "__main__":
    main()
