import copy

import pytest
import torch
from torch import nn

from nestrl.agents.actor_output import ActorOutput
from nestrl.errors import BadConfig
from nestrl.updates.distillation import DistillationOptions, distill
from nestrl.updates.drift import drift_between
from nestrl.updates.memory import TeacherMemory
from nestrl.updates.quadratic import QuadraticPenalty

TASKS = 3


class SmallPolicy:
    """One hidden layer; the log_std is a row a task, or there are logits."""

    def __init__(self, seed, discrete=False):
        torch.manual_seed(seed)
        self.discrete = discrete
        self.network = nn.Sequential(nn.Linear(4 + TASKS, 64), nn.Tanh(), nn.Linear(64, 2))
        self.log_std = nn.Parameter(0.3 * torch.randn(TASKS, 2) - 1)

    @property
    def parameters(self):
        return [*self.network.parameters(), self.log_std]

    def output(self, observations):
        answer = self.network(observations)
        return (
            ActorOutput(logits=5 * answer)
            if self.discrete
            else ActorOutput(mean=answer, log_std=observations[:, -TASKS:] @ self.log_std)
        )


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def observations_of(task, n=1000):
    observations = torch.randn(n, 4 + TASKS, generator=generator(task))
    observations[:, 4:] = torch.eye(TASKS)[task]
    return observations


def taught(teachers):
    """A memory in which task i has the i-th teacher."""
    memory = TeacherMemory()
    for task, teacher in enumerate(teachers):
        observations = observations_of(task)
        with torch.no_grad():
            memory.remember(task, observations, teacher.output(observations), generator())
    return memory


def drift_from(teacher, student, task):
    with torch.no_grad():
        observations = observations_of(task)
        return drift_between(teacher.output(observations), student.output(observations)).total.mean().item()


@pytest.mark.parametrize("discrete", [False, True], ids=["Box", "Discrete"])
def test_student_comes_near_to_all_of_its_different_teachers(discrete):
    teachers = [SmallPolicy(seed, discrete) for seed in range(TASKS)]
    student = SmallPolicy(9, discrete)
    before = [drift_from(teacher, student, task) for task, teacher in enumerate(teachers)]
    options = DistillationOptions(steps=400, samples=256, learning_rate=2e-2)
    returned = distill(student, taught(teachers), options, generator())
    after = [drift_from(teacher, student, task) for task, teacher in enumerate(teachers)]
    assert max(after) < 0.05 < min(before)
    assert returned.total.tolist() == pytest.approx(after, abs=0.02)


def test_a_heavy_penalty_leaves_the_student_where_it_is_and_none_is_a_penalty_of_zero():
    memory, first = taught([SmallPolicy(0)]), SmallPolicy(9)
    students = [copy.deepcopy(first) for _ in range(3)]
    options = DistillationOptions(steps=150, samples=128)
    for student, strength in zip(students, (None, 0.0, 1e8), strict=True):
        penalty = None if strength is None else QuadraticPenalty(student.parameters, strength)
        if penalty is not None:
            penalty.hold(torch.ones(()))
        distill(student, memory, options, generator(), penalty)
    free, unheld, held = students
    pairs = zip(free.parameters, unheld.parameters, held.parameters, first.parameters, strict=True)
    for plain, zero, heavy, start in pairs:
        assert torch.equal(plain, zero)
        assert torch.allclose(heavy, start, atol=1e-3)
    assert drift_from(SmallPolicy(0), free, 0) < 0.5 * drift_from(SmallPolicy(0), held, 0)


def test_global_random_stream_is_left_alone():
    memory, student = taught([SmallPolicy(0)]), SmallPolicy(1)
    before = torch.get_rng_state()
    distill(student, memory, DistillationOptions(steps=3), generator())
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("options", [{"steps": 0}, {"samples": -1}, {"learning_rate": float("nan")}])
def test_senseless_options_are_refused(options):
    with pytest.raises(BadConfig, match=next(iter(options))):
        DistillationOptions(**options)
