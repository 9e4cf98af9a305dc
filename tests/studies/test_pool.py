"""Processes side by side: how many, on which cores, with how much memory, and what becomes of those that fail."""

import os
import signal
import sys
import threading
from pathlib import Path

import pytest
from tiny_worlds import tiny_config

from nestrl.studies import pool as pool_module
from nestrl.studies.pool import Ended, Job, Pool, available_memory

CORES = sorted(os.sched_getaffinity(0))


@pytest.fixture
def worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A script that each child becomes, in place of a run: `SCRIPT CONFIG FOLDER`."""
    script, nursery = tmp_path / "worker.sh", tmp_path / "nursery.py"
    nursery.write_text(
        "import os, sys\n"
        "from nestrl.studies.nursery import serve\n"
        f"SCRIPT = {str(script)!r}\n"
        "serve(lambda config, folder: os.execv(SCRIPT, [SCRIPT, str(config), str(folder)]), int(sys.argv[1]))\n"
    )
    monkeypatch.setattr(pool_module, "WORKER", (sys.executable, str(nursery)))
    return script


def write(script: Path, *lines: str) -> None:
    script.write_text("\n".join(["#!/bin/sh", "sleep .3", *lines]) + "\n")
    script.chmod(0o755)


def jobs(tmp_path: Path, count: int) -> list[Job]:
    return [Job(f"job {index}", tiny_config(), tmp_path / "runs" / str(index)) for index in range(count)]


def test_each_worker_has_its_own_cores_and_one_thread(worker: Path, tmp_path: Path) -> None:
    write(worker, "grep Cpus_allowed_list /proc/self/status", "echo threads $OMP_NUM_THREADS", "date +%s.%N")
    pool = Pool()
    ended = list(pool.run(jobs(tmp_path, len(CORES))))
    assert pool.workers == len(CORES)
    assert all(each.error is None for each in ended)
    outputs = [each.job.log.read_text().split() for each in ended]
    assert sorted(int(output[1]) for output in outputs) == CORES
    assert all(output[3] == "1" for output in outputs)


def test_never_more_workers_than_cores() -> None:
    assert Pool(workers=10_000).workers == len(CORES)
    assert Pool(workers=1).workers == 1


def test_failures_are_told_in_a_sentence_and_stop_nobody(worker: Path, tmp_path: Path) -> None:
    write(
        worker,
        "case $2 in",
        "*/0) echo trace; echo motor on fire; exit 1;;",
        "*/1) kill -SEGV $$;;",
        "*/2) kill -KILL $$;;",
        "esac",
    )
    ended = {each.job.name: each.error or "" for each in Pool().run(jobs(tmp_path, 4))}
    assert ended["job 0"] == f"motor on fire Output: {tmp_path / 'runs' / '0.log'}"
    assert "killed by SIGSEGV" in ended["job 1"]
    assert "killed by SIGKILL; perhaps memory ran out" in ended["job 2"]
    assert ended["job 3"] == ""


def test_next_worker_waits_for_memory(worker: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(worker, "touch $2.began", "sleep .3")
    monkeypatch.setattr(pool_module, "available_memory", lambda: 1)  # byte: enough until one is known to need more
    pool = Pool()
    list(pool.run(jobs(tmp_path, 1)))
    (tmp_path / "runs" / "0.began").unlink()
    for each in pool.run(jobs(tmp_path, 3)):
        begun = len(list((tmp_path / "runs").glob("*.began")))
        assert begun == int(each.job.folder.name) + 1
    assert available_memory() > 0


def test_stopped_pool_asks_its_workers_to_save_and_starts_no_more(worker: Path, tmp_path: Path) -> None:
    write(worker, "trap 'sleep .2; touch $2.saved; exit 130' INT", "touch $2.ready", "while true; do sleep .05; done")
    pool, done = Pool(workers=1), threading.Event()

    def stop_when_ready() -> None:
        while not done.wait(0.02):
            if (tmp_path / "runs" / "0.ready").exists():
                return os.kill(os.getpid(), signal.SIGTERM)

    stopper = threading.Thread(target=stop_when_ready)
    stopper.start()
    try:
        ended: list[Ended] = list(pool.run(jobs(tmp_path, 2)))
    finally:
        done.set()
        stopper.join()
    assert pool.stopped
    assert ended == []
    assert [path.name for path in (tmp_path / "runs").glob("*.saved")] == ["0.saved"]


def test_a_signal_while_the_last_run_is_dealt_with_counts(worker: Path, tmp_path: Path) -> None:
    write(worker)
    pool = Pool(workers=1)
    for _ in pool.run(jobs(tmp_path, 1)):
        os.kill(os.getpid(), signal.SIGINT)
    assert pool.stopped


def test_children_that_lose_their_nursery_are_gone_and_told_as_killed(worker: Path, tmp_path: Path) -> None:
    write(worker, "case $2 in", "*/0) echo $$ > $2.pid; kill -KILL $PPID; sleep 3;;", "esac")
    ended = {each.job.name: each.error or "" for each in Pool(workers=1).run(jobs(tmp_path, 2))}
    assert "killed by SIGKILL" in ended["job 0"]
    assert ended["job 1"] == ""
    child = int((tmp_path / "runs" / "0.pid").read_text())
    assert not Path(f"/proc/{child}").is_dir() or "Z" in Path(f"/proc/{child}/stat").read_text()
