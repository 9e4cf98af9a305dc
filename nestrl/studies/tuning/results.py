"""What a search leaves in results/: the best options as a study takes them, every trial, and a table."""

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path

import yaml

from nestrl.studies.tuning.journal import Outcome
from nestrl.studies.tuning.plan import Search, TunePlan
from nestrl.training.writing import write_file


def write_results(folder: Path, plan: TunePlan, outcomes: Sequence[Outcome]) -> None:
    """Write best.yaml, trials.csv and table.md. Raises NestrlError when the disk is full."""
    write_file(folder / "best.yaml", best_yaml(plan, outcomes).encode())
    write_file(folder / "trials.csv", trials_csv(plan, outcomes).encode())
    write_file(folder / "table.md", table(plan, outcomes).encode())


def best(label: str, outcomes: Sequence[Outcome]) -> Outcome | None:
    """Return the finished trial of a method with the highest value, the earlier of equal ones; None if none has one."""
    finished = [outcome for outcome in outcomes if outcome.label == label and outcome.value is not None]
    return max(finished, key=lambda outcome: (outcome.value, -outcome.number), default=None)


def best_yaml(plan: TunePlan, outcomes: Sequence[Outcome]) -> str:
    """Return the best options of each method, in the form of a study's `methods`; values are in the comments."""
    lines = [f"# Written by `nestrl tune`, search {plan.study.name}; a study takes it as `tuned: FILE`."]
    for search in plan.searches:
        found = best(search.label, outcomes)
        if found is None:
            lines.append(f"# {search.label}: no trial has finished")
            continue
        named = {} if search.method == search.label else {"method": search.method}
        options = yaml.safe_dump(
            {**named, **search.fixed, **found.options}, default_flow_style=True, sort_keys=False, width=float("inf")
        )
        comment = f"average performance {found.value:.3f}, the best of {_count(search, outcomes)} trials"
        lines.append(f"{json.dumps(search.label)}: {options.strip()}  # {comment}")  # quoted: "0.03" is a label, too
    return "\n".join(lines) + "\n"


def trials_csv(plan: TunePlan, outcomes: Sequence[Outcome]) -> str:
    """Return a line a trial; options and lives, which differ between methods, are JSON."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(
        ["label", "method", "trial", "status", "average_performance", "minutes", "options", "lives", "error"]
    )
    methods = {search.label: (search.method, search.fixed) for search in plan.searches}
    for outcome in outcomes:
        method, fixed = methods[outcome.label]
        value = "" if outcome.value is None else round(outcome.value, 4)
        what = [outcome.label, method, outcome.number, outcome.status, value, round(outcome.minutes, 2)]
        options = json.dumps({**fixed, **outcome.options})
        writer.writerow([*what, options, json.dumps(outcome.lives), outcome.error])
    return text.getvalue()


def table(plan: TunePlan, outcomes: Sequence[Outcome]) -> str:
    """Return a Markdown table: a row a method, how far it is and what its best options are."""
    lives = f"{', '.join(plan.study.sequences)}; seeds {', '.join(map(str, plan.study.seeds))}"
    lines = [
        f"Search {plan.study.name}: average performance, the mean of {len(plan.searches[0].lives)} lives ({lives}). "
        "Development lives choose options; they are no result.",
        "",
        "| method | finished | failed | of | minutes | first trial | best | its options |",
        "|---|---:|---:|---:|---:|---:|---:|---|",
    ]
    for search in plan.searches:
        lines.append(_row(search, [outcome for outcome in outcomes if outcome.label == search.label]))
    return "\n".join(lines) + "\n"


def _row(search: Search, outcomes: Sequence[Outcome]) -> str:
    found = best(search.label, outcomes)
    failed = sum(outcome.status == "failed" for outcome in outcomes)
    minutes = sum(outcome.minutes for outcome in outcomes)
    cells = [
        search.label,
        str(_count(search, outcomes)),
        str(failed),
        str(search.trials),
        f"{minutes:.1f}",
        _rate(outcomes[0].value if outcomes else None),
        _rate(found.value if found else None),
        ", ".join(f"{name} {_short(value)}" for name, value in found.options.items()) if found else "",
    ]
    return f"| {' | '.join(cells)} |"


def _count(search: Search, outcomes: Sequence[Outcome]) -> int:
    return sum(outcome.label == search.label and outcome.value is not None for outcome in outcomes)


def _rate(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _short(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
