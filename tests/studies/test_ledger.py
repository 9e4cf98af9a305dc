"""The ledger keeps every whole line, whatever was torn."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nestrl.errors import BadConfig
from nestrl.studies.ledger import FAILED, FINISHED, Record, append, read_ledger

RECORD = Record(
    cell="a-shared-two-o0-s0",
    method="a",
    method_name="cloning",
    options={"weight": 0.1},
    regime="shared",
    sequence="two",
    order=0,
    tasks=("calm", "windy"),
    seed=0,
    status=FINISHED,
    steps=(0, 10, 20),
    counts=((0, 1), (4, 0), (2, 3)),
    episodes=4,
    segments=((0, 0, 10), (1, 10, 20)),
    final={"calm": [5, 8], "windy": [6, 8]},
    seconds={"training": 1.5, "evaluation": 0.5},
    memory_bytes=1024,
    environment_steps=20,
    network=(16,),
    n_parameters=260,
    versions={"mujoco": "3.17.0", "git": None},
)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "results" / "finished.jsonl"
    assert read_ledger(path) == []
    append(path, RECORD)
    append(path, replace(RECORD, cell="other"))
    assert read_ledger(path) == [RECORD, replace(RECORD, cell="other")]
    curves = read_ledger(path)[0].curves
    assert np.array_equal(curves.success, [[0, 0.25], [1, 0], [0.5, 0.75]])
    assert curves.complete
    assert RECORD.total_seconds == 2


def test_latest_line_of_a_run_counts(tmp_path: Path) -> None:
    path = tmp_path / "finished.jsonl"
    append(path, replace(RECORD, status=FAILED, error="motor on fire"))
    append(path, RECORD)
    assert read_ledger(path) == [RECORD]


@pytest.mark.parametrize("kept", [1, 40, -2, -1])
def test_torn_last_line_is_ignored_and_removed(kept: int, tmp_path: Path) -> None:
    path = tmp_path / "finished.jsonl"
    append(path, RECORD)
    line = path.read_bytes()
    path.write_bytes(line + line[:kept])
    assert read_ledger(path) == [RECORD]
    append(path, replace(RECORD, cell="other"))
    assert [record.cell for record in read_ledger(path)] == [RECORD.cell, "other"]
    assert path.read_bytes().count(b"\n") == 2


@pytest.mark.parametrize("line", [b'{"cell": 3}\n', b'{"no_such_key": 3}\n', b"\xff\n"])
def test_damage_elsewhere_is_refused(line: bytes, tmp_path: Path) -> None:
    path = tmp_path / "finished.jsonl"
    append(path, RECORD)
    path.write_bytes(line + path.read_bytes())
    with pytest.raises(BadConfig, match=r"finished.jsonl, line 1 is damaged"):
        read_ledger(path)


def test_failed_run_has_no_curves() -> None:
    with pytest.raises(BadConfig, match="motor on fire"):
        _ = replace(RECORD, status=FAILED, error="motor on fire").curves


def test_a_line_that_does_not_fit_on_the_disk_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "finished.jsonl"
    append(path, RECORD)
    program = (
        "import resource, signal, sys; from pathlib import Path; from nestrl.studies.ledger import append, read_ledger;"
        "path = Path(sys.argv[1]); signal.signal(signal.SIGXFSZ, signal.SIG_IGN); (record,) = read_ledger(path);"
        "size = path.stat().st_size + 50; resource.setrlimit(resource.RLIMIT_FSIZE, (size, size));"
        "append(path, record)"
    )
    done = subprocess.run([sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=False)
    assert "NestrlError: could not write" in done.stderr
    assert read_ledger(path) == [RECORD]


@pytest.mark.parametrize("wrong", [{"segments": [[1]]}, {"segments": [[0, 1, "2"]]}, {"seconds": {"training": None}}])
def test_a_line_of_another_shape_is_named(tmp_path: Path, wrong: dict[str, object]) -> None:
    path = tmp_path / "finished.jsonl"
    append(path, RECORD)
    path.write_text(json.dumps(json.loads(path.read_text()) | wrong) + "\n")
    with pytest.raises(BadConfig, match="line 1 is damaged"):
        read_ledger(path)


@pytest.mark.parametrize(
    "change",
    [
        {"counts": [[0, 1], [4], [2, 3]]},
        {"counts": [[0, 1], [4, 0]]},
        {"segments": [[2, 0, 10]]},
        {"episodes": 0},
        {"final": {"clam": [5, 8]}},
    ],
)
def test_a_record_whose_parts_do_not_belong_together_is_damaged(change: dict[str, object], tmp_path: Path) -> None:
    path = tmp_path / "finished.jsonl"
    append(path, RECORD)
    path.write_text(json.dumps(json.loads(path.read_text()) | change) + "\n")
    with pytest.raises(BadConfig, match=r"finished.jsonl, line 1 is damaged"):
        read_ledger(path)
