"""Which curves from scratch a study lacks, and the runs that make them."""

import json
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nestrl.errors import BadConfig
from nestrl.studies.plan import read_plan
from nestrl.studies.references import found_references, reference_jobs, what_is_missing
from nestrl.studies.study import read_references
from nestrl.training.from_scratch import alone_from_scratch
from nestrl.training.references import store_curve, stored_curves
from nestrl.training.run_folder import versions
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
    for folder, (job, task) in jobs.items():
        assert job.folder == folder
        assert job.config.sequence.task_names == (task,)
        assert job.config.method == "finetune"
    assert sorted({job.config.seed for job, _ in jobs.values()}) == [0, 1]


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
    made = sorted((task, job.config.seed) for job, task in reference_jobs(plan, tmp_path / "runs", {}).values())
    assert made == [("calm", 0), ("windy", 0), ("windy", 1)]


def test_curves_are_of_the_starts_that_the_runs_have(study_file: Path) -> None:
    plan = read_plan(study_file)
    alone = alone_from_scratch(plan.cells[0].config, "calm")
    first_easier = np.array([[False] * 100, [True] * 4 + [False] * 96])
    path = store_curve(alone, "calm", STEPS, first_easier)
    found = found_references(plan, {})["shared"]["tiny-2"]["calm"]
    assert (found["success"], found["same_starts"]) == ([0, 1], True)
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
    assert [task for _, task in reference_jobs(plan, tmp_path, before, then).values()] == ["windy"]


def test_a_task_that_no_segment_trains_needs_no_curve(study_file: Path, tmp_path: Path) -> None:
    plan = read_plan(study_file)
    cell = plan.cells[0]
    sequence = replace(cell.config.sequence, segments=cell.config.sequence.segments[:1])
    plan = replace(plan, references=1, cells=(replace(cell, config=replace(cell.config, sequence=sequence)),))
    assert [task for _, task in reference_jobs(plan, tmp_path, {}).values()] == ["calm"]
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
