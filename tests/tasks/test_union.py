"""The union space: its layout, by hand and by property, and what it refuses."""

import json

import numpy as np
import pytest
from gymnasium import Space, spaces
from gymnasium.vector.utils import batch_space
from hypothesis import given
from hypothesis import strategies as st

from nestrl.errors import BadConfig, EnvironmentFault
from nestrl.tasks.union import UnionSpace, observation_size

BOX3 = spaces.Box(-1, 1, (3,))
DICT = spaces.Dict({"b": spaces.Box(-1, 1, (2, 2)), "a": spaces.Discrete(3, start=1)})
REACH = spaces.Box(np.array([-2.0, 0.0]), np.array([2.0, 4.0]), dtype=np.float64)
FREE = spaces.Box(-np.inf, np.inf, (1,))


def test_layout_of_an_observation() -> None:
    union = UnionSpace([BOX3, DICT, spaces.Discrete(4)], [REACH, REACH, REACH])
    assert (union.feature_size, union.n_tasks) == (7, 3)
    assert union.observe(0, np.array([[1.0, 2.0, 3.0]])).tolist() == [[1, 2, 3, 0, 0, 0, 0, 1, 0, 0]]
    batch = {"a": np.array([3]), "b": np.array([[[4.0, 5.0], [6.0, 7.0]]])}
    assert union.observe(1, batch).tolist() == [[0, 0, 1, 4, 5, 6, 7, 0, 1, 0]]
    assert union.observe(2, np.array([2, 0])).tolist() == [[0, 0, 1, 0] + [0] * 5 + [1], [1] + [0] * 8 + [1]]


def test_box_actions_are_stretched_to_their_bounds() -> None:
    union = UnionSpace([BOX3] * 3, [REACH, FREE, spaces.Discrete(2, start=5)])
    actions = np.array([[-1.0, -1.0], [0.0, 0.0], [1.0, 3.0]], np.float32)
    assert union.action_space == spaces.Box(-1, 1, (2,))
    assert union.act(0, actions).tolist() == [[-2, 0], [0, 2], [2, 4]]
    assert union.act(0, actions).dtype == np.float64
    assert union.act(1, actions).tolist() == [[-1], [0], [1]]
    assert union.act(2, np.array([[0.1, 0.2], [0.2, 0.1]])).tolist() == [6, 5]


def test_discrete_tasks_share_a_discrete_space() -> None:
    union = UnionSpace([BOX3] * 2, [spaces.Discrete(4), spaces.Discrete(3, start=-1)])
    assert union.action_space == spaces.Discrete(4)
    assert union.act(1, np.array([0, 1, 2, 3])).tolist() == [-1, 0, 1, -1]


def test_unit_box_is_passed_through_exactly() -> None:
    union = UnionSpace([BOX3], [spaces.Box(-1, 1, (4,))])
    actions = np.random.default_rng(0).uniform(-1, 1, (100, 4)).astype(np.float32)
    np.testing.assert_array_equal(union.act(0, actions), actions)


def test_layout_says_where_things_stand() -> None:
    text = UnionSpace([BOX3, spaces.Discrete(4)], [REACH, REACH]).layout()
    assert "task 0: features [0:3], zeros [3:4], 1 at 4" in text


@pytest.mark.parametrize(
    ("observation", "action", "message"),
    [
        (spaces.MultiBinary(3), REACH, r"MultiBinary\(3\).*FlattenObservation"),
        (spaces.Dict({"a": spaces.Text(3)}), REACH, "Text"),
        (BOX3, spaces.MultiDiscrete([2, 2]), "MultiDiscrete.*TransformAction"),
        (BOX3, spaces.Box(0, np.inf, (2,)), "one side only"),
    ],
)
def test_unsupported_spaces_are_named(observation: Space, action: Space, message: str) -> None:
    with pytest.raises(BadConfig, match=message):
        UnionSpace([observation], [action])


def test_wrong_shapes_are_refused() -> None:
    with pytest.raises(EnvironmentFault, match="Task 0 gave observations of 4 numbers"):
        UnionSpace([BOX3], [REACH]).observe(0, np.zeros((2, 4)))


def test_counts_must_agree() -> None:
    with pytest.raises(BadConfig, match="2 observation and 1 action"):
        UnionSpace([BOX3, BOX3], [REACH])


boxes = st.lists(st.integers(1, 3), max_size=2).map(lambda shape: spaces.Box(-5, 5, tuple(shape)))
discretes = st.builds(lambda n, start: spaces.Discrete(n, start=start), st.integers(1, 5), st.integers(-3, 3))
leaves = st.one_of(boxes, discretes)
observations = st.one_of(leaves, st.dictionaries(st.sampled_from("abc"), leaves, min_size=1).map(spaces.Dict))
actions = st.one_of(boxes, discretes)
tasks = st.lists(st.tuples(observations, actions), min_size=1, max_size=4)


@given(tasks, st.integers(1, 3), st.integers(0, 2**31))
def test_any_tasks_fit(pairs: list[tuple[Space, Space]], n: int, seed: int) -> None:
    union = UnionSpace(*zip(*pairs, strict=True))
    again = UnionSpace.from_dict(json.loads(json.dumps(union.to_dict())))
    assert again.action_space == union.action_space
    union.action_space.seed(seed)
    for index, (observation, action) in enumerate(pairs):
        batch = batch_space(observation, n)
        batch.seed(seed)
        sample = batch.sample()
        seen = union.observe(index, sample)
        assert seen.shape == (n, union.feature_size + union.n_tasks)
        assert (seen[:, union.feature_size :] == np.eye(union.n_tasks)[index]).all()
        assert not seen[:, observation_size(observation) : union.feature_size].any()
        np.testing.assert_array_equal(again.observe(index, sample), seen)
        chosen = np.stack([union.action_space.sample() for _ in range(n)])
        own = union.act(index, chosen)
        assert all(action.contains(row) for row in own)
        np.testing.assert_array_equal(again.act(index, chosen), own)


@pytest.mark.parametrize(
    "space",
    [
        spaces.Box(np.iinfo(np.int64).min, np.iinfo(np.int64).max, (1,), np.int64),
        spaces.Box(-np.finfo(np.float64).max, np.finfo(np.float64).max, (1,), np.float64),
        spaces.Box(-1, 1, (0,)),
    ],
)
def test_actions_that_cannot_be_stretched_are_refused(space: spaces.Box) -> None:
    with pytest.raises(BadConfig, match="has no numbers, or bounds beyond"):
        UnionSpace([BOX3], [space])


def test_an_observation_outside_a_discrete_space_is_refused() -> None:
    union = UnionSpace([spaces.Discrete(7, start=-3)], [REACH])
    assert union.observe(0, np.array([3]))[0, 6] == 1
    with pytest.raises(EnvironmentFault, match="outside its space"):
        union.observe(0, np.array([3, 4]))


def test_a_dict_whose_keys_a_file_would_not_give_back_is_refused() -> None:
    with pytest.raises(BadConfig, match="text as keys"):
        UnionSpace([spaces.Dict({1: spaces.Discrete(2)})], [REACH])


def test_whole_numbers_are_rounded() -> None:
    union = UnionSpace([BOX3], [spaces.Box(0, 3, (1,), np.int64)])
    actions = np.array([-1, -0.7, -0.6, -0.1, 0.1, 0.6, 0.7, 1], np.float32)[:, None]
    assert union.act(0, actions).ravel().tolist() == [0, 0, 1, 1, 2, 2, 3, 3]


@given(st.floats(-9, 9, width=32), st.floats(-9, 9, width=32), st.floats(-1, 1, width=32))
def test_stretched_actions_are_within_their_bounds(one: float, other: float, action: float) -> None:
    space = spaces.Box(np.float32(min(one, other)), np.float32(max(one, other)), (1,), np.float32)
    assert space.contains(UnionSpace([BOX3], [space]).act(0, np.array([[action]], np.float32))[0])


@pytest.mark.parametrize("dtype", [np.int64, np.uint8, np.float32, np.float64])
def test_extreme_bounds_survive_being_written_down(dtype: type) -> None:
    info = np.iinfo(dtype) if np.issubdtype(dtype, np.integer) else np.finfo(dtype)
    union = UnionSpace([spaces.Box(info.min, info.max, (2,), dtype)], [REACH])
    again = UnionSpace.from_dict(json.loads(json.dumps(union.to_dict())))
    assert again.observation_spaces == union.observation_spaces


def test_a_discrete_task_among_box_ones_is_acted_in_as_stable_baselines3_clips() -> None:
    union = UnionSpace([BOX3] * 2, [spaces.Discrete(2), spaces.Box(-1, 1, (2,))])
    assert union.act(0, np.array([[1.5, 2.5], [0.5, 2.5], [-3.0, -2.0]])).tolist() == [0, 1, 0]
