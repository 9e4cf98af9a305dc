"""The search finds a known optimum, goes on after a kill as if there had been none, and says what failed."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors

from nestrl.cli import main
from nestrl.errors import BadConfig, NestrlError
from nestrl.nested.meta_controller import SHAPE, load_controller
from nestrl.studies.lives.curve import learning_curve
from nestrl.studies.lives.journal import Journal, Lived, candidate_fitness
from nestrl.studies.lives.learning import Evolution, learn, status
from nestrl.studies.lives.plan import Life, Weights, read_lives_plan

WritePlan = Callable[..., Path]
RESULTS = "results/tiny-lives"


def quiet(line: str) -> None:
    """Say nothing."""


def controller(below: Path) -> tuple[list[float], dict[str, str]]:
    """Return what a search has learned, and what the file says about it."""
    with safetensors.safe_open(below / RESULTS / "controller.safetensors", "np") as file:
        return file.get_tensor("phi").ravel().tolist(), file.metadata()


def journal_lines(below: Path) -> list[dict[str, Any]]:
    lines = (below / RESULTS / "lives.jsonl").read_text().splitlines()
    return sorted((json.loads(line) for line in lines), key=lambda line: json.dumps(line))


@pytest.mark.parametrize("context", [True, False])
def test_the_evolution_finds_a_known_optimum_and_without_context_among_constants(
    plan_file: WritePlan, context: bool
) -> None:
    plan = read_lives_plan(plan_file(lambda values: values.update(population=12, context=context)))
    target = np.linspace(-1, 1, SHAPE[0] * SHAPE[1]).reshape(SHAPE)
    evolution = Evolution(plan)
    for _ in range(400):
        candidates = evolution.ask()
        evolution.tell(candidates, [-float(np.sum((phi - target) ** 2)) for phi in candidates])
    searched = slice(None) if context else slice(-1, None)
    np.testing.assert_allclose(evolution.mean[:, searched], target[:, searched], atol=1e-3)
    assert context or not evolution.mean[:, :-1].any()


def test_learning_moves_towards_the_optimum_and_the_curve_shows_it(
    plan_file: WritePlan, tmp_path: Path, quadratic: Any
) -> None:
    path = plan_file(lambda values: values.update(population=8, validate_every=10))
    shown = learn(path, 320, below=tmp_path, live=quadratic(0.3), say=quiet)
    rows = list(csv.DictReader((tmp_path / RESULTS / "curve.csv").open()))
    first, last = rows[0], rows[-1]
    assert [int(row["lives"]) for row in (first, last)] == [0, 320]
    assert first["mean"] == first["constants"] == last["constants"]  # nothing was learned before; phi = 0 always
    assert float(last["constants"]) == pytest.approx(-35 * 0.3**2)
    assert float(last["mean"]) > 0.5 * float(last["constants"])
    assert float(rows[30]["population"]) > float(first["population"])
    assert all(float(row["best"]) >= float(row["population"]) for row in rows[:-1]) and last["population"] == ""
    assert [int(row["generation"]) for row in rows if row["mean"]] == [0, 10, 20, 30, 40]
    table = [line for line in shown.splitlines() if line.startswith("|")]
    assert len(table) == 2 + 41 and len(set(map(len, table))) == 1
    assert (tmp_path / RESULTS / "curve.png").read_bytes().startswith(b"\x89PNG")


def test_the_controller_is_the_mean_and_says_where_it_is_from(
    plan_file: WritePlan, tmp_path: Path, quadratic: Any
) -> None:
    live = quadratic()
    learn(plan_file(), 12, below=tmp_path, live=live, say=quiet)
    path = tmp_path / RESULTS / "controller.safetensors"
    _, metadata = controller(tmp_path)
    [mean] = [life for life in live.lived if life.candidate == "mean" and life.generation == 3]
    assert load_controller(path).phi.ravel().tolist() == list(mean.phi)
    expected = -float(np.sum((np.array(mean.phi) - 0.3) ** 2))
    assert (metadata["plan"], metadata["lives"], metadata["fitness"]) == ("tiny-lives", "12", f"{expected:.4f}")
    assert float(metadata["fitness of the constants"]) == pytest.approx(-3.15)
    assert {file.name for file in path.parent.iterdir()} >= {"lives.jsonl", "curve.csv", "curve.png", "command.txt"}


def test_the_mean_and_the_constants_live_through_the_candidates_lives(
    plan_file: WritePlan, tmp_path: Path, quadratic: Any
) -> None:
    live = quadratic()
    learn(plan_file(lambda values: values.update(lives_per_candidate=2)), 24, below=tmp_path, live=live, say=quiet)
    met: dict[int, dict[str, list[tuple[int, tuple[str, ...], int]]]] = {}
    for life in live.lived:
        met.setdefault(life.generation, {}).setdefault(life.candidate, []).append((life.index, life.tasks, life.seed))
    candidates = {"c00", "c01", "c02", "c03"}
    assert {generation: set(found) for generation, found in met.items()} == {
        0: {*candidates, "constants"},
        1: candidates,
        2: {*candidates, "constants", "mean"},
        3: {"constants", "mean"},
    }
    for found in met.values():
        assert len({str(sorted(lives)) for lives in found.values()}) == 1
    assert all(set(life.phi) == {0.0} for life in live.lived if life.candidate == "constants")


def test_a_stopped_search_goes_on_with_the_same_asks_bit_for_bit(
    plan_file: WritePlan, tmp_path: Path, quadratic: Any
) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    lived: list[Life] = []
    for below in (whole, parts):
        below.mkdir()
    learn(plan_file(below=whole), 16, below=whole, live=quadratic(), say=quiet)
    path = plan_file(below=parts)
    for _ in range(3):
        live = quadratic(until=5)
        with pytest.raises(KeyboardInterrupt) as stop:
            learn(path, 16, below=parts, live=live, say=quiet)
        assert f"nestrl learn-controller {path} --lives 16" in stop.value.__notes__[0]
        lived += live.lived
        with (parts / RESULTS / "lives.jsonl").open("ab") as file:
            file.write(b'{"life":{"generation":1,"cand')  # as a kill tears it
    live = quadratic()
    learn(path, 16, below=parts, live=live, say=quiet)
    lived += live.lived
    assert journal_lines(parts) == journal_lines(whole)
    assert len({life.name for life in lived}) == len(lived) == len(journal_lines(whole))  # none was lived twice
    assert (parts / RESULTS / "curve.csv").read_text() == (whole / RESULTS / "curve.csv").read_text()
    assert controller(parts) == controller(whole)


def test_a_search_that_is_done_lives_nothing_and_goes_on_with_more(
    plan_file: WritePlan, tmp_path: Path, quadratic: Any
) -> None:
    path, said = plan_file(), []
    learn(path, 8, below=tmp_path, live=quadratic(), say=quiet)
    before = controller(tmp_path)
    for lives in (8, 4):  # fewer than were lived change nothing either
        live = quadratic()
        learn(path, lives, below=tmp_path, live=live, say=said.append)
        assert live.lived == [] and "nothing to do: all 8 lives are lived" in said[-1]
    assert controller(tmp_path) == before
    live = quadratic()
    learn(path, 12, below=tmp_path, live=live, say=quiet)
    assert {life.name for life in live.lived} == {
        "g0002-c00-l0", "g0002-c01-l0", "g0002-c02-l0", "g0002-c03-l0", "g0003-mean-l0", "g0003-constants-l0",
    }  # fmt: skip


def test_a_failed_life_counts_as_the_worst(plan_file: WritePlan, tmp_path: Path, quadratic: Any) -> None:
    path, said = plan_file(), []
    live = quadratic(fails=("g0000-c02-l0", "g0002-mean-l0"))
    shown = learn(path, 8, below=tmp_path, live=live, say=said.append)
    plan, journal = read_lives_plan(path), Journal(tmp_path / RESULTS / "lives.jsonl")
    fitness = candidate_fitness(plan, journal.generation(0, ["c00", "c01", "c02", "c03"]))
    assert fitness is not None and fitness[2] == min(fitness[0], fitness[1], fitness[3])
    assert "g0000-c02-l0: failed: it broke; output: here" in said
    assert "g0000-c02-l0 failed: it broke" in shown and "g0002-mean-l0 failed" in shown
    assert learning_curve(plan, journal)[2].mean is None and learning_curve(plan, journal)[2].constants is not None


def test_nothing_is_learned_where_all_fail(plan_file: WritePlan, tmp_path: Path, quadratic: Any) -> None:
    live = quadratic(fails=[f"g0001-c0{number}-l0" for number in range(4)])
    with pytest.raises(NestrlError, match=r"all lives of generation 1 failed.*it broke.*remove their lines"):
        learn(plan_file(), 12, below=tmp_path, live=live, say=quiet)
    assert controller(tmp_path)[1]["lives"] == "4"


def test_fitness_is_as_the_plan_says() -> None:
    life = Life(0, "c00", 0, "tiny-2", ("calm", "windy"), 1000, (0.0,) * 35)
    lived = Lived(life, average_performance=0.8, forgetting=0.1, learning_progress=0.4)
    assert lived.fitness(Weights(forgetting=2.0, progress=0.25)) == pytest.approx(0.8 - 0.2 + 0.1)
    assert lived.fitness(Weights()) == pytest.approx(0.8 - 0.1 + 0.2)
    assert Lived(life, error="broken").fitness(Weights()) is None


def test_lives_on_record_go_on_though_options_have_come_since(
    plan_file: WritePlan, tmp_path: Path, quadratic: Any
) -> None:
    learn(plan_file(), 4, below=tmp_path, live=quadratic(), say=quiet)
    path = tmp_path / RESULTS / "description.json"
    description = json.loads(path.read_text())
    del description["life of tiny-2"]["patience"]
    path.write_text(json.dumps(description))
    again = quadratic()
    learn(plan_file(), 4, below=tmp_path, live=again, say=quiet)
    assert [life for life in again.lived if life.generation == 0] == []


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("sigma", 0.6, r"another sigma \(0.5, now 0.6\)"),
        ("weights", {"forgetting": 2.0}, "another weights;"),
        ("steps_scale", 0.4, "another life of tiny-2;"),
    ],
)
def test_another_plan_under_the_same_name_is_refused(
    key: str, value: object, message: str, plan_file: WritePlan, tmp_path: Path, quadratic: Any
) -> None:
    learn(plan_file(), 4, below=tmp_path, live=quadratic(), say=quiet)
    with pytest.raises(BadConfig, match=message):
        learn(plan_file(lambda values: values.update({key: value})), 8, below=tmp_path, live=quadratic(), say=quiet)
    learn(plan_file(lambda values: values.update(workers=1)), 8, below=tmp_path, live=quadratic(), say=quiet)


def test_a_journal_of_other_lives_is_refused(plan_file: WritePlan, tmp_path: Path, quadratic: Any) -> None:
    path = plan_file()
    learn(path, 4, below=tmp_path, live=quadratic(), say=quiet)
    journal = tmp_path / RESULTS / "lives.jsonl"
    seed = json.loads(journal.read_text().splitlines()[0])["life"]["seed"]
    journal.write_text(journal.read_text().replace(str(seed), "1007"))
    with pytest.raises(BadConfig, match=r"with tasks .* and seed 1007, but the plan draws"):
        learn(path, 4, below=tmp_path, live=quadratic(), say=quiet)
    journal.write_text('{"life": 3}\n')
    with pytest.raises(BadConfig, match=r"lives.jsonl, line 1 is damaged"):
        status(path, 4, tmp_path)


def test_status_lives_and_writes_nothing(
    plan_file: WritePlan, tmp_path: Path, quadratic: Any, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    path = plan_file(lambda values: values.update(workers=1))
    monkeypatch.chdir(tmp_path)
    main(["learn-controller", str(path), "--lives", "8", "--status"])
    assert "11 lives left, about ? with 1 side by side; no process is at it" in capsys.readouterr().out
    assert [entry.name for entry in tmp_path.iterdir()] == ["lives.yaml"]
    with pytest.raises(KeyboardInterrupt):
        learn(path, 8, live=quadratic(until=7), say=quiet)
    shown = status(path, 8)
    assert "4 lives left, about 4 min with 1 side by side" in shown
    assert shown.count("\n|") == 3
    learn(path, 8, live=quadratic(), say=quiet)
    for asked in (4, 8):  # what has been lived stays lived
        assert "\n0 lives left" in status(path, asked)


def test_a_search_says_what_it_did_not_begin_with(plan_file: WritePlan, tmp_path: Path, quadratic: Any) -> None:
    learn(plan_file(), 4, below=tmp_path, live=quadratic(), say=quiet)
    path = tmp_path / RESULTS / "versions.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"mujoco": "2.0.0"}))
    said: list[str] = []
    learn(plan_file(), 4, below=tmp_path, live=quadratic(), say=said.append)
    assert "began with mujoco 2.0.0 (now " in said[0]
    assert json.loads(path.read_text())["mujoco"] == "2.0.0"
