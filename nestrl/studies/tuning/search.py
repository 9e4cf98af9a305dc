"""Searches options of methods: the outermost level of the nesting, learned on some lives and used in others.

Trials come in rounds: the first of every method, then the second, and so on, each made of the same lives. What a trial
tries depends on its number and the finished trials of its method alone, so neither a kill nor the number of workers
changes a search. The tree-structured Parzen estimator (Bergstra et al., 2011) of Optuna proposes.

The value of a trial is the average performance, which is measured in `evaluation_episodes` of each task at the end of a
life, averaged over the development sequences and seeds.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from nestrl.errors import NestrlError
from nestrl.evaluation.retention import average_performance
from nestrl.studies.outcome import is_finished
from nestrl.studies.pool import Job, Pool
from nestrl.studies.running import alone, print_line, stopped, who_is_at
from nestrl.studies.study import Places, note_versions, places, write_what_is_run
from nestrl.studies.tuning.journal import FAILED, Journal, Proposal, outcomes
from nestrl.studies.tuning.plan import TunePlan, read_tune_plan
from nestrl.studies.tuning.results import table, write_results
from nestrl.training.checkpoint import keep_newest
from nestrl.training.result import Run
from nestrl.training.run_folder import RunFolder

JOURNAL = "journal.log"


def tune(path: Path, *, below: Path = Path(), say: Callable[[str], object] = print_line) -> str:
    """Run what a search has left, write its results, and return them as a Markdown table.

    path: the search's file. below: the folder that holds runs/ and results/. say: takes one line for each trial.

    Raises BadConfig for a file with a mistake, or a search that was begun otherwise; RunExists when another process is
    at it; NestrlError where all trials have failed; KeyboardInterrupt after Ctrl-C, when all is saved.
    """
    plan = read_tune_plan(path)
    found = places(plan.study, below)
    with alone(found.lock):
        write_what_is_run(path, found.results, "tune.yaml")
        note_versions(found.results, say)
        tuning = Tuning(plan, found, say)
        try:
            tuning.run()
        finally:
            results = outcomes(found.results / JOURNAL, plan)
            write_results(found.results, plan, results)
        if tuning.pool.stopped:
            raise stopped("nestrl", "tune", path)
    if results and all(outcome.status == FAILED for outcome in results):
        raise NestrlError(f"all {len(results)} trials have failed, the last one so: {results[-1].error}")
    return table(plan, results)


def status(path: Path, below: Path = Path()) -> str:
    """Return how far a search is, as a Markdown table, and who is at it; runs and writes nothing."""
    plan = read_tune_plan(path)
    found = places(plan.study, below)
    return f"{table(plan, outcomes(found.results / JOURNAL, plan))}\n{who_is_at(found.lock)}"


@dataclass
class _Trial:
    """A trial while it is run."""

    proposal: Proposal
    jobs: Sequence[Job]
    errors: list[str] = field(default_factory=list)


class Tuning:
    """A search while it goes on."""

    def __init__(self, plan: TunePlan, found: Places, say: Callable[[str], object]) -> None:
        self._searches, self._runs, self._say = plan.searches, found.runs, say
        self._journal = Journal(found.results / JOURNAL)
        for search in plan.searches:
            self._journal.open(search)
        self.pool = Pool(plan.study.workers)

    def run(self) -> None:
        """Make all rounds that are left, or those until the pool is stopped."""
        for number in range(max(search.trials for search in self._searches)):
            searches = [search for search in self._searches if number < search.trials]
            proposals = (self._journal.propose(search, number) for search in searches)
            self._round([self._trial(proposal) for proposal in proposals if proposal is not None])
            if self.pool.stopped:
                return

    def _trial(self, proposal: Proposal) -> _Trial:
        search = proposal.search
        folders = {life: self._runs / f"{search.label}-t{proposal.number}-{life}" for life in search.lives}
        jobs = [
            Job(life, search.config(search.lives[life], proposal.options), folder) for life, folder in folders.items()
        ]
        for job in jobs:
            if RunFolder(job.folder).begun:
                RunFolder(job.folder).require_begun_as(job.config)
        proposal.begin([job.folder for job in jobs])
        return _Trial(proposal, jobs)

    def _round(self, trials: Sequence[_Trial]) -> None:
        trial_of = {job.folder: trial for trial in trials for job in trial.jobs}
        left = {job.folder: job for trial in trials for job in trial.jobs if not is_finished(job.folder)}
        for trial in trials:
            self._end_if_done(trial, left)
        for ended in self.pool.run(list(left.values())):
            trial = trial_of[ended.job.folder]
            del left[ended.job.folder]
            if ended.error:
                trial.errors.append(ended.error)
            self._end_if_done(trial, left)

    def _end_if_done(self, trial: _Trial, left: Mapping[Path, Job]) -> None:
        if any(job.folder in left for job in trial.jobs):
            return
        proposal = trial.proposal
        if trial.errors:
            proposal.fail(trial.errors[0])
            what = f"failed: {trial.errors[0]}"
        else:
            what = f"average performance {proposal.finish(*_lives_and_minutes(trial.jobs)):.3f}"
        name = f"{proposal.search.label}, trial {proposal.number + 1} of {proposal.search.trials}"
        self._say(f"{name}: {proposal.options or 'no options'}: {what}")


def _lives_and_minutes(jobs: Sequence[Job]) -> tuple[dict[str, float], float]:
    """Return the average performance of each life, in 0..1, and the wall clock of all."""
    lives, seconds = {}, 0.0
    for job in jobs:
        run = Run(job.folder)
        lives[job.name] = average_performance(run.curves)
        seconds += sum(run.folder.summary()["seconds"].values())
        keep_newest(run.folder.checkpoints)
    return lives, seconds / 60
