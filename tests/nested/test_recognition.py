"""Tasks are told apart by their features alone, reproducibly, and without a draw from training's random stream."""

import time

import torch

from nestrl.agents.actor_output import ActorOutput
from nestrl.nested.recognition import Recognizer
from nestrl.updates.memory import TeacherMemory

N_TASKS, FEATURES = 4, 3


def seen(task: int, n: int = 500, seed: int = 0) -> torch.Tensor:
    """Observations (n, 3 + 4): each task has its own corner, a feature that never varies, and a one-hot."""
    generator = torch.Generator().manual_seed(seed + 10 * task)
    corner = torch.tensor([2.0 * (task % 2), 2.0 * (task // 2), 0.0])
    spread = torch.tensor([0.3, 0.3, 0.0])
    features = corner + spread * torch.randn(n, FEATURES, generator=generator)
    return torch.cat([features, torch.eye(N_TASKS)[task].expand(n, -1)], 1)


def fitted(tasks: tuple[int, ...] = (0, 1, 2, 3)) -> Recognizer:
    recognizer = Recognizer(FEATURES)
    recognizer.fit({task: seen(task) for task in tasks})
    return recognizer


def test_tasks_are_told_apart_by_features_alone() -> None:
    recognizer = fitted()
    for task in range(N_TASKS):
        new = seen(task, seed=1)
        new[:, FEATURES:] = torch.eye(N_TASKS)[(task + 1) % N_TASKS]  # a lie
        assert (recognizer.tasks(new) == task).float().mean() > 0.98


def test_only_known_tasks_are_answered() -> None:
    recognizer = fitted((3, 1))
    assert recognizer.known == (1, 3)
    assert set(recognizer.tasks(seen(0)).tolist()) <= {1, 3}
    assert Recognizer(FEATURES).tasks(seen(2, 5)).tolist() == [0] * 5
    assert fitted((2,)).tasks(seen(0, 5)).tolist() == [2] * 5


def test_fit_gives_the_same_bits_and_draws_nothing() -> None:
    before = torch.get_rng_state()
    states = [fitted().state_dict() for _ in range(2)]
    assert torch.equal(before, torch.get_rng_state())
    for name, values in states[0]["network"].items():
        assert torch.equal(values, states[1]["network"][name])


def test_saved_and_restored() -> None:
    recognizer, other = fitted((0, 2, 3)), Recognizer(FEATURES)
    other.load_state_dict(recognizer.state_dict())
    rows = torch.cat([seen(task, seed=2) for task in range(N_TASKS)])
    assert torch.equal(recognizer.tasks(rows), other.tasks(rows))
    assert other.known == (0, 2, 3)


def test_fit_from_a_teacher_memory_leaves_it_alone() -> None:
    memory, generator = TeacherMemory(64), torch.Generator().manual_seed(0)
    for task in (2, 0):
        memory.remember(task, seen(task), ActorOutput(logits=torch.zeros(500, 2)), generator)
    before = memory.state_dict()["fields"]["observations"].clone()
    recognizer = Recognizer(FEATURES)
    recognizer.fit_from(memory)
    assert (recognizer.tasks(seen(2, seed=1)) == 2).float().mean() > 0.95
    assert torch.equal(before, memory.state_dict()["fields"]["observations"])


def test_a_task_seen_seldom_weighs_as_much_as_others() -> None:
    recognizer = Recognizer(FEATURES)
    recognizer.fit({0: seen(0, 4000), 1: seen(1, 40)})
    assert (recognizer.tasks(seen(1, seed=1)) == 1).float().mean() > 0.95


def test_ten_tasks_are_fitted_in_about_a_second() -> None:
    many = {task: torch.randn(4096, 30) + task for task in range(10)}
    before = time.process_time()
    Recognizer(30).fit(many)
    assert time.process_time() - before < 4.0  # a second on an idle core; room for a busy one
