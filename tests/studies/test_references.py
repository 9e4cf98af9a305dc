"""Which curves from scratch a study lacks, and the runs that make them."""

import json
import threading
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nestrl.errors import BadConfig
from nestrl.studies.plan import read_plan
from nestrl.studies.pool import Job
from nestrl.studies.references import found_references, reference_jobs, what_is_missing
from nestrl.studies.study import read_references
from nestrl.tasks.sequence import Segment
from nestrl.training.from_scratch import alone_from_scratch, store
from nestrl.training.references import store_curve, stored_curves
from nestrl.training.run_folder import RunFolder, versions
from nestrl.training.trainer import run
from nestrl.training.writing import only_one_writes

STEPS, OUTCOMES = np.array([0, 600]), np.array([[False] * 4, [True, False] * 2])
REGIMES = "shared: {}\n  apart: {agent.heads: per_task}\n  wide: {agent.network: [32]}"


def test_missing_curves_are_named_and_made_once_a_task_seed_and_regime(study_file: Path, tmp_path: Path) -> None:
    study_file.write_text(study_file.read_text().replace("shared: {}", REGIMES) + "references: 2\n")
    plan = read_plan(study_file)
    assert found_references(plan, {}) == {regime: {"tiny-2": {}} for regime in ("shared", "apart", "wide")}
    (missing,) = what_is_missing(plan, found_references(plan, {}))
    assert missing.startswith("tiny-2 (shared, apart, wide): no reference curves of calm, windy")
    assert "references: 3" in missing

    jobs = reference_jobs(plan, tmp_path / "runs", {})
    assert len(jobs) == 2 * 2 * 2  # alone, a task with a head of its own learns as with a shared one
    for folder, job in jobs.items():
        assert job.folder == folder
        assert job.config.method == "finetune"
    assert sorted(_tasks_and_seeds(jobs)) == sorted([("calm", 0), ("calm", 1), ("windy", 0), ("windy", 1)] * 2)


def _tasks_and_seeds(jobs: Mapping[Path, Job]) -> list[tuple[str, int]]:
    return [(*job.config.sequence.task_names, job.config.seed) for job in jobs.values()]


def test_stored_curves_are_found_and_not_made_again(study_file: Path, tmp_path: Path) -> None:
    study_file.write_text(study_file.read_text() + "references: 2\n")
    plan = read_plan(study_file)
    alone = replace(alone_from_scratch(plan.cells[0].config, "calm"), seed=1)
    store_curve(alone, "calm", STEPS, OUTCOMES)

    found = found_references(plan, {})["shared"]["tiny-2"]
    assert set(found) == {"calm"}
    assert found["calm"]["seeds"] == 1
    assert (found["calm"]["steps"], found["calm"]["success"]) == ([0, 600], [0.0, 0.5])
    (missing,) = what_is_missing(plan, found_references(plan, {}))
    assert "windy" in missing and "calm" not in missing
    made = sorted(_tasks_and_seeds(reference_jobs(plan, tmp_path / "runs", {})))
    assert made == [("calm", 0), ("windy", 0), ("windy", 1)]


def test_a_curve_that_another_study_has_begun_under_another_name_goes_on(study_file: Path, tmp_path: Path) -> None:
    study_file.write_text(study_file.read_text() + "references: 1\n")
    plan = read_plan(study_file)
    place, job = next(iter(reference_jobs(plan, tmp_path, {}).items()))
    task = replace(job.config.sequence.tasks[0], name="still")
    sequence = replace(job.config.sequence, tasks=(task,), segments=(Segment("still", 600),))
    begun = replace(job.config, sequence=sequence)
    RunFolder(place).create(begun)
    assert reference_jobs(plan, tmp_path, {})[place].config == begun.as_written
    store(run(begun, place, resume=True))
    assert [task for task, _ in _tasks_and_seeds(reference_jobs(plan, tmp_path, {}))] == ["windy"]


def test_curves_are_of_the_starts_that_the_runs_have(study_file: Path) -> None:
    plan = read_plan(study_file)
    alone = alone_from_scratch(plan.cells[0].config, "calm")
    first_easier = np.array([[False] * 100, [True] * 4 + [False] * 96])
    path = store_curve(alone, "calm", STEPS, first_easier)
    found = found_references(plan, {})["shared"]["tiny-2"]["calm"]
    assert (found["success"], found["same_starts"]) == ([0, 1], True)
    cells = [replace(cell, config=replace(cell.config, evaluation_episodes=200)) for cell in plan.cells]
    assert not found_references(replace(plan, cells=tuple(cells)), {})["shared"]["tiny-2"]["calm"]["same_starts"]
    assert stored_curves(path)[0][1].tolist() == [0, 0.04]

    older = json.loads(path.read_text())
    older["curves"]["1"] = {"steps": [0, 600], "success": [0.0, 0.5]}  # of before outcomes were stored
    path.write_text(json.dumps(older))
    found = found_references(plan, {})["shared"]["tiny-2"]["calm"]
    assert (found["success"], found["same_starts"]) == ([0, 0.75], False)
    store_curve(replace(alone, seed=2), "calm", STEPS, first_easier)
    assert [success[1] for _, success in stored_curves(path, 4).values()] == [1, 0.5, 1]


def test_curves_of_before_stay_unless_the_learner_was_another(study_file: Path) -> None:
    plan = read_plan(study_file)
    path = store_curve(alone_from_scratch(plan.cells[0].config, "calm"), "calm", STEPS, OUTCOMES)
    before = found_references(plan, {})
    path.unlink()
    assert found_references(plan, before) == before
    slower = {"hyperparameters": {"learning_rate": 1e-5}}
    other = [replace(c, config=replace(c.config, agent=replace(c.config.agent, **slower))) for c in plan.cells]
    assert found_references(replace(plan, cells=tuple(other)), before) == {"shared": {"tiny-2": {}}}


def test_what_runs_were_compared_with_stays_when_other_versions_are_installed(
    study_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study_file.write_text(study_file.read_text() + "references: 1\n")
    plan = read_plan(study_file)
    then = versions()
    path = store_curve(alone_from_scratch(plan.cells[0].config, "calm"), "calm", STEPS, OUTCOMES)
    before = found_references(plan, {})
    monkeypatch.setattr("nestrl.training.references.versions", lambda: {"torch": "of next year"})
    better = np.array([[False] * 4, [True] * 4])
    store_curve(alone_from_scratch(plan.cells[0].config, "calm"), "calm", STEPS, better)
    assert found_references(plan, before)["shared"]["tiny-2"]["calm"]["success"] == [0, 1]  # no run has been made
    assert found_references(plan, {}, then) == before
    path.unlink()
    assert found_references(plan, before, then) == before
    assert [task for task, _ in _tasks_and_seeds(reference_jobs(plan, tmp_path, before, then))] == ["windy"]


def test_a_task_that_no_segment_trains_needs_no_curve(study_file: Path, tmp_path: Path) -> None:
    plan = read_plan(study_file)
    cell = plan.cells[0]
    sequence = replace(cell.config.sequence, segments=cell.config.sequence.segments[:1])
    plan = replace(plan, references=1, cells=(replace(cell, config=replace(cell.config, sequence=sequence)),))
    assert [task for task, _ in _tasks_and_seeds(reference_jobs(plan, tmp_path, {}))] == ["calm"]
    assert "windy" not in what_is_missing(plan, found_references(plan, {}))[0]


def test_two_processes_that_store_at_once_lose_no_curve(study_file: Path) -> None:
    config = read_plan(study_file).cells[0].config
    alone = [replace(alone_from_scratch(config, "calm"), seed=seed) for seed in (0, 1)]
    path = store_curve(alone[0], "calm", STEPS, OUTCOMES)
    before = path.read_text()
    other = threading.Thread(target=store_curve, args=(alone[1], "calm", STEPS, OUTCOMES))
    with only_one_writes(path):
        other.start()
        other.join(0.3)
        assert other.is_alive()
        assert path.read_text() == before
    other.join()
    assert set(stored_curves(path)) == {0, 1}


def test_curves_of_a_regime_that_left_the_plan_stay_with_its_runs(study_file: Path) -> None:
    text = study_file.read_text()
    study_file.write_text(text.replace("shared: {}", REGIMES))
    before = {"wide": {"tiny-2": {"calm": {"steps": [0, 600], "success": [0.0, 0.5], "seeds": 3}}}}
    assert found_references(read_plan(study_file), before)["wide"] == before["wide"]
    study_file.write_text(text)
    assert found_references(read_plan(study_file), before) == before | {"shared": {"tiny-2": {}}}


@pytest.mark.parametrize("content", ["", "[]", "null", '{"shared": {"two": {"calm": {"steps": [0, 1]}}}}'])
def test_damaged_references_are_named(content: str, tmp_path: Path) -> None:
    path = tmp_path / "references.json"
    path.write_text(content)
    with pytest.raises(BadConfig, match=r"references\.json is damaged"):
        read_references(path)
