import json
from collections.abc import Callable
from typing import Any

from nestrl.report.groups import copies, grouped
from nestrl.training.result import Run

MakeRun = Callable[..., Run]


def changed(run: Run, values: dict[str, Any]) -> Run:
    """Return a run whose configuration says otherwise."""
    path = run.path / "config.json"
    config = json.loads(path.read_text())
    for name, value in values.items():
        group, _, key = name.rpartition(".")
        (config[group] if group else config)[key] = value
    path.write_text(json.dumps(config))
    return Run(run.path)


def test_runs_that_were_told_or_measured_otherwise_are_groups_named_by_what_differs(make_run: MakeRun) -> None:
    runs = [
        make_run(seed=0),
        make_run(seed=1),
        changed(make_run(seed=2), {"identity": "observed"}),
        changed(make_run(seed=5), {"evaluation_episodes": 7}),
        changed(make_run(seed=6), {"agent.hyperparameters": {"gamma": 0.9}}),
        changed(make_run(seed=3), {"agent.initial_log_std": -1.0, "agent.heads": "per_task"}),
        changed(make_run(seed=4), {"agent.initial_log_std": -1.0, "agent.heads": "per_task", "threads": 2}),
    ]
    names = {method: len(members) for (_, method), members in grouped(runs).items()}
    assert names == {
        "finetune": 2,
        "finetune (identity observed)": 1,
        "finetune (evaluation_episodes 7)": 1,
        "finetune (gamma 0.9)": 1,
        "finetune (heads per_task, initial_log_std -1)": 2,
    }


def test_groups_that_differ_in_what_a_name_leaves_out_have_numbers(make_run: MakeRun) -> None:
    runs = [make_run(seed=seed) for seed in range(3)]
    for run, steps in zip(runs[1:], (7, 8), strict=True):
        segments = json.loads(run.config.to_json())["sequence"]["segments"]
        segments[0]["steps"] += steps
        changed(run, {"sequence.segments": segments})
    names = [method for _, method in grouped([Run(run.path) for run in runs])]
    assert names == ["finetune", "finetune (another sequence)", "finetune (another sequence) (2)"]


def test_what_is_given_twice_is_said(make_run: MakeRun) -> None:
    first, again, other = make_run(seed=0), changed(make_run(seed=1), {"seed": 0}), make_run(seed=2)
    assert copies([first, other]) == []
    (sentence,) = copies([first, again, other])
    assert str(first.path) in sentence and str(again.path) in sentence
