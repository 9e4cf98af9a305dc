import json
from collections.abc import Callable

import pytest

from nestrl.errors import BadConfig
from nestrl.evaluation.statistics import wilson_interval
from nestrl.report.tables import (
    comparison_table,
    differing_versions,
    metrics_table,
    retention_table,
    success_table,
    table,
)
from nestrl.training.result import Run

MakeRun = Callable[..., Run]


def test_table_is_aligned_markdown() -> None:
    assert table(["task", "n"], [["a", "1"], ["longer", "10"]]) == (
        "| task   |  n |\n| ------ | -: |\n| a      |  1 |\n| longer | 10 |"
    )


def test_retention_table(make_run: MakeRun) -> None:
    lines = retention_table(make_run(left=0.25)).splitlines()
    assert lines[0].split("|")[1:-1] == [" success on ", "    a ", "    b "]
    assert lines[2].split("|")[1:-1] == [" after a    ", " 1.00 ", " 0.00 "]
    assert lines[3].split("|")[1:-1] == [" after b    ", " 0.25 ", " 0.50 "]


def test_unfinished_segments_are_dashes(make_run: MakeRun) -> None:
    assert retention_table(make_run(finished=False)).splitlines()[3].count("–") == 2


def test_metrics_table_has_values_and_definitions(make_run: MakeRun) -> None:
    shown = metrics_table(make_run(left=0.25))
    assert "average performance" in shown
    assert "  0.38  Mean over skills of p_i(T)" in shown  # (.25 + .5) / 2
    assert "  0.38  Mean over skills of p_i(end" in shown  # (.75 + 0) / 2


def test_comparison_groups_by_method_with_intervals(make_run: MakeRun) -> None:
    runs = [make_run("finetune", seed, left) for seed, left in ((0, 0.0), (1, 0.5))] + [make_run("cloning", 0, 1.0)]
    head, _, finetune, cloning = comparison_table(runs).splitlines()
    assert "forgetting" in head
    cells = [cell.strip() for cell in finetune.split("|")[1:-1]]
    assert cells[:4] == ["pair finetune", "2", "0.38 [0.00, 1.00]", "0.38 [-0.77, 1.00]"]  # two runs tell little
    assert [cell.strip() for cell in cloning.split("|")[1:5]] == ["pair cloning", "1", "0.75", "0.00"]


def test_joint_training_has_only_its_performance(make_run: MakeRun) -> None:
    run = make_run("multitask", left=1.0)
    _, _, row = comparison_table([run]).splitlines()
    performance, *others = (cell.strip() for cell in row.split("|")[3:-1])
    assert performance == "0.75" and set(others) == {"–"}
    assert "orgetting" not in metrics_table(run)


def test_comparison_of_an_unfinished_run_says_what_to_do(make_run: MakeRun) -> None:
    unfinished = make_run(finished=False)
    with pytest.raises(BadConfig, match=f"{unfinished.path} is not finished.*nestrl resume"):
        comparison_table([unfinished])


def test_differing_versions_are_said(make_run: MakeRun) -> None:
    runs = [make_run(seed=0), make_run(seed=1)]
    assert not differing_versions(runs)
    path = runs[1].path / "versions.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"mujoco": "3.18.0", "processor": "another"}))
    assert ["mujoco" in sentence for sentence in differing_versions(runs)] == [True]
    path.unlink()
    assert ["versions.json" in sentence for sentence in differing_versions(runs)] == [True]


def test_success_table() -> None:
    assert "0.98 [0.93, 0.99]" in success_table({"reach": wilson_interval(98, 100)})
