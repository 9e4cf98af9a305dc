"""The reference curves of a study: which there are, which are missing, and the runs that make them."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from nestrl.studies.plan import Cell, StudyPlan
from nestrl.studies.pool import Job
from nestrl.training.config import RunConfig
from nestrl.training.from_scratch import place_of, run_from_scratch
from nestrl.training.references import (
    Versions,
    learnt_as,
    mean_curve,
    reference_path,
    standard_error,
    stored_curves,
    tells_outcomes,
)

References = Mapping[str, Mapping[str, Mapping[str, Mapping[str, Any]]]]
"""By regime, sequence and task: steps, success (in 0..1), the number of seeds that it is the mean of, the standard
error of its mean height, whether it was measured on the same starts as the runs, and how it was learnt (see
`learnt_as`)."""


def found_references(plan: StudyPlan, before: References, then: Versions | None = None) -> References:
    """Return all curves that fit the study's runs, by default those made with the versions installed.

    before: what was found earlier; that of regimes and sequences which have left the plan stays, as their runs do.
    then: versions with which runs of the study were made; curves made with them come first, then those of `before` that
    were learnt alike, and only then those of the versions installed.
    """
    found = {regime: dict(sequences) for regime, sequences in before.items()}
    for cell, config in _plain_configs(plan):
        kept = _kept(before, cell, config)
        entries = {
            task: _entry(config, task, then) or kept.get(task) or _entry(config, task, None)
            for task in config.sequence.trained_tasks
        }
        found.setdefault(cell.regime, {})[cell.sequence] = {task: entry for task, entry in entries.items() if entry}
    return found


def what_is_missing(plan: StudyPlan, found: References) -> list[str]:
    """Return one sentence for each sequence and set of tasks without curves: which, where, and how they are made."""
    regimes: dict[tuple[str, str], list[str]] = {}
    for cell, config in _plain_configs(plan):
        missing = [task for task in config.sequence.trained_tasks if task not in found[cell.regime][cell.sequence]]
        if missing:
            regimes.setdefault((cell.sequence, ", ".join(missing)), []).append(cell.regime)
    return [
        f"{sequence} ({', '.join(where)}): no reference curves of {tasks}, so no forward transfer; to have them, add "
        "`references: 3` to the study"
        for (sequence, tasks), where in regimes.items()
    ]


def reference_jobs(plan: StudyPlan, folder: Path, before: References, then: Versions | None = None) -> dict[Path, Job]:
    """Return a run from scratch for each task and seed without a stored curve, by its folder.

    before, then: as of `found_references`; what the study's runs have been compared with is not made again.
    """
    jobs: dict[Path, Job] = {}
    for seed in range(plan.references):
        for cell, config in _plain_configs(plan):
            kept = _kept(before, cell, config) if then else {}
            for task in config.sequence.trained_tasks:
                stored = reference_path(config, task)
                place = place_of(stored, seed, folder)
                made = stored_curves(stored) | stored_curves(reference_path(config, task, then))
                if seed not in made and seed >= kept.get(task, {"seeds": 0})["seeds"]:
                    name = f"reference of {task}, {cell.regime}, seed {seed}"
                    jobs.setdefault(place, Job(name, run_from_scratch(config, task, seed, place), place))
    return jobs


def _entry(config: RunConfig, task: str, made_with: Versions | None) -> dict[str, Any] | None:
    """Return what a study keeps of a task's stored curves, None without any."""
    path = reference_path(config, task, made_with)
    curves = stored_curves(path, config.evaluation_episodes)
    if not curves:
        return None
    places, success = mean_curve(curves)
    return {
        "steps": [float(place) for place in places],
        "success": success.tolist(),
        "seeds": len(curves),
        "standard_error": standard_error(curves),
        "same_starts": tells_outcomes(path, config.evaluation_episodes),
        "learnt_as": learnt_as(config, task),
    }


def _kept(before: References, cell: Cell, config: RunConfig) -> Mapping[str, Mapping[str, Any]]:
    """Return by task those curves of `before` that were learnt as this study's runs learn.

    Those from before there was a record do not tell how they were learnt, and count.
    """
    older = before.get(cell.regime, {}).get(cell.sequence, {})
    learnt = {task: learnt_as(config, task) for task in config.sequence.trained_tasks if task in older}
    return {task: older[task] for task, so in learnt.items() if older[task].get("learnt_as", so) == so}


def _plain_configs(plan: StudyPlan) -> Iterator[tuple[Cell, RunConfig]]:
    """Yield the first cell of each regime and sequence, and its configuration without the method."""
    first: dict[tuple[str, str], Cell] = {}
    for cell in plan.cells:
        first.setdefault((cell.regime, cell.sequence), cell)
    for cell in first.values():
        yield cell, replace(cell.config, method="finetune", method_options={})
