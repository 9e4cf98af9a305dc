"""Every method that has a name, in real runs on tiny worlds: it learns, is resumed exactly, and can be loaded."""

import signal
from pathlib import Path

import pytest
from test_resume import StopAt, assert_same_end
from tiny_worlds import tiny_config

import nestrl
from nestrl.errors import BadConfig
from nestrl.methods import METHODS
from nestrl.training.run_folder import RunFolder
from nestrl.training.trainer import run

OPTIONS = {"cloning": {"samples": 32, "capacity": 64}}
"""Of methods whose defaults would be slow here."""
ALL = sorted(METHODS) + ["ewc+trac"]


def options_for(name: str, algorithm: str) -> dict[str, object]:
    """Return options that make a method quick, and possible for the algorithm."""
    return OPTIONS.get(name, {}) | ({"reference": "kl"} if (name, algorithm) == ("agem", "sac") else {})


@pytest.mark.learning
@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("algorithm", ["ppo", "sac"])
def test_a_stopped_run_ends_with_the_same_bits(name: str, algorithm: str, tmp_path: Path) -> None:
    config = tiny_config(algorithm, method=name, method_options=options_for(name, algorithm), evaluations_per_segment=2)
    run(config, tmp_path / "whole")
    for steps in (900, 200):  # within the second task, or the first
        folder = tmp_path / f"stopped-{steps}"
        with pytest.raises(KeyboardInterrupt):
            run(config, folder, display=StopAt(steps, signal.SIGINT))
        run(RunFolder(folder).config(), folder, resume=True)
        assert_same_end(tmp_path / "whole", folder)
    loaded = nestrl.load(tmp_path / "whole").evaluate(episodes=4)
    ended = RunFolder(tmp_path / "whole").summary()["final_success"]
    assert set(loaded) == set(ended)


def test_all_tasks_at_once_are_trained_side_by_side(tmp_path: Path) -> None:
    finished = run(tiny_config(method="multitask", method_options={}), tmp_path / "run")
    assert finished.metrics.forward_transfer is None
    assert RunFolder(tmp_path / "run").summary()["missing_references"] is None


def test_fewer_simulations_than_tasks_are_refused(tmp_path: Path) -> None:
    config = tiny_config(method="multitask", method_options={})
    few = config.with_options([("agent.n_envs", 1), ("agent.hyperparameters.n_steps", 64)], object_with_no_options())
    with pytest.raises(BadConfig, match=r"agent\.n_envs"):
        run(few, tmp_path / "run")


def object_with_no_options() -> type:
    from nestrl.methods.multitask import MultitaskOptions

    return MultitaskOptions
