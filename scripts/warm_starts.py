"""What it is of a network that has learned one task that slows it in the next: parts of it begun afresh, or made quiet.

    python scripts/warm_starts.py        # about fifteen minutes of a core; writes results/warm_starts.json and .md

Each network learns a Meta-World task outside Continual World, and then, from the same weights, another one in each of
the ways of STARTS. Critic and exploration noise are fresh in all of them, as at every boundary. Runs from which the
file has results are not made again.
"""

import json
import tempfile
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from torch import Tensor

from nestrl import Segment, TaskSequence, train
from nestrl.agents.tally import Tally
from nestrl.methods.finetune import Finetune, FinetuneOptions
from nestrl.methods.protocol import Learner, Observations
from nestrl.report.tables import table
from nestrl.tasks.continual_world import LEARNER, meta_world_task
from nestrl.training.display import Display
from nestrl.training.run_folder import RunFolder
from nestrl.updates.values import flattened, put_values, values_of
from replay_race import measured, tallies_of

OUTPUT = Path(__file__).resolve().parents[1] / "results" / "warm_starts.json"
PAIRS = (("coffee-push", "button-press-topdown"), ("pick-place", "door-open"))
SEEDS = (1000, 1001)
LEARNED, WATCHED = 200_000, 60_000
"""Steps of the first and of the second task."""
WINDOW = 16_000
"""The last steps whose episodes are shown."""
QUIET = 0.03
STARTS = {
    "as it is": (),
    "all fresh": ("trunk_0", "trunk_1", "head"),
    "fresh head": ("head",),
    "fresh first block": ("trunk_0",),
    f"head times {QUIET}": ("quiet",),
}
"""Which groups of the actor's parameters are fresh; or whether its head is made so much quieter."""
SETTINGS = {"evaluations_per_segment": 1, "evaluation_episodes": 8, "final_episodes": 8}


class Begun(Finetune):
    """Fine-tuning that begins with a network from elsewhere, some of it fresh."""

    network: ClassVar[list[Tensor] | None] = None
    """What it begins with; after a run, what was learned."""
    start: ClassVar[tuple[str, ...]] = ()

    def __init__(self, options: FinetuneOptions, learner: Learner, seed: int) -> None:
        super().__init__(options, learner, seed)
        self._groups = learner.actor_groups()

    def begin(self, segment_index: int, task_index: int) -> None:
        """Take over the network, but for its exploration noise and what is to be fresh."""
        if Begun.network is None:
            return
        fresh = {name: values_of(self._groups[name]) for name in ("log_std", *self.start) if name in self._groups}
        put_values(Begun.network, flattened(self._groups))
        for name, values in fresh.items():
            put_values(values, self._groups[name])
        if "quiet" in self.start:
            put_values([QUIET * values for values in values_of(self._groups["head"])], self._groups["head"])

    def end(self, segment_index: int, task_index: int, observations: Observations) -> None:
        """Leave what was learned to the next run."""
        Begun.network = values_of(flattened(self._groups))

    def measurements(self) -> dict[str, float]:
        """Return the tally of the training episodes."""
        return measured(self._learner.tally)


def learned(pair: tuple[str, str], task: str, steps: int, seed: int) -> list[Tally]:
    """Learn one task of a pair, whose network knows both; return the tally of the episodes after each rollout."""
    sequence = TaskSequence("pair", tuple(map(meta_world_task, pair)), (Segment(task, steps),), agent=LEARNER)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "run"
        train(sequence, "warm_starts:Begun", seed=seed, options=SETTINGS, folder=folder, display=Display())
        return [tally for _, tally in tallies_of(RunFolder(folder))]


def measure(pair: tuple[str, str], seed: int, found: dict[str, Any]) -> None:
    """Learn the first task of a pair, then the second from every start; write the tallies down."""
    wanted = {name: " > ".join((*pair, str(seed), name)) for name in STARTS}
    if all(key in found for key in wanted.values()):
        return
    Begun.network, Begun.start = None, ()
    learned(pair, pair[0], LEARNED, seed)
    network = Begun.network
    for name, start in STARTS.items():
        Begun.network, Begun.start = network, start
        found[wanted[name]] = learned(pair, pair[1], WATCHED, seed)
        OUTPUT.write_text(json.dumps(found, separators=(",", ":")))


def last_return(tallies: list[Tally]) -> float:
    """Return the mean return of the last episodes."""
    rollouts = round(len(tallies) * WINDOW / WATCHED)
    return tallies[-1].since(tallies[-1 - rollouts]).mean


def as_table(found: dict[str, Any]) -> str:
    """Return a row a start: the mean return of the last episodes, for each pair and seed, and beside all fresh."""
    runs = [(pair, seed) for pair in PAIRS for seed in SEEDS]
    returns = {
        name: [last_return([Tally(*t) for t in found[" > ".join((*pair, str(seed), name))]]) for pair, seed in runs]
        for name in STARTS
    }
    head = [
        "start",
        *(f"{task} after {before}, {seed}" for (before, task), seed in runs),
        "of all fresh, geometric mean",
    ]
    rows = []
    for name, values in returns.items():
        ratio = float(np.exp(np.mean(np.log(np.array(values) / np.array(returns["all fresh"])))))
        rows.append([name, *(f"{value:.0f}" for value in values), f"{ratio:.2f}"])
    return table(head, rows)


def main() -> None:
    """Make the runs that are missing, and the table."""
    found = json.loads(OUTPUT.read_text()) if OUTPUT.is_file() else {}
    for pair in PAIRS:
        for seed in SEEDS:
            measure(pair, seed, found)
    text = f"Mean return of training episodes from {WATCHED - WINDOW:,} to {WATCHED:,} steps.\n\n{as_table(found)}\n"
    OUTPUT.with_suffix(".md").write_text(text)
    print(text)


if __name__ == "__main__":
    import warm_starts  # this file as the module that the runs import, whose class is another one than here

    warm_starts.main()
