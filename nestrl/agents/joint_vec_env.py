"""All tasks at once, side by side in one vector environment: for training that is not continual."""

from collections.abc import Sequence
from functools import reduce
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nestrl.agents.tally import Tally
from nestrl.agents.vec_env import Infos, TaskVecEnv, Whole
from nestrl.errors import BadConfig
from nestrl.tasks.union import Observations


class JointVecEnv(Whole):
    """The simulations of several tasks in one batch, those of the first task first; used as a TaskVecEnv is."""

    task_index = None
    """There is no one task."""

    def __init__(self, parts: Sequence[TaskVecEnv]) -> None:
        """Take the simulations of every task (at least one each). Raises BadConfig without any."""
        if not parts:
            raise BadConfig("training on all tasks at once needs at least one task.")
        self.parts = list(parts)
        ends = np.cumsum([part.num_envs for part in parts])
        self._rows = [slice(end - part.num_envs, end) for part, end in zip(parts, ends, strict=True)]
        super().__init__(int(ends[-1]), parts[0].observation_space, parts[0].action_space)

    @property
    def resumes_exactly(self) -> bool:
        """Whether all simulations can save and restore their state."""
        return all(part.resumes_exactly for part in self.parts)

    @property
    def diverged_count(self) -> int:
        """How many simulations the physics engine had to give up."""
        return sum(part.diverged_count for part in self.parts)

    @property
    def tally(self) -> Tally:
        """The finished episodes of all tasks."""
        return reduce(Tally.plus, (part.tally for part in self.parts))

    def spreads(self) -> list[dict[str, Any]]:
        """Return what has been measured of each task's returns."""
        return [part.scaling.state_dict() for part in self.parts]

    def go_on_from(self, spreads: Sequence[dict[str, Any]]) -> None:
        """Go on measuring where earlier simulations of the same tasks have ended."""
        for part, spread in zip(self.parts, spreads, strict=True):
            part.scaling.load_state_dict(spread)

    def seed(self, seed: int | None = None) -> Sequence[int | None]:
        """Give simulation i the seed `seed + i` at the next reset."""
        return [
            given
            for part, rows in zip(self.parts, self._rows, strict=True)
            for given in part.seed(None if seed is None else seed + int(rows.start))
        ]

    def reset(self) -> Observations:
        """Start an episode in every simulation; return (n, D + N)."""
        return np.concatenate([part.reset() for part in self.parts])

    def step_async(self, actions: NDArray[Any]) -> None:
        """Take the union actions of the coming step."""
        for part, rows in zip(self.parts, self._rows, strict=True):
            part.step_async(actions[rows])

    def step_wait(self) -> tuple[Observations, NDArray[np.float32], NDArray[np.bool_], Infos]:
        """Advance all simulations; return observations (n, D + N), rewards (n,), dones (n,) and infos."""
        observations, rewards, dones, infos = zip(*(part.step_wait() for part in self.parts), strict=True)
        return np.concatenate(observations), np.concatenate(rewards), np.concatenate(dones), list(chain(*infos))

    def recent_observations(self) -> Observations:
        """Return the last union observations of all tasks."""
        return np.concatenate([part.recent_observations() for part in self.parts])

    def state_dict(self) -> dict[str, Any]:
        """Return everything that `load_state_dict` needs."""
        return {"parts": [part.state_dict() for part in self.parts]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a `state_dict`."""
        for part, content in zip(self.parts, state["parts"], strict=True):
            part.load_state_dict(content)

    def close(self) -> None:
        """Free the simulations."""
        for part in self.parts:
            part.close()
