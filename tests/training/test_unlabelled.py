"""A learner that is told neither task nor boundary finds both by itself, and resumes bit for bit."""

import json
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from test_resume import StopAt, assert_same_end
from tiny_worlds import PointVectorEnv, _no_single, tiny_config

from nestrl.agents.agent import Agent
from nestrl.agents.tally import Tally
from nestrl.agents.unlabelled_vec_env import UnlabelledVecEnv
from nestrl.errors import BadConfig
from nestrl.studies.outcome import finished_record
from nestrl.studies.plan import Cell
from nestrl.tasks.sequence import Segment, Task, TaskSequence
from nestrl.training.checkpoint import load_newest
from nestrl.training.config import RunConfig
from nestrl.training.from_scratch import alone_from_scratch
from nestrl.training.learner import common_rows
from nestrl.training.life import Life
from nestrl.training.loaded import load
from nestrl.training.references import reference_path
from nestrl.training.result import Run
from nestrl.training.run_folder import RunFolder
from nestrl.training.trainer import run
from nestrl.training.worlds import Worlds
from nestrl.updates.regulated import RegulatedAdam


class MovedVectorEnv(PointVectorEnv):
    """The point, seen from `away`: another task to the eye, and the same one to the hand."""

    def __init__(self, num_envs: int = 1, away: float = 0.0) -> None:
        super().__init__(num_envs)
        self.away = away

    def observe(self) -> np.ndarray:
        return super().observe() + np.float32(self.away)


gym.register("TinyMoved-v0", entry_point=_no_single, vector_entry_point=MovedVectorEnv)

TASKS = tuple(
    Task(name, "TinyMoved-v0", {"away": away}) for name, away in (("here", 0.0), ("there", 4.0), ("far", 8.0))
)
ORDER = ("there", "here", "there", "far")
COMES_BACK = TaskSequence("comes-back", TASKS, tuple(Segment(task, 1024) for task in ORDER))
"""16 rollouts of 64 steps a segment. The first task has index 1, so a slot is not a task's index."""


def unlabelled(**changes: Any) -> RunConfig:
    values: dict[str, Any] = {"sequence": COMES_BACK, "boundaries": "detected", "identity": "observed"}
    return tiny_config(**(values | {"evaluations_per_segment": 1} | changes))


def boundaries(run: Run) -> list[tuple[int, int]]:
    lines = [json.loads(line) for line in (run.path / "log.jsonl").read_text().splitlines()]
    return [(line["steps"], line["slot"]) for line in lines if line["event"] == "boundary noticed"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return run(unlabelled(), tmp_path_factory.mktemp("whole") / "run")


def test_each_boundary_is_noticed_once_and_a_known_task_is_known(whole: Run) -> None:
    """Three rollouts of 64 steps confirm a change; the first may have been suspicious for nothing."""
    found = boundaries(whole)
    assert [slot for _, slot in found] == [1, 0, 2]
    delays = [steps // 64 - 16 * (place + 1) for place, (steps, _) in enumerate(found)]
    assert all(2 <= delay <= 4 for delay in delays), delays


@pytest.mark.learning
@pytest.mark.parametrize(("algorithm", "steps"), [("ppo", 576), ("ppo", 2048), ("ppo", 2112), ("sac", 2112)])
def test_resumes_exactly_before_within_and_after_suspicion(
    steps: int, algorithm: str, whole: Run, tmp_path: Path
) -> None:
    config = unlabelled(algorithm=algorithm)
    reference = whole if algorithm == "ppo" else run(config, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        run(config, tmp_path / "stopped", display=StopAt(steps, signal.SIGINT))
    run(config, tmp_path / "stopped", resume=True)
    assert_same_end(reference.path, tmp_path / "stopped")


@pytest.mark.learning
@pytest.mark.parametrize("method", ["nested", "clonex", "best-start"])
def test_any_method_learns_without_labels_and_resumes(method: str, tmp_path: Path) -> None:
    config = unlabelled(method=method, method_options={})
    finished = run(config, tmp_path / "whole")
    assert boundaries(finished)[0][1] == 1
    with pytest.raises(KeyboardInterrupt):
        run(config, tmp_path / "stopped", display=StopAt(2240, signal.SIGINT))
    run(config, tmp_path / "stopped", resume=True)
    assert_same_end(finished.path, tmp_path / "stopped")


@pytest.mark.learning
@pytest.mark.parametrize("identity", ["observed", "tried"])
@pytest.mark.parametrize("given", ["given", "detected"])
def test_loaded_agent_acts_as_it_was_measured(given: str, identity: str, tmp_path: Path) -> None:
    finished = run(unlabelled(boundaries=given, identity=identity), tmp_path / "run")
    rates = load(finished.path).evaluate(8)
    assert {name: rate.estimate for name, rate in rates.items()} == {
        name: rate.estimate for name, rate in finished.final_success.items()
    }


def test_teacher_has_seen_nothing_from_after_the_change(tmp_path: Path) -> None:
    """Place and age of "there" lie around 4, those of "here" around 0."""
    config = unlabelled(sequence=replace(COMES_BACK, segments=COMES_BACK.segments[:2]))
    with Life(config, tmp_path / "run", StopAt(10**9, signal.SIGINT), resume=False) as life:
        life.evaluate()
        for index, segment in life.segments_ahead():
            environment = life.environment(config.sequence.task_index(segment.task))
            life.agent.start_task(life.segment, environment, first=index == 0, steps=segment.steps)
            life.method.begin(index, config.sequence.task_index(segment.task))
            life.learn(segment.steps)
        state, kept = life.method.state_dict(), life.method.measurements()["recognition_bytes"]
    detector, places = state["detector"], state["places"].values()
    slices = [*detector["quiet"], *detector["withheld"], *state["before_suspicion"]]
    references = [detector["reference"], *(reference for reference, _ in places)]
    assert kept == sum(each.nbytes for each in (*slices, *references, *state["seen"].values()))
    remembered = state["method"]["memory"]["fields"]["observations"]
    assert len(remembered) == 64 and remembered[:, 1].min() >= 4.0
    assert torch.equal(remembered[:, 2:], torch.eye(3)[[0]].expand(64, 3))
    assert state["seen"][1][:, 1].max() <= 1.0


def test_learner_sees_a_slot_and_counts_its_episodes() -> None:
    worlds = Worlds(COMES_BACK, 1)
    environment = UnlabelledVecEnv(worlds.training(1, 4), slot=2, tally=Tally(4, 7, 1.0, 1.0, 3))
    environment.seed(0)
    start = environment.reset()
    assert (start[:, 2:] == [0, 0, 1]).all() and start[0, 1] == 4.0
    for _ in range(12):
        observations, _, dones, infos = environment.step(np.zeros((4, 1), np.float32))
    assert dones.all() and (infos[0]["terminal_observation"][2:] == [0, 0, 1]).all()
    assert environment.tally.episodes == 11 and environment.tally.simulations == 4
    assert len(environment.take_seen()) == 13 * 4
    environment.believe(0)
    assert (environment.labelled(observations)[:, 2:] == [1, 0, 0]).all()
    assert environment.tally == Tally(4)
    worlds.close()


def test_common_rows_tell_no_task() -> None:
    mean, scale = common_rows(
        (np.array([[1, 2], [3, 0]], np.float32), np.array([[0.1, 0.2], [0.4, 1]], np.float32)), [2, 1]
    )
    assert mean.tolist() == [[2, 2]] * 2
    assert np.allclose(scale, [[0.4, 0.2]] * 2)


def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(BadConfig, match="must be one of given, detected"):
        unlabelled(boundaries="guessed")
    with pytest.raises(BadConfig, match="must be one of told, observed, tried"):
        unlabelled(identity="secret")
    with pytest.raises(BadConfig, match="set it to 'observed' or 'tried'"):
        unlabelled(identity="told")
    with pytest.raises(BadConfig, match="use fixed ones"):
        unlabelled(segments="adaptive")


def test_reference_curves_are_those_of_labelled_runs() -> None:
    assert reference_path(unlabelled(), "here") == reference_path(tiny_config(sequence=COMES_BACK), "here")
    alone = alone_from_scratch(unlabelled(), "here")
    assert (alone.boundaries, alone.identity) == ("given", "told")


def test_older_configurations_are_told_everything() -> None:
    plain = json.loads(tiny_config().to_json())
    del plain["boundaries"], plain["identity"]
    assert RunConfig.from_json(json.dumps(plain)) == tiny_config()


@pytest.mark.learning
def test_rover_boundaries_are_noticed_without_false_alarm(tmp_path: Path) -> None:
    """One rollout is 2048 steps; a change is to be noticed within five."""
    tasks = tuple(Task(name, f"nestrl_envs:nestrl/Rover{name}-v0") for name in ("Reach", "Button"))
    segments = tuple(Segment(name, 12 * 2048) for name in ("Reach", "Button", "Reach"))
    agent = replace(tiny_config().agent, n_envs=64, network=(32,), hyperparameters={"n_steps": 32, "n_epochs": 2})
    config = unlabelled(sequence=TaskSequence("rovers", tasks, segments), evaluations_per_segment=1)
    found = boundaries(run(replace(config, agent=agent), tmp_path / "run"))
    delays = [steps // 2048 - 12 * (place + 1) for place, (steps, _) in enumerate(found)]
    assert [slot for _, slot in found] == [1, 0]
    assert all(3 <= delay <= 5 for delay in delays), delays


def test_a_bandit_over_snapshots_needs_the_tasks_themselves(tmp_path: Path) -> None:
    with pytest.raises(BadConfig, match=r"given boundaries.*identity=tried"):
        run(unlabelled(method="snapshots", method_options={"selector": "bandit"}), tmp_path / "run")


def test_without_boundaries_nobody_knows_how_far_a_segment_is() -> None:
    worlds, config = Worlds(COMES_BACK, 1), unlabelled().agent
    environment = UnlabelledVecEnv(worlds.training(0, config.n_envs), slot=0, tally=Tally(config.n_envs))
    rows = np.zeros((3, 2), np.float32), np.ones((3, 2), np.float32)
    agent = Agent(config, worlds.union, rows, 0, RegulatedAdam, knows_boundaries=False)
    agent.start_task(0, environment, first=True, steps=1024)
    agent.learn(128)
    assert agent.progress == 0.0
    agent.turn_to(1)
    agent.learn(64)
    assert agent.progress == 0.0
    worlds.close()


def test_agem_cannot_know_which_task_its_last_rollout_is_of(tmp_path: Path) -> None:
    with pytest.raises(BadConfig, match=r"given boundaries.*method\.reference=kl"):
        run(unlabelled(method="agem", method_options={}), tmp_path / "run")


def test_resumes_exactly_where_an_evaluation_comes_within_a_slice(tmp_path: Path) -> None:
    """Slices of two rollouts, of which the first had been seen and not yet judged when the run was stopped."""
    segments = (Segment("there", 6400), Segment("here", 6400))
    config = unlabelled(sequence=replace(COMES_BACK, segments=segments), evaluations_per_segment=7)
    finished = run(config, tmp_path / "whole")
    assert boundaries(finished)
    with pytest.raises(KeyboardInterrupt):
        run(config, tmp_path / "stopped", display=StopAt(960, signal.SIGINT))
    saved = load_newest(tmp_path / "stopped" / "checkpoints")
    assert saved is not None and len(saved.state["environment"]["seen"]) == 64
    run(config, tmp_path / "stopped", resume=True)
    assert_same_end(finished.path, tmp_path / "stopped")


@pytest.mark.learning
def test_what_trials_chose_before_a_boundary_is_chosen_anew_behind_it(tmp_path: Path) -> None:
    """SAC learns nothing at first, so that the first evaluation of a segment comes before any step of its optimizer."""
    config = tiny_config("sac", method="clonex", method_options={}, identity="tried", evaluations_per_segment=6)
    finished = run(config, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        run(config, tmp_path / "stopped", display=StopAt(640, signal.SIGINT))
    run(config, tmp_path / "stopped", resume=True)
    assert_same_end(finished.path, tmp_path / "stopped")


def test_what_is_kept_to_recognise_tasks_by_counts_as_memory(tmp_path: Path) -> None:
    config = tiny_config(identity="observed")
    cell = Cell("cloning", "shared", "tiny-2", 0, 0, config)
    finished = run(config, tmp_path / "run").path
    said = RunFolder(finished).log_lines("training")[-1]["method"]
    assert said["recognition_bytes"] > 0
    assert finished_record(cell, finished).memory_bytes == said["memory_bytes"] + said["recognition_bytes"]
