import csv
import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from synthetic_studies import EPISODES, SEGMENT, TASKS, record, write_study

from nestrl.errors import BadConfig, UnknownName
from nestrl.evaluation.statistics import Interval, stratified_interval
from nestrl.report.comparison import Comparison, comparisons
from nestrl.report.study_tables import (
    Bytes,
    StudyTable,
    age_table,
    boundary_table,
    cost_table,
    difference_table,
    failed_table,
    main_table,
    measure_table,
    pair_table,
    shown,
    study_tables,
    task_table,
)
from nestrl.studies.ledger import Record
from nestrl.studies.plan import read_plan
from nestrl.studies.study import open_study

PAIR = ("reach", "slalom")


def pair(method: str, seed: int, left: int, **changes: object) -> Record:
    """Return a run of two tasks: the first one learned at once, `left` of 16 successes kept; the second one to a half.

    The references are straight lines from 0 to 1, so forward transfer is 0 to the first and -1/2 to the second task.
    """
    counts = np.array([[0, 0], [EPISODES, 0], [left, EPISODES // 2]])
    return record(method, seed, counts, PAIR, **changes)


def compare(folder: Path, records: list[Record], references: bool = True, **options: bool | str) -> Comparison:
    study = open_study(write_study(folder / "made-up", records, references=references))
    return comparisons(study, **options)[0]  # type: ignore[arg-type]


def column(table: StudyTable, name: str) -> list[object]:
    place = next(number for number, head in enumerate(table.head) if head.startswith(name))
    return [row[place] for row in table.rows]


@pytest.fixture
def hand_made(tmp_path: Path) -> Comparison:
    """Two methods with six seeds in two orders each; cloning keeps 8, 9, ... of 16, finetune 0, 1, ..."""
    records = [
        pair(method, seed, kept + seed, order=seed % 2)
        for seed in range(6)
        for method, kept in (("finetune", 0), ("cloning", 8))
    ]
    return compare(tmp_path, records)


def test_main_table_has_what_was_computed_by_hand(hand_made: Comparison) -> None:
    table = main_table(hand_made)
    assert column(table, "method") == ["finetune", "cloning"]
    assert column(table, "runs") == [6, 6]
    kept = np.array([8, 9, 10, 11, 12, 13]) / 16
    performance, forgetting, later, transfer, backward, worst, gap = measure_table(hand_made).rows[1][1:]
    assert table.rows[1][2:6] == (performance, forgetting, later, worst)
    assert isinstance(performance, Interval) and isinstance(forgetting, Interval)
    middle = np.mean(kept[1:5])  # the middle of six: one is cut off at each end
    assert performance.estimate == pytest.approx((middle + 0.5) / 2)
    assert forgetting.estimate == pytest.approx((1 - middle) / 2)
    expected = stratified_interval((kept + 0.5) / 2, [0, 1] * 3, np.random.default_rng(0))
    assert (performance.low, performance.high) == (expected.low, expected.high)
    assert performance.low < performance.estimate < performance.high
    assert [shown(cell) for cell in (later, transfer)] == ["-0.50 [-0.50, -0.50]", "-0.25 [-0.25, -0.25]"]
    assert [cell.estimate for cell in (backward, worst, gap) if isinstance(cell, Interval)] == pytest.approx(
        [middle - 1, middle, 1 - middle]
    )


def test_main_table_compares_with_cloning_in_pairs(hand_made: Comparison) -> None:
    table = main_table(hand_made)
    difference, baseline = column(table, "performance minus cloning")
    assert isinstance(difference, Interval) and baseline is None
    assert difference == Interval(-0.25, -0.25, -0.25)  # the seeds' own differences cancel in every pair
    better, _ = column(table, "P(better than cloning)")
    assert isinstance(better, Interval) and better.estimate == better.low == 0.0 and better.high < 0.5


def test_every_metric_is_compared_in_pairs(hand_made: Comparison) -> None:
    table = difference_table(hand_made)
    ((method, pairs, performance, forgetting, later, *_),) = table.rows  # the baseline itself has no row
    assert (method, pairs) == ("finetune", 6)
    assert performance == column(main_table(hand_made), "performance minus cloning")[0]
    assert forgetting == Interval(0.25, 0.25, 0.25) and later == Interval(0.0, 0.0, 0.0)


def test_what_is_not_measured_has_no_difference(tmp_path: Path) -> None:
    records = [pair(method, seed, 8) for seed in range(5) for method in ("finetune", "cloning")]
    comparison = compare(tmp_path, records, references=False)
    assert column(difference_table(comparison), "forward transfer") == [None]
    alone = compare(tmp_path / "alone", [pair("cloning", seed, 8) for seed in range(5)])
    assert "differences" not in [table.name for table in study_tables(alone)]


def test_another_baseline_can_be_chosen(tmp_path: Path) -> None:
    records = [pair(method, seed, 8) for seed in range(5) for method in ("finetune", "cloning")]
    table = main_table(compare(tmp_path, records, baseline="finetune"))
    assert column(table, "performance minus finetune")[0] is None
    better = column(table, "P(better than finetune)")[1]
    assert isinstance(better, Interval) and better.estimate == 0.5
    with pytest.raises(UnknownName, match="Did you mean 'finetune'"):
        compare(tmp_path, records, baseline="finetun")


def test_time_is_relative_to_finetune(tmp_path: Path) -> None:
    records = [pair("finetune", seed, 8, seconds={"training": 60.0 + seed}) for seed in range(5)]
    records += [pair("cloning", seed, 8, seconds={"training": 90 + 1.5 * seed}) for seed in range(5)]
    table = cost_table(compare(tmp_path, records))
    assert [shown(cell) for cell in column(table, "minutes / finetune")] == ["–", "1.50 [1.50, 1.50]"]
    assert [shown(cell) for cell in column(table, "memory")] == ["0 B", "1.5 MB"]


def test_few_seeds_are_said_in_the_table(tmp_path: Path) -> None:
    comparison = compare(tmp_path, [pair("cloning", seed, 8) for seed in range(3)] + [pair("finetune", 0, 8)])
    table = main_table(comparison)
    assert column(table, "beware") == ["only 3 seeds", "only 1 seed"]
    assert any("fewer than 5 seeds of cloning, finetune" in note for note in table.notes)
    assert "fewer than 5 seeds" in table.markdown()
    assert shown(column(table, "average performance")[1]) == "0.50 [1 run]"  # type: ignore[arg-type]


def test_no_estimate_is_shown_without_an_interval(hand_made: Comparison) -> None:
    for table in (main_table(hand_made), task_table(hand_made), boundary_table(hand_made), age_table(hand_made)):
        cells = [cell for row in table.rows for cell in row]
        assert not any(isinstance(cell, float) for cell in cells)
        assert all("[" in shown(cell) for cell in cells if isinstance(cell, Interval))


def test_task_boundary_and_age_tables(hand_made: Comparison) -> None:
    tasks = task_table(hand_made)
    assert [row[:2] for row in tasks.rows] == [(m, t) for m in ("finetune", "cloning") for t in PAIR]
    assert [shown(cell) for cell in tasks.rows[1][2:]] == [
        "0.50 [0.50, 0.50]",
        "0.50 [0.50, 0.50]",
        "0.00 [0.00, 0.00]",
        "-0.50 [-0.50, -0.50]",
    ]
    lost = tasks.rows[2][4]
    assert isinstance(lost, Interval) and lost.estimate == pytest.approx(1 - 10.5 / 16)
    assert boundary_table(hand_made).head == ("method", "segment 2")
    assert boundary_table(hand_made).rows[1][1] == lost
    assert age_table(hand_made).head == ("method", "1 later")
    assert age_table(hand_made).rows[1][1] == lost


def test_pair_table_says_what_a_task_gains_from_the_one_before(hand_made: Comparison) -> None:
    table = pair_table(hand_made)
    assert table.head == ("task", "after", "finetune", "cloning")
    assert [[shown(cell) for cell in row] for row in table.rows] == [
        ["slalom", "reach", "-0.50 [-0.50, -0.50]", "-0.50 [-0.50, -0.50]"]
    ]
    assert table.notes[1] == "cloning is slower than from scratch: slalom after reach (-0.50)."


def test_pairs_without_references_are_dashes(tmp_path: Path) -> None:
    comparison = compare(tmp_path, [pair("cloning", seed, 8) for seed in range(5)], references=False)
    assert pair_table(comparison).rows == (("slalom", "reach", None),)
    assert pair_table(comparison).notes == ()


def test_missing_references_are_dashes_and_a_command(tmp_path: Path) -> None:
    comparison = compare(tmp_path, [pair("cloning", seed, 8) for seed in range(5)], references=False)
    assert column(main_table(comparison), "forward transfer, later tasks") == [None]
    assert "nestrl reference" in " ".join(main_table(comparison).notes)
    assert "reach, slalom" in comparison.warnings[0]


def test_references_too_short_are_said_apart_from_missing_ones(tmp_path: Path) -> None:
    long = [pair("cloning", seed, 8) for seed in range(5)]
    longer = [replace(each, segments=((0, 0, 2 * SEGMENT), (1, 2 * SEGMENT, 4 * SEGMENT))) for each in long]
    records = [replace(each, steps=(0, 2 * SEGMENT, 4 * SEGMENT)) for each in longer]
    comparison = compare(tmp_path, records)
    assert column(main_table(comparison), "forward transfer, later tasks") == [None]
    (warning,) = comparison.warnings  # curves are there, and making them again would give the same
    assert "reach, slalom are too short" in warning and "nestrl reference" not in warning


def test_a_task_that_is_never_trained_needs_no_reference(tmp_path: Path) -> None:
    never = [record("cloning", seed, tasks=(*PAIR, "extra")) for seed in range(5)]
    assert compare(tmp_path, [replace(each, segments=each.segments[:2]) for each in never]).warnings == ()


def test_the_null_of_transfer_stands_beside_it(tmp_path: Path) -> None:
    records = [pair(method, seed, 8) for seed in range(5) for method in ("cloning", "reset-and-distill")]
    with_null = main_table(compare(tmp_path / "with", records)).notes
    assert "null: reset-and-distill" in with_null[-1] and "measured -0.50 [-0.50, -0.50]" in with_null[-1]
    before = [replace(each, counts=(each.counts[0], (EPISODES, EPISODES), each.counts[2])) for each in records]
    same = main_table(compare(tmp_path / "before", before))  # the second task is known before its segment begins
    assert same.notes[-1] == with_null[-1]
    assert column(same, "forward transfer, later tasks") != column(
        main_table(compare(tmp_path / "w", records)), "forward transfer, later tasks"
    )
    first = (
        "null: the first tasks of cloning's lives follow nothing: true forward transfer 0, measured 0.00 [0.00, 0.00]."
    )
    assert with_null[-2] == first
    assert main_table(compare(tmp_path / "without", records[::2])).notes[-1] == first
    neither = main_table(compare(tmp_path / "neither", records[::2], references=False)).notes
    assert neither[-1].startswith("null: no method")


def test_what_few_reference_curves_leave_open_is_said(tmp_path: Path) -> None:
    records = [pair("cloning", seed, 8) for seed in range(5)]
    notes = main_table(compare(tmp_path, records)).notes
    error = 0.05 / (1 - 0.5) / np.sqrt(len(TASKS))  # of a mean over tasks, each off by it independently
    assert [note for note in notes if f"a standard error of {error:.2f} (1 - x) in a forward transfer of x" in note]


def test_curves_of_other_starts_are_said(tmp_path: Path) -> None:
    folder = write_study(tmp_path / "made-up", [pair("cloning", seed, 8) for seed in range(5)])
    references = folder / "references.json"
    references.write_text(references.read_text().replace('"same_starts": true', '"same_starts": false', 1))
    (warning,) = comparisons(open_study(folder))[0].warnings
    assert warning.startswith(f"Reference curves of {TASKS[0]} were measured on more starts")


def test_failed_runs_are_listed_and_never_averaged(tmp_path: Path) -> None:
    records = [pair("cloning", seed, 8) for seed in range(5)]
    broken = pair("cloning", 5, 0, cell="broken", status="failed", error="NaN in the loss; see log")
    comparison = compare(tmp_path, [*records, broken])
    assert column(main_table(comparison), "runs") == [5]
    assert column(main_table(comparison), "beware") == ["1 failed"]
    assert failed_table(comparison).rows == (("broken", "cloning", 5, "NaN in the loss; see log"),)


def test_methods_of_which_all_runs_failed_are_said(tmp_path: Path) -> None:
    fine = [pair("cloning", seed, 8) for seed in range(5)]
    broken = [replace(pair("ewc", seed, 8), status="failed") for seed in range(2)]
    elsewhere = replace(pair("ewc", 0, 8, regime="per_task"), status="failed", cell="elsewhere")
    notes = main_table(compare(tmp_path, [*fine, *broken, elsewhere])).notes
    failures = [note for note in notes if "failed" in note]
    assert [note.startswith("WARNING: no run of ewc has finished: 2 failed") for note in failures] == [True, False]
    assert "per_task, mixed-5: no run of ewc has finished: 1 failed" in failures[1]


def test_a_baseline_without_a_finished_run_is_said(tmp_path: Path) -> None:
    records = [pair("finetune", seed, 8) for seed in range(5)]
    study = open_study(write_study(tmp_path / "made-up", records, ["finetune", "cloning"]))
    (chosen,), (default,) = comparisons(study, "cloning"), comparisons(study)
    assert chosen.baseline.label == "finetune" and default.warnings == ()
    assert chosen.warnings == ("no run of the baseline cloning has finished here; finetune stands in for it.",)


def test_joint_training_and_task_identity_are_flagged(tmp_path: Path) -> None:
    records = [pair(method, seed, 8) for seed in range(5) for method in ("cloning", "packnet", "multitask")]
    table = main_table(compare(tmp_path, records))
    assert column(table, "beware") == ["", "needs task identity at test", "trains jointly"]
    assert column(table, "forgetting")[2] is None and column(table, "average performance")[2] is not None


@pytest.mark.parametrize(
    ("what", "change"),
    [
        ("mujoco is 3.18.0", {"versions": {"mujoco": "3.18.0", "torch": "2.13.0", "stable-baselines3": "2.9.2"}}),
        ("torch is None", {"versions": {"mujoco": "3.17.0", "stable-baselines3": "2.9.2"}}),
        ("environment steps is 250000", {"environment_steps": 250_000}),
        (r"network is \[256, 256\]", {"network": (256, 256)}),
        ("evaluation episodes is 32", {"episodes": 32}),
        ("learner is {'algorithm': 'sac'}", {"agent": {"algorithm": "sac"}}),
    ],
)
def test_mixed_runs_are_refused_or_flagged(tmp_path: Path, what: str, change: dict[str, object]) -> None:
    ppo = {"algorithm": "ppo"}
    records = [pair(method, seed, 8, agent=ppo) for seed in range(5) for method in ("finetune", "cloning")]
    records[1] = replace(records[1], **change)  # type: ignore[arg-type]
    with pytest.raises(BadConfig, match=f"{what} in cloning-shared-mixed-5-o0-s0, but .*--allow-mixed"):
        compare(tmp_path, records)
    table = main_table(comparisons(open_study(tmp_path / "made-up"), allow_mixed=True)[0])
    plain, flagged = column(table, "beware")
    assert plain == "" and ("differ" in str(flagged))
    assert any("WARNING" in note and "cloning-shared-mixed-5-o0-s0" in note for note in table.notes)


def test_runs_of_one_method_with_different_options_are_never_averaged(tmp_path: Path) -> None:
    records = [pair("cloning", seed, 8) for seed in range(2)]
    with pytest.raises(BadConfig, match="runs of cloning with different options are never put in one table"):
        compare(tmp_path, [records[0], replace(records[1], options={"capacity": 64})])


def test_a_single_run_does_not_show_that_a_task_is_learned_slower(tmp_path: Path) -> None:
    table = pair_table(compare(tmp_path, [pair("cloning", 0, 4)]))
    assert shown(table.rows[0][2]).startswith("-0.50") and not any("slower" in note for note in table.notes)


def test_runs_of_several_commits_are_said(tmp_path: Path) -> None:
    records = [pair("cloning", seed, 8) for seed in range(5)]
    records += [pair("nested", seed, 8, versions=dict(records[0].versions) | {"git": "abc"}) for seed in range(5)]
    assert any("2 commits of nestrl" in note for note in main_table(compare(tmp_path, records)).notes)


def test_a_little_more_than_planned_is_not_different(tmp_path: Path) -> None:
    records = [pair("cloning", seed, 8, environment_steps=200_000 + 500 * seed) for seed in range(5)]
    assert compare(tmp_path, records).warnings == ()


def test_more_parameters_are_flagged(tmp_path: Path) -> None:
    records = [pair("finetune", seed, 8) for seed in range(6)]
    records += [pair("cloning", seed, 8, n_parameters=24_690) for seed in range(5)]
    assert column(main_table(compare(tmp_path, records)), "beware") == ["", "different parameters"]


def test_nothing_finished_says_so(tmp_path: Path) -> None:
    study = open_study(write_study(tmp_path / "made-up", [replace(pair("cloning", 0, 8), status="failed")]))
    with pytest.raises(BadConfig, match="no run of .* has finished"):
        comparisons(study)


def test_a_study_is_reported_whose_options_and_modules_are_gone(tmp_path: Path) -> None:
    folder = write_study(tmp_path / "made-up", [pair("cloning", seed, 8) for seed in range(5)])
    path = folder / "study.yaml"
    gone = "imports: [gone]\ntuned: gone.yaml\n" + path.read_text().replace("cloning: {}", "cloning: {boldness: 2}")
    path.write_text(gone)
    with pytest.raises(BadConfig):
        read_plan(path)
    assert column(main_table(comparisons(open_study(folder))[0]), "runs") == [5]


def test_csv_has_a_column_for_each_end(hand_made: Comparison) -> None:
    head, finetune, cloning = csv.reader(io.StringIO(main_table(hand_made).csv()))
    row = dict(zip(head, cloning, strict=True))
    assert float(row["average performance low"]) < float(row["average performance"])
    assert row["memory"] == "1500000"
    assert row["P(better than cloning)"] == row["P(better than cloning) low"] == ""
    assert len(head) == len(finetune) == len(set(head))


def test_markdown_keeps_its_columns() -> None:
    text = StudyTable("x", "Title", ("a|", "b"), (("1|2", None),), ("note",)).markdown()
    assert text.startswith("**Title**\n\n|")
    assert r"1\|2" in text and text.endswith("\n\n- note\n")


def test_nothing_rounds_to_minus_zero() -> None:
    assert shown(Interval(-0.001, -0.3, 0.2)) == "0.00 [-0.30, 0.20]"


def test_bytes_show_their_unit() -> None:
    assert [str(Bytes(size)) for size in (0, 999, 1500, 20_000_000, 3 * 10**12)] == [
        "0 B",
        "999 B",
        "1.5 kB",
        "20 MB",
        "3e+03 GB",
    ]
