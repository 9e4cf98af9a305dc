"""Every study that puts the nested agent beside its rivals, in one table; and what being told less costs.

python scripts/regimes.py     # reads results/*/finished.jsonl, writes results/regimes*.md and results/no-identity.md
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from nestrl.report.comparison import Comparison, comparisons, difference, paired
from nestrl.report.study_tables import shown
from nestrl.report.tables import TITLES, table
from nestrl.studies.study import open_study

ROOT = Path(__file__).resolve().parents[1]
NESTED, NEAREST = "nested", ("cloning", "clonex", "reset-and-distill", "fame")
RIVALS = (*NEAREST, "packnet", "snapshots", "finetune")
"""Who stands beside the nested agent; the README has only those that come near."""
STUDIES = {
    "mixed-5": "mixed-5",
    "mixed-10-study": "mixed-10",
    "pairs-10": "mixed-10 in ten other orders",
    "generous": "mixed-10, 2.5 times the steps to .9 from scratch",
    "short": "mixed-10, the steps to .9 from scratch",
    "total": "mixed-10, learned tasks hand steps on until all stand at .9",
    "short-5-again": "five of these tasks, the steps to .9 from scratch",
    "small": "mixed-10, trunk [64, 64], 200 observations a task",
    "drift": "drift-10, two tasks under ten dynamics",
    "long": "forty segments, pick-and-place v0, 450 observations a task",
    "sac": "three tasks, SAC",
    "gymnasium": "four of gymnasium's tasks",
}
"""Of those that have run: their folders in results/, and what they are."""
SUPERSEDED = {
    "generous-v0": "mixed-10, pick-and-place v0, 2.5 times the steps to .9 from scratch",
    "mixed-10-v0": "mixed-10, pick-and-place v0",
    "short-v0": "mixed-10, pick-and-place v0, the steps to .9 from scratch",
    "small-v0": "mixed-10, pick-and-place v0, trunk [64, 64], 200 observations a task",
}
"""The same of studies that were run again since, with a later pick-and-place; of generous segments, a first look."""
TOLD = {
    "labelled": "task and boundary in training, task in testing",
    "tried": "nothing; in testing three episodes with each known task",
    "observed": "nothing; in testing the observation",
}
"""How the runs of no-identity know which task it is: all is told first."""
HEADS = {"per_task": ", a head a task"}
METRICS = ("average_performance", "forgetting", "forward_transfer_later")
BRIEF = (0, 1, 2, 3, 4, 5, -1)
"""The columns of the README's table: average performance, and the difference in forward transfer."""


def rows(studies: Mapping[str, str]) -> Iterator[list[str]]:
    """Yield a row for each study, kind of head and rival with which the nested agent has pairs of finished runs."""
    for name, what in studies.items():
        folder = ROOT / "results" / name
        if (folder / "finished.jsonl").is_file():  # some run has ended
            for comparison in comparisons(open_study(folder)):
                for rival in RIVALS:
                    yield from row(what + HEADS.get(comparison.regime, ""), rival, comparison)


def row(what: str, label: str, comparison: Comparison) -> Iterator[list[str]]:
    """Yield the row, over the pairs of runs alone, if there are enough for a difference."""
    nested, rival = comparison.find(NESTED), comparison.find(label)
    if nested is None or rival is None or len(pairs := paired(rival, nested)) < 2:
        return
    rival = replace(rival, records=tuple(rival.records[place] for place, _ in pairs))
    nested = replace(nested, records=tuple(nested.records[place] for _, place in pairs))
    cells = [what, label, str(len(pairs))]
    for metric in METRICS:
        found = nested.metric(metric), rival.metric(metric), difference(rival, nested, metric)
        cells += map(shown, found)
    yield cells


def told_less() -> Iterator[list[str]]:
    """Yield the row of the runs that are told all, and one for each way of being told less."""
    folder = ROOT / "results" / "no-identity"
    of_regime = {comparison.regime: comparison.methods[0] for comparison in comparisons(open_study(folder), NESTED)}
    for regime, what in TOLD.items():
        method = of_regime[regime]
        performance, *others = (shown(method.metric(metric)) for metric in METRICS)
        ahead = difference(of_regime["labelled"], method)
        yield [what, str(len(method.records)), performance, shown(ahead), *others]


def _write(name: str, head: Sequence[str], lines: Iterable[Sequence[str]]) -> None:
    (ROOT / "results" / f"{name}.md").write_text(table(head, lines) + "\n")


def main() -> None:
    """Write the four tables."""
    of_each, *others = (TITLES[metric] for metric in METRICS)
    head = ["what tells the task", "runs", of_each, "paired difference", *others]
    _write("no-identity", head, told_less())
    head = ["regime", "rival", "pairs"]
    for metric in METRICS:
        head += [f"{TITLES[metric]}: {NESTED}", "rival", "paired difference"]
    present = list(rows(STUDIES))
    _write("regimes", head, present)
    _write("regimes-superseded", head, rows(SUPERSEDED))
    brief = [head[column] for column in BRIEF[:-1]] + [f"{head[-3].partition(':')[0]}: paired difference"]
    _write("regimes-brief", brief, ([cells[column] for column in BRIEF] for cells in present if cells[1] in NEAREST))


if __name__ == "__main__":
    main()
