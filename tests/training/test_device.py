"""Where the learner computes: a GPU does all that the CPU does, and what was learned on it acts anywhere."""

import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from test_all_methods import CASES, OPTIONS
from test_resume import Listener, StopAt, assert_same_end
from test_unlabelled import unlabelled
from tiny_worlds import tiny_config

import nestrl
from nestrl.errors import BadConfig
from nestrl.training.config import RunConfig
from nestrl.training.display import Display
from nestrl.training.life import Life
from nestrl.training.run_folder import RunFolder
from nestrl.training.train import resume
from nestrl.training.trainer import run

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no GPU here")


def on(device: str, config: RunConfig) -> RunConfig:
    return replace(config, agent=replace(config.agent, device=device))


@pytest.mark.parametrize("device", ["quantum", "cuda:99"])
def test_a_device_that_is_not_there_is_refused(device: str, tmp_path: Path) -> None:
    with pytest.raises(BadConfig, match=r"agent\.device to cpu"):
        run(on(device, tiny_config()), tmp_path / "run")


def pretend_to_be_from(device: str, folder: Path) -> None:
    config = folder / "config.json"
    config.write_text(config.read_text().replace('"device": "cpu"', f'"device": "{device}"'))
    assert RunFolder(folder).config().agent.device == device


def test_what_was_learned_elsewhere_acts_here(tmp_path: Path) -> None:
    finished = run(tiny_config(), tmp_path / "run")
    pretend_to_be_from("cuda:99", finished.path)
    assert set(nestrl.load(finished.path).evaluate(episodes=2)) == {"calm", "windy"}


def test_what_began_elsewhere_goes_on_here_and_says_so(tmp_path: Path) -> None:
    run(tiny_config(), tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        run(tiny_config(), tmp_path / "stopped", display=StopAt(650, signal.SIGINT))
    pretend_to_be_from("cuda:99", tmp_path / "stopped")
    listener = Listener()
    resume(tmp_path / "stopped", display=listener)
    assert any("cuda:99" in text and "goes on on the CPU" in text for text in listener.said)
    assert_same_end(tmp_path / "whole", tmp_path / "stopped")


def of_method(algorithm: str, name: str) -> RunConfig:
    options = OPTIONS.get(name, {}) | ({"reference": "kl"} if (algorithm, name) == ("sac", "agem") else {})
    return tiny_config(algorithm, method=name, method_options=options, evaluations_per_segment=1)


def with_a_head_a_task(config: RunConfig) -> RunConfig:
    return replace(config, agent=replace(config.agent, heads="per_task"))


LEARNING: dict[str, Any] = OPTIONS["nested"] | {"meta_controller": "learned", "meta_learning_rate": 0.05}
RUNS: dict[str, tuple[RunConfig, int]] = {
    **{f"{algorithm}-{name}": (of_method(algorithm, name), 900) for algorithm, name in CASES},
    **{f"{kind}-head-a-task": (with_a_head_a_task(tiny_config(kind)), 900) for kind in ("ppo", "sac")},
    "meta-controller-that-learns": (tiny_config(method="nested", method_options=LEARNING), 900),
    **{
        f"unlabelled-{identity}": (
            unlabelled(method="nested", method_options=OPTIONS["nested"], identity=identity),
            2240,
        )
        for identity in ("observed", "tried")
    },
}
"""By name: what is run, and the steps after which it is stopped."""


@needs_gpu
@pytest.mark.learning
@pytest.mark.parametrize(("config", "stop_at"), RUNS.values(), ids=RUNS)
def test_a_gpu_learns_and_resumes_and_what_it_learned_acts_on_the_cpu(
    config: RunConfig, stop_at: int, tmp_path: Path
) -> None:
    config = on("cuda", config)
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    run(config, whole)
    with pytest.raises(KeyboardInterrupt):
        run(config, stopped, display=StopAt(stop_at, signal.SIGINT))
    saved = torch.load(next(stopped.glob("checkpoints/*.pt")), weights_only=True)  # each tensor where it was saved
    assert {values.device.type for values in saved["agent"]["policy"].values()} == {"cpu"}
    run(RunFolder(stopped).config(), stopped, resume=True)
    assert_same_end(whole, stopped)
    agent, names = nestrl.load(whole), config.sequence.task_names
    observations = np.random.default_rng(0).uniform(-1, 1, (32, 2)).astype(np.float32)
    with Life(config, whole, Display(), resume=True) as life:
        assert life.agent.policy.network.device.type == config.agent.device
        union = life.worlds.union
        for task, name in enumerate(names):
            here, _ = agent.predict(observations, task=name)
            there = union.act(task, life.method.policy_for(task).act(union.observe(task, observations)))
            assert np.allclose(here, there, atol=1e-4)
    assert set(agent.evaluate(episodes=4)) == set(names)
