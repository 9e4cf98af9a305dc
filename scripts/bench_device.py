"""Does a GPU pay? Seconds of training on the CPU (one thread) and on the GPU, in turn, for learners of several sizes.

python scripts/bench_device.py                          # prints the table; a few minutes
python scripts/bench_device.py results/gpu.json         # and writes it, as .md too
"""

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch

import nestrl
from nestrl.report.tables import table
from nestrl.training.run_folder import RunFolder, versions

WIDE: dict[str, Any] = {"agent.algorithm": "sac", "agent.network": (256, 256)}
LEARNERS: dict[str, tuple[int, dict[str, Any]]] = {
    "PPO, network 128 128": (131_072, {}),
    "PPO, network 512 512": (131_072, {"agent.network": (512, 512)}),
    "SAC, network 128 128, minibatch 256": (6_016, {"agent.algorithm": "sac"}),
    "SAC, network 256 256, minibatch 256": (6_016, WIDE),
    "SAC, network 256 256, minibatch 1024": (6_016, WIDE | {"agent.hyperparameters.batch_size": 1024}),
    "SAC, network 512 512, minibatch 1024": (
        6_016,
        WIDE | {"agent.network": (512, 512), "agent.hyperparameters.batch_size": 1024},
    ),
}
"""By name: environment steps and settings."""
SHORT = {"evaluations_per_segment": 1, "evaluation_episodes": 4, "final_episodes": 4}


def seconds(steps: int, settings: dict[str, Any], device: str, seed: int) -> float:
    """Return the seconds that training takes, without evaluation."""
    task = nestrl.Task("reach", "nestrl_envs:nestrl/RoverReach-v0")
    sequence = nestrl.TaskSequence("reach-alone", (task,), (nestrl.Segment("reach", steps),))
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "run"
        nestrl.train(sequence, seed=seed, folder=folder, options={**settings, **SHORT, "agent.device": device})
        return float(RunFolder(folder).summary()["seconds"]["training"])


def as_table(found: dict[str, dict[str, list[float]]]) -> str:
    """Return the seconds as Markdown, each run's."""
    devices = list(next(iter(found.values())))
    rows = [
        [name, *(", ".join(f"{value:.1f} s" for value in times[device]) for device in devices)]
        for name, times in found.items()
    ]
    return table(["learner", *devices], rows)


def main() -> None:
    """Measure each learner twice on each device, print the table and write the files."""
    devices = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
    found = {
        name: {device: [seconds(*learner, device, seed) for seed in (0, 1)] for device in devices}
        for name, learner in LEARNERS.items()
    }
    print(as_table(found))
    if len(sys.argv) > 1:
        machine, output = torch.cuda.get_device_name() if "cuda" in devices else "no GPU", Path(sys.argv[1])
        output.write_text(json.dumps({"gpu": machine, "versions": versions(), "seconds": found}, indent=2) + "\n")
        output.with_suffix(".md").write_text(as_table(found) + "\n")


if __name__ == "__main__":
    main()
