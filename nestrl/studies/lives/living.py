"""Lives lived by the pool of studies, each in a process of its own; nothing of a life stays but what it came to."""

import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from nestrl.errors import NestrlError
from nestrl.nested.meta_controller import SHAPE, controller_file, load_controller
from nestrl.studies.lives.journal import Lived
from nestrl.studies.lives.plan import Life, LivesPlan, with_controller
from nestrl.studies.outcome import is_finished
from nestrl.studies.pool import Job, Pool
from nestrl.training.config import RunConfig
from nestrl.training.run_folder import RunFolder
from nestrl.training.writing import make_folder, write_file

SUFFIX = ".safetensors"


class Living:
    """Takes the lives of a generation and yields what came of each, as they end; fewer of them after Ctrl-C."""

    def __init__(self, plan: LivesPlan, runs: Path) -> None:
        self._plan, self._runs = plan, runs
        self._pool = Pool(plan.study.workers)

    def __call__(self, lives: Sequence[Life]) -> Iterator[Lived]:
        """Live, or go on with lives that were stopped; their folders are deleted behind them."""
        self._clear(keep={life.name for life in lives})
        life_of = {self._runs / life.name: life for life in lives}
        begun = {life.controller for life in lives if _holds(self._controller(life), life)}
        jobs = {folder: self._job(life, folder, life.controller in begun) for folder, life in life_of.items()}
        for folder in [folder for folder in jobs if is_finished(folder)]:  # killed before it was written down
            yield self._end(jobs.pop(folder), life_of[folder], None)
        for ended in self._pool.run(list(jobs.values())):
            yield self._end(ended.job, life_of[ended.job.folder], ended.error)
        if not self._pool.stopped:
            self._clear(keep=())

    def _controller(self, life: Life) -> Path:
        return self._runs / (life.controller + SUFFIX)

    def _job(self, life: Life, folder: Path, begun: bool) -> Job:
        """Return a life as a job; what stands in its folder is deleted unless it is this life's beginning.

        begun: whether the meta-controller's file was there before, so that the life may have used it.
        """
        config = with_controller(self._plan.configs[life.sequence], life, self._controller(life))
        if not begun:
            write_controller(self._controller(life), life.phi, {"plan": self._plan.name})
        if not (begun and _is_run_of(folder, config)):
            shutil.rmtree(folder, ignore_errors=True)
        return Job(life.name, config, folder)

    def _end(self, job: Job, life: Life, error: str | None) -> Lived:
        if error is not None:
            return Lived(life, error=error)
        run = RunFolder(job.folder)
        job.log.unlink(missing_ok=True)  # that of a life that failed says why
        return Lived.of(life, run.curves(), sum(run.summary()["seconds"].values()))

    def _clear(self, keep: Collection[str]) -> None:
        """Delete what earlier lives and generations have left, but the output of those that failed."""
        wanted = {"": keep, ".json": keep, SUFFIX: {name.rpartition("-")[0] for name in keep}}
        for path in self._runs.glob("g[0-9]*-*"):
            if path.stem in wanted.get(path.suffix, {path.stem}):
                continue
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink()


def write_controller(path: Path, phi: Sequence[float], metadata: Mapping[str, str]) -> None:
    """Write a meta-controller in one instant, so that a kill leaves the old file or the new one."""
    make_folder(path.parent)
    write_file(path, controller_file(np.array(phi, np.float64).reshape(SHAPE), metadata))


def _holds(controller: Path, life: Life) -> bool:
    """Return whether a file holds the meta-controller of this life."""
    try:
        return controller.is_file() and load_controller(controller).phi.ravel().tolist() == list(life.phi)
    except NestrlError:
        return False


def _is_run_of(folder: Path, config: RunConfig) -> bool:
    """Return whether a folder holds a run that was begun with this configuration."""
    run = RunFolder(folder)
    try:
        return run.begun and run.config_as_written() == config.as_written
    except NestrlError:
        return False
