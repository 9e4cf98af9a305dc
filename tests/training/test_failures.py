"""What goes wrong gives one clear error and loses nothing."""

import errno
import os
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
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
from nestrl.training.display import Display
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


class Waits(RunFolder):
    """Is slow to see that its place is free."""

    def require_free(self) -> None:
        super().require_free()
        time.sleep(0.2)


def test_of_two_that_begin_in_one_folder_at_once_one_is_refused(tmp_path: Path) -> None:
    def begin(seed: int) -> int | None:
        try:
            Waits(tmp_path / "run").create(tiny_config(seed=seed))
        except RunExists:
            return None
        return seed

    with ThreadPoolExecutor() as pool:
        made = list(pool.map(begin, range(4)))
    assert [seed for seed in made if seed is not None] == [RunFolder(tmp_path / "run").config().seed]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run(tiny_config(), tmp_path_factory.mktemp("finished") / "run").path


def copied(folder: Path, place: Path) -> Path:
    return Path(shutil.copytree(folder, place / "copy"))


@pytest.mark.learning
def test_a_log_that_was_cut_is_not_gone_on_with(finished: Path, tmp_path: Path) -> None:
    folder = copied(finished, tmp_path)
    log = folder / "log.jsonl"
    log.write_bytes(log.read_bytes()[:100])
    with pytest.raises(DamagedCheckpoint, match="was cut or exchanged"):
        run(tiny_config(), folder, resume=True)
    assert log.stat().st_size == 100


@pytest.mark.learning
def test_a_run_without_its_report_is_not_finished(finished: Path, tmp_path: Path) -> None:
    folder = copied(finished, tmp_path)
    assert nestrl.Run(folder).metrics.average_performance >= 0
    (folder / "metrics.json").unlink()
    with pytest.raises(BadConfig, match="is not finished; go on with: nestrl resume"):
        _ = nestrl.Run(folder).metrics


@pytest.mark.learning
def test_loading_says_which_checkpoint_it_leaves_aside(finished: Path, tmp_path: Path) -> None:
    folder = copied(finished, tmp_path)
    newest = max((folder / "checkpoints").iterdir())
    newest.write_bytes(b"cut")
    with pytest.warns(UserWarning, match=f"{newest.name} is damaged and left aside"):
        nestrl.load(folder)
    with pytest.raises(BadConfig, match="at least 1"):
        nestrl.load(finished).evaluate(0)


@pytest.mark.learning
@pytest.mark.parametrize(
    "changes", [{"log_length": -5}, {"segment": 99}, {"success": []}, {"seconds": None}, {"steps_here": ...}], ids=str
)
def test_a_checkpoint_with_entries_missing_or_wrong(changes: dict[str, Any], finished: Path, tmp_path: Path) -> None:
    folder = copied(finished, tmp_path)
    found = checkpoint.load_newest(folder / "checkpoints")
    assert found is not None
    state = {key: value for key, value in (found.state | changes).items() if value is not ...}
    checkpoint.save(folder / "checkpoints", 10**9, state)
    with pytest.raises(DamagedCheckpoint):
        run(tiny_config(), folder, resume=True)


def test_what_is_no_checkpoint_of_a_run(tmp_path: Path) -> None:
    checkpoint.save(tmp_path, 1, {"format": 2})
    with pytest.raises(DamagedCheckpoint, match="has format 2, not 3"):
        checkpoint.load_newest(tmp_path)
    (tmp_path / "step-000000000002-0.pt").mkdir()
    checkpoint.save(tmp_path, 1, {})
    assert checkpoint.load_newest(tmp_path).damaged == (tmp_path / "step-000000000002-0.pt",)  # type: ignore[union-attr]


@pytest.mark.learning
@pytest.mark.parametrize("name", ["versions.json", "policy.json", "curves.json", "metrics.json"])
def test_a_file_with_other_json_is_damaged(name: str, finished: Path, tmp_path: Path) -> None:
    folder = copied(finished, tmp_path)
    (folder / name).write_text("[]")
    read = {"versions.json": RunFolder.versions_then, "policy.json": RunFolder.policy}
    read |= {"curves.json": RunFolder.curves, "metrics.json": RunFolder.summary}
    with pytest.raises(BadConfig, match=f"{name} is damaged"):
        read[name](RunFolder(folder))


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

    class Listener(Display):
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


def test_diverged_training_with_discrete_actions(tmp_path: Path) -> None:
    """A slice of several rollouts draws from the network before anybody looks whether it is finite."""
    cart = TaskSequence("cart", (Task("cart", "CartPole-v1", success_threshold=20.0),), (Segment("cart", 6400),))
    config = tiny_config(sequence=cart, method="finetune", method_options={})
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
