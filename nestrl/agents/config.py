"""What the learner is: everything about it that determines a result."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from nestrl.agents.algorithms import is_off_policy
from nestrl.decode import decode_in_place
from nestrl.errors import BadConfig

MOST_ENVS = 1_000_000  # no machine holds so many, and one that is asked for more is busy for minutes before it says so


@dataclass(frozen=True)
class AgentConfig:
    """Everything about the learner that determines a result. Raises BadConfig for values that make no sense."""

    algorithm: str = "ppo"
    """ppo, sac, or "package.module:Class": a stable-baselines3 on-policy algorithm, or a kind of SAC."""
    network: tuple[int, ...] = (128, 128)
    """Widths of the trunk's blocks."""
    heads: str = "shared"
    """One head for all tasks ("shared": best for transfer), or one a task ("per_task")."""
    n_envs: int = 0
    """Simulations side by side; 0 means 256, or 32 for sac and its kind."""
    initial_log_std: float = -0.5
    """Exploration noise that each task starts with; with sac and one head for all tasks, the first one alone."""
    noise_correlation: float | tuple[float, ...] = 0.0
    """How closely that noise follows that of the control step before, at least 0 and below 1 (Box actions only); 0:
    white, as in stable-baselines3. One number, or one for each number of an action."""
    correlated_share: float = 1.0
    """Share of the simulations whose noise is correlated, 0..1; in the others it is white."""
    fresh_critic: bool = True
    """Start every task but the first with fresh critics: old values mislead more than they help."""
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)
    """Arguments of the algorithm in place of our defaults."""
    device: str = "cpu"
    """Where the learner computes: "cpu", or a GPU ("cuda", "cuda:1", ...), which pays only for wide networks."""

    def __post_init__(self) -> None:
        decode_in_place(self, "agent")
        object.__setattr__(self, "n_envs", self.n_envs or (32 if is_off_policy(self.algorithm) else 256))
        if not self.network or min(self.network) < 1:
            raise BadConfig(f"The network {self.network} needs at least one block, each at least 1 wide.")
        if self.heads not in ("shared", "per_task"):
            raise BadConfig(f"heads is {self.heads!r}; it must be 'shared' or 'per_task'.")
        if not np.isfinite(self.initial_log_std):
            raise BadConfig(f"initial_log_std is {self.initial_log_std}; it must be finite.")
        correlations = np.atleast_1d(self.noise_correlation)
        if not all(0 <= correlation < 1 for correlation in correlations):
            raise BadConfig(f"noise_correlation is {self.noise_correlation}; it must be at least 0 and below 1.")
        if not 0 <= self.correlated_share <= 1:
            raise BadConfig(f"correlated_share is {self.correlated_share}; it must be from 0 to 1.")
        if self.correlated_share != 1 and not correlations.any():
            raise BadConfig(f"correlated_share is {self.correlated_share}, but noise_correlation is 0 everywhere.")
        if not 1 <= self.n_envs <= MOST_ENVS:
            raise BadConfig(f"n_envs is {self.n_envs}; it must be from 1 to {MOST_ENVS:,}, or 0 for the default.")

    @property
    def chosen(self) -> dict[str, Any]:
        """What is not as by default for the algorithm, as JSON values."""
        usual, here = (json.loads(json.dumps(asdict(one))) for one in (AgentConfig(self.algorithm), self))
        return {name: value for name, value in here.items() if name == "algorithm" or value != usual[name]}

    def require_fit(self, numbers: int) -> None:
        """Raise BadConfig where there is a noise_correlation each, but not for as many numbers as an action has."""
        given = self.noise_correlation
        if isinstance(given, tuple) and len(given) != numbers:
            raise BadConfig(
                f"noise_correlation has {len(given)} numbers, but an action here has {numbers}; give one for all, or "
                "one each."
            )
