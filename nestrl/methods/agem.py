"""A-GEM: a gradient step may not raise the loss on what is remembered of earlier tasks."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from nestrl.agents.experience import Experience
from nestrl.errors import BadConfig, require_positive
from nestrl.methods.finetune import Finetune
from nestrl.methods.protocol import Card, Learner, Observations
from nestrl.updates.drift import drift_between
from nestrl.updates.memory import TeacherMemory
from nestrl.updates.regulated import Update
from nestrl.updates.values import flattened

CLIP_RANGE = 0.2
"""Of the ratio in PPO's surrogate; stable-baselines3's default."""


@dataclass(frozen=True)
class AGEMOptions:
    """Options of A-GEM."""

    reference: str = "rl"
    """What may not rise: PPO's loss on remembered rollouts ("rl", as published), or the drift from teachers ("kl")."""
    samples: int = 512
    """Remembered observations in each gradient step, shared equally by the old tasks."""
    capacity: int = 4096
    """Remembered observations a task."""

    def __post_init__(self) -> None:
        if self.reference not in ("rl", "kl"):
            raise BadConfig(f"agem's reference is {self.reference!r}; it must be 'rl' or 'kl'.")
        require_positive("agem", samples=self.samples, capacity=self.capacity)


class AGEM(Finetune):
    """Takes out of the gradient what points against the gradient on memory.

    g' = g - <g, g_ref> / |g_ref|^2 * g_ref   where <g, g_ref> < 0, else g' = g

    over the whole actor, g_ref the gradient on a sample of the memory (Chaudhry et al., 2019, equation 11). The task
    being trained is left out of the sample when it comes back.

    Differs from the paper: the optimizer is Adam in place of SGD, and its scaling a coordinate turns the projected
    gradient again. With reference=kl, memory holds what the policy did and not what it was rewarded for.
    """

    card: ClassVar[Card] = Card(
        part="retention",
        summary="takes out of each gradient what would raise the loss on remembered rollouts",
        paper="Chaudhry et al., 2019",
        stores="4096 observations, actions, log likelihoods and advantages a task",
        cost="one backward pass of the actor over 512 remembered observations a gradient step",
    )

    def __init__(self, options: AGEMOptions, learner: Learner, seed: int) -> None:
        """Raises BadConfig for reference=rl with a learner that has no rollouts."""
        self._options, self._learner = options, learner
        self._parameters = flattened(learner.actor_groups())
        kind = RolloutMemory if options.reference == "rl" else DriftMemory
        self._memory: RolloutMemory | DriftMemory = kind(options.capacity, learner)
        self._generator = torch.Generator().manual_seed(seed)
        self._old_tasks: list[int] = []
        self._steps = self._conflicts = 0

    def begin(self, segment_index: int, task_index: int) -> None:
        """Protect all other tasks from now on."""
        self._old_tasks = [task for task in self._memory.tasks if task != task_index]

    def regulate(self, update: Update) -> None:
        """Project the gradient if it conflicts with the reference, then apply."""
        if self._old_tasks:
            loss = self._memory.loss(self._options.samples, self._old_tasks, self._generator)
            reference = torch.autograd.grad(loss, self._parameters, allow_unused=True)
            update.add_gradient(self._parameters, self._correction(reference))
        update.apply()

    def end(self, segment_index: int, task_index: int, observations: Observations) -> None:
        """Remember the task."""
        seen = torch.as_tensor(observations, device=self._parameters[0].device)
        self._memory.remember(task_index, seen, self._generator)

    def measurements(self) -> dict[str, float]:
        """Return the share of steps, of those with a memory, whose gradient was projected."""
        share = self._conflicts / max(self._steps, 1)
        return {"conflict_share": share, "memory_bytes": float(self._memory.n_bytes)}

    def state_dict(self) -> dict[str, Any]:
        """Return memory, random stream and counts."""
        return {
            "memory": self._memory.state_dict(),
            "generator": self._generator.get_state(),
            "old_tasks": list(self._old_tasks),
            "steps": self._steps,
            "conflicts": self._conflicts,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a `state_dict`."""
        self._memory.load_state_dict(state["memory"])
        self._generator.set_state(state["generator"])
        self._old_tasks = list(state["old_tasks"])
        self._steps, self._conflicts = state["steps"], state["conflicts"]

    def _correction(self, reference: tuple[Tensor | None, ...]) -> list[Tensor | None]:
        """Return what the projection adds to the gradient: a multiple of the reference, or None everywhere."""
        known = [gradient for gradient in reference if gradient is not None]
        agreement = _inner([parameter.grad for parameter in self._parameters], reference)
        self._steps += 1
        if agreement >= 0:
            return [None] * len(reference)
        self._conflicts += 1
        factor = -agreement / _inner(known, known)
        return [None if gradient is None else factor * gradient for gradient in reference]


class RolloutMemory:
    """The last rollout of each task; the loss is the policy's in PPO, as if it had been drawn just now.

    loss = -mean min(ratio * A, clip(ratio, 1 - .2, 1 + .2) * A)   with A standardised a task

    (Schulman et al., 2017, equation 7). Raises BadConfig for a learner without rollouts.
    """

    def __init__(self, capacity: int, learner: Learner) -> None:
        self._capacity, self._learner = capacity, learner
        self._rollouts: dict[int, Experience] = {}
        self._last_rollout()

    @property
    def tasks(self) -> tuple[int, ...]:
        """Indices of the tasks in memory."""
        return tuple(self._rollouts)

    @property
    def n_bytes(self) -> int:
        """Size of everything remembered."""
        return sum(field.nbytes for rollout in self._rollouts.values() for field in rollout)

    def remember(self, task: int, observations: Tensor, generator: torch.Generator) -> None:
        """Replace what is remembered of the task by rows of the last rollout, drawn at random.

        Nothing is remembered of a task in which nothing was observed: the rollout is then an earlier task's.
        """
        if not len(observations):
            return
        rollout = self._last_rollout()
        advantages = (rollout.advantages - rollout.advantages.mean()) / (rollout.advantages.std() + 1e-8)
        rows = torch.randperm(len(advantages), generator=generator)[: self._capacity]
        standardised = rollout._replace(advantages=advantages)
        self._rollouts[task] = Experience(*(field[rows.to(field.device)] for field in standardised))

    def loss(self, samples: int, tasks: list[int], generator: torch.Generator) -> Tensor:
        """Return the loss (a scalar, with gradient) on about `samples` rows, equally many of each of these tasks."""
        share = max(1, samples // len(tasks))
        observations, actions, log_probs, advantages = (
            torch.cat(fields)
            for fields in zip(*(_drawn(self._rollouts[task], share, generator) for task in tasks), strict=True)
        )
        ratio = torch.exp(self._learner.policy.output(observations).log_prob(actions) - log_probs)
        clipped = ratio.clamp(1 - CLIP_RANGE, 1 + CLIP_RANGE)
        return -torch.minimum(ratio * advantages, clipped * advantages).mean()

    def state_dict(self) -> dict[str, Any]:
        """Return all rollouts."""
        return {"rollouts": {task: list(rollout) for task, rollout in self._rollouts.items()}}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a `state_dict`."""
        device = flattened(self._learner.actor_groups())[0].device
        stored = state["rollouts"].items()
        self._rollouts = {int(task): Experience(*(field.to(device) for field in rollout)) for task, rollout in stored}

    def _last_rollout(self) -> Experience:
        rollout = self._learner.experience()
        if rollout is None:
            raise BadConfig(
                "agem's reference 'rl' needs an on-policy algorithm and given boundaries, for a rollout that ends with "
                "the task; set method.reference=kl."
            )
        return rollout


class DriftMemory:
    """Teachers of each task; the loss is the mean drift from them."""

    def __init__(self, capacity: int, learner: Learner) -> None:
        self._learner = learner
        self._teachers = TeacherMemory(capacity, device=flattened(learner.actor_groups())[0].device)

    @property
    def tasks(self) -> tuple[int, ...]:
        """Indices of the tasks in memory."""
        return self._teachers.tasks

    @property
    def n_bytes(self) -> int:
        """Size of everything remembered."""
        return self._teachers.n_bytes

    def remember(self, task: int, observations: Tensor, generator: torch.Generator) -> None:
        """Make the policy as it is now the teacher of the task."""
        with torch.no_grad():
            teacher = self._learner.policy.output(observations)
        self._teachers.remember(task, observations, teacher, generator)

    def loss(self, samples: int, tasks: list[int], generator: torch.Generator) -> Tensor:
        """Return the mean drift (a scalar, nats, with gradient) on about `samples` rows of these tasks."""
        batch = self._teachers.sample(samples, tasks, generator)
        return drift_between(batch.teacher, self._learner.policy.output(batch.observations)).total.mean()

    def state_dict(self) -> dict[str, Any]:
        """Return the teachers."""
        return self._teachers.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a `state_dict`."""
        self._teachers.load_state_dict(state)


def _drawn(rollout: Experience, n: int, generator: torch.Generator) -> Experience:
    """Return n rows, with replacement."""
    rows = torch.randint(len(rollout.advantages), (n,), generator=generator)
    return Experience(*(field[rows.to(field.device)] for field in rollout))


def _inner(ones: Sequence[Tensor | None], others: Sequence[Tensor | None]) -> float:
    """Return the inner product of two gradients; None stands for zeros."""
    pairs = zip(ones, others, strict=True)
    return float(sum((one * other).sum() for one, other in pairs if one is not None and other is not None))
