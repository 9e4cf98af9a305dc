"""Makes reference curves: each task of a sequence by itself, from scratch, plainly."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from nestrl.errors import BadConfig
from nestrl.tasks.sequence import Segment, TaskSequence
from nestrl.training.config import RunConfig
from nestrl.training.display import Display
from nestrl.training.references import reference_path, reference_steps, store_curve, stored_curves
from nestrl.training.result import Run
from nestrl.training.run_folder import RunFolder
from nestrl.training.train import configure, for_here
from nestrl.training.trainer import run


def reference_config(
    source: str, display: Display, steps_scale: float, options: Mapping[str, Any], imports: Sequence[str]
) -> RunConfig:
    """Return what a run's folder, or a sequence by its name or file, wants references for.

    Raises BadConfig for what a reference does not depend on, and for settings beside those of a run.
    """
    folder = RunFolder(source)
    if folder.begun:
        if options or imports or steps_scale != 1:
            raise BadConfig(f"{source} is a run with settings of its own; leave --set, --import and --steps-scale out.")
        return for_here(folder.config(), display)
    unread = [name for name in options if not name.startswith("agent.")]
    if unread:
        raise BadConfig(f"A reference depends on the learner alone, not on {', '.join(unread)}; set only agent.…")
    return configure(source, steps_scale=steps_scale, options=options, imports=imports)


def make_references(
    config: RunConfig, seeds: Sequence[int], folder: Path, display: Callable[[], Display] = Display
) -> list[Path]:
    """Train every task of a run's sequence from scratch, once a seed, where no curve is stored; return their files.

    `folder` holds the runs; one that was stopped goes on. Each run has the learner and steps of `config`. Raises
    BadConfig without a seed.
    """
    if not seeds:
        raise BadConfig("References need at least one seed.")
    files = []
    for name in config.sequence.trained_tasks:
        path = reference_path(config, name)
        for seed in seeds:
            if seed not in stored_curves(path):
                place, shown = place_of(path, seed, folder), display()
                alone = for_here(run_from_scratch(config, name, seed, place), shown)
                store(run(alone, place, resume=RunFolder(place).begun, display=shown))
        files.append(path)
    return files


def place_of(path: Path, seed: int, folder: Path) -> Path:
    """Return where, below a folder, the run stands whose curve goes into a file of references under this seed."""
    return folder / f"{path.stem}-s{seed}"


def run_from_scratch(config: RunConfig, task_name: str, seed: int, place: Path) -> RunConfig:
    """Return the run that makes a reference curve; what has been begun there, perhaps by another sequence, goes on.

    Such a sequence may call the task otherwise.
    """
    begun = RunFolder(place)
    return begun.config() if begun.begun else replace(alone_from_scratch(config, task_name), seed=seed)


def store(finished: Run) -> None:
    """Keep the curve of a run from scratch with those of the other seeds."""
    (task,) = finished.config.sequence.trained_tasks
    store_curve(finished.config, task, finished.curves.steps, finished.outcomes(task))


EVALUATIONS, EPISODES = 12, 100  # of a reference curve: finer and surer than a run's own, since one task costs little


def alone_from_scratch(config: RunConfig, task_name: str) -> RunConfig:
    """Return the configuration of a run of one task, with nothing before and nothing kept, and closely measured."""
    task = config.sequence.tasks[config.sequence.task_index(task_name)]
    segment = Segment(task_name, reference_steps(config.sequence, task_name))
    return replace(
        config,
        sequence=TaskSequence("from-scratch", (task,), (segment,)),
        method="finetune",
        method_options={},
        boundaries="given",
        identity="told",
        segments="fixed",  # a curve must reach to the end of the segment that it stands for
        patience=RunConfig.patience,
        evaluations_per_segment=EVALUATIONS,
        evaluation_episodes=EPISODES,
    )
