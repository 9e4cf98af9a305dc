"""A study's file becomes configured runs, and every mistake is answered with line, nearest name and remedy."""

from pathlib import Path

import pytest

from nestrl.errors import BadConfig
from nestrl.studies.plan import read_plan


def test_cells_come_in_rounds_by_seed_each_in_its_order(study_file: Path) -> None:
    cells = read_plan(study_file).cells
    assert [cell.name for cell in cells] == [
        "finetune-shared-tiny-2-o0-s0",
        "kept-shared-tiny-2-o0-s0",
        "finetune-shared-tiny-2-o1-s1",
        "kept-shared-tiny-2-o1-s1",
    ]
    assert [cell.config.seed for cell in cells] == [0, 0, 1, 1]
    assert cells[0].config.sequence.task_names == ("calm", "windy")
    assert cells[2].config.sequence.task_names == ("windy", "calm")
    assert cells[1].config.method == "cloning"
    assert cells[1].config.method_options == {"samples": 32, "capacity": 64}
    assert all(cell.config.agent.network == (16,) for cell in cells)


def test_regimes_seeds_and_steps(study_file: Path) -> None:
    changed = study_file.read_text().replace("seeds: 2", "seeds: [7]\nsteps_scale: 0.5")
    study_file.write_text(changed.replace("  shared: {}", "  shared:\n  apart: {agent.heads: per_task}"))
    cells = read_plan(study_file).cells
    assert [cell.name for cell in cells] == [
        f"{method}-{regime}-tiny-2-o1-s7" for regime in ("shared", "apart") for method in ("finetune", "kept")
    ]
    assert [cell.config.agent.heads for cell in cells] == ["shared", "shared", "per_task", "per_task"]
    assert cells[0].config.sequence.total_steps == 600


def test_options_that_need_one_another_are_tried_together(study_file: Path) -> None:
    told_nothing = "shared: {boundaries: detected, identity: observed}"
    study_file.write_text(study_file.read_text().replace("shared: {}", told_nothing))
    assert {cell.config.boundaries for cell in read_plan(study_file).cells} == {"detected"}
    study_file.write_text(study_file.read_text().replace("observed}", "observed,\n    treads: 2}"))
    with pytest.raises(BadConfig, match=r"line 12: there is no option 'treads'.* 'threads'"):
        read_plan(study_file)


def test_without_orders_the_sequence_keeps_its_own(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text("name: plain\nsequences: [quick-3, nav-5]\nmethods: {finetune: }\n")
    cells = read_plan(path).cells
    assert [cell.name for cell in cells] == ["finetune-shared-quick-3-o0-s0", "finetune-shared-nav-5-o0-s0"]


@pytest.mark.parametrize(
    ("right", "wrong", "message"),
    [
        ("seeds: 2", "seed: 2", r"line 6: a study has no 'seed'.*'seeds'"),
        ("seeds: 2", "seeds: two", r"line 6: seeds is 'two'; expected"),
        ("seeds: 2", "seeds: 20261201", r"line 6: 20261201 seeds are too many; \[20261201\] is one"),
        ("seeds: 2", "seeds: []", r"line 6: .*no seeds"),
        ("seeds: 2", "seeds: [-1]", r"seed is -1"),
        ("seeds: 2", "seeds: 2\nworkers: -1", r"line 7: workers is -1; it must be at least 0"),
        ("seeds: 2", "seeds: 2\nsteps_scale: 0", r"line 7: steps_scale is 0"),
        ("name: tiny", "name: ti/ny", r"line 1: 'ti/ny' cannot name a folder"),
        ("name: tiny", "", r"no name; add"),
        ("[tiny-2]", "[tiny-3]", r"line 2: No sequence 'tiny-3'.*'tiny-2'"),
        ("[tiny-2]", "[tiny-2, quick-3]", r"line 3: orders name the tasks of one sequence"),
        ("[windy, calm]", "[windy, clam]", r"line 5: .*'clam'.*'calm'"),
        ("[windy, calm]", "[windy]", r"line 5: an order names every task once; this one lacks calm"),
        ("[windy, calm]", "[windy, windy]", r"line 5: .*two tasks called 'windy'"),
        ("method: cloning", "method: clonning", r"line 9: unknown method 'clonning'.*'cloning'"),
        ("finetune: {}", "fintune: {}", r"line 8: unknown method 'fintune'.*'finetune'"),
        ("finetune: {}", "finetune: 3", r"line 8: 'finetune' must be a mapping of options"),
        ("finetune: {}", "finetune: {}\n  finetune: {}", r"line 9: 'finetune' stands already in line 8"),
        ("agent.n_envs: 8", "1: 8", r"line 14: the key '1' must be a text; put it in quotes"),
        ("finetune: {}", "finetune: &own {weight: *own}", r"line 8: an alias stands within what it stands for"),
        ("capacity: 64", "capacty: 64", r"line 9: .*'method.capacty'.*'method.capacity'"),
        ("capacity: 64", "capacity: many", r"line 9: .*capacity is 'many'; expected int"),
        ("capacity: 64", "capacity: 0", r"line 9: .*capacity is 0; it must be finite and above 0"),
        ("shared: {}", "shared: {agent.haeds: per_task}", r"line 11: .*'agent.haeds'.*'agent.heads'"),
        ("shared: {}", "shared: {method.samples: 3}", r"line 11: 'method.samples' belongs under 'methods'"),
        ("agent.n_envs: 8", "agent.n_envs: -8", r"line 14: n_envs is -8"),
        (
            "method: cloning, samples: 32, capacity: 64}\nregimes:\n  shared: {}",
            "method: packnet}\nregimes:\n  shared: {segments: adaptive}",
            r"line 9: packnet must know how long a segment will be",
        ),
        ("hyperparameters.n_epochs", "hyperparameters.epochs", r"no hyperparameter 'epochs'.*'n_epochs'"),
        ("[tiny_worlds]", "[tiny_wrolds]", r"line 19: could not import 'tiny_wrolds'"),
        ("  finetune: {}", "  finetune: {", r"is not YAML"),
    ],
)
def test_mistakes(right: str, wrong: str, message: str, study_file: Path) -> None:
    text = study_file.read_text()
    assert right in text
    study_file.write_text(text.replace(right, wrong))
    with pytest.raises(BadConfig, match=message) as refusal:
        read_plan(study_file)
    assert str(refusal.value).startswith(str(study_file))


def test_files_that_hold_no_study(tmp_path: Path) -> None:
    with pytest.raises(BadConfig, match="cannot be read"):
        read_plan(tmp_path / "missing.yaml")
    (tmp_path / "list.yaml").write_text("- a\n")
    with pytest.raises(BadConfig, match="must be a mapping"):
        read_plan(tmp_path / "list.yaml")
    (tmp_path / "unknown.yaml").write_text("name: x\nsequences: [own.yaml]\nmethods: {finetune: }\n")
    with pytest.raises(BadConfig, match=r"line 2: own.yaml cannot be read"):
        read_plan(tmp_path / "unknown.yaml")
