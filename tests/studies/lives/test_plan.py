"""A plan draws the same lives for all candidates of a generation, and mistakes in it are shown at their line."""

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from nestrl.errors import BadConfig, NestrlError
from nestrl.studies.lives.plan import FIRST_SEED, read_lives_plan, with_controller

PHI = (0.0,) * 35


def test_all_candidates_of_a_generation_live_through_the_same(plan_file: Callable[..., Path]) -> None:
    plan = read_lives_plan(plan_file(lambda values: values.update(lives_per_candidate=3)))
    drawn = {
        (generation, candidate): [(life.tasks, life.seed) for life in plan.lives(generation, candidate, PHI)]
        for generation in range(12)
        for candidate in ("c00", "c01", "constants", "mean")
    }
    assert all(lives == drawn[generation, "c00"] for (generation, _), lives in drawn.items())
    assert {tasks for lives in drawn.values() for tasks, _ in lives} == {("calm", "windy"), ("windy", "calm")}
    seeds = {seed for lives in drawn.values() for _, seed in lives}
    assert len(seeds) == 12 * 3 and min(seeds) >= FIRST_SEED


def test_another_seed_draws_other_lives(plan_file: Callable[..., Path]) -> None:
    first = read_lives_plan(plan_file()).lives(0, "c00", PHI)
    assert first == read_lives_plan(plan_file()).lives(0, "c00", PHI)
    assert first != read_lives_plan(plan_file(lambda values: values.update(seed=1))).lives(0, "c00", PHI)


def test_a_life_is_a_run_of_its_tasks_with_its_controller(plan_file: Callable[..., Path]) -> None:
    plan = read_lives_plan(plan_file(lambda values: values.update(tasks_per_life=1)))
    [life] = plan.lives(5, "c03", PHI)
    config = with_controller(plan.configs[life.sequence], life, Path("phi.safetensors"))
    assert life.name == "g0005-c03-l0"
    assert (config.method, config.seed, config.sequence.task_names) == ("nested", life.seed, life.tasks)
    assert [segment.steps for segment in config.sequence.segments] == [300]
    assert config.method_options == {
        "samples": 32,
        "capacity": 64,
        "consolidation": 10,
        "meta_controller": "phi.safetensors",
    }


def test_sequences_take_turns_by_chance(plan_file: Callable[..., Path], tmp_path: Path) -> None:
    second = {"name": "other", "tasks": [{"name": "still", "env": "TinyPoint-v0"}], "steps": 300}
    (tmp_path / "other.yaml").write_text(yaml.safe_dump(second))
    sequences = ["tiny-2", str(tmp_path / "other.yaml")]
    plan = read_lives_plan(plan_file(lambda values: values.update(sequences=sequences, tasks_per_life=1)))
    assert {plan.lives(generation, "c00", PHI)[0].sequence for generation in range(10)} == {"tiny-2", "other"}


def test_only_whole_generations_are_lived(plan_file: Callable[..., Path]) -> None:
    plan = read_lives_plan(plan_file(lambda values: values.update(lives_per_candidate=2)))
    assert [plan.generations(lives) for lives in (8, 15, 16)] == [1, 1, 2]
    with pytest.raises(BadConfig, match=r"--lives is 7, but one generation takes 8"):
        plan.generations(7)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tasks_per_lif: 2", r"line 3: a plan of lives has no key 'tasks_per_lif'. Did you mean 'tasks_per_life'"),
        ("seeds: 3", r"line 3: a plan of lives has no key 'seeds'"),
        ("population: 8", r"line 1: a plan of lives has no 'tasks_per_life'; add it"),
        ("tasks_per_life: 3", r"line 3: tasks_per_life is 3, but 'tiny-2' has 2 tasks"),
        ("tasks_per_life: 0", r"line 3: tasks_per_life is 0; it must be at least 1"),
        ("tasks_per_life: 2\npopulation: 3", r"line 4: population is 3; it must be at least 4"),
        ("tasks_per_life: 2\nsigma: 0", r"line 4: sigma is 0.0; it must be finite and above 0"),
        ("tasks_per_life: 2\nsigma: wide", r"line 4: sigma is 'wide'; expected float"),
        ("tasks_per_life: 2\nweights: {forgeting: 2}", r"line 4: weights has no option 'forgeting'"),
        ("tasks_per_life: 2\nweights: {progress: -1}", r"line 4: fitness's progress is -1.0; it must be finite and at"),
        ("tasks_per_life: 2\nreported: [quick-3, tiny-2]", r"line 2: 'tiny-2' is among the reported"),
        ("tasks_per_life: 2\nnested:\n  drift_limt: 0.1", r"line 5: there is no option 'method.drift_limt'"),
        ("tasks_per_life: 2\nnested:\n  drift_limit: -1", r"line 5: nested's drift_limit is -1"),
        ("tasks_per_life: 2\nnested: {meta-controller: learned}", r"line 4: the meta-controller is what is learned"),
        ("tasks_per_life: 2\nnested: {levels: [dual_weights]}", r"line 4: the levels lack meta_controller"),
        ("tasks_per_life: 2\nrun: {evaluation_episode: 3}", r"line 4: there is no option 'evaluation_episode'"),
    ],
)
def test_mistakes_are_shown_at_their_line(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "lives.yaml"
    path.write_text(f"name: tiny\nsequences: [tiny-2]\n{text}\nimports: [tiny_worlds]\n")
    with pytest.raises(NestrlError, match=message):
        read_lives_plan(path)
