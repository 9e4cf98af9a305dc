"""Makes reference curves: each task of a sequence by itself, from scratch, plainly."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from nestrl.tasks.sequence import Segment, TaskSequence
from nestrl.training.config import RunConfig
from nestrl.training.display import Display, Silent
from nestrl.training.references import reference_path, reference_steps, store_curve, stored_curves
from nestrl.training.run_folder import RunFolder
from nestrl.training.trainer import run


def make_references(
    config: RunConfig, seeds: Sequence[int], folder: Path, display: Callable[[], Display] = Silent
) -> list[Path]:
    """Train every task of a run's sequence from scratch, once a seed, where no curve is stored; return their files.

    `folder` holds the runs; one that was stopped goes on. Each run has the learner and steps of `config`.
    """
    files = []
    for name in config.sequence.trained_tasks:
        path = reference_path(config, name)
        for seed in seeds:
            if seed not in stored_curves(path):
                alone = replace(alone_from_scratch(config, name), seed=seed)
                place = folder / f"{path.stem}-s{seed}"
                finished = run(alone, place, resume=RunFolder(place).begun, display=display())
                store_curve(alone, name, finished.curves)
        files.append(path)
    return files


EVALUATIONS, EPISODES = 12, 100  # of a reference curve: finer and surer than a run's own, since one task costs little


def alone_from_scratch(config: RunConfig, task_name: str) -> RunConfig:
    """Return the configuration of a run of one task, with nothing before and nothing kept, and closely measured."""
    task = config.sequence.tasks[config.sequence.task_index(task_name)]
    segment = Segment(task_name, reference_steps(config.sequence, task_name))
    return replace(
        config,
        sequence=TaskSequence(task_name, (task,), (segment,)),
        method="finetune",
        method_options={},
        boundaries="given",
        identity="told",
        segments="fixed",  # a curve must reach to the end of the segment that it stands for
        evaluations_per_segment=EVALUATIONS,
        evaluation_episodes=EPISODES,
    )
