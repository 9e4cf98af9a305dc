"""A search tries the same for every method, goes on after a kill as if there had been none, and says what is wrong."""

import csv
import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from nestrl.cli import main
from nestrl.errors import BadConfig, NestrlError
from nestrl.evaluation.retention import average_performance
from nestrl.methods.l2 import L2Options
from nestrl.studies.plan import read_plan
from nestrl.studies.pool import Ended, Job
from nestrl.studies.tuning import search as tune_module
from nestrl.studies.tuning.journal import RANDOM_TRIALS, Journal, Outcome, Proposal, outcomes
from nestrl.studies.tuning.plan import read_tune_plan
from nestrl.studies.tuning.search import status, tune
from nestrl.training.result import Run
from nestrl.training.trainer import run

PATIENCE = 120  # seconds that a search of seconds may take on a busy machine

SEARCH = """name: tiny
sequences: [tiny-2]
seeds: [1000]
trials: 3
steps_scale: 0.5
run:
  evaluations_per_segment: 1
  evaluation_episodes: 20
  final_episodes: 1
  agent.network: [8]
  agent.n_envs: 8
  agent.hyperparameters.n_steps: 8
  agent.hyperparameters.n_epochs: 2
imports: [tiny_worlds]
methods:
  finetune: {}
  l2: {space: {strength: {low: 0.0001, high: 100, log: true}}}
  constant:
    method: cloning
    fixed: {capacity: 64}
    start: {weight: 0.1, samples: 16}
    space:
      weight: {low: 0.001, high: 10, log: true}
      samples: {choices: [16, 32]}
"""


class HerePool:
    """Runs jobs one after the other in this process, in place of `Pool`; a run whose folder is named so fails."""

    stopped = False
    started: list[str] = []  # noqa: RUF012
    fails = ""

    def __init__(self, workers: int = 0) -> None:
        self.started.clear()

    def run(self, jobs: Iterable[Job]) -> Iterator[Ended]:
        for job in jobs:
            self.started.append(job.folder.name)
            error = f"it broke; output: {job.log}" if self.fails and self.fails in job.folder.name else None
            if error is None:
                run(job.config, job.folder, resume=(job.folder / "config.json").exists())
            yield Ended(job, error)


@pytest.fixture(autouse=True)
def _in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tune_module, "Pool", HerePool)


def search_file(below: Path, change: Callable[[dict[str, Any]], object] = lambda values: None) -> Path:
    """Write the search, changed, below a folder."""
    values = yaml.safe_load(SEARCH)
    change(values)
    path = below / "tune.yaml"
    path.write_text(yaml.safe_dump(values, sort_keys=False))
    return path


def trials(below: Path) -> list[Outcome]:
    return outcomes(below / "results/tiny/journal.log", read_tune_plan(below / "tune.yaml"))


def tried(below: Path) -> list[tuple[object, ...]]:
    """Return what every trial has tried and come to, without what the clock says."""
    return [
        (trial.label, trial.number, trial.status, trial.options, trial.value, trial.lives) for trial in trials(below)
    ]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a search has run that was never stopped."""
    below = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tune_module, "Pool", HerePool)
        tune(search_file(below), below=below, say=lambda line: None)
    return below


def test_every_method_has_the_same_trials_and_begins_with_its_defaults(whole: Path) -> None:
    by_method = {label: [t for t in trials(whole) if t.label == label] for label in ("finetune", "l2", "constant")}
    assert {label: len(found) for label, found in by_method.items()} == {"finetune": 1, "l2": 3, "constant": 3}
    assert all(trial.status == "finished" and set(trial.lives) == {"tiny-2-o0-s1000"} for trial in trials(whole))
    assert by_method["l2"][0].options == {"strength": L2Options().strength}
    assert by_method["constant"][0].options == {"weight": 0.1, "samples": 16}
    assert len({str(trial.options) for trial in by_method["constant"]}) == 3


def test_a_trial_is_worth_the_average_performance_of_its_lives(whole: Path) -> None:
    trial = next(trial for trial in trials(whole) if trial.label == "l2")
    life = Run(whole / "runs/tiny/l2-t0-tiny-2-o0-s1000")
    assert trial.value == pytest.approx(average_performance(life.curves))
    assert trial.minutes * 60 == pytest.approx(sum(life.folder.summary()["seconds"].values()))


def test_best_options_are_those_of_the_best_trial_and_a_study_takes_them(whole: Path) -> None:
    found = yaml.safe_load((whole / "results/tiny/best.yaml").read_text())
    best = max((t for t in trials(whole) if t.label == "constant"), key=lambda trial: (trial.value, -trial.number))
    assert found["constant"] == {"method": "cloning", "capacity": 64, **best.options}
    assert found["finetune"] == {}
    values = {key: value for key, value in yaml.safe_load(SEARCH).items() if key != "trials"} | {"seeds": 1}
    study = whole / "study.yaml"
    study.write_text(yaml.safe_dump({**values, "methods": found}, sort_keys=False))
    assert [cell.config.method for cell in read_plan(study).cells] == ["finetune", "l2", "cloning"]


def test_a_study_takes_tuned_options_unless_it_gives_its_own(whole: Path) -> None:
    best = whole / "results/tiny/best.yaml"
    values = {key: value for key, value in yaml.safe_load(SEARCH).items() if key != "trials"}
    methods = {"finetune": None, "l2": {"strength": 7.0}, "constant": {}, "ewc": {}}
    study = whole / "tuned-study.yaml"
    study.write_text(yaml.safe_dump({**values, "methods": methods, "tuned": str(best)}, sort_keys=False))
    configs = {cell.method: cell.config for cell in read_plan(study).cells}
    found = yaml.safe_load(best.read_text())["constant"]
    assert {"method": configs["constant"].method, **configs["constant"].method_options} == found
    assert configs["l2"].method_options == {"strength": 7.0}
    assert configs["finetune"].method_options == configs["ewc"].method_options == {}
    assert read_plan(study).untuned == ("ewc",)
    study.write_text(study.read_text().replace("best.yaml", "none.yaml"))
    with pytest.raises(BadConfig, match=r"none.yaml cannot be read"):
        read_plan(study)


def test_a_search_says_what_it_did_not_begin_with(whole: Path) -> None:
    path = whole / "results/tiny/versions.json"
    began = path.read_text()
    path.write_text(json.dumps(json.loads(began) | {"mujoco": "2.0.0"}))
    said: list[str] = []
    tune(whole / "tune.yaml", below=whole, say=said.append)
    assert "this search began with mujoco 2.0.0 (now " in said[0]
    assert json.loads(path.read_text())["mujoco"] == "2.0.0"  # what the first trials were made with
    path.write_text(began)


def test_every_trial_is_written_down(whole: Path) -> None:
    rows = list(csv.DictReader((whole / "results/tiny/trials.csv").open()))
    assert [(row["label"], int(row["trial"])) for row in rows] == [(t.label, t.number) for t in trials(whole)]
    assert all(0 <= float(row["average_performance"]) <= 1 and row["minutes"] for row in rows)
    table = (whole / "results/tiny/table.md").read_text()
    assert table.count("\n| ") == 4 and "| constant | 3 | 0 | 3 |" in table
    assert {path.name for path in (whole / "results/tiny").iterdir()} >= {"tune.yaml", "command.txt", "versions.json"}


def test_a_search_that_is_done_runs_nothing_and_goes_on_with_more_trials(whole: Path) -> None:
    tune(whole / "tune.yaml", below=whole, say=lambda line: None)
    assert HerePool.started == []
    before = tried(whole)
    tune(search_file(whole, lambda values: values.update(trials=4)), below=whole, say=lambda line: None)
    assert HerePool.started == ["l2-t3-tiny-2-o0-s1000", "constant-t3-tiny-2-o0-s1000"]
    assert [trial for trial in tried(whole) if trial[1] != 3] == before
    search_file(whole)


@pytest.mark.learning
def test_a_killed_search_goes_on_as_if_it_had_not_been(whole: Path, tmp_path: Path, kill: Any) -> None:
    path = search_file(tmp_path, lambda values: values["methods"].pop("finetune"))
    process = subprocess.Popen(
        [sys.executable, "-m", "nestrl.cli", "tune", str(path)], cwd=tmp_path, stdout=subprocess.DEVNULL
    )
    until = time.monotonic() + PATIENCE
    while not list(tmp_path.glob("runs/tiny/*-t1-*/checkpoints/*.pt")):
        assert time.monotonic() < until and process.poll() is None
        time.sleep(0.02)
    kill(process, tmp_path / "runs/tiny")
    assert "running" in {trial.status for trial in trials(tmp_path)}
    tune(path, below=tmp_path, say=lambda line: None)
    assert tried(tmp_path) == [trial for trial in tried(whole) if trial[0] != "finetune" and trial[1] < 3]


def test_what_a_kill_leaves_of_the_journal_is_mended(tmp_path: Path) -> None:
    path = search_file(tmp_path, lambda values: (values.update(trials=1), values["methods"].pop("constant")))
    tune(path, below=tmp_path, say=lambda line: None)
    before, journal = tried(tmp_path), tmp_path / "results/tiny/journal.log"
    with journal.open("ab") as file:
        file.write(b'{"op_code":4,"study')
    journal.with_name("journal.log.lock").symlink_to(journal)
    tune(path, below=tmp_path, say=lambda line: None)
    assert tried(tmp_path) == before


def test_runs_that_fit_are_used_again_without_the_journal(tmp_path: Path) -> None:
    path = search_file(tmp_path, lambda values: (values.update(trials=1), values["methods"].pop("constant")))
    tune(path, below=tmp_path, say=lambda line: None)
    before = tried(tmp_path)
    (tmp_path / "results").rename(tmp_path / "moved")
    tune(path, below=tmp_path, say=lambda line: None)
    assert HerePool.started == [] and tried(tmp_path) == before


def test_a_failed_trial_is_recorded_and_stops_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(HerePool, "fails", "l2-t0")
    said: list[str] = []
    table = tune(
        search_file(tmp_path, lambda values: values["methods"].pop("constant")), below=tmp_path, say=said.append
    )
    assert [trial.status for trial in trials(tmp_path)] == ["finished", "failed", "finished", "finished"]
    assert "it broke" in trials(tmp_path)[1].error and any(
        "l2, trial 1 of 3" in line and "it broke" in line for line in said
    )
    assert "| l2 | 2 | 1 | 3 |" in table


def test_a_search_in_which_all_fails_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(HerePool, "fails", "-t")
    path = search_file(tmp_path, lambda values: values["methods"].pop("constant"))
    with pytest.raises(NestrlError, match="all 4 trials have failed.*it broke"):
        tune(path, below=tmp_path, say=lambda line: None)
    assert {trial.status for trial in trials(tmp_path)} == {"failed"}


def test_options_that_were_tried_before_are_not_run_again(tmp_path: Path) -> None:
    def change(values: dict[str, Any]) -> None:
        space = {"factor": {"choices": [2, 4]}}
        values.update(trials=4, methods={"cms": {"space": space}})

    tune(search_file(tmp_path, change), below=tmp_path, say=lambda line: None)
    assert len(HerePool.started) <= 2
    values = {trial.options["factor"]: trial.value for trial in trials(tmp_path)}
    assert [trial.value for trial in trials(tmp_path)] == [
        values[trial.options["factor"]] for trial in trials(tmp_path)
    ]


def test_another_space_under_the_same_name_is_refused(tmp_path: Path) -> None:
    one = lambda values: (values.update(trials=1), values["methods"].pop("constant"))  # noqa: E731
    tune(search_file(tmp_path, one), below=tmp_path, say=lambda line: None)
    wider = lambda values: (one(values), values["methods"]["l2"]["space"]["strength"].update(high=1000))  # noqa: E731
    with pytest.raises(BadConfig, match="another space"):
        tune(search_file(tmp_path, wider), below=tmp_path)


def test_a_search_on_record_goes_on_though_options_have_come_since(tmp_path: Path) -> None:
    one = lambda values: (values.update(trials=1), values["methods"].pop("constant"))  # noqa: E731
    tune(search_file(tmp_path, one), below=tmp_path, say=lambda line: None)
    values = [trial.value for trial in trials(tmp_path)]
    journal = next(tmp_path.rglob("journal.log"))
    older, changes = re.subn(r', ?"patience": ?2\b', "", journal.read_text())
    assert changes == 2  # one a method
    journal.write_text(older)
    HerePool.started.clear()
    tune(search_file(tmp_path, one), below=tmp_path, say=lambda line: None)
    assert HerePool.started == [] and [trial.value for trial in trials(tmp_path)] == values


def test_status_runs_and_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    path = search_file(tmp_path)
    assert "| l2 | 0 | 0 | 3 |" in status(path, tmp_path)
    monkeypatch.chdir(tmp_path)
    main(["tune", str(path), "--status"])
    assert "no process is at it" in capsys.readouterr().out
    assert [entry.name for entry in tmp_path.iterdir()] == ["tune.yaml"]


L2 = "methods: {l2: {space: {strength: {low: 1, high: 2}}}}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sequences: [tiny-2]\ntrial: 3\n" + L2, r"line 3: a search has no key 'trial'. Did you mean 'trials'"),
        ("sequences: [tiny-2]\n" + L2, r"no 'trials'; add it"),
        ("sequences: [tiny-2]\ntrials: 0\n" + L2, r"line 3: trials is 0"),
        ("sequences: [tiny-2]\ntrials: 3\nseeds: [1000, 7]\n" + L2, r"line 4: seeds are \[1000, 7\].*below 1000"),
        ("sequences: [tiny-2]\ntrials: 3\nseeds: 10\n" + L2, r"line 4"),
        (
            "sequences: [tiny-2]\ntrials: 3\nreported: [quick-3, tiny-2]\n" + L2,
            r"line 2: 'tiny-2' is among the reported",
        ),
        ("sequences: [tiny-3]\ntrials: 3\n" + L2, r"line 2: No sequence 'tiny-3'"),
        ("sequences: [tiny-2]\ntrials: 3\nmethods: {l2: {spaces: {}}}", r"line 4: l2 has no option 'spaces'"),
        ("sequences: [tiny-2]\ntrials: 3\nmethods: {l3: {}}", r"line 4: unknown method 'l3'"),
        (
            "sequences: [tiny-2]\ntrials: 3\nmethods:\n  l2:\n    space:\n      strenth: {low: 1, high: 2}",
            r"line 7: there",
        ),
        ("sequences: [tiny-2]\ntrials: 3\n" + L2.replace("low: 1", "low: 3"), r"line 4: low is 3.* below high"),
        ("sequences: [tiny-2]\ntrials: 3\n" + L2.replace("low: 1", "low: -1"), r"line 4: .*at least 0"),
        (
            "sequences: [tiny-2]\ntrials: 3\n" + L2.replace("low: 1", "low: 1.5"),
            r"first trial's strength is 0.*start",
        ),
        (
            "sequences: [tiny-2]\ntrials: 3\n"
            "methods: {cloning: {start: {samples: 64}, space: {weight: {low: 0, high: 2}}}}",
            r"line 4: start has 'samples', which is not searched.*fixed",
        ),
        ("sequences: [tiny-2]\ntrials: 3\n" + L2.replace("high: 2", "hi: 2"), r"strength has no option 'hi'"),
    ],
)
def test_mistakes_are_shown_at_their_line(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "tune.yaml"
    path.write_text(f"name: tiny\n{text}\nimports: [tiny_worlds]\n")
    with pytest.raises(NestrlError, match=message):
        read_tune_plan(path)


def test_whole_numbers_are_choices_of_an_option_with_a_fraction(tmp_path: Path) -> None:
    space = {"l2": {"start": {"strength": 10}, "space": {"strength": {"choices": [1, 10, 100]}}}}
    (search,) = read_tune_plan(search_file(tmp_path, lambda values: values.update(methods=space))).searches
    assert search.first == {"strength": 10.0}
    assert repr(search.space["strength"].examples) == "(1.0, 10.0, 100.0)"


def test_a_damaged_journal_is_named(whole: Path, tmp_path: Path) -> None:
    path = tmp_path / "journal.log"
    lines = (whole / "results/tiny/journal.log").read_text().splitlines(keepends=True)
    path.write_text("".join([*lines[:2], "{broken\n", *lines[2:]]))
    with pytest.raises(BadConfig, match=r"journal\.log is damaged"):
        outcomes(path, read_tune_plan(whole / "tune.yaml"))


def test_a_kill_between_two_options_of_a_trial_changes_neither(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def widen(values: dict[str, Any]) -> None:
        values["methods"]["constant"]["space"]["samples"] = {"low": 1, "high": 4096}

    search = read_tune_plan(search_file(tmp_path, widen)).searches[-1]
    assert len(search.space) == 2

    def proposed(path: Path) -> Any:
        journal = Journal(path)
        journal.open(search)
        return journal.propose(search, RANDOM_TRIALS + 2)

    journal = Journal(tmp_path / "whole.log")
    journal.open(search)
    for number in range(RANDOM_TRIALS + 2):  # from here on a model of them proposes
        proposal = journal.propose(search, number)
        if proposal is not None:
            proposal.finish({"life": 0.1 * number}, 0.0)
    shutil.copy(tmp_path / "whole.log", tmp_path / "killed.log")

    suggest = Proposal._suggestion
    suggested: list[str] = []

    def killed(proposal: Proposal, name: str) -> Any:
        suggested.append(name)
        if len(suggested) == 2:
            raise KeyboardInterrupt
        return suggest(proposal, name)

    with monkeypatch.context() as patch:
        patch.setattr(Proposal, "_suggestion", killed)
        with pytest.raises(KeyboardInterrupt):
            proposed(tmp_path / "killed.log")
    assert proposed(tmp_path / "killed.log").options == proposed(tmp_path / "whole.log").options


def test_a_label_that_looks_like_a_number_is_read_back(tmp_path: Path) -> None:
    path = search_file(tmp_path, lambda values: values.update(trials=1, methods={"0.03": {"method": "l2"}}))
    tune(path, below=tmp_path, say=lambda line: None)
    assert yaml.safe_load((tmp_path / "results/tiny/best.yaml").read_text()) == {"0.03": {"method": "l2"}}
