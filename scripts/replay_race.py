"""Replay the race with a fresh network on recorded curves of training: what would each of its rules have done?

    python scripts/replay_race.py record 600 601      # a development life a seed, a minute or two of a core each
    python scripts/replay_race.py record 500          # below 600: each task from scratch
    python scripts/replay_race.py record dev-pick 703 # of another file of scripts/studies, as dev-metaworld
    python scripts/replay_race.py                     # -> results/race/replay.md

Both networks' curves depend on their own steps alone; so, recorded once without a race, they tell the outcome of any
rule, and a rule can be tried in a second.
"""

import json
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from nestrl import TaskSequence, train
from nestrl.agents.tally import ENOUGH, Tally
from nestrl.methods.nested import Nested
from nestrl.nested.levels import REMOVABLE
from nestrl.nested.rival import WATCHED, Rival, last_window, spread
from nestrl.report.tables import table
from nestrl.tasks.named import sequence
from nestrl.training.run_folder import RunFolder

ROOT = Path(__file__).resolve().parents[1]
RECORDS = ROOT / "results" / "race" / "curves.jsonl"
FIRST_LIFE, TASKS_A_LIFE = 600, 5
N_ENVS = 256
"""Simulations of the records that do not say how many."""
ABOVE = f"""Rise: of the mean return in the first {WATCHED} rounds, in standard deviations; success in the later ones.
The others: mean success of training episodes over the segment, and at its end."""


class Curve(NamedTuple):
    """The training episodes of one segment: their tally after each rollout."""

    task: str
    after: tuple[str, ...]
    heads: str
    tallies: list[Tally]

    @property
    def start(self) -> Tally:
        """The tally before the first rollout."""
        return Tally(self.tallies[0].simulations)

    @property
    def success(self) -> list[float]:
        """Success of the last whole round at each rollout; 0 before there is one."""
        found, last, mark = [], 0.0, self.start
        for tally in self.tallies:
            round_ = tally.since(mark)
            if round_.rounds >= 1 and round_.episodes >= ENOUGH:
                last, mark = round_.success, tally
            found.append(last)
        return found

    @property
    def rise(self) -> str:
        """By how many standard deviations the return rises in the first window of the race, and success in its half."""
        marks = [(0.0, self.start)]
        for done, tally in enumerate(self.tallies, start=1):
            marks.append((done / len(self.tallies), tally))
            halves = last_window(marks, WATCHED)
            if halves is not None:
                earlier, later = halves
                return f"{(later.mean - earlier.mean) / spread(earlier, later):.2f}, {later.success:.2f}"
        return "–"


class Recorded(Nested):
    """The nested agent, which writes the tally of its training episodes into the run's log."""

    def measurements(self) -> dict[str, float]:
        """Return the tally, too."""
        return super().measurements() | measured(self._learner.tally)


def measured(tally: Tally) -> dict[str, float]:
    """Return a tally as measurements of a method."""
    return {f"tally.{name}": float(value) for name, value in tally._asdict().items()}


def tallies_of(folder: RunFolder) -> Iterator[tuple[str, Tally]]:
    """Yield the task and the tally of each line about training in the log of a run whose method measured it."""
    for line in folder.log_lines("training"):
        yield line["task"], Tally(*(round(line["method"][f"tally.{name}"], 2) for name in Tally._fields))


def record(name: str, seed: int) -> None:
    """Live one development life without a race, or each task by itself, and add the curves to the records."""
    whole = sequence(ROOT / "scripts" / "studies" / f"{name}.yaml")
    if seed < FIRST_LIFE:
        lives = [whole.reordered([task]) for task in whole.task_names]
    else:
        lives = [whole.reordered(random.Random(seed).sample(whole.task_names, min(TASKS_A_LIFE, whole.n_tasks)))]
    heads = "per_task" if seed >= FIRST_LIFE and seed % 3 == 2 else "shared"
    for life in lives:
        _live(life, seed, heads)


def _live(life: TaskSequence, seed: int, heads: str) -> None:
    levels = [level for level in REMOVABLE if level != "rival"]
    options = {"method.levels": ",".join(levels), "agent.heads": heads, "final_episodes": 1}
    folder = ROOT / "runs" / "race" / f"{heads}-{seed}-{life.task_names[0]}"
    run = train(life, method="replay_race:Recorded", seed=seed, options=options, folder=folder)
    curves: dict[str, list[list[float]]] = {name: [] for name in life.task_names}
    for task, tally in tallies_of(run.folder):
        curves[task].append(list(tally[1:]))
    steps = {segment.task: segment.steps for segment in life.segments}
    n_envs = run.folder.config().agent.n_envs
    entry = {"seed": seed, "heads": heads, "n_envs": n_envs, "steps": steps, "curves": curves}
    RECORDS.parent.mkdir(parents=True, exist_ok=True)
    with RECORDS.open("a") as file:
        file.write(json.dumps(entry, separators=(",", ":")) + "\n")


def recorded() -> Iterator[Curve]:
    """Yield every curve on record; those of first tasks come after nothing."""
    for line in map(json.loads, RECORDS.read_text().splitlines()):
        names, simulations = list(line["curves"]), line.get("n_envs", N_ENVS)
        for place, (task, curve) in enumerate(line["curves"].items()):
            tallies = [Tally(simulations, *numbers) for numbers in curve]
            yield Curve(task, tuple(names[:place]), line["heads"], tallies)


class Replayed:
    """What the race sees of a learner, whose two networks go along their recorded curves."""

    def __init__(self, known: Curve, fresh: Curve) -> None:
        self._curves, self._now, self._done = (known, fresh), 0, [0, 0]
        self.progress, self.tally = 0.0, known.start

    @property
    def success(self) -> float:
        """Success of the present network in its last round."""
        done = self._done[self._now]
        return self._curves[self._now].success[done - 1] if done else 0.0

    def learn(self) -> None:
        """Do one rollout with the present network."""
        curve, done = self._curves[self._now], self._done[self._now]
        tallies = [curve.start, *curve.tallies]
        self.tally = self.tally.plus(tallies[done + 1].since(tallies[done]))._replace(
            simulations=curve.start.simulations
        )
        self._done[self._now] += 1
        self.progress = min(1.0, sum(self._done) / len(self._curves[0].tallies))

    def renew(self) -> None:
        """Turn to the fresh network."""
        self._now = 1

    def branch(self) -> dict[str, Any]:
        """Return which network it is."""
        return {"network": self._now}

    def return_to(self, branch: dict[str, Any]) -> None:
        """Turn back to that network."""
        self._now = branch["network"]


def raced(known: Curve, fresh: Curve) -> tuple[float, float, bool]:
    """Return the mean success over a segment with the race, that at its end, and whether the fresh network won."""
    learner = Replayed(known, fresh)
    rival = Rival(learner)
    rival.start_segment(doubted=True)
    success = []
    while learner.progress < 1:
        learner.learn()
        rival.pause()
        success.append(learner.success)
    rival.finish()
    return float(np.mean(success)), learner.success, rival.fresh


def as_table() -> str:
    """Return a row for each later task: mean success over its segment and success at its end, of training episodes."""
    curves = list(recorded())
    rows = []
    for known in sorted((curve for curve in curves if curve.after), key=lambda curve: (curve.task, curve.heads)):
        scratch = [curve for curve in curves if curve.task == known.task and not curve.after]
        if not scratch:
            continue
        outcomes = [raced(known, fresh) for fresh in scratch]
        alone = [(float(np.mean(curve.success)), curve.success[-1]) for curve in (known, *scratch)]
        pairs = [np.mean(alone[1:], axis=0), alone[0], np.mean([outcome[:2] for outcome in outcomes], axis=0)]
        won = f"{sum(outcome[2] for outcome in outcomes)} of {len(outcomes)}"
        shown = (f"{mean:.2f}, {end:.2f}" for mean, end in pairs)
        rows.append([known.task, ", ".join(known.after), known.heads, known.rise, *shown, won])
    head = ["task", "after", "heads", "rise", "from scratch", "without a race", "with the race", "won by fresh"]
    return table(head, rows, right=False)


def main() -> None:
    """Record the lives of the given seeds; without any, replay what is on record."""
    if sys.argv[1:2] == ["record"]:
        name = "dev-9" if sys.argv[2].isdigit() else sys.argv.pop(2)
        for seed in sys.argv[2:]:
            record(name, int(seed))
    else:
        text = f"{ABOVE}\n\n{as_table()}\n"
        RECORDS.with_name("replay.md").write_text(text)
        print(text)


if __name__ == "__main__":
    main()
