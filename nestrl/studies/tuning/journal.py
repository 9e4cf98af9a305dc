"""The journal of a search: an Optuna study a method, in one file that is only ever appended to."""

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from nestrl.errors import BadConfig
from nestrl.studies.ledger import remove_torn_line
from nestrl.studies.tuning.plan import Options, Search, TunePlan, described_now

try:
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend
    from optuna.trial import FrozenTrial, TrialState
except ModuleNotFoundError as error:
    raise BadConfig("`nestrl tune` needs Optuna; install it with: pip install 'nestrl[tune]'") from error

RANDOM_TRIALS = 4
"""Trials of a method before a model of them proposes; Optuna's 10 would be nearly all there are."""
FAILED = "failed"
STATUS = {"COMPLETE": "finished", "FAIL": FAILED, "RUNNING": "running", "WAITING": "to do"}

optuna.logging.set_verbosity(optuna.logging.WARNING)


@dataclass(frozen=True)
class Outcome:
    """A trial as the journal has it."""

    label: str
    number: int
    status: str
    """One of STATUS."""
    options: Options
    """What was searched; fixed options are not among them."""
    value: float | None
    """Average performance of a finished one, in 0..1."""
    lives: Mapping[str, float] = field(default_factory=dict)
    """The value of each life."""
    minutes: float = 0.0
    """Wall clock of its lives, added up."""
    error: str = ""


class Proposal:
    """A trial that is to be run, and the options that it tries."""

    def __init__(self, study: optuna.Study, trial: optuna.Trial, search: Search) -> None:
        self._study, self._trial = study, trial
        self.search, self.number = search, trial.number
        self.options = {name: self._suggestion(name) for name in search.space}
        trial.set_user_attr("options", self.options)

    def _suggestion(self, name: str) -> Any:
        """Return an option's value; its random stream depends on method, trial and option alone, also after a kill."""
        seed = zlib.crc32(f"{self.search.label} {self.number} {name}".encode())
        self._study.sampler = optuna.samplers.TPESampler(
            seed=seed, n_startup_trials=RANDOM_TRIALS, multivariate=False
        )  # else the first option's stream would draw all of them
        return self.search.space[name].suggest(self._trial, name, self.search.first[name])

    @property
    def twin(self) -> FrozenTrial | None:
        """An earlier trial that has finished with the same options, if there is one."""
        finished = self._study.get_trials(deepcopy=False, states=[TrialState.COMPLETE])
        return next((other for other in finished if other.params == self._trial.params), None)

    def begin(self, folders: Sequence[Path]) -> None:
        """Write down where the trial's runs are."""
        self._trial.set_user_attr("runs", [str(folder) for folder in folders])

    def finish(self, lives: Mapping[str, float], minutes: float) -> float:
        """Record the value of each life, and return the trial's: their mean."""
        value = float(np.mean(list(lives.values())))
        self._trial.set_user_attr("lives", dict(lives))
        self._trial.set_user_attr("minutes", minutes)
        self._study.tell(self._trial, value)
        return value

    def fail(self, error: str) -> None:
        """Record that a life could not come to its end; the search goes on without a value."""
        self._trial.set_user_attr("error", error)
        self._study.tell(self._trial, state=TrialState.FAIL)


class Journal:
    """A search's journal, to be written by one process: who holds the search's lock."""

    def __init__(self, path: Path) -> None:
        """Open the journal, or begin one; a line that a kill has torn is removed."""
        remove_torn_line(path)
        path.with_name(path.name + ".lock").unlink(missing_ok=True)  # Optuna's own, left by a kill
        self._path, self._storage = path, _storage(path)
        self._studies: dict[str, optuna.Study] = {}

    def open(self, search: Search) -> None:
        """Take up the trials of a method, the first one enqueued. Raises BadConfig if they are of another search."""
        study = optuna.create_study(
            study_name=search.label, storage=self._storage, direction="maximize", load_if_exists=True
        )
        description = search.description()
        if described_now(study.user_attrs.get("search", description)) != description:
            raise BadConfig(
                f"{self._path.parent} holds a search of {search.label} with another space, value, or other lives; give "
                "this one another name, or move that away (runs that fit are used again)."
            )
        study.set_user_attr("search", description)
        if not study.get_trials(deepcopy=False):
            study.enqueue_trial({name: part.stored(search.first[name]) for name, part in search.space.items()})
        self._studies[search.label] = study

    def propose(self, search: Search, number: int) -> Proposal | None:
        """Return trial `number` of a method, or None if it has ended.

        A new one follows from what has finished before it. One that was running at a kill is taken up as it was, and
        one whose options have been tried before takes their value.
        """
        study = self._studies[search.label]
        known = study.get_trials(deepcopy=False)[number:]
        if known and known[0].state.is_finished():
            return None
        running = bool(known) and known[0].state == TrialState.RUNNING
        proposal = Proposal(study, optuna.Trial(study, known[0]._trial_id) if running else study.ask(), search)
        twin = proposal.twin
        if twin is None:
            return proposal
        proposal.finish(twin.user_attrs["lives"], minutes=0.0)
        return None


def outcomes(path: Path, plan: TunePlan) -> list[Outcome]:
    """Return all trials of the plan's methods that a journal holds, method by method; changes nothing."""
    if not path.is_file():
        return []
    storage = _storage(path)
    ids = {study.study_name: study._study_id for study in storage.get_all_studies()}
    return [
        _outcome(search.label, trial)
        for search in plan.searches
        if search.label in ids
        for trial in storage.get_all_trials(ids[search.label], deepcopy=False)
    ]


def _storage(path: Path) -> JournalStorage:
    """Open a journal. Raises BadConfig for a damaged one."""
    try:
        return JournalStorage(JournalFileBackend(str(path)))
    except (ValueError, KeyError, TypeError) as error:
        raise BadConfig(f"{path} is damaged ({error}); restore it, or move its folder away to search anew.") from error


def _outcome(label: str, trial: FrozenTrial) -> Outcome:
    kept = {name: trial.user_attrs[name] for name in ("lives", "minutes", "error") if name in trial.user_attrs}
    options = trial.user_attrs.get("options", {})
    return Outcome(label, trial.number, STATUS[trial.state.name], options, trial.value, **kept)
