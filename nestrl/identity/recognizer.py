"""Which known task an observation belongs to, told from the task's own features: what stands in for a label."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

SAMPLES = 4096
"""Observations of each task that it learns from, at most."""
HIDDEN = 64
GRADIENT_STEPS = 40
"""For each task."""
MINIBATCH = 512
LEARNING_RATE = 0.01
"""At the start; it falls linearly to a twentieth. These take ten rover tasks to .92 in about a second."""
FARTHEST = 5.0
"""Standardised features are cut off here: one wild reading must not decide."""
SMALLEST_SPREAD = 1e-3
"""A feature that never varied is not blown up more than a thousandfold."""


class Recognizer:
    """A small softmax classifier over the tasks that it has been fitted to.

        p(task | x) = softmax(W_2 SiLU(W_1 clip((x - mean) / spread, -5, 5) + b_1) + b_2)

    Fitting begins anew each time, with a generator of its own: the same observations give the same bits.

    n_features: D, how many numbers of a union observation come before the one-hot, which is never looked at.
    """

    def __init__(self, n_features: int) -> None:
        self._n_features = n_features
        self._known: tuple[int, ...] = ()
        self._mean, self._spread = torch.zeros(n_features), torch.ones(n_features)
        self._network = _network(n_features, 1)

    def fit(self, seen: Mapping[int, Tensor]) -> None:
        """Learn to tell tasks apart from union observations of each, (m, D) or wider, m > 0; all weigh the same."""
        self._known = tuple(sorted(seen))
        generator = torch.Generator().manual_seed(0)
        features = torch.cat([self._drawn(seen[task], generator) for task in self._known])
        labels = torch.arange(len(self._known)).repeat_interleave(SAMPLES)
        self._mean, self._spread = features.mean(0), features.std(0).clamp_min(SMALLEST_SPREAD)
        self._network = _network(self._n_features, len(self._known))
        with torch.no_grad():
            for parameter in self._network.parameters():  # as torch does it, but from our generator
                bound = parameter.shape[-1] ** -0.5
                parameter.uniform_(-bound, bound, generator=generator)
        if len(self._known) > 1:
            self._learn(self._standardised(features), labels, generator)

    def tasks(self, observations: Tensor) -> Tensor:
        """Return the most likely task (n,) of each union observation (n, D) or wider; 0 where none is known."""
        if not self._known:
            return torch.zeros(len(observations), dtype=torch.long)
        with torch.no_grad():
            scores = self._network(self._standardised(observations[:, : self._n_features].cpu()))
        return torch.tensor(self._known)[scores.argmax(1)]

    def _drawn(self, observations: Tensor, generator: torch.Generator) -> Tensor:
        """Return SAMPLES rows of features, drawn with replacement: equally many of each task."""
        rows = torch.randint(len(observations), (SAMPLES,), generator=generator)
        return observations[rows, : self._n_features].cpu()

    def _standardised(self, features: Tensor) -> Tensor:
        return ((features - self._mean) / self._spread).clamp(-FARTHEST, FARTHEST)

    def _learn(self, inputs: Tensor, labels: Tensor, generator: torch.Generator) -> None:
        optimizer = torch.optim.Adam(self._network.parameters(), LEARNING_RATE, fused=True)
        steps = GRADIENT_STEPS * len(self._known)
        schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.05, steps)
        for _ in range(steps):
            rows = torch.randint(len(inputs), (MINIBATCH,), generator=generator)
            loss = nn.functional.cross_entropy(self._network(inputs[rows]), labels[rows])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()


def _network(inputs: int, outputs: int) -> nn.Sequential:
    """Return layers without torch's own start, which would draw from the global random stream."""
    with torch.random.fork_rng(devices=[]):
        return nn.Sequential(nn.Linear(inputs, HIDDEN), nn.SiLU(), nn.Linear(HIDDEN, outputs))
