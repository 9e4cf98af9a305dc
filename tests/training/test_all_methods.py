"""Every method that has a name, in real runs on tiny worlds: it learns, is resumed exactly, and can be loaded."""

import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_resume import StopAt, assert_same_end
from tiny_worlds import HORIZON, TINY, tiny_config

import nestrl
from nestrl.errors import BadConfig
from nestrl.methods import METHODS
from nestrl.methods.finetune import Finetune, FinetuneOptions
from nestrl.training.config import RunConfig
from nestrl.training.display import Display
from nestrl.training.life import Life
from nestrl.training.run_folder import RunFolder
from nestrl.training.trainer import run
from nestrl.training.worlds import Worlds

DISTILLATION = {"steps": 20, "samples": 32, "capacity": 64}
OPTIONS: dict[str, dict[str, object]] = {
    "nested": {"samples": 32, "capacity": 64, "consolidation": 10, "meta_controller": "constant:code_step=2,depth=.1"},
    "cloning": {"samples": 32, "capacity": 64},
    "ewc": {"samples": 32},
    "mas": {"samples": 32},
    "fame": DISTILLATION | {"episodes": 2},
    "reset-and-distill": DISTILLATION,
    "progress-and-compress": {"steps": 20, "samples": 32},
    "ewc+trac": {"ewc": {"samples": 32}},
}
"""Of methods whose defaults would be slow here."""
WITH_SAC = ("nested", "cloning", "clonex", "agem", "ewc", "packnet", "reset-and-distill", "multitask")
"""One of each kind: the off-policy actor has other parameters, and other things must be resumed."""
CASES = [("ppo", name) for name in [*METHODS, "ewc+trac"]] + [("sac", name) for name in WITH_SAC]


@pytest.mark.learning
@pytest.mark.parametrize(("algorithm", "name"), CASES)
def test_a_stopped_run_ends_with_the_same_bits(algorithm: str, name: str, tmp_path: Path) -> None:
    options = OPTIONS.get(name, {}) | ({"reference": "kl"} if (algorithm, name) == ("sac", "agem") else {})
    config = tiny_config(algorithm, method=name, method_options=options, evaluations_per_segment=1)
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    run(config, whole)
    with pytest.raises(KeyboardInterrupt):
        run(config, stopped, display=StopAt(900, signal.SIGINT))
    run(RunFolder(stopped).config(), stopped, resume=True)
    assert_same_end(whole, stopped)
    assert_loads_as_it_was(config, whole)


def assert_loads_as_it_was(config: RunConfig, folder: Path) -> None:
    """Compare what a loaded agent does in each task with what the run itself would do there."""
    agent = nestrl.load(folder)
    assert set(agent.evaluate(episodes=4)) == {"calm", "windy"}
    observations = np.linspace(-1, 1, 10, dtype=np.float32).reshape(5, 2)
    with Life(config, folder, Display(), resume=True) as life:
        for index, task in enumerate(agent.task_names):
            rows = life.worlds.union.observe(index, observations)
            expected = life.worlds.union.act(index, life.method.policy_for(index).act(rows))
            np.testing.assert_array_equal(agent.predict(observations, task=task)[0], expected)


def test_all_tasks_at_once_are_trained_side_by_side(tmp_path: Path) -> None:
    finished = run(tiny_config(method="multitask", method_options={}), tmp_path / "run")
    assert finished.metrics.forward_transfer is None
    assert finished.how_to_compare is None


def test_a_task_that_no_segment_trains_is_not_trained_jointly_either() -> None:
    worlds = Worlds(replace(TINY, segments=TINY.segments[1:]), 1)
    jointly = worlds.training_jointly(8)
    assert [(part.task_index, part.num_envs) for part in jointly.parts] == [(1, 8)]
    jointly.close()
    worlds.close()


class Hoards(Finetune):
    """Keeps what no checkpoint holds."""

    def __init__(self, options: FinetuneOptions, learner: Any, seed: int) -> None:
        super().__init__(options, learner, seed)

    def state_dict(self) -> dict[str, Any]:
        return {"met": {1, 2}}


def test_a_state_that_cannot_be_stored_is_refused_before_a_step_is_spent(tmp_path: Path) -> None:
    config = tiny_config(method=f"{__name__}:Hoards", method_options={})
    with pytest.raises(BadConfig, match=r"state_dict\(\)\.met is a set"):
        run(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_fewer_simulations_than_tasks_are_refused(tmp_path: Path) -> None:
    config = tiny_config(method="multitask", method_options={})
    few = replace(config, agent=replace(config.agent, n_envs=1, hyperparameters={"n_steps": 64}))
    with pytest.raises(BadConfig, match=r"agent\.n_envs"):
        run(few, tmp_path / "run")


class Still:
    """Never moves."""

    def act(self, observations: np.ndarray) -> np.ndarray:
        return np.zeros((len(observations), 1), np.float32)


def test_policies_that_are_tried_out_get_the_same_starts() -> None:
    worlds = Worlds(TINY, 1)
    returns, success, steps = worlds.try_out([Still(), Still()], 0, 3, seed=7)
    worlds.close()
    assert returns.shape == success.shape == (2, 3)
    assert np.array_equal(returns[0], returns[1])
    assert len(set(returns[0])) == 3
    assert steps == 2 * 3 * HORIZON
