"""A plan of lives that take a second each, and something quick in their place."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from nestrl.studies.lives.journal import Lived
from nestrl.studies.lives.plan import Life

PLAN = """name: tiny-lives
sequences: [tiny-2]
tasks_per_life: 2
steps_scale: 0.5
population: 4
validate_every: 2
nested: {samples: 32, capacity: 64, consolidation: 10}
run:
  evaluations_per_segment: 2
  evaluation_episodes: 20
  final_episodes: 1
  agent.network: [8]
  agent.n_envs: 8
  agent.hyperparameters.n_steps: 8
  agent.hyperparameters.n_epochs: 2
imports: [tiny_worlds]
"""

Change = Callable[[dict[str, Any]], object]
WritePlan = Callable[..., Path]


@pytest.fixture
def plan_file(tmp_path: Path) -> WritePlan:
    """Write the plan, changed, below a folder."""

    def write(change: Change = lambda values: None, below: Path = tmp_path) -> Path:
        values = yaml.safe_load(PLAN)
        change(values)
        path = below / "lives.yaml"
        path.write_text(yaml.safe_dump(values, sort_keys=False))
        return path

    return write


class Quadratic:
    """Lives in no time: average performance is minus the squared distance of phi to a target. May fail or be stopped.

    lived: all lives so far. fails: names of lives that do. until: after how many lives it stops.
    """

    def __init__(self, target: float = 0.3, fails: Sequence[str] = (), until: float = np.inf) -> None:
        self.target, self.fails, self.until = target, fails, until
        self.lived: list[Life] = []

    def __call__(self, lives: Sequence[Life]) -> Iterator[Lived]:
        for life in reversed(lives):  # in another order than they were asked for, as processes may
            if len(self.lived) >= self.until:
                return
            self.lived.append(life)
            distance = float(np.sum((np.array(life.phi) - self.target) ** 2))
            error = "it broke; output: here" if life.name in self.fails else ""
            yield Lived(life, error=error) if error else Lived(life, average_performance=-distance, seconds=60.0)


@pytest.fixture
def quadratic() -> type[Quadratic]:
    """The class, since tests cannot import each other."""
    return Quadratic
