"""What an on-policy learner has just done, for methods that learn from rewards again."""

from typing import NamedTuple

import torch
from gymnasium import spaces
from stable_baselines3.common.buffers import RolloutBuffer
from torch import Tensor


class Experience(NamedTuple):
    """One rollout of an on-policy learner: m steps, in no particular order."""

    observations: Tensor
    """(m, D + N), union observations."""
    actions: Tensor
    """(m, A) as drawn, before clipping, or (m,) Discrete."""
    log_probs: Tensor
    """(m,), of these actions when they were drawn."""
    advantages: Tensor
    """(m,), in units of return."""


def experience_of(rollout: RolloutBuffer) -> Experience:
    """Return a copy of what is in a full rollout buffer."""
    device, discrete = rollout.device, isinstance(rollout.action_space, spaces.Discrete)
    rows = rollout.buffer_size * rollout.n_envs
    actions = torch.tensor(rollout.actions.reshape(rows, -1), device=device)
    return Experience(
        torch.tensor(rollout.observations.reshape(rows, -1), device=device),
        actions.long().squeeze(1) if discrete else actions,
        torch.tensor(rollout.log_probs.reshape(rows), device=device),
        torch.tensor(rollout.advantages.reshape(rows), device=device),
    )
