"""Where the normaliser's constants come from."""

from typing import Any

import gymnasium
import numpy as np
import pytest

from nestrl.agents.environments import make_environment
from nestrl.agents.normalization import SMALLEST_SCALE, normalizer_rows
from nestrl.errors import EnvironmentFault
from nestrl.tasks.sequence import Task
from nestrl.tasks.union import UnionSpace


def rows(*env_ids: str, examined: int = 4) -> tuple[np.ndarray, np.ndarray]:
    tasks = [Task(env_id, env_id) for env_id in env_ids]
    environments = [make_environment(task, examined) for task in tasks]
    observations = [environment.single_observation_space for environment in environments]
    union = UnionSpace(observations, [environment.single_action_space for environment in environments])
    return normalizer_rows(tasks, environments, union)


def test_foreign_environments_are_measured() -> None:
    mean, scale = rows("Pendulum-v1", "CartPole-v1")
    assert mean.shape == scale.shape == (2, 4)
    assert (mean[0, 3], scale[0, 3]) == (0, 1)  # Pendulum observes three numbers
    assert 0.5 < scale[0, 0] < 1.0  # a cosine
    assert (scale >= SMALLEST_SCALE).all()


def test_measuring_twice_gives_the_same_however_many_episodes_are_examined() -> None:
    for one, two in zip(rows("Reacher-v5"), rows("Reacher-v5", examined=7), strict=True):
        np.testing.assert_array_equal(one, two)


class Blind(gymnasium.Env):
    """Sees NaN."""

    observation_space = gymnasium.spaces.Box(-1, 1, (2,))
    action_space = gymnasium.spaces.Box(-1, 1, (1,))

    def reset(self, **options: Any) -> tuple[np.ndarray, dict[str, Any]]:
        return np.full(2, np.nan, np.float32), {}

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        return self.reset()[0], 0.0, False, False, {}


gymnasium.register("Blind-v0", Blind)


@pytest.mark.filterwarnings("ignore")
def test_an_environment_that_sees_nan_is_named() -> None:
    with pytest.raises(EnvironmentFault, match="Blind-v0 gave an observation that is NaN"):
        rows("Pendulum-v1", "Blind-v0")


def test_declared_scales_are_taken_at_their_word() -> None:
    environment = make_environment(Task("reach", "nestrl_envs:nestrl/RoverReach-v0"), 2)
    mean, scale = rows("nestrl_envs:nestrl/RoverReach-v0")
    np.testing.assert_array_equal(scale[0], environment.observation_scale)
    assert not mean.any()
