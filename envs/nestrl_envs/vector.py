"""n simulations as a native gymnasium vector environment, which resets what has ended within the same step."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from gymnasium.error import ResetNeeded
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from nestrl_envs.batch_env import BatchEnv
from nestrl_envs.single import spaces_of


class BatchVectorEnv(VectorEnv[np.ndarray, np.ndarray, np.ndarray]):
    """A `BatchEnv` as `gymnasium.vector.VectorEnv`, autoreset mode SAME_STEP.

    `infos` holds is_success (n,), diverged (n,) and the reward's terms (n,); where an episode has ended also
    final_obs (n, D), valid where `_final_obs` (n,) is true. `get_state` and `set_state` are exact.
    """

    metadata: dict[str, Any] = {  # noqa: RUF012 - gymnasium declares it so
        "render_modes": [],
        "autoreset_mode": AutoresetMode.SAME_STEP,
    }

    def __init__(self, task: type[BatchEnv], num_envs: int = 1, render_mode: str | None = None, **options: Any) -> None:
        if render_mode is not None:
            raise ValueError("the vector environment does not render; use gymnasium.make(id, render_mode='rgb_array')")
        self.num_envs, self.render_mode = num_envs, None
        self.simulations = task(num_envs, **options)
        self.single_observation_space, self.single_action_space = spaces_of(self.simulations)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.observation_scale = self.simulations.observation_scale

    @property
    def active(self) -> np.ndarray:
        """Which simulations are stepped, (n,) bool; the others stand still and never end."""
        return self.simulations.active

    @active.setter
    def active(self, mask: np.ndarray) -> None:
        self.simulations.active[:] = mask

    def reset(
        self, *, seed: int | list[int] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Start an episode everywhere; simulation i gets the seed `seed + i`, or goes on with its series for None."""
        if seed is None and not self.simulations.episode.any():
            seed = int(np.random.default_rng().integers(2**31))
        seeds = None if seed is None else self._one_each(seed)
        self.simulations.active[:] = True
        self.simulations.reset(seeds=seeds)
        return self.simulations.observe(), {}

    def _one_each(self, seed: int | list[int]) -> np.ndarray:
        """Return the seed of every simulation, (n,) int64. Raises ValueError for too few, too many or none such."""
        seeds = [seed + i for i in range(self.num_envs)] if isinstance(seed, int | float | np.number) else seed
        if len(seeds) != self.num_envs:
            raise ValueError(
                f"reset got {len(seeds)} seeds for {self.num_envs} simulations; give one for all, or one each"
            )
        for each in seeds:
            if not isinstance(each, int | np.integer) or not 0 <= each < 2**63:
                raise ValueError(f"a seed is a whole number from 0 to 2**63, not {each!r}")
        return np.array(seeds, np.int64)

    def step(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        simulations = self.simulations
        if not simulations.episode.any():
            raise ResetNeeded("call reset() before step().")
        outcome = simulations.step(actions)
        infos: dict[str, Any] = {"is_success": outcome.success, "diverged": outcome.diverged, **outcome.terms}
        ended = outcome.terminated | outcome.truncated
        if not ended.any():
            return simulations.observe(), outcome.reward, outcome.terminated, outcome.truncated, infos
        ids = np.flatnonzero(ended)
        final = simulations.observe(ids)
        simulations.reset(ids)
        observation = simulations.observe()
        infos["final_obs"], infos["_final_obs"] = observation.copy(), ended
        infos["final_obs"][ids] = final
        return observation, outcome.reward, outcome.terminated, outcome.truncated, infos

    def get_state(self) -> dict[str, np.ndarray]:
        """Return everything that determines the future of all simulations."""
        return self.simulations.get_state()

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Restore what `get_state` returned, to the last bit."""
        self.simulations.set_state(state)
