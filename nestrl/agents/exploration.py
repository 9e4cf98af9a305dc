"""Exploration noise that lasts for some steps, so that a robot goes somewhere where white noise trembles."""

import math

import torch
from torch import Tensor


class ExplorationNoise:
    """Standard normal numbers for n simulations, correlated from one control step to the next.

        e_t = c e_{t-1} + sqrt(1 - c^2) w_t,  w_t white,  0 <= c < 1

    Each step by itself has the distribution of white noise, so likelihoods of single actions stay as they are. That
    PPO learns faster so, and the more the more simulations there are: Hollenstein, Martius and Piater, Colored Noise in
    PPO, 2024 (whose noise has a spectrum of 1 / f^.5); for SAC: Eberhard et al., Pink Noise Is All You Need, 2023.
    """

    def __init__(self, correlation: float) -> None:
        self.correlation = correlation
        self.last: Tensor | None = None
        """e_{t-1}, (n, A); None before the first step."""

    def like(self, mean: Tensor) -> Tensor:
        """Draw the next step's noise (n, A) with torch's global generator; as many simulations as before, or anew."""
        noise = torch.randn_like(mean)
        if self.correlation and self.last is not None and self.last.shape == noise.shape:
            noise = self.correlation * self.last.to(noise) + math.sqrt(1 - self.correlation**2) * noise
        self.last = noise
        return noise
