"""Exploration noise that lasts for some steps, so that a robot goes somewhere where white noise trembles."""

from collections.abc import Sequence

import torch
from torch import Tensor


class ExplorationNoise:
    """Standard normal numbers for n simulations, correlated from one control step to the next.

        e_t = c e_{t-1} + sqrt(1 - c^2) w_t,  w_t white,  0 <= c < 1

    Where c holds for a share of the simulations only, spread evenly, the noise of the others is white: some find what
    must be kept up for long, the others what must be done precisely. Each step by itself has the distribution of white
    noise, so likelihoods of single actions stay as they are. That PPO learns faster so, and the more the more
    simulations there are: Hollenstein, Martius and Piater, Colored Noise in PPO, 2024 (whose noise has a spectrum of
    1 / f^.5); for SAC: Eberhard et al., Pink Noise Is All You Need, 2023.
    """

    def __init__(self, correlation: float | Sequence[float], share: float = 1.0) -> None:
        """Take c, one for all numbers of an action or one each (A), and the share of simulations that it holds for."""
        self._correlation, self._share = torch.tensor(correlation), share
        self._lasts = bool(self._correlation.any())
        self.last: Tensor | None = None
        """e_{t-1}, (n, A); None before the first step."""

    def like(self, mean: Tensor) -> Tensor:
        """Draw the next step's noise (n, A) with torch's global generator; as many simulations as before, or anew."""
        noise = torch.randn_like(mean)
        if self._lasts and self.last is not None and self.last.shape == noise.shape:
            kept = self._lasting(len(noise)).to(noise) * self._correlation.to(noise)
            noise = kept * self.last.to(noise) + (1 - kept**2).sqrt() * noise
        self.last = noise
        return noise

    def _lasting(self, n: int) -> Tensor:
        """Return 1 for each of n simulations whose noise lasts, 0 for the others, (n, 1)."""
        return (torch.arange(n + 1, dtype=torch.float64) * self._share).floor().diff()[:, None]
