"""Tasks are told apart by their features alone, reproducibly, and without a draw from training's random stream."""

import torch

from nestrl.identity.recognizer import Recognizer

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
    assert set(recognizer.tasks(seen(0)).tolist()) <= {1, 3}
    assert Recognizer(FEATURES).tasks(seen(2, 5)).tolist() == [0] * 5
    assert fitted((2,)).tasks(seen(0, 5)).tolist() == [2] * 5


def test_the_same_observations_give_the_same_answers_and_nothing_is_drawn() -> None:
    before = torch.get_rng_state()
    one, other = fitted(), fitted()
    assert torch.equal(before, torch.get_rng_state())
    between = torch.randn(2000, FEATURES, generator=torch.Generator().manual_seed(3)) + 1.0
    assert torch.equal(one.tasks(between), other.tasks(between))


def test_a_task_seen_seldom_weighs_as_much_as_others() -> None:
    recognizer = Recognizer(FEATURES)
    recognizer.fit({0: seen(0, 4000), 1: seen(1, 40)})
    assert (recognizer.tasks(seen(1, seed=1)) == 1).float().mean() > 0.95
