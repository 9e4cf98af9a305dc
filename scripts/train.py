"""Train one agent through a sequence of tasks and see how much of each skill is left.

python scripts/train.py --sequence quick-3 --method cloning --seed 0
"""

import argparse

import nestrl


def main() -> None:
    """Train, then print the retention matrix and the metrics."""
    parser = argparse.ArgumentParser(description="Train one agent through a sequence of tasks.")
    parser.add_argument("--sequence", default="quick-3", help="a name from `nestrl list`, or a YAML file")
    parser.add_argument("--method", default="cloning", help="a name from `nestrl list`, or package.module:Class")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()

    run = nestrl.train(arguments.sequence, method=arguments.method, seed=arguments.seed)

    print("success on task j (column) after segment i (row):")
    print("      " + "  ".join(f"{name:>10}" for name in run.config.sequence.task_names))
    for index, row in enumerate(run.retention):
        print(f"{index:>6}" + "  ".join(f"{success:>10.2f}" for success in row))
    print(f"average performance {run.metrics.average_performance:.3f}, forgetting {run.metrics.forgetting:.3f}")
    print(f"everything is in {run.path}")


if __name__ == "__main__":
    main()
