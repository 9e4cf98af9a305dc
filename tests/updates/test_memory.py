import io

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nestrl.agents.actor_output import ActorOutput
from nestrl.updates.memory import TeacherMemory


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def rows(task, n, width=3):
    """n rows that all bear their task's number; the teacher's mean repeats the observation, log_std is its negative."""
    observations = torch.full((n, width), float(task))
    return observations, ActorOutput(mean=observations[:, :2].clone(), log_std=-observations[:, :2])


def filled(capacity=10, counts=(4, 20, 7)):
    memory = TeacherMemory(capacity)
    for task, count in enumerate(counts):
        memory.remember(task, *rows(task, count), generator(task))
    return memory


@given(st.integers(1, 60), st.lists(st.sampled_from([0, 1, 2]), min_size=1, unique=True))
def test_sample_has_an_equal_share_of_each_task_and_belongs_together(n, tasks):
    batch = filled().sample(n, tasks, generator())
    share = max(1, n // len(tasks))
    assert batch.tasks.tolist() == tasks
    assert batch.observations[:, 0].tolist() == [float(task) for task in tasks for _ in range(share)]
    assert torch.equal(batch.teacher.mean, batch.observations[:, :2])
    assert torch.equal(batch.teacher.log_std, -batch.observations[:, :2])


def test_every_remembered_row_is_drawn_and_no_other():
    memory = TeacherMemory(100)
    observations = torch.arange(100.0)[:, None]
    memory.remember(0, -1 - observations, ActorOutput(logits=observations), generator())
    memory.remember(1, observations, ActorOutput(logits=observations), generator())
    drawn = memory.sample(5000, [1], generator()).observations
    assert sorted(drawn.flatten().unique().tolist()) == list(range(100))


def test_capacity_bounds_each_task_and_spreads_over_all_rows():
    memory = TeacherMemory(50)
    observations = torch.arange(1000.0)[:, None]
    memory.remember(0, observations, ActorOutput(logits=observations), generator())
    kept = memory.sample(5000, [0], generator()).observations.unique()
    assert len(kept) == 50
    assert kept.min() < 100 < 900 < kept.max()
    assert memory.n_bytes == 50 * 2 * 4


def test_remembering_again_replaces_the_task_and_leaves_the_others():
    memory = filled()
    memory.remember(0, *rows(9, 5), generator())
    assert memory.tasks == (1, 2, 0)
    batch = memory.sample(30, [0, 1, 2], generator())
    assert batch.observations[:, 0].unique_consecutive().tolist() == [9.0, 1.0, 2.0]


def test_teacher_keeps_no_graph_and_no_tie_to_the_network():
    log_std = torch.zeros(4, 2, requires_grad=True)
    memory = TeacherMemory()
    memory.remember(0, torch.zeros(4, 3), ActorOutput(mean=torch.zeros(4, 2), log_std=log_std * 1), generator())
    with torch.no_grad():
        log_std += 1
    teacher = memory.sample(4, [0], generator()).teacher
    assert not teacher.log_std.requires_grad
    assert (teacher.log_std == 0).all()


def test_goes_on_exactly_from_its_state():
    memory, loaded = filled(), TeacherMemory(10)
    buffer = io.BytesIO()
    torch.save(memory.state_dict(), buffer)
    buffer.seek(0)
    loaded.load_state_dict(torch.load(buffer, weights_only=True))
    first, second = memory.sample(9, [2, 0], generator(5)), loaded.sample(9, [2, 0], generator(5))
    assert torch.equal(first.observations, second.observations)
    assert torch.equal(first.teacher.mean, second.teacher.mean)
    assert loaded.tasks == memory.tasks
    assert loaded.n_bytes == memory.n_bytes


def test_a_task_without_teacher_cannot_be_sampled():
    with pytest.raises(KeyError):
        filled().sample(4, [7], generator())


def test_without_rows_what_was_remembered_stays():
    memory = filled()
    before = memory.state_dict()
    memory.remember(1, *rows(1, 0), generator())
    memory.remember(5, *rows(5, 0), generator())
    assert memory.tasks == (0, 1, 2)
    assert memory.state_dict()["rows_of"] == before["rows_of"]
