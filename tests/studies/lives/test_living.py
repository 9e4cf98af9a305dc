"""Lives run in processes, leave nothing but what they came to, and go on after a kill."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from nestrl.evaluation.retention import average_performance, forgetting, learning_progress
from nestrl.nested.meta_controller import load_controller
from nestrl.studies.lives import living as living_module
from nestrl.studies.lives.learning import learn
from nestrl.studies.lives.living import Living, write_controller
from nestrl.studies.lives.plan import Life, LivesPlan, read_lives_plan, with_controller
from nestrl.studies.pool import Ended, Job
from nestrl.training.trainer import run

PATIENCE = 120  # seconds that a search of seconds may take on a busy machine
WritePlan = Callable[..., Path]


class HerePool:
    """Runs jobs one after the other in this process, which is quicker for lives of a second than `Pool`."""

    stopped = False

    def __init__(self, workers: int = 0) -> None:
        pass

    def run(self, jobs: Iterable[Job]) -> Iterator[Ended]:
        for job in jobs:
            run(job.config, job.folder, resume=(job.folder / "config.json").exists())
            yield Ended(job, None)


@pytest.fixture
def in_this_process() -> Iterator[None]:
    """Live without processes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(living_module, "Pool", HerePool)
        yield


def life_of(plan: LivesPlan, number: float = 0.2) -> Life:
    [life] = plan.lives(0, "c00", (number,) * 35)
    return life


@pytest.mark.usefixtures("in_this_process")
def test_a_life_comes_to_what_its_run_comes_to(plan_file: WritePlan, tmp_path: Path) -> None:
    plan = read_lives_plan(plan_file())
    life, runs = life_of(plan), tmp_path / "runs"
    write_controller(tmp_path / "phi.safetensors", life.phi, {})
    curves = run(with_controller(plan.configs["tiny-2"], life, tmp_path / "phi.safetensors"), tmp_path / "run").curves
    [lived] = Living(plan, runs)([life])
    expected = (average_performance(curves), forgetting(curves), learning_progress(curves))
    assert (lived.average_performance, lived.forgetting, lived.learning_progress) == expected
    assert lived.seconds > 0 and not lived.error and lived.life == life
    assert list(runs.iterdir()) == []


@pytest.mark.usefixtures("in_this_process")
def test_a_life_goes_on_only_as_the_same_life(plan_file: WritePlan, tmp_path: Path) -> None:
    plan, runs = read_lives_plan(plan_file()), tmp_path / "runs"
    life, other = life_of(plan), life_of(plan, -0.7)
    folder, file = runs / life.name, runs / "g0000-c00.safetensors"
    write_controller(file, life.phi, {})
    run(with_controller(plan.configs["tiny-2"], life, file), folder)
    (runs / "g0007-c01-l0").mkdir()  # left by an earlier session
    before = (folder / "curves.json").stat().st_mtime_ns
    living = Living(plan, runs)([life])
    assert next(living).life == life  # it was finished, and is only written down
    assert (folder / "curves.json").stat().st_mtime_ns == before
    assert not (runs / "g0007-c01-l0").exists()
    living.close()
    living = Living(plan, runs)([other])
    assert next(living).life == other
    assert load_controller(file).phi[0, 0] == -0.7
    assert (folder / "curves.json").stat().st_mtime_ns > before
    living.close()


@pytest.mark.learning
def test_a_life_that_fails_leaves_its_output_alone(plan_file: WritePlan, tmp_path: Path) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text("name: bad\ntasks: [{name: bad, env: TinyPoint-v0, kwargs: {bad_reward_at: 20}}]\nsteps: 600\n")
    plan = read_lives_plan(plan_file(lambda values: values.update(sequences=[str(bad)], tasks_per_life=1)))
    [lived] = Living(plan, tmp_path / "runs")([life_of(plan)])
    assert "nan" in lived.error.lower() and "g0000-c00-l0.log" in lived.error
    assert [entry.name for entry in (tmp_path / "runs").iterdir()] == ["g0000-c00-l0.log"]


def finished(below: Path) -> list[str]:
    """Return the journal without what the clock says, sorted."""
    lines = map(json.loads, (below / "results/tiny-lives/lives.jsonl").read_text().splitlines())
    return sorted(json.dumps(line | {"seconds": 0}) for line in lines)


def one_ended_and_one_begun(journal: Path, runs: Path) -> bool:
    """Whether a life stands in the journal, and another one has a checkpoint."""
    lines = journal.read_text().splitlines(keepends=True) if journal.is_file() else []
    lives = [Life(**json.loads(line)["life"]) for line in lines if line.endswith("\n")]
    with suppress(FileNotFoundError):  # folders of lives that have ended are deleted meanwhile
        begun = {path.parts[-3] for path in runs.glob("g*/checkpoints/*.pt")}
        return bool(lives) and bool(begun - {life.name for life in lives})
    return False


@pytest.mark.learning
def test_a_killed_search_goes_on_as_if_it_had_not_been(plan_file: WritePlan, tmp_path: Path, kill: Any) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    for below in (whole, killed):
        below.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(living_module, "Pool", HerePool)
        learn(plan_file(below=whole), 4, below=whole, say=lambda line: None)
    path = plan_file(below=killed)
    command = [sys.executable, "-m", "nestrl.cli", "learn-controller", str(path), "--lives", "4"]
    process = subprocess.Popen(command, cwd=killed, stdout=subprocess.DEVNULL)
    until = time.monotonic() + PATIENCE
    journal = killed / "results/tiny-lives/lives.jsonl"
    while not one_ended_and_one_begun(journal, killed / "runs/tiny-lives"):
        assert time.monotonic() < until and process.poll() is None
        time.sleep(0.02)
    kill(process, killed / "runs/tiny-lives")
    before = journal.read_text().splitlines()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(living_module, "Pool", HerePool)
        shown = learn(path, 4, below=killed, say=lambda line: None)
    assert 0 < len(before) < len(finished(whole)) == 7
    assert finished(killed) == finished(whole)
    assert len({json.loads(line)["learning_progress"] for line in finished(whole)}) > 2  # a comparison of something
    assert journal.read_text().splitlines()[: len(before)] == before
    assert shown.count("\n|") == 2 + 2
    assert [entry.name for entry in (killed / "runs/tiny-lives").iterdir()] == ["lock"]
    whole_phi, killed_phi = (
        load_controller(below / "results/tiny-lives/controller.safetensors").phi for below in (whole, killed)
    )
    assert whole_phi.tolist() == killed_phi.tolist()
