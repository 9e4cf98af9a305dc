"""Runs that no flag puts into one table, and versions that must agree."""

from dataclasses import replace
from pathlib import Path

import pytest
from synthetic_studies import ORDERS, VERSIONS, record, write_study

from nestrl.errors import BadConfig
from nestrl.report.comparison import comparisons, paired
from nestrl.report.mixing import mixed_runs
from nestrl.studies.ledger import Record
from nestrl.studies.study import open_study


@pytest.mark.parametrize("allow", [False, True])
def test_runs_of_different_tasks_are_never_in_one_table(tmp_path: Path, allow: bool) -> None:
    records = [record("cloning", tasks=("reach", "ice")), record("finetune", tasks=("reach", "ice", "door"))]
    study = open_study(write_study(tmp_path / "made-up", records))
    with pytest.raises(BadConfig, match=r"different tasks .*door, ice, reach \(finetune.*; ice, reach \(cloning"):
        comparisons(study, allow_mixed=allow)


@pytest.mark.parametrize("allow", [False, True])
def test_an_order_has_one_meaning(tmp_path: Path, allow: bool) -> None:
    records = [record("cloning", tasks=ORDERS[0]), record("finetune", tasks=ORDERS[1])]
    study = open_study(write_study(tmp_path / "made-up", records))
    with pytest.raises(BadConfig, match=r"runs of order 0 that train .*door, ice, .*\(finetune.*reach, slalom, "):
        comparisons(study, allow_mixed=allow)


def test_runs_through_different_orders_are_no_pair(tmp_path: Path) -> None:
    records = [record(tasks=ORDERS[0], regime="shared"), record(tasks=ORDERS[1], regime="per_task")]
    first, second = comparisons(open_study(write_study(tmp_path / "made-up", records)))
    assert paired(first.methods[0], first.methods[0]) == [(0, 0)]
    assert paired(first.methods[0], second.methods[0]) == []


def test_versions_of_envpool_must_agree_unless_some_run_did_without() -> None:
    def using(version: str) -> Record:
        return record(versions=VERSIONS | {"envpool": version})

    older, newer, without = using("1.1.0"), using("1.2.5"), replace(record(), versions=VERSIONS)
    assert [sentence.partition(" in ")[0] for sentence in mixed_runs([newer, newer, older])] == ["envpool is 1.1.0"]
    assert mixed_runs([newer, without]) == mixed_runs([newer, newer, older, without]) == []


def test_runs_that_the_studys_file_asks_for_no_more_are_named(tmp_path: Path) -> None:
    folder = write_study(tmp_path / "mixed-5", [record(seed=seed) for seed in (0, 1)])
    plan = folder / "study.yaml"
    assert not any("not asked for" in text for text in comparisons(open_study(folder))[0].warnings)
    plan.write_text(plan.read_text().replace("seeds: 2", "seeds: [0, 5]"))
    (warning,) = [text for text in comparisons(open_study(folder))[0].warnings if "not asked for" in text]
    assert "cloning-shared-mixed-5-o0-s1" in warning and "s0" not in warning
