"""The reference curves of a study: which there are, which are missing, and the runs that make them."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from nestrl.studies.plan import Cell, StudyPlan
from nestrl.studies.pool import Job
from nestrl.training.config import RunConfig
from nestrl.training.from_scratch import alone_from_scratch
from nestrl.training.references import find_references, learnt_as, reference_path, store_curve, stored_curves
from nestrl.training.result import Run

References = Mapping[str, Mapping[str, Mapping[str, Mapping[str, Any]]]]
"""By regime, sequence and task: steps, success (in 0..1), the number of seeds that it is the mean of, and how it was
learnt (see `learnt_as`)."""


def found_references(plan: StudyPlan, before: References) -> References:
    """Return all curves that fit the study's runs; for tasks without, those of `before` that were learnt alike."""
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for cell, config in _plain_configs(plan):
        curves = find_references(config)
        older = before.get(cell.regime, {}).get(cell.sequence, {})
        learnt = {task: learnt_as(config, task) for task in config.sequence.trained_tasks}
        kept = {task: older[task] for task in learnt if task in older and _learnt(older[task], learnt[task])}
        found.setdefault(cell.regime, {})[cell.sequence] = kept | {
            task: {
                "steps": [float(place) for place in places],
                "success": success.tolist(),
                "seeds": len(stored_curves(reference_path(config, task))),
                "learnt_as": learnt[task],
            }
            for task, (places, success) in curves.items()
        }
    return found


def what_is_missing(plan: StudyPlan) -> list[str]:
    """Return one sentence for each sequence and set of tasks without curves: which, where, and how they are made."""
    regimes: dict[tuple[str, str], list[str]] = {}
    found = found_references(plan, {})
    for cell, config in _plain_configs(plan):
        missing = [task for task in config.sequence.trained_tasks if task not in found[cell.regime][cell.sequence]]
        if missing:
            regimes.setdefault((cell.sequence, ", ".join(missing)), []).append(cell.regime)
    return [
        f"{sequence} ({', '.join(where)}): no reference curves of {tasks}, so no forward transfer; to have them, add "
        "`references: 3` to the study"
        for (sequence, tasks), where in regimes.items()
    ]


def reference_jobs(plan: StudyPlan, folder: Path) -> dict[Path, tuple[Job, str]]:
    """Return a run from scratch for each task and seed without a stored curve: (job, task), by its folder."""
    jobs: dict[Path, tuple[Job, str]] = {}
    for seed in range(plan.references):
        for cell, config in _plain_configs(plan):
            for task in config.sequence.trained_tasks:
                stored = reference_path(config, task)
                place = folder / f"{stored.stem}-s{seed}"
                if seed not in stored_curves(stored):
                    alone = replace(alone_from_scratch(config, task), seed=seed)
                    name = f"reference of {task}, {cell.regime}, seed {seed}"
                    jobs.setdefault(place, (Job(name, alone, place), task))
    return jobs


def store_reference(job: Job, task: str) -> None:
    """Keep the curve of a finished run from scratch with those of the other seeds."""
    store_curve(job.config, task, Run(job.folder).curves)


def _learnt(curve: Mapping[str, Any], so: str) -> bool:
    """Return whether a curve was learnt so, as far as is known: those from before there was a record do not tell."""
    return curve.get("learnt_as", so) == so  # type: ignore[no-any-return]


def _plain_configs(plan: StudyPlan) -> Iterator[tuple[Cell, RunConfig]]:
    """Yield the first cell of each regime and sequence, and its configuration without the method."""
    first: dict[tuple[str, str], Cell] = {}
    for cell in plan.cells:
        first.setdefault((cell.regime, cell.sequence), cell)
    for cell in first.values():
        yield cell, replace(cell.config, method="finetune", method_options={})
