"""What goes wrong gives one clear error and loses nothing."""

import errno
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import tiny_worlds
from tiny_worlds import TINY, tasks, tiny_config

import nestrl
from nestrl.errors import (
    BadConfig,
    DamagedCheckpoint,
    EnvironmentFault,
    NestrlError,
    RunExists,
    TrainingDiverged,
    UnknownName,
)
from nestrl.tasks.sequence import Segment, Task, TaskSequence
from nestrl.training import checkpoint
from nestrl.training.display import Silent
from nestrl.training.run_folder import RunFolder
from nestrl.training.trainer import run
from nestrl.training.writing import write_file


def full_disk(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.learning
@pytest.mark.parametrize("call", ["replace", "fsync"])
def test_full_disk_leaves_the_earlier_checkpoint(call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save, saved = checkpoint.save, []

    def save_twice(folder: Path, steps: int, state: Any) -> Path:
        if len(saved) == 2:
            monkeypatch.setattr(os, call, full_disk)
        saved.append(save(folder, steps, state))
        return saved[-1]

    monkeypatch.setattr("nestrl.training.life.save", save_twice)
    with pytest.raises(NestrlError, match=r"No space left on device.*untouched") as failure:
        run(tiny_config(), tmp_path / "full")
    assert f"nestrl resume {tmp_path / 'full'}" in "".join(failure.value.__notes__)
    monkeypatch.undo()

    assert checkpoint.load_newest(tmp_path / "full" / "checkpoints").path == saved[-1]  # type: ignore[union-attr]
    assert not list((tmp_path / "full").rglob("*.part"))
    monkeypatch.setenv("NESTRL_REFERENCES", str(tmp_path / "references"))
    run(tiny_config(), tmp_path / "full", resume=True)
    run(tiny_config(), tmp_path / "whole")
    assert (tmp_path / "full" / "log.jsonl").read_bytes() == (tmp_path / "whole" / "log.jsonl").read_bytes()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_full_device_gives_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file.part").symlink_to("/dev/full")
    with pytest.raises(NestrlError, match="No space left"):
        write_file(tmp_path / "file", b"content")
    assert not (tmp_path / "file").exists()


def test_run_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "precious").write_text("mine")
    with pytest.raises(RunExists, match="holds no run"):
        run(tiny_config(), tmp_path / "run")
    assert os.listdir(tmp_path / "run") == ["precious"]
    RunFolder(tmp_path / "begun").create(tiny_config())
    with pytest.raises(RunExists, match="nestrl resume"):
        run(tiny_config(), tmp_path / "begun")


def test_a_folder_that_a_kill_left_half_made_is_free(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    for name in ("versions.json", "command.txt", "config.json.part"):
        (tmp_path / "run" / name).write_text("{")
    RunFolder(tmp_path / "run").create(tiny_config())
    assert RunFolder(tmp_path / "run").config() == tiny_config()


def test_a_configuration_that_cannot_be_written_leaves_no_folder(tmp_path: Path) -> None:
    config = tiny_config()
    strange = replace(config.agent, hyperparameters={"learning_rate": lambda left: left})
    with pytest.raises(BadConfig, match="not JSON serializable"):
        RunFolder(tmp_path / "run").create(replace(config, agent=strange))
    assert not (tmp_path / "run").exists()


def test_damaged_versions_do_not_keep_a_run_from_going_on(tmp_path: Path) -> None:
    RunFolder(tmp_path / "run").create(tiny_config())
    (tmp_path / "run" / "versions.json").write_text("{")
    assert "not known" in RunFolder(tmp_path / "run").version_changes()[0]


def test_all_checkpoints_damaged(tmp_path: Path) -> None:
    RunFolder(tmp_path / "run").create(tiny_config())
    checkpoint.save(tmp_path / "run" / "checkpoints", 10, {"log_length": 0})
    for path in (tmp_path / "run" / "checkpoints").iterdir():
        path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DamagedCheckpoint, match="damaged"):
        run(tiny_config(), tmp_path / "run", resume=True)


@pytest.mark.learning
def test_checkpoint_of_other_code_is_said_to_be_one(tmp_path: Path) -> None:
    run(tiny_config(method="cloning"), tmp_path / "run")
    found = checkpoint.load_newest(tmp_path / "run" / "checkpoints")
    assert found is not None
    found.state["method"].popitem()
    checkpoint.save(tmp_path / "run" / "checkpoints", 10**9, found.state)
    with pytest.raises(DamagedCheckpoint, match="does not fit this nestrl"):
        nestrl.load(tmp_path / "run")
    with pytest.raises(DamagedCheckpoint, match="does not fit this nestrl"):
        run(tiny_config(method="cloning"), tmp_path / "run", resume=True)


def test_file_that_is_no_checkpoint_runs_no_code(tmp_path: Path) -> None:
    """A stranger's pickle with the right digest in its name is refused, not run."""
    import hashlib
    import pickle

    content = pickle.dumps(Trap(tmp_path / "sprung"))
    digest = hashlib.sha256(content).hexdigest()[: checkpoint.DIGEST_LENGTH]
    (tmp_path / f"step-000000000001-{digest}.pt").write_bytes(content)
    with pytest.raises(DamagedCheckpoint):
        checkpoint.load_newest(tmp_path)
    assert not (tmp_path / "sprung").exists()


class Trap:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


def test_nan_reward_stops_the_run_and_keeps_the_checkpoint(tmp_path: Path) -> None:
    sequence = replace(TINY, tasks=tasks(bad_reward_at=50))  # steps of one batch: after some 400 of the segment's 600
    with pytest.raises(EnvironmentFault, match=r"TinyPoint-v0.*reward nan") as failure:
        run(tiny_config(sequence=sequence), tmp_path / "run")
    assert any("nestrl resume" in note for note in failure.value.__notes__)
    assert checkpoint.load_newest(tmp_path / "run" / "checkpoints") is not None


def test_diverged_simulation_is_reported_and_the_others_go_on(tmp_path: Path) -> None:
    said: list[str] = []

    class Listener(Silent):
        def say(self, text: str) -> None:
            said.append(text)

    sequence = replace(TINY, tasks=tasks(diverge_at=30))
    finished = run(tiny_config(sequence=sequence), tmp_path / "run", display=Listener())
    assert "1 simulations of calm diverged and were reset." in said
    assert finished.curves.complete
    assert '"diverged": 1' in (tmp_path / "run" / "log.jsonl").read_text()


def test_environment_that_raises(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: Any, actions: Any) -> Any:
        raise RuntimeError("motor on fire")

    monkeypatch.setattr(tiny_worlds.PointVectorEnv, "step", broken)
    with pytest.raises(EnvironmentFault, match="motor on fire"):
        run(tiny_config(), tmp_path / "run")


def test_diverged_training(tmp_path: Path) -> None:
    config = tiny_config()
    wild = replace(config.agent, hyperparameters={**config.agent.hyperparameters, "learning_rate": 1e30})
    with pytest.raises(TrainingDiverged, match="learning_rate"):
        run(replace(config, agent=wild), tmp_path / "run")


def test_unknown_environment_leaves_no_folder(tmp_path: Path) -> None:
    sequence = TaskSequence("typo", (Task("a", "TinyPiont-v0"),), (Segment("a", 10),))
    with pytest.raises(UnknownName, match="TinyPoint-v0"):
        run(tiny_config(sequence=sequence), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_unknown_method_leaves_no_folder(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="cloning"):
        run(tiny_config(method="clonning"), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_unknown_module() -> None:
    config = tiny_config(imports=("no_such_module_here",))
    with pytest.raises(BadConfig, match="no_such_module_here"):
        run(config, "never-made")
    assert not Path("never-made").exists()


def test_folder_without_a_run(tmp_path: Path) -> None:
    with pytest.raises(BadConfig, match="not a run folder"):
        RunFolder(tmp_path).config()
