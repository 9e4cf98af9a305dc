"""What a learner gets in place of a task's rewards: a multiple of them, constant or found on the way."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.buffers import ReplayBuffer
from stable_baselines3.common.running_mean_std import RunningMeanStd

DISCOUNT = 0.99
"""Of the returns whose spread is measured: a horizon of about a hundred steps."""
LARGEST = 10.0
"""Rewards are cut off here in automatic scaling: the first ones are divided by a spread of hardly anything."""
SMALLEST_VARIANCE = 1e-8


class RewardScaling:
    """Multiplies the rewards of n simulations by a constant or, if that is "auto", divides them as they come.

    Automatically: r / sqrt(Var[G]) within [-10, 10], where Var[G] is the variance of all discounted returns so far,
    G <- 0.99 G + r in each simulation, from 0 in each episode; as stable-baselines3's VecNormalize does. Critics then
    have targets of about 1 at any time of the learning, whatever the task pays.
    """

    def __init__(self, scale: float | str, n: int) -> None:
        self.scale = scale
        self._returns = np.zeros(n)
        self._spread = RunningMeanStd()
        self.late = False
        """Whether rewards are measured as they come, but divided only when a replay buffer samples them."""

    def begin(self) -> None:
        """Forget the returns of episodes that are not finished: all simulations start anew."""
        self._returns[:] = 0.0

    def scaled(self, rewards: NDArray[Any], dones: NDArray[np.bool_]) -> NDArray[np.float32]:
        """Return what the learner gets for rewards (n,), given which episodes ended with them (n,).

        That is the rewards as they are where they are divided late.
        """
        if not isinstance(self.scale, str):
            return (self.scale * rewards).astype(np.float32)
        self._returns = DISCOUNT * self._returns + rewards
        self._spread.update(self._returns)
        self._returns[dones] = 0.0
        return rewards.astype(np.float32) if self.late else self.divided(rewards)

    def divided(self, rewards: NDArray[Any]) -> NDArray[np.float32]:
        """Return rewards of any shape divided by the spread as it is now."""
        scale = math.sqrt(float(self._spread.var) + SMALLEST_VARIANCE)
        return np.clip(rewards / scale, -LARGEST, LARGEST).astype(np.float32)

    def divide_late(self, replay: ReplayBuffer) -> None:
        """Let a replay buffer keep rewards as the task pays them, and divide those that it samples, if automatic.

        Divided as they come, the poor rewards of early policies would be worth more than better ones later. Buffers of
        stable-baselines3 have a method for that, which they use with VecNormalize.
        """
        self.late = isinstance(self.scale, str)
        replay._normalize_reward = lambda reward, env=None: (  # type: ignore[method-assign]
            self.divided(reward) if self.late else reward
        )

    def state_dict(self) -> dict[str, Any]:
        """Return arrays and numbers from which `load_state_dict` goes on exactly."""
        spread = self._spread
        moments = {"mean": float(spread.mean), "var": float(spread.var), "count": float(spread.count)}
        return {"returns": self._returns.copy(), **moments}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a `state_dict`."""
        self._returns[:] = state["returns"]
        for name in ("mean", "var"):
            setattr(self._spread, name, np.asarray(state[name]))
        self._spread.count = state["count"]
