"""What a finished run offers: its files, measures and agent."""

import json
import shutil
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from test_resume import StopAt
from tiny_worlds import TINY, tiny_config

import nestrl
from nestrl.errors import BadConfig, DamagedCheckpoint, UnknownName
from nestrl.tasks.sequence import Segment, Task, TaskSequence
from nestrl.training.config import RunConfig
from nestrl.training.display import Plain
from nestrl.training.from_scratch import alone_from_scratch, make_references
from nestrl.training.references import find_references, reference_path, stored_curves
from nestrl.training.result import Run
from nestrl.training.trainer import run
from nestrl.training.writing import write_command


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return run(tiny_config(), tmp_path_factory.mktemp("runs") / "run")


def test_folder_has_everything(finished: Run) -> None:
    names = {path.name for path in finished.path.iterdir()}
    assert names >= {"config.json", "versions.json", "command.txt", "log.jsonl", "curves.json", "metrics.json"}
    assert names >= {"policy.safetensors", "policy.json", "checkpoints"}
    versions = json.loads((finished.path / "versions.json").read_text())
    assert {"python", "mujoco", "torch", "numpy", "gymnasium", "stable-baselines3", "nestrl", "git"} <= set(versions)
    assert versions["processor"]
    assert finished.config == tiny_config()


def test_another_processor_ends_the_same_bits_and_a_resume_says_so(finished: Run) -> None:
    path = finished.path / "versions.json"
    as_it_was = path.read_text()
    assert finished.folder.version_changes() == []
    path.write_text(json.dumps(json.loads(as_it_was) | {"processor": "another"}))
    (sentence,) = finished.folder.version_changes()
    path.write_text(as_it_was)
    assert "processor another" in sentence
    assert "bit for bit" in sentence


def test_curves_start_at_zero_and_reach_every_boundary(finished: Run) -> None:
    curves = finished.curves
    assert curves.steps[0] == 0
    assert len(curves.steps) == 1 + 2 * 3
    assert curves.complete
    assert [start for _, start, _ in curves.segments] == [0, curves.segments[0][2]]
    assert finished.retention.shape == (2, 2)


def test_outcomes_are_what_the_curves_are_the_mean_of(finished: Run, tmp_path: Path) -> None:
    for column, task in enumerate(finished.task_names):
        outcomes = finished.outcomes(task)
        assert outcomes.shape == (len(finished.curves.steps), 4)
        assert np.array_equal(outcomes.mean(1), finished.curves.success[:, column])
    shutil.copytree(finished.path, tmp_path / "older")
    log = tmp_path / "older" / "log.jsonl"
    log.write_text(log.read_text().replace('"outcomes"', '"else"'))
    with pytest.raises(BadConfig, match="does not tell which episodes of calm"):
        Run(tmp_path / "older").outcomes("calm")


def test_metrics_file_says_where_the_time_went(finished: Run) -> None:
    summary = finished.folder.summary()
    assert set(summary["seconds"]) == {"training", "evaluation", "checkpoint", "final evaluation"}
    assert 0 < summary["share_of_evaluation"] < 1
    assert summary["metrics"]["average_performance"] == pytest.approx(finished.metrics.average_performance)
    assert f"nestrl reference {finished.path}" in str(finished.how_to_compare)
    assert finished.final_success.keys() == {"calm", "windy"}


def test_log_is_json_lines(finished: Run) -> None:
    events = [json.loads(line) for line in (finished.path / "log.jsonl").read_text().splitlines()]
    kinds = [event["event"] for event in events]
    assert kinds[0] == "evaluation"
    assert kinds[-1] == "report"
    assert "loss" in events[1]["losses"]
    assert [event["steps"] for event in events] == sorted(event["steps"] for event in events)


def test_run_evaluates_to_what_it_said_at_the_end(finished: Run) -> None:
    again = finished.evaluate(finished.config.final_episodes)
    assert again == finished.final_success


def test_loaded_agent_acts_on_raw_observations(finished: Run) -> None:
    agent = nestrl.load(finished.path)
    batch = np.random.default_rng(0).uniform(-1, 1, (5, 2)).astype(np.float32)
    actions, _ = agent.predict(batch, task="windy", deterministic=True)
    single, _ = agent.predict(batch[3], task="windy", deterministic=True)
    assert actions.shape == (5, 1)
    assert single.shape == (1,)
    np.testing.assert_allclose(single, actions[3], atol=1e-5)
    torch.manual_seed(0)
    assert not np.array_equal(agent.predict(batch, task="windy", deterministic=False)[0], actions)
    other, _ = agent.predict(batch, task="calm")
    assert not np.array_equal(other, actions)


def test_loaded_agent_refuses_what_it_does_not_know(finished: Run) -> None:
    agent = nestrl.load(finished.path)
    with pytest.raises(UnknownName, match="'windy'"):
        agent.predict(np.zeros(2), task="wimdy")
    with pytest.raises(BadConfig, match=r"shape \(3,\)"):
        agent.predict(np.zeros(3), task="calm")
    with pytest.raises(BadConfig, match="NaN or infinite"):
        agent.predict(np.array([0.0, np.nan]), task="calm")
    with pytest.raises(BadConfig, match="none of the task's space"):
        agent.predict(np.zeros((0, 2)), task="calm")
    with pytest.raises(UnknownName, match="no task 0"):
        agent.predict(np.zeros(2), task=0)  # type: ignore[arg-type]
    with pytest.raises(BadConfig, match="not a tuple"):
        agent.predict((np.zeros(2), {}), task="calm")  # as env.reset() returns it
    with pytest.raises(BadConfig, match="must be numbers"):
        agent.predict(["a", "b"], task="calm")
    with pytest.raises(BadConfig, match=r"episodes is 2\.5; expected int"):
        agent.evaluate(2.5)  # type: ignore[arg-type]


def without_checkpoints(finished: Run, folder: Path) -> None:
    for name in ("config.json", "policy.json", "policy.safetensors"):
        (folder / name).write_bytes((finished.path / name).read_bytes())


@pytest.mark.parametrize("changes", [{"method": "nested", "method_options": {}}, {"identity": "observed"}])
def test_policy_alone_is_not_enough_where_more_answers(changes: dict[str, Any], tmp_path: Path) -> None:
    finished = run(tiny_config(**changes), tmp_path / "run")
    assert nestrl.load(finished.path).predict(np.zeros(2, np.float32), task="calm")[0].shape == (1,)
    (tmp_path / "shared").mkdir()
    without_checkpoints(finished, tmp_path / "shared")
    with pytest.raises(DamagedCheckpoint, match="put the run's checkpoints back"):
        nestrl.load(tmp_path / "shared")


def test_loading_draws_no_random_numbers(finished: Run) -> None:
    torch.manual_seed(3)
    np.random.seed(3)
    before = torch.get_rng_state(), np.random.get_state()[1].copy()
    nestrl.load(finished.path)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.array_equal(np.random.get_state()[1], before[1])


def test_what_a_run_was_made_with_may_be_lost(finished: Run, tmp_path: Path) -> None:
    shutil.copytree(finished.path, tmp_path / "run")
    (tmp_path / "run" / "versions.json").unlink()
    assert Run(tmp_path / "run").metrics == finished.metrics


def test_policy_alone_is_enough_to_act(finished: Run, tmp_path: Path) -> None:
    """Shared without checkpoints, cloning does the same: it answers with the learner's policy alone."""
    without_checkpoints(finished, tmp_path)
    observation = np.array([0.3, 0.5], np.float32)
    shared, _ = nestrl.load(tmp_path).predict(observation, task="calm")
    assert np.array_equal(shared, nestrl.load(finished.path).predict(observation, task="calm")[0])


@pytest.mark.learning
def test_references_make_forward_transfer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NESTRL_REFERENCES", str(tmp_path / "references"))
    config = tiny_config()
    result = run(config, tmp_path / "run")
    assert result.metrics.forward_transfer is None

    files = make_references(config, (0, 1), tmp_path / "scratch")
    assert [path.is_file() for path in files] == [True, True]
    assert set(json.loads(files[0].read_text())["curves"]) == {"0", "1"}
    found = find_references(config)
    assert set(found) == {"calm", "windy"}
    assert result.metrics.forward_transfer is not None

    as_it_was = files[0].read_text()
    for damaged in ('{"curves": []}', '{"curves": {"0": {"steps": [0, 1], "success": [0]}}}'):
        files[0].write_text(damaged)
        with pytest.raises(BadConfig, match="is damaged"):
            find_references(config)
    files[0].write_text(as_it_was)

    before = files[0].stat().st_mtime_ns
    make_references(config, (0, 1), tmp_path / "scratch")
    assert files[0].stat().st_mtime_ns == before  # stored ones are not made again
    longer = tiny_config(sequence=TINY.with_steps(2))
    assert reference_path(longer, "calm") != reference_path(config, "calm")
    assert not find_references(longer)

    monkeypatch.setattr("nestrl.training.references.versions", lambda: {"torch": "of next year"})
    assert not find_references(config)
    assert result.metrics.forward_transfer is not None  # those made with what the run was made with


@pytest.mark.learning
def test_a_run_is_compared_on_the_starts_that_it_was_measured_on(tmp_path: Path) -> None:
    task = nestrl.Task("balance", "InvertedPendulum-v5", success_threshold=20)
    sequence = nestrl.TaskSequence("alone", (task,), (nestrl.Segment("balance", 256),))
    config = tiny_config(sequence=sequence, method="finetune", method_options={}, evaluation_episodes=5, imports=())
    (path,) = make_references(config, (0,), tmp_path / "scratch")
    few = replace(alone_from_scratch(config, "balance"), evaluation_episodes=5)
    measured = run(few, tmp_path / "few").curves.success[:, 0]
    assert np.array_equal(find_references(config)["balance"][1], measured)
    assert not np.array_equal(stored_curves(path)[0][1], measured)  # of 100 starts


def test_any_gymnasium_task_with_dict_or_discrete_spaces(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tasks = (nestrl.Task("cart", "CartPole-v1", success_threshold=20.0), nestrl.Task("swing", "Pendulum-v1"))
    sequence = nestrl.TaskSequence("mixed", tasks, (nestrl.Segment("cart", 64), nestrl.Segment("swing", 64)))
    config = tiny_config(sequence=sequence, evaluation_episodes=2, final_episodes=2, evaluations_per_segment=1)
    result = run(config, tmp_path / "run", display=Plain())
    told = capsys.readouterr().out
    assert "No episode of swing has told whether it succeeds" in told and "of cart has told" not in told
    agent = nestrl.load(result.path)
    action, _ = agent.predict(gym.make("CartPole-v1").reset(seed=0)[0], task="cart")
    assert action in (0, 1)
    swing, _ = agent.predict(gym.make("Pendulum-v1").reset(seed=0)[0], task="swing")
    assert swing.shape == (1,)


@pytest.mark.parametrize(
    ("argv", "written"),
    [
        (["/home/me/.venv/bin/nestrl", "train", "a b.yaml"], "nestrl train 'a b.yaml'\n"),
        (["/home/me/nestrl/cli.py", "study", "s.yaml"], "nestrl study s.yaml\n"),
        (["scripts/train.py"], "scripts/train.py\n"),
    ],
)
def test_the_command_is_written_as_anybody_would_type_it(
    argv: list[str], written: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", argv)
    write_command(tmp_path / "command.txt")
    assert (tmp_path / "command.txt").read_text() == written


def test_a_reference_that_was_stopped_goes_on_for_a_sequence_that_calls_its_task_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NESTRL_REFERENCES", str(tmp_path / "references"))

    def of(name: str) -> RunConfig:
        sequence = TaskSequence("one", (Task(name, "TinyPoint-v0"),), (Segment(name, 600),))
        return tiny_config(sequence=sequence)

    with pytest.raises(KeyboardInterrupt):
        make_references(of("calm"), [0], tmp_path, lambda: StopAt(300, signal.SIGINT))
    (path,) = make_references(of("still"), [0], tmp_path)
    assert list(stored_curves(path)) == [0]
