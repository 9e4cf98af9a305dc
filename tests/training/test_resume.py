"""A run killed anywhere and resumed ends with the same bits as one never stopped."""

import hashlib
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_worlds import AGENTS, TINY, tasks, tiny_config

import nestrl
from nestrl.errors import BadConfig, DamagedCheckpoint, RunExists
from nestrl.nested.meta_controller import SHAPE, controller_file
from nestrl.studies.outcome import digests_of_files
from nestrl.tasks.sequence import Segment, Task, TaskSequence
from nestrl.training import checkpoint
from nestrl.training.checkpoint import load_newest
from nestrl.training.display import Display, Moment
from nestrl.training.life import Life
from nestrl.training.result import Run
from nestrl.training.run_folder import RunFolder
from nestrl.training.stopping import StopRequest
from nestrl.training.trainer import run
from nestrl.training.worlds import Worlds
from nestrl.training.writing import Log

SAME_FILES = ("log.jsonl", "curves.json", "policy.safetensors", "policy.json")

KILLED_RUN = """
import os, signal, sys
from nestrl.training import trainer
from tiny_worlds import tiny_config

algorithm, folder, steps = sys.argv[1], sys.argv[2], int(sys.argv[3])

class KilledLife(trainer.Life):
    def learn(self, until):
        at_the_end = super().learn(until)
        if self.steps >= steps:
            os.kill(os.getpid(), signal.SIGKILL)
        return at_the_end

trainer.Life = KilledLife
trainer.run(tiny_config(algorithm), folder)
"""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Runs never stopped, by algorithm."""
    folder = tmp_path_factory.mktemp("whole")
    return {name: run(tiny_config(name), folder / name).path for name in AGENTS}


def assert_same_end(first: Path, second: Path) -> None:
    for name in SAME_FILES:
        assert (first / name).read_bytes() == (second / name).read_bytes(), f"{name} differs"
    last = [load_newest(folder / "checkpoints").state for folder in (first, second)]  # type: ignore[union-attr]
    for state in last:
        del state["seconds"]
    assert _bits(last[0]) == _bits(last[1])


def _bits(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _bits(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_bits(item) for item in value]
    return bytes(value.numpy().tobytes()) if hasattr(value, "numpy") else repr(value)


# Where it is killed; the last checkpoint then stands within the first task, or at the boundary.
@pytest.mark.learning
@pytest.mark.parametrize("algorithm", ["ppo", "sac"])
@pytest.mark.parametrize("killed_at", [300, 700])
def test_killed_and_resumed_run_ends_with_the_same_bits(
    algorithm: str, killed_at: int, whole: dict[str, Path], tmp_path: Path
) -> None:
    command = [sys.executable, "-c", KILLED_RUN, algorithm, str(tmp_path / "killed"), str(killed_at)]
    killed = subprocess.run(command, check=False, capture_output=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    stopped_at = RunFolder(tmp_path / "killed").curves().steps[-1]
    assert 0 < stopped_at < 1200

    run(RunFolder(tmp_path / "killed").config(), tmp_path / "killed", resume=True)
    assert_same_end(whole[algorithm], tmp_path / "killed")


def test_checkpoints_come_as_seldom_as_asked_for_and_a_run_resumes_from_the_older_one(
    whole: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps, save = [], checkpoint.save
    monkeypatch.setattr("nestrl.training.life.save", lambda *args: (steps.append(args[1]), save(*args))[1])
    config = tiny_config(checkpoint_every=2)  # of three evaluations a segment: the second, and the last one
    run(config, tmp_path / "seldom")
    assert len(steps) == 4
    shutil.copytree(tmp_path / "seldom", tmp_path / "older")
    saved = sorted((tmp_path / "older" / "checkpoints").glob("*.pt"))
    saved[-1].unlink()
    (tmp_path / "older" / "metrics.json").unlink()
    (tmp_path / "older" / "policy.safetensors").unlink()
    run(config, tmp_path / "older", resume=True)
    assert_same_end(tmp_path / "seldom", tmp_path / "older")


def test_a_second_signal_stops_at_once() -> None:
    with pytest.raises(KeyboardInterrupt), StopRequest() as stop:  # noqa: PT012  (two signals, the second raises)
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.made
        os.kill(os.getpid(), signal.SIGTERM)
        pytest.fail("went on")


def test_run_killed_before_its_first_checkpoint_begins_anew(whole: dict[str, Path], tmp_path: Path) -> None:
    RunFolder(tmp_path / "killed").create(tiny_config())
    (tmp_path / "killed" / "log.jsonl").write_text('{"event": "left over"}\n')
    run(tiny_config(), tmp_path / "killed", resume=True)
    assert_same_end(whole["ppo"], tmp_path / "killed")


class StopAt(Display):
    """Sends a signal to this process when the run has come to a number of steps."""

    def __init__(self, steps: int, number: signal.Signals) -> None:
        self.steps, self.number = steps, number

    def show(self, moment: Moment) -> None:
        if moment.steps >= self.steps:
            self.steps = sys.maxsize
            os.kill(os.getpid(), self.number)


@pytest.mark.parametrize(
    ("steps", "number"), [(0, signal.SIGINT), (64, signal.SIGINT), (640, signal.SIGTERM), (650, signal.SIGINT)]
)
def test_ctrl_c_saves_between_evaluations_and_resumes_exactly(
    steps: int, number: signal.Signals, whole: dict[str, Path], tmp_path: Path
) -> None:
    with pytest.raises(KeyboardInterrupt) as stop:
        run(tiny_config(), tmp_path / "stopped", display=StopAt(steps, number))
    assert f"nestrl resume {tmp_path / 'stopped'}" in "".join(stop.value.__notes__)
    saved = load_newest(tmp_path / "stopped" / "checkpoints")
    saved_steps = int(saved.path.name.split("-")[1]) if saved else 0
    assert steps <= saved_steps < steps + 100

    run(tiny_config(), tmp_path / "stopped", resume=True)
    assert_same_end(whole["ppo"], tmp_path / "stopped")


@pytest.mark.parametrize("algorithm", ["ppo", "sac"])
def test_a_stop_after_trials_before_any_episode_has_begun_resumes_exactly(algorithm: str, tmp_path: Path) -> None:
    config = tiny_config(algorithm, method="best-start", method_options={"episodes": 8})
    never_stopped = run(config, tmp_path / "whole").path
    first_end = Run(never_stopped).curves.segments[0][2]
    with pytest.raises(KeyboardInterrupt):
        run(config, tmp_path / "stopped", display=StopAt(first_end + 1, signal.SIGINT))
    saved = load_newest(tmp_path / "stopped" / "checkpoints")
    assert saved is not None and saved.state["steps_here"] > 0 and saved.state["agent"]["last_observations"] is None
    run(config, tmp_path / "stopped", resume=True)
    assert_same_end(never_stopped, tmp_path / "stopped")


@pytest.mark.learning
def test_rover_tasks_resume_exactly(tmp_path: Path) -> None:
    rovers = tuple(Task(name, f"nestrl_envs:nestrl/Rover{name}-v0") for name in ("Reach", "Push"))
    sequence = TaskSequence("rovers", rovers, (Segment("Reach", 512), Segment("Push", 512)))
    config = tiny_config(sequence=sequence, evaluation_episodes=2, final_episodes=2, evaluations_per_segment=1)
    run(config, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        run(config, tmp_path / "stopped", display=StopAt(704, signal.SIGINT))
    run(config, tmp_path / "stopped", resume=True)
    assert_same_end(tmp_path / "whole", tmp_path / "stopped")


def test_signals_do_what_they_did_before_once_the_run_is_over(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGINT)
    run(tiny_config(), tmp_path / "run")
    assert signal.getsignal(signal.SIGINT) is before


def test_finished_run_resumed_stays_the_same(tmp_path: Path) -> None:
    run(tiny_config(), tmp_path / "run")
    before = (tmp_path / "run" / "log.jsonl").read_bytes()
    run(tiny_config(), tmp_path / "run", resume=True)
    assert (tmp_path / "run" / "log.jsonl").read_bytes() == before


class Listener(Display):
    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)


def test_world_without_state_restarts_its_episodes_and_says_so(tmp_path: Path) -> None:
    sequence = replace(TINY, tasks=tasks("TinyForgetful-v0"))
    config = tiny_config(sequence=sequence)
    with pytest.raises(KeyboardInterrupt):
        run(config, tmp_path / "run", display=StopAt(64, signal.SIGINT))
    listener = Listener()
    finished = run(config, tmp_path / "run", resume=True, display=listener)
    assert any("episodes start anew" in text for text in listener.said)
    assert '"episodes restarted"' in (tmp_path / "run" / "log.jsonl").read_text()
    assert finished.curves.complete


def test_damaged_newest_checkpoint_gives_way_to_the_older_one(whole: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(tiny_config(), tmp_path / "run", display=StopAt(650, signal.SIGINT))
    newest = sorted((tmp_path / "run" / "checkpoints").glob("*.pt"))[-1]
    content = bytearray(newest.read_bytes())
    content[len(content) // 2] ^= 1
    newest.write_bytes(content)
    older = load_newest(tmp_path / "run" / "checkpoints")
    acting = nestrl.load(tmp_path / "run")._agent.algorithm.policy.state_dict()
    assert older is not None
    assert all(torch.equal(acting[name], value) for name, value in older.state["agent"]["policy"].items())
    listener = Listener()
    run(tiny_config(), tmp_path / "run", resume=True, display=listener)
    assert any(newest.name in text and "damaged" in text for text in listener.said)
    assert_same_end(whole["ppo"], tmp_path / "run")


def test_a_run_goes_on_with_its_own_configuration_only(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(tiny_config(), tmp_path / "run", display=StopAt(64, signal.SIGINT))
    with pytest.raises(BadConfig, match=r"another configuration.*nestrl resume"):
        run(tiny_config(seed=7), tmp_path / "run", resume=True)


@pytest.mark.parametrize("change", ["gone", "another"])
@pytest.mark.parametrize(("method", "options"), [("nested", {}), ("nested+trac", {"trac": {}})])
def test_a_run_has_its_own_copy_of_the_meta_controller(
    change: str, method: str, options: dict[str, Any], tmp_path: Path
) -> None:
    file = tmp_path / "found: it.safetensors"
    file.write_bytes(controller_file(np.full(SHAPE, 0.3), {}))
    small = {"meta_controller": f"{tmp_path}/./{file.name}", "samples": 32, "capacity": 64, "consult_every": 4}
    config = tiny_config(method=method, method_options={"nested": small, **options} if options else small)
    whole = run(config, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        run(config, tmp_path / "stopped", display=StopAt(650, signal.SIGINT))
    if change == "gone":
        file.unlink()
    else:
        file.write_bytes(controller_file(np.full(SHAPE, -0.3), {}))
    moved = tmp_path / "elsewhere"
    (tmp_path / "stopped").rename(moved)
    nestrl.load(moved)
    nestrl.resume(moved)
    assert_same_end(whole.path, moved)
    (digest,) = digests_of_files(RunFolder(moved).with_own_files(config)).values()
    assert digest == hashlib.sha256((moved / "files" / file.name).read_bytes()).hexdigest()[:12]


def test_what_ends_after_the_report_says_that_the_run_is_finished(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt) as stop:
        run(tiny_config(), tmp_path / "run", display=StopAt(1280, signal.SIGINT))
    assert "is finished" in "".join(stop.value.__notes__)
    assert nestrl.Run(tmp_path / "run").metrics


def test_other_process_cannot_write_the_same_run(tmp_path: Path) -> None:
    run(tiny_config(), tmp_path / "run")
    with Log(tmp_path / "run" / "log.jsonl"), pytest.raises(RunExists, match="another process"):
        run(tiny_config(), tmp_path / "run", resume=True)


def test_a_run_whose_checkpoints_were_removed_is_left_as_it_is(tmp_path: Path) -> None:
    finished = run(tiny_config(), tmp_path / "run")
    shutil.rmtree(finished.path / "checkpoints")
    before = {path.name: path.read_bytes() for path in finished.path.iterdir()}
    with pytest.raises(DamagedCheckpoint, match=r"holds no checkpoint.*stays as it is"):
        run(tiny_config(), tmp_path / "run", resume=True)
    assert {path.name: path.read_bytes() for path in finished.path.iterdir()} == before


def test_a_wish_to_stop_that_comes_too_late_still_ends_what_would_come_next(tmp_path: Path) -> None:
    class StopInReport(Display):
        told = False

        def show(self, moment: Moment) -> None:
            if moment.steps >= moment.total_steps and not self.told:
                self.told = True
                os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        run(tiny_config(), tmp_path / "run", display=StopInReport())
    assert Run(tmp_path / "run").metrics.average_performance >= 0


def test_damaged_files_of_a_finished_run_are_written_anew_or_named(tmp_path: Path) -> None:
    finished = run(tiny_config(), tmp_path / "run")
    curves = finished.path / "curves.json"
    before = curves.read_bytes()
    curves.write_bytes(before[:40])
    assert run(tiny_config(), tmp_path / "run", resume=True).metrics == finished.metrics
    assert curves.read_bytes() == before

    log = finished.path / "log.jsonl"
    log.write_bytes(b"{broken\n" + log.read_bytes())
    with pytest.raises(BadConfig, match=r"log\.jsonl is damaged"):
        finished.folder.log_lines("training")
    (finished.path / "config.json").write_bytes(b"\xff\xfe")
    with pytest.raises(BadConfig, match=r"config\.json is damaged"):
        Run(finished.path)


def test_joint_training_goes_on_with_the_spread_of_returns_after_a_boundary(tmp_path: Path) -> None:
    sequence = replace(TINY, tasks=tuple(replace(task, reward_scale="auto") for task in TINY.tasks))
    config = tiny_config(sequence=sequence, method="multitask", method_options={})
    never_stopped = run(config, tmp_path / "whole").path
    first_end = Run(never_stopped).curves.segments[0][2]
    with pytest.raises(KeyboardInterrupt):
        run(config, tmp_path / "stopped", display=StopAt(first_end, signal.SIGINT))
    saved = load_newest(tmp_path / "stopped" / "checkpoints")
    assert saved is not None and saved.state["environment"] is None
    run(config, tmp_path / "stopped", resume=True)
    assert_same_end(never_stopped, tmp_path / "stopped")


@pytest.mark.parametrize("steps", [64, 400])  # between two evaluations; just before one
def test_ctrl_c_that_also_ends_who_reads_the_output_still_saves(
    steps: int, whole: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in `nestrl train ... 2>&1 | tee log`."""

    def broken(*_: object) -> int:
        raise BrokenPipeError

    class Gone(StopAt):
        def show(self, moment: Moment) -> None:
            if self.steps == sys.maxsize:
                raise BrokenPipeError
            super().show(moment)

    monkeypatch.setattr("nestrl.training.stopping.os.write", broken)
    with pytest.raises(KeyboardInterrupt):
        run(tiny_config(), tmp_path / "stopped", display=Gone(steps, signal.SIGINT))
    monkeypatch.undo()
    saved = load_newest(tmp_path / "stopped" / "checkpoints")
    assert saved is not None and saved.state["steps_here"] >= steps
    run(tiny_config(), tmp_path / "stopped", resume=True)
    assert_same_end(whole["ppo"], tmp_path / "stopped")


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    finished = run(tiny_config(), tmp_path / "run")
    versions = finished.path / "metrics.json"
    versions.unlink()
    versions.mkdir()  # as no permission to read: an OSError, also for root
    with pytest.raises(BadConfig, match=r"metrics\.json cannot be read \(Is a directory\)"):
        finished.folder.summary()


def test_methods_go_on_with_the_normaliser_that_they_learned_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is measured anew where other versions, or another machine, would measure other numbers."""
    config = tiny_config(method="snapshots", method_options={})
    with pytest.raises(KeyboardInterrupt):
        run(config, tmp_path / "stopped", display=StopAt(650, signal.SIGINT))

    def measured_otherwise(worlds: Worlds) -> Any:
        shape = (worlds.union.n_tasks, worlds.union.feature_size)
        return np.full(shape, 7.0, np.float32), np.full(shape, 9.0, np.float32)

    monkeypatch.setattr(Worlds, "normalizer_rows", measured_otherwise)
    with Life(config, tmp_path / "stopped", Display(), resume=True) as life:
        for segment, _ in life.segments_ahead():
            environment = life.environment(segment)
            life.agent.start_task(segment, environment, first=False, steps=600)
            life.method.begin(segment, segment)
            life.return_to_checkpoint()
            break
        for network in (life.agent.algorithm.policy, life.method._stored[0].network):  # type: ignore[union-attr]
            assert network.normalizer.mean.abs().max() == 0 and network.normalizer.scale.max() == 1
