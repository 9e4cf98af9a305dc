"""When an adaptive segment ends, and who gets the steps that are left: first with plain numbers, then in real runs."""

import json
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from test_resume import StopAt, assert_same_end
from tiny_worlds import TINY, tasks, tiny_config

from nestrl.agents.agent import Agent
from nestrl.agents.config import AgentConfig
from nestrl.agents.tally import Tally
from nestrl.agents.trial import Trial
from nestrl.errors import BadConfig
from nestrl.tasks.named import rover_task
from nestrl.tasks.sequence import Segment, Task, TaskSequence
from nestrl.training.config import RunConfig
from nestrl.training.from_scratch import alone_from_scratch
from nestrl.training.references import reference_path
from nestrl.training.segments import TRIED, WINDOW, AdaptiveSegments
from nestrl.training.trainer import run

THREE = TaskSequence(
    "three",
    tuple(Task(name, f"{name}-v0") for name in "abc"),
    (Segment("a", 100), Segment("b", 200), Segment("c", 100)),
)


def rule(patience: int = 2) -> AdaptiveSegments:
    return AdaptiveSegments(THREE, 0.9, patience)


def fails(episodes: int) -> float:
    """What a policy without noise does that is no better than with it."""
    return 0.0


def verdicts(
    segments: AdaptiveSegments,
    successes: list[int],
    episodes: int = WINDOW,
    n: int = 20,
    without_noise: Callable[[int], float] = fails,
) -> list[bool]:
    """Return what the rule says after a first round of n episodes, and after each window with so many successes."""
    tally = Tally(n, n, successes=n)
    said = [segments.ends_early(tally, without_noise)]
    for count in successes:
        tally = tally.plus(Tally(0, episodes, successes=count))
        said.append(segments.ends_early(tally, without_noise))
    return said


def test_segment_ends_after_two_windows_in_a_row_at_the_target() -> None:
    assert verdicts(rule(), [90, 89, 90, 91]) == [False, False, False, False, True]
    assert verdicts(rule(patience=1), [89, 90]) == [False, False, True]


def test_what_noise_alone_may_keep_from_the_target_is_tried_out_without_it() -> None:
    answers, tried = iter([0.9, 0.8, 0.9, 1.0]), []

    def without_noise(episodes: int) -> float:
        tried.append(episodes)
        return next(answers)

    said = verdicts(rule(), [50, 65, 89, 65, 95, 70], without_noise=without_noise)
    assert said == [False, False, False, False, False, True, True]
    assert tried == [TRIED] * 4  # neither where half fail, nor where enough succeed with noise


def test_first_round_does_not_count() -> None:
    segments = rule(patience=1)
    quick = Tally(200, 199, successes=199)  # the slow ones of the first round are still under way
    assert not segments.ends_early(quick, fails)
    assert not segments.ends_early(quick.plus(Tally(0, 101, successes=101)), fails)  # here the first window begins
    assert segments.ends_early(quick.plus(Tally(0, 301, successes=301)), fails)


def test_window_is_never_less_than_a_round() -> None:
    assert verdicts(rule(patience=1), [150, 150], episodes=150, n=256) == [False, False, True]


def test_every_segment_begins_anew() -> None:
    segments = rule()
    assert not any(verdicts(segments, [100]))
    segments.start()
    assert verdicts(segments, [100, 100]) == [False, False, True]


def test_worst_task_comes_back_while_the_steps_last() -> None:
    segments = rule()
    segments.extend(250, [0.95, 0.2, 0.3])
    assert segments.known[3:] == [Segment("b", 150)]  # 200 were planned, but 150 are left
    segments.extend(300, [0.95, 0.9, 0.3])
    assert segments.known[4:] == [Segment("c", 100)]
    for spent in (391, 400, 430):  # too few are left for anything, or a rollout too many was taken
        segments.extend(spent, [0.95, 0.9, 0.3])
    assert len(segments.known) == 5
    segments.extend(390, [0.95, 0.9, 0.3])
    assert segments.known[5:] == [Segment("c", 10)]


def test_nothing_comes_back_when_all_stand_together() -> None:
    segments = rule()
    segments.extend(100, [0.9, 1.0, 0.9])
    assert segments.known == list(THREE.segments)


def test_of_equally_bad_tasks_the_one_longest_away_comes_back() -> None:
    segments = rule()
    for _ in range(3):
        segments.extend(0, [0.5, 0.5, 0.5])
    assert [segment.task for segment in segments.known[3:]] == ["a", "b", "c"]


def test_state_goes_on_exactly() -> None:
    segments = rule()
    segments.extend(300, [0.0, 1.0, 1.0])
    assert not any(verdicts(segments, [100]))
    again = rule()
    again.load_state_dict(json.loads(json.dumps(segments.state_dict())))
    last = Tally(20, 20 + 2 * WINDOW, successes=20 + 2 * WINDOW)
    assert again.known == segments.known
    assert again.ends_early(last, fails) and segments.ends_early(last, fails)


def test_configuration_of_old_runs_has_fixed_segments() -> None:
    plain = json.loads(tiny_config().to_json())
    for name in ("segments", "target_success", "patience"):
        del plain[name]
    assert RunConfig.from_json(json.dumps(plain)) == tiny_config()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"segments": "adaptiv"}, "must be 'fixed' or 'adaptive'"),
        ({"target_success": 0.0}, "above 0"),
        ({"patience": 0}, "patience is 0"),
        ({"patience": 3}, "patience is 3, but only adaptive segments wait"),
        ({"segments": "adaptive", "sequence": replace(TINY, revisits_are_new=True)}, "counts as a new task"),
    ],
)
def test_what_makes_no_sense_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(BadConfig, match=message):
        tiny_config(**changes)


@pytest.mark.parametrize("rule", [{"segments": "adaptive"}, {"boundaries": "detected", "identity": "observed"}])
def test_what_plans_by_the_length_of_a_segment_must_know_it(rule: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(BadConfig, match="packnet must know how long a segment will be"):
        run(tiny_config(method="packnet", method_options={}, **rule), tmp_path / "run")


def test_joint_training_has_no_adaptive_segments(tmp_path: Path) -> None:
    with pytest.raises(BadConfig, match="all tasks at once"):
        run(tiny_config(method="multitask", method_options={}, segments="adaptive"), tmp_path / "run")


def test_references_are_those_of_fixed_segments() -> None:
    adaptive = tiny_config(segments="adaptive")
    assert reference_path(adaptive, "calm") == reference_path(tiny_config(), "calm")
    assert alone_from_scratch(adaptive, "calm") == alone_from_scratch(tiny_config(), "calm")
    patient = alone_from_scratch(tiny_config(segments="adaptive", patience=3), "calm")
    assert patient == alone_from_scratch(tiny_config(), "calm")


def test_a_task_whose_name_is_no_folders_has_references_too() -> None:
    task = Task(".a/b", "TinyPoint-v0")
    config = tiny_config(sequence=TaskSequence("life", (task,), (Segment(".a/b", 64),)))
    assert alone_from_scratch(config, ".a/b").sequence.task_names == (".a/b",)


def easy_and_hopeless() -> RunConfig:
    """Return a run of two tiny tasks: every episode of the first is a success, and none of the second."""
    calm, windy = tasks()
    judged = (replace(calm, success_threshold=-1e9), replace(windy, success_threshold=1e9))
    sequence = TaskSequence("easy-hopeless", judged, (Segment("calm", 2000), Segment("windy", 300)))
    return tiny_config(sequence=sequence, segments="adaptive", patience=1, evaluations_per_segment=1)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run never stopped: the first segment ends early, and the second task comes back."""
    finished = run(easy_and_hopeless(), tmp_path_factory.mktemp("whole") / "run")
    assert [task for task, _, _ in finished.curves.segments] == [0, 1, 1, 1]
    return finished.path


@pytest.mark.parametrize("steps", [700, 1450, 1800])  # in the first segment, the second, and one that was added
def test_adaptive_run_resumes_exactly(steps: int, whole: Path, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(easy_and_hopeless(), tmp_path / "stopped", display=StopAt(steps, signal.SIGINT))
    run(easy_and_hopeless(), tmp_path / "stopped", resume=True)
    assert_same_end(whole, tmp_path / "stopped")


def test_finished_adaptive_run_resumed_stays_the_same(whole: Path) -> None:
    before = (whole / "log.jsonl").read_bytes()
    run(easy_and_hopeless(), whole, resume=True)
    assert (whole / "log.jsonl").read_bytes() == before


def test_steps_of_trials_without_noise_are_charged_and_resumed_exactly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nestrl.training.segments.PROMISING", 1.0)  # what fails is tried out, too
    agents, charged, trial = [], [], Agent.trial

    def watched(self: Agent, policies: list[object], task_index: int, episodes: int) -> Trial:
        came = trial(self, policies, task_index, episodes)
        agents.append(self)
        charged.append(came.steps)
        return came

    monkeypatch.setattr(Agent, "trial", watched)
    calm, windy = (replace(task, success_threshold=1e9) for task in tasks())
    sequence = TaskSequence("hopeless", (calm, windy), (Segment("calm", 2000), Segment("windy", 300)))
    config = replace(easy_and_hopeless(), sequence=sequence)
    finished = run(config, tmp_path / "whole")
    assert charged and finished.curves.segments[-1][2] == agents[-1].algorithm.num_timesteps + sum(charged)
    with pytest.raises(KeyboardInterrupt):
        run(config, tmp_path / "stopped", display=StopAt(1450, signal.SIGINT))
    run(config, tmp_path / "stopped", resume=True)
    assert_same_end(tmp_path / "whole", tmp_path / "stopped")


@pytest.mark.learning
def test_learned_rover_task_hands_its_steps_on(tmp_path: Path) -> None:
    quick = {"horizon": 25}
    reach = replace(rover_task("reach"), env_kwargs=quick, success_threshold=-100.0)
    ice = replace(rover_task("ice"), env_kwargs=quick, success_threshold=100.0)
    sequence = TaskSequence("two", (reach, ice), (Segment("reach", 9_000), Segment("ice", 2_000)))
    agent = AgentConfig(network=(16,), n_envs=32, hyperparameters={"n_steps": 32, "n_epochs": 1})
    config = RunConfig(
        sequence, "cloning", agent=agent, segments="adaptive", patience=1, evaluations_per_segment=1,
        evaluation_episodes=2, final_episodes=2,
    )  # fmt: skip
    finished = run(config, tmp_path / "run")
    (first, start, end), *others = finished.curves.segments
    assert (first, start) == (0, 0) and end < 9_000
    assert len(others) > 1 and all(task == 1 for task, _, _ in others)
    assert sum(end - start for _, start, end in others) > 2_000
    assert 11_000 - 200 < others[-1][2] < 11_000 + 32 * 32
    assert finished.metrics.steps_to_all is None
    assert finished.folder.summary()["segments"] == "adaptive"
