"""A study runs to its end, whatever is killed, and says what failed."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

import nestrl
from nestrl.cli import main
from nestrl.errors import BadConfig, RunExists
from nestrl.nested.meta_controller import SHAPE, controller_file
from nestrl.studies.ledger import append, read_ledger
from nestrl.studies.outcome import failed_record
from nestrl.studies.plan import read_plan
from nestrl.studies.running import alone, process_of, run_study
from nestrl.studies.status import status
from nestrl.studies.study import open_study, places

PATIENCE = 120  # seconds that a study of seconds may take on a busy machine


def results(below: Path) -> dict[str, dict[str, Any]]:
    """Return the ledger's lines by run, without what the clock says and the commit (of a developer in the middle)."""
    lines = (below / "results" / "tiny" / "finished.jsonl").read_text().splitlines()
    records = [json.loads(line) for line in lines]
    assert len({record["cell"] for record in records}) == len(records)
    return {
        record["cell"]: {key: record[key] for key in record if key not in ("seconds", "versions")} for record in records
    }


def shown(study_file: Path, below: Path) -> str:
    console = Console(file=StringIO(), width=120)
    console.print(status(study_file, below))
    return console.file.getvalue()  # type: ignore[attr-defined]


def begin(study_file: Path, below: Path) -> "subprocess.Popen[str]":
    """Start a study in a process of its own and return when a run has saved something."""
    command = [sys.executable, "-m", "nestrl.cli", "study", str(study_file)]
    process = subprocess.Popen(command, cwd=below, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    until = time.monotonic() + PATIENCE
    while not list(below.glob("runs/tiny/*/checkpoints/*.pt")):
        assert time.monotonic() < until and process.poll() is None, process.communicate()
        time.sleep(0.02)
    return process


@pytest.fixture(scope="module")
def whole(study_text: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a study has run that was never stopped."""
    below = tmp_path_factory.mktemp("whole")
    (below / "study.yaml").write_text(study_text)
    lines: list[str] = []
    run_study(below / "study.yaml", below=below, say=lines.append)
    (below / "said").write_text("\n".join(lines))
    return below


@pytest.mark.learning
def test_study_finishes_and_records_every_run(whole: Path) -> None:
    study = open_study(whole / "results" / "tiny")
    assert study.left == ()
    assert {record.cell for record in study.records} == {cell.name for cell in study.plan.cells}
    for record in study.records:
        assert record.finished
        assert record.curves.complete
        assert record.curves.success.shape == (7, 2)
        assert all(episodes == 8 for _, episodes in record.final.values())
        assert (record.memory_bytes > 0) == (record.method == "kept")
        assert record.network == (16,)
        assert record.n_parameters == study.records[0].n_parameters > 100
        assert record.environment_steps >= 1200
        assert record.versions["mujoco"]
    seconds = json.loads((whole / "results" / "tiny" / "time.json").read_text())["seconds"]
    assert seconds["study"] > 0 and seconds["training"] > 0
    said = (whole / "said").read_text()
    assert "no reference curves of calm, windy" in said
    assert re.search(r"kept-shared-tiny-2-o1-s1: average performance 0\.\d\d, \d\.\d min; \d of 4", said)


@pytest.mark.learning
def test_finished_runs_can_be_loaded_and_keep_one_checkpoint(whole: Path) -> None:
    folder = whole / "runs" / "tiny" / "kept-shared-tiny-2-o0-s0"
    assert len(list((folder / "checkpoints").iterdir())) == 1
    assert nestrl.load(folder).predict([0.1, 0.2], task="windy")[0].shape == (1,)


@pytest.mark.learning
def test_what_is_done_is_skipped_and_what_was_not_recorded_is(whole: Path) -> None:
    """A study killed between a run's end and its line in the ledger only writes the line."""
    before = results(whole)
    ledger = whole / "results" / "tiny" / "finished.jsonl"
    ledger.write_text("".join(ledger.read_text().splitlines(keepends=True)[:-1]))
    run_study(whole / "study.yaml", below=whole, say=lambda _: None)
    assert results(whole) == before


@pytest.mark.learning
def test_a_finished_run_that_is_damaged_stops_nobody_and_is_run_anew_once_it_is_gone(
    whole: Path, tmp_path: Path
) -> None:
    shutil.copytree(whole / "runs", tmp_path / "runs")
    damaged = tmp_path / "runs" / "tiny" / "kept-shared-tiny-2-o0-s0"
    (damaged / "policy.safetensors").write_bytes(b"{")
    clock = tmp_path / "results" / "tiny" / "time.json"
    clock.parent.mkdir(parents=True)
    clock.write_text("[]")
    lines: list[str] = []
    study = run_study(whole / "study.yaml", below=tmp_path, say=lines.append)
    assert [cell.name for cell in study.left] == [damaged.name]
    assert any(re.search(rf"{damaged} has ended, but is damaged .*move it away", line) for line in lines)
    assert json.loads(clock.read_text())["finished"] == 3
    shutil.rmtree(damaged)
    assert run_study(whole / "study.yaml", below=tmp_path, say=lines.append).left == ()
    assert results(tmp_path) == results(whole)


@pytest.mark.learning
def test_changed_study_is_refused(whole: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.yaml"
    other.write_text((whole / "study.yaml").read_text().replace("n_envs: 8", "n_envs: 4"))
    shutil.copytree(whole / "results", tmp_path / "results")  # as in a clone: results without the runs
    for below in (whole, tmp_path):
        with pytest.raises(BadConfig, match=r"was run with agent\.n_envs 8, but the study now has 4; .*another name"):
            run_study(other, below=below, say=lambda _: None)
    for now, key in (
        (("[windy, calm]", "[calm, windy]"), r"tasks\.0 'windy', but the study now has 'calm'"),
        (("run:", "run:\n  boundaries: detected\n  identity: tried"), "other settings"),
    ):
        other.write_text((whole / "study.yaml").read_text().replace(*now))
        with pytest.raises(BadConfig, match=f"was run with {key}"):
            run_study(other, below=tmp_path, say=lambda _: None)
    run_study(whole / "study.yaml", below=tmp_path, say=lambda _: None)
    assert results(tmp_path) == results(whole)


@pytest.mark.learning
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_stopped_study_ends_like_one_never_stopped(
    number: signal.Signals, whole: Path, study_file: Path, tmp_path: Path, kill: Any
) -> None:
    study_file.write_text(study_file.read_text().replace("seeds: 2", "seeds: 1\nworkers: 1"))  # the second run waits
    process = begin(study_file, tmp_path)
    if number == signal.SIGINT:
        assert f"process {process.pid} is at it" in shown(study_file, tmp_path)
        process.send_signal(number)
        _, errors = process.communicate(timeout=PATIENCE)
        assert process.returncode == 130
        assert f"All that ran is saved; go on with: nestrl study {study_file}" in errors
    else:
        kill(process, tmp_path / "runs" / "tiny")
    assert len(read_ledger(tmp_path / "results" / "tiny" / "finished.jsonl")) < 2

    run_study(study_file, below=tmp_path, say=lambda _: None)
    assert results(tmp_path) == {cell: line for cell, line in results(whole).items() if line["seed"] == 0}


FAILING = """name: tiny-broken
tasks:
  - {name: calm, env: TinyPoint-v0, kwargs: {bad_reward_at: 9}}
steps: 600
"""


@pytest.mark.learning
def test_failed_run_is_reported_and_stops_nobody(study_file: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.yaml").write_text(FAILING)
    text = study_file.read_text().replace("[tiny-2]", f"[{tmp_path / 'broken.yaml'}, tiny-2]").replace("kept", "#kept")
    study_file.write_text(re.sub(r"orders:\n.*\n.*\nseeds: 2", "seeds: 1", text))
    lines: list[str] = []
    study = run_study(study_file, below=tmp_path, say=lines.append)

    records = {record.sequence: record for record in study.records}
    assert records["tiny-2"].finished
    failed = records["tiny-broken"]
    assert not failed.finished
    assert "TinyPoint-v0 gave a reward that is NaN" in failed.error
    log = tmp_path / "runs" / "tiny" / f"{failed.cell}.log"
    assert str(log) in failed.error and log.is_file()
    assert any(line.startswith(f"{failed.cell}: failed: ") for line in lines)
    assert f"{failed.cell} failed" in shown(study_file, tmp_path)

    lines.clear()
    run_study(study_file, below=tmp_path, say=lines.append)
    assert "0 of 2 runs to do" in "".join(lines)  # a failed run is tried again only when asked for

    lines.clear()
    run_study(study_file, retry_failed=True, below=tmp_path, say=lines.append)
    assert "1 of 2 runs to do" in "".join(lines) and "2 of 2, " in lines[-1]


@pytest.mark.learning
def test_reference_curves_of_another_version_stay(whole: Path, tmp_path: Path) -> None:
    shutil.copytree(whole / "results", tmp_path / "results")
    references = tmp_path / "results" / "tiny" / "references.json"
    curve = {"steps": [0, 600], "success": [0.0, 0.5], "seeds": 3}
    references.write_text(json.dumps({"shared": {"tiny-2": {"calm": curve}}}))
    run_study(whole / "study.yaml", below=tmp_path, say=lambda _: None)
    assert json.loads(references.read_text()) == {"shared": {"tiny-2": {"calm": curve}}}


def test_only_a_process_that_lives_and_is_at_it_runs_the_study(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    with pytest.raises(KeyError), alone(lock):  # noqa: PT012  (two steps, and only the second raises)
        assert process_of(lock) == os.getpid()
        raise KeyError
    assert lock.read_text() == "" and process_of(lock) is None
    lock.write_text(str(os.getppid()))  # as kill -9 left it, and the number has another process now
    assert process_of(lock) is None


def test_second_process_is_refused(study_file: Path, tmp_path: Path) -> None:
    with (
        alone(places(read_plan(study_file), tmp_path).lock),
        pytest.raises(RunExists, match=f"being run by process {os.getpid()}; wait for it"),
    ):
        run_study(study_file, below=tmp_path)
    assert not (tmp_path / "results").exists()


def test_status_runs_and_writes_nothing(study_file: Path, tmp_path: Path) -> None:
    text = shown(study_file, tmp_path)
    assert "kept" in text and "4 runs left, about ?" in text
    assert [path.name for path in tmp_path.iterdir()] == ["study.yaml"]


def test_failed_runs_are_left_only_when_asked_for(study_file: Path, tmp_path: Path) -> None:
    plan = read_plan(study_file)
    ledger = places(plan, tmp_path).ledger
    append(ledger, failed_record(plan.cells[0], "motor on fire"))
    text = shown(study_file, tmp_path)
    assert "3 runs left" in text
    assert "failed: motor on fire" in text


@pytest.mark.learning
def test_the_runs_that_decide_can_be_done_first(study_file: Path, tmp_path: Path) -> None:
    study_file.write_text(study_file.read_text() + "references: 1\n")
    lines: list[str] = []
    study = run_study(study_file, only=["kept-*-s1", "finetune-*-s1"], below=tmp_path, say=lines.append)
    assert {record.cell for record in study.records} == {"kept-shared-tiny-2-o1-s1", "finetune-shared-tiny-2-o1-s1"}
    assert "2 of 2 runs to do" in "".join(lines) and "2 of 2, " in lines[-1]
    assert not (tmp_path / "references").exists()  # their turn is when the whole study runs
    assert len(study.left) == 2


def test_a_pattern_must_fit_some_run(study_file: Path, tmp_path: Path) -> None:
    with pytest.raises(BadConfig, match=r"no run of tiny fits 'ewc-\*'; they are named as 'finetune"):
        run_study(study_file, only=["kept-*", "ewc-*"], below=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["study.yaml"]


def test_mistake_on_the_command_line_ends_with_a_sentence(
    study_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    study_file.write_text(study_file.read_text().replace("seeds: 2", "seeds: two"))
    with pytest.raises(SystemExit) as stop:
        main(["study", "study.yaml"])
    assert stop.value.code == 2
    assert capsys.readouterr().err == "nestrl: study.yaml, line 6: seeds is 'two'; expected int | tuple[int, ...].\n"
    assert [path.name for path in tmp_path.iterdir()] == ["study.yaml"]


def test_only_and_status_on_the_command_line(
    study_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit):
        main(["study", "study.yaml", "--only", "kept-*", "ewc-*"])
    assert "no run of tiny fits 'ewc-*'" in capsys.readouterr().err
    main(["study", "study.yaml", "--status"])
    assert "4 runs left" in capsys.readouterr().out
    assert [path.name for path in tmp_path.iterdir()] == ["study.yaml"]


def test_folder_without_a_study(tmp_path: Path) -> None:
    with pytest.raises(BadConfig, match="holds no study"):
        open_study(tmp_path)


STRANGER = """
from nestrl.methods.finetune import Finetune, FinetuneOptions

class Stranger(Finetune):
    def __init__(self, options: FinetuneOptions, learner, seed):
        super().__init__(options, learner, seed)

    def begin(self, segment_index, task_index):
        if segment_index == 1:
            raise ValueError("no skill to begin with")
"""


@pytest.mark.learning
def test_why_a_strangers_method_failed_is_on_record(
    study_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "stranger.py").write_text(STRANGER)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ["PYTHONPATH"]]))
    text = study_file.read_text().replace("finetune: {}", "odd: {method: 'stranger:Stranger'}")
    study_file.write_text(text.replace("kept:", "#kept:").replace("seeds: 2", "seeds: 1"))
    (record,) = run_study(study_file, below=tmp_path, say=lambda _: None).records
    assert record.error.startswith("ValueError: no skill to begin with Output: ")


@pytest.mark.learning
def test_another_controller_in_the_same_file_is_another_study(whole: Path, tmp_path: Path) -> None:
    """`learn-controller` writes the same file again as it goes on."""
    file = tmp_path / "controller.safetensors"
    file.write_bytes(controller_file(np.zeros(SHAPE), {}))
    text = (whole / "study.yaml").read_text().replace("finetune: {}", f"nested: {{meta_controller: {file}}}")
    study = tmp_path / "study.yaml"
    study.write_text(text.replace("kept:", "#kept:"))
    run_study(study, only=["*-s0"], below=tmp_path, say=lambda _: None)
    shutil.rmtree(tmp_path / "runs")  # as in a clone
    file.write_bytes(controller_file(np.ones(SHAPE), {}))
    with pytest.raises(BadConfig, match=r"was run with file\.meta_controller '\w+', but the study now has"):
        run_study(study, below=tmp_path, say=lambda _: None)
