"""A real training on a Meta-World task, stopped and resumed: its simulations have no state, and the run says so."""

import os
import signal
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import nestrl
from nestrl import AgentConfig, Segment, Task, TaskSequence
from nestrl.training.display import Display, Moment
from nestrl.training.references import reference_key

pytest.importorskip("envpool", reason="the extra envpool is not installed")
pytestmark = pytest.mark.learning

LEARNER = AgentConfig(network=(64,), n_envs=8, hyperparameters={"n_steps": 32, "gamma": 0.9})
OPTIONS = {"evaluations_per_segment": 1, "evaluation_episodes": 8, "final_episodes": 8}


class Stop(Display):
    """Asks the run to stop when it has come so far, and keeps what it says."""

    def __init__(self, steps: int) -> None:
        self.steps, self.said = steps, ""

    def show(self, moment: Moment) -> None:
        if moment.steps >= self.steps:
            self.steps = sys.maxsize
            os.kill(os.getpid(), signal.SIGINT)

    def say(self, text: str) -> None:
        self.said += text


def test_it_goes_on_after_a_stop_and_measures_both_kinds_of_success(tmp_path: Path) -> None:
    faucet = Task("faucet", "envpool:MetaWorld/FaucetClose-v3", {"max_episode_steps": 50})
    sequence = TaskSequence("arm", (faucet,), (Segment("faucet", 4096),))
    display = Stop(2048)
    with pytest.raises(KeyboardInterrupt):
        nestrl.train(sequence, agent=LEARNER, options=OPTIONS, folder=tmp_path / "run", display=display)
    run = nestrl.resume(tmp_path / "run", display=display)
    assert "faucet cannot give the state of its simulations" in display.said
    assert run.curves.complete

    first, last = run.folder.log_lines("evaluation")
    assert last["returns"]["faucet"] > first["returns"]["faucet"]
    assert first["success_at_end"].keys() == last["success_at_end"].keys() == {"faucet"}
    final = run.folder.summary()["final_success"]["faucet"]
    assert 0 <= final["successes_at_end"] <= final["successes"] <= final["episodes"] == 8
    assert reference_key(run.config, "faucet")["versions"]["envpool"] == run.folder.versions_then()["envpool"]
    threads = replace(faucet, env_kwargs={**faucet.env_kwargs, "num_threads": 2})
    with_threads = replace(run.config, sequence=replace(sequence, tasks=(threads,)))
    assert reference_key(with_threads, "faucet") == reference_key(run.config, "faucet")  # they change no number
    action, _ = nestrl.load(run.path).predict(np.zeros(39), task="faucet")
    assert action.shape == (4,)
