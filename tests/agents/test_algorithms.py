"""Kinds of stable-baselines3's algorithms, as users write them."""

from typing import Any

import pytest
from stable_baselines3 import PPO

from nestrl.agents.algorithms import ALGORITHMS, hyperparameters
from nestrl.agents.config import AgentConfig
from nestrl.errors import BadConfig

from .test_agent import REACH, STEPS, World, through_a_file


class Annealed(PPO):
    """A kind of PPO as users write it: what it does not know it hands on, and it changes a number as it learns."""

    def __init__(self, *args: Any, annealing: float = 0.9, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.annealing = annealing

    def train(self) -> None:
        self.ent_coef *= self.annealing
        super().train()


def test_a_kind_of_ppo_has_its_defaults_and_hyperparameters() -> None:
    chosen = hyperparameters(Annealed, {"annealing": 0.5, "n_steps": 8}, n_envs=16)
    assert chosen == hyperparameters(PPO, {"n_steps": 8}, n_envs=16) | {"annealing": 0.5}
    with pytest.raises(BadConfig, match="Annealed has no hyperparameter 'kwargs'"):
        hyperparameters(Annealed, {"kwargs": 1}, n_envs=16)


def test_numbers_that_a_kind_of_ppo_changes_are_saved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ALGORITHMS, "annealed", Annealed)
    config = AgentConfig("annealed", network=(8,), n_envs=8, hyperparameters={"n_steps": 16, "ent_coef": 0.5})
    worlds = [World(config, REACH) for _ in range(2)]
    for world in worlds:
        world.start(0, first=True)
    worlds[0].agent.learn(2 * STEPS)
    worlds[1].agent.load_state_dict(through_a_file(worlds[0].agent.state_dict()))
    assert worlds[1].agent.algorithm.ent_coef == pytest.approx(0.5 * 0.9**2)
