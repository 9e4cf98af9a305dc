"""The comparison of two worlds, with toys in their place; the official package itself only where it is installed."""

import ast
import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nestrl.errors import EnvironmentFault
from nestrl.tasks.continual_world import meta_world_task

SCRIPTS = Path(__file__).parents[2] / "scripts"
N = 8
BOUNDS = np.array([-0.1, 0.6, 0.02, -0.1, 0.8, 0.02]), np.array([0.1, 0.7, 0.02, 0.1, 0.9, 0.02])

FAKE_WORKER = """
import json, sys
for line in sys.stdin:
    request = json.loads(line)
    if request["do"] == "leave":
        break
    if request["do"] == "start":
        seen = [[0.0] * 4 + [a, b + 0.3, c] + [0.0] * 29 + goal for a, b, c, *goal in request["starts"]]
        answer = {"observations": seen}
    elif request["do"] == "step":
        seen = [[x + a / 100 for x, a in zip(row, action)] + row[4:] for row, action in zip(seen, request["actions"])]
        answer = {"observations": seen, "rewards": [row[0] for row in seen], "success": [row[0] > 0 for row in seen]}
    else:
        answer = {"error": "ValueError: cannot"}
    print(json.dumps(answer), flush=True)
"""


class Toy:
    """The same world as that of the fake worker, in which hands begin to drift at some step."""

    def __init__(self, n: int = N, drifts_from: int = sys.maxsize) -> None:
        self.n, self._drifts_from = n, drifts_from

    def reset(self, seeds: list[int]) -> np.ndarray:
        starts = np.array([np.random.default_rng(seed).uniform(*BOUNDS) for seed in seeds])
        self._seen, self._steps = np.zeros((len(seeds), 39)), 0
        self._seen[:, 4:7], self._seen[:, 36:39] = starts[:, :3] + [0, 0.3, 0], starts[:, 3:]
        return self._seen.copy()

    def step(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        self._seen[:, :4] += actions.astype(np.float32).astype(float) / 100
        self._seen[:, 2] += 0.001 * (self._steps >= self._drifts_from)
        self._steps += 1
        return self._seen.copy(), self._seen[:, 0].copy(), self._seen[:, 0] > 0


class Blinks:
    """Succeeds in its second step where the seed is even, and in the last of four where it is divisible by four."""

    n = 2

    def reset(self, seeds: list[int] | None) -> np.ndarray:
        self._seeds, self._steps = self._seeds + self.n if seeds is None else np.array(seeds), 0
        return np.zeros((self.n, 39))

    def step(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        self._steps += 1
        every = {2: 2, 4: 4}.get(self._steps, sys.maxsize)
        return np.zeros((self.n, 39)), np.zeros(self.n), self._seeds % every == 0


@pytest.fixture
def verify(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(SCRIPTS))
    return importlib.import_module("verify_metaworld")


@pytest.fixture
def official(verify: Any, tmp_path: Path) -> Iterator[Any]:
    worker = tmp_path / "fake_worker.py"
    worker.write_text(FAKE_WORKER)
    world = verify.OfficialWorld(Path(sys.executable), worker)
    world.n = N
    yield world
    world.close()


def test_a_start_is_found_from_its_first_observation(verify: Any, official: Any) -> None:
    seen, answered = verify.synchronised(Toy(), official, BOUNDS)
    np.testing.assert_allclose(answered, seen, atol=1e-12)
    assert len(np.unique(seen, axis=0)) == N
    assert verify.start_difference(seen, answered)["not equal"] == []
    assert verify.start_difference(seen + np.eye(39)[5], answered)["not equal"] == ["object"]


def test_equal_worlds_stay_equal_and_others_part_where_they_part(verify: Any, official: Any) -> None:
    rng = np.random.default_rng(0)
    for drifts_from in (sys.maxsize, 5):
        toy = Toy(drifts_from=drifts_from)
        _, begun = verify.synchronised(toy, official, BOUNDS)
        found = verify.differences(toy, official, begun, lambda seen: rng.uniform(-1, 1, (len(seen), 4)))
        assert found["equal for"] == [min(drifts_from, verify.AGREEMENT_STEPS)] * N
        assert found["reward"]["first 100"]["worst"] < 1e-12
        assert found["starts with other success"] == 0
    assert found["observation"]["first 1"]["worst"] < 1e-12
    assert found["observation"]["first 10"]["median"] == pytest.approx(0.005)
    assert found["observation"]["first 100"]["worst"] == pytest.approx(0.095)


def test_what_goes_wrong_in_the_worker_is_told(verify: Any, official: Any) -> None:
    with pytest.raises(EnvironmentFault, match="failed to dance: ValueError: cannot"):
        official.ask("dance")
    for _ in range(2):
        with pytest.raises(EnvironmentFault, match="ended when asked to leave"):
            official.ask("leave")


def test_success_at_any_step_and_at_the_end_of_exactly_so_many_episodes(verify: Any) -> None:
    success = verify.played(Blinks(), lambda seen: np.zeros((len(seen), 4)), episodes=5, horizon=4)
    assert success["at any step"].tolist() == [True, False, True, False, True]
    assert success["at the end"].tolist() == [True, False, False, False, True]


def test_intervals_that_overlap_and_that_do_not(verify: Any) -> None:
    all_of_them, few = np.ones(100, bool), np.arange(100) < 5
    kinds = {"at any step": verify.beside(all_of_them, few), "at the end": verify.beside(few, few)}
    assert [row["overlap"] for row in kinds.values()] == [False, True]
    lines = verify.success_table({"push": kinds}).splitlines()
    assert "1.00 [0.96, 1.00]" in lines[2] and "NO" in lines[2]
    assert "0.05 [0.02, 0.11]" in lines[3] and "yes" in lines[3]


def test_the_table_says_what_is_not_synchronised(verify: Any) -> None:
    tasks = {"push": {"start": {"largest": 0.2, "not equal": ["goal"]}, "not synchronised": "no start"}, "reach": {}}
    assert verify.agreement_table(tasks).count("not synchronised") == 4


def test_the_worker_knows_nothing_of_nestrl() -> None:
    tree = ast.parse((SCRIPTS / "metaworld_worker.py").read_text())
    modules = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    modules |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    foreign = {str(module).partition(".")[0] for module in modules} - set(sys.stdlib_module_names)
    assert foreign == {"numpy", "metaworld"}


@pytest.mark.learning
def test_the_official_task_begins_where_it_is_told(verify: Any) -> None:
    pytest.importorskip("envpool", reason="the extra envpool is not installed")
    python = verify.VENV / "bin" / "python"
    if not python.exists():
        pytest.skip("no official Meta-World: scripts/verify_metaworld.py installs it into runs/metaworld-venv")
    with verify.opened(python) as official:
        low, high = official.make(meta_world_task("push"), 2)
        first, second = official.reset([1, 2]), official.reset([1, 2])
        np.testing.assert_allclose(first, second, atol=1e-9)
        assert not np.allclose(first[0], first[1], atol=1e-3)
        middle = (low + high) / 2
        seen = official.start(np.stack([middle, middle]))
        np.testing.assert_allclose(seen[:, [4, 5, 36, 37]], np.stack([middle[[0, 1, 3, 4]]] * 2), atol=1e-9)
        on_the_goal = np.concatenate([middle[:3], middle[:3]])
        with pytest.raises(EnvironmentFault, match="refuses the start"):
            official.start(np.stack([on_the_goal, on_the_goal]))
