"""Where the learner computes: a GPU does all that the CPU does, and what was learned on it acts anywhere."""

import signal
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from test_all_methods import CASES, OPTIONS
from test_resume import StopAt, assert_same_end
from tiny_worlds import tiny_config

import nestrl
from nestrl.errors import BadConfig
from nestrl.training.config import RunConfig
from nestrl.training.run_folder import RunFolder
from nestrl.training.trainer import run

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no GPU here")


def on(device: str, config: RunConfig) -> RunConfig:
    return replace(config, agent=replace(config.agent, device=device))


@pytest.mark.parametrize("device", ["quantum", "cuda:99"])
def test_a_device_that_is_not_there_is_refused(device: str, tmp_path: Path) -> None:
    with pytest.raises(BadConfig, match=r"agent\.device to cpu"):
        run(on(device, tiny_config()), tmp_path / "run")


def test_what_was_learned_elsewhere_acts_here(tmp_path: Path) -> None:
    finished = run(tiny_config(), tmp_path / "run")
    config = finished.path / "config.json"
    config.write_text(config.read_text().replace('"device": "cpu"', '"device": "cuda:99"'))
    assert RunFolder(finished.path).config().agent.device == "cuda:99"
    assert set(nestrl.load(finished.path).evaluate(episodes=2)) == {"calm", "windy"}


@needs_gpu
@pytest.mark.learning
@pytest.mark.parametrize(("algorithm", "name"), CASES)
def test_on_a_gpu_every_method_learns_and_resumes_and_acts_on_the_cpu(
    algorithm: str, name: str, tmp_path: Path
) -> None:
    options = OPTIONS.get(name, {}) | ({"reference": "kl"} if (algorithm, name) == ("sac", "agem") else {})
    config = on("cuda", tiny_config(algorithm, method=name, method_options=options, evaluations_per_segment=1))
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    run(config, whole)
    with pytest.raises(KeyboardInterrupt):
        run(config, stopped, display=StopAt(900, signal.SIGINT))
    run(RunFolder(stopped).config(), stopped, resume=True)
    assert_same_end(whole, stopped)
    assert set(nestrl.load(whole).evaluate(episodes=4)) == {"calm", "windy"}
