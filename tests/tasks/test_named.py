"""Named sequences: each can be made, and others can join them."""

import re

import pytest

from nestrl.errors import BadConfig, UnknownName
from nestrl.tasks import named
from nestrl.tasks.sequence import Segment, Task, TaskSequence
from nestrl_envs import TASKS


@pytest.mark.parametrize("name", named.SEQUENCES)
def test_every_named_sequence_is_whole(name: str) -> None:
    sequence = named.sequence(name)
    assert sequence.name == name
    assert sequence.n_tasks == {"mixed-20": 10}.get(name, int(re.findall(r"\d+", name)[0]))
    assert named.DESCRIPTIONS[name]


def test_descriptions_have_no_strays() -> None:
    assert set(named.DESCRIPTIONS) == set(named.SEQUENCES)


def test_ids_are_written_in_camel_case() -> None:
    assert named.rover_id("pick_place") == "nestrl_envs:nestrl/RoverPickPlace-v1"


def test_the_ten_tasks_are_registered_in_their_present_versions() -> None:
    assert len(named.MIXED) == 10
    assert {named.rover_id(name) for name in named.MIXED} <= {f"nestrl_envs:{env_id}" for env_id in TASKS}


def test_mixed_20_meets_each_task_twice() -> None:
    tasks = [segment.task for segment in named.sequence("mixed-20").segments]
    assert tasks == list(named.MIXED) * 2


def test_continual_world_is_ten_tasks_of_a_million_steps_and_twice_that() -> None:
    cw10, cw20 = named.sequence("cw10"), named.sequence("cw20")
    assert [task.env_id for task in cw10.tasks[:3]] == [
        "envpool:MetaWorld/Hammer-v3",
        "envpool:MetaWorld/PushWall-v3",
        "envpool:MetaWorld/FaucetClose-v3",
    ]
    assert cw10.total_steps == 10_000_000 and not cw10.revisits_are_new
    assert cw20.n_tasks == 20 and [segment.task for segment in cw20.segments] == list(cw20.task_names)
    assert [task.env_id for task in cw20.tasks] == [task.env_id for task in cw10.tasks] * 2


def test_unknown_sequence_names_the_nearest() -> None:
    with pytest.raises(UnknownName, match="mixed-10"):
        named.sequence("mixd-10")


def test_registered_sequence_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(named, "SEQUENCES", dict(named.SEQUENCES))
    monkeypatch.setattr(named, "DESCRIPTIONS", dict(named.DESCRIPTIONS))
    mine = TaskSequence("mine", (Task("a", "Reacher-v5"),), (Segment("a", 10),))
    named.register_sequence(mine)
    assert named.sequence("mine") == mine
    named.register_sequence(mine)  # a module that is imported twice
    with pytest.raises(BadConfig, match="already a sequence"):
        named.register_sequence(mine.with_steps(2))


@pytest.mark.parametrize(
    ("name", "steps"),
    [
        *(("quick-3", 450_000), ("nav-5", 1_500_000), ("manip-5", 1_500_000), ("mixed-5", 750_000)),
        *(("mixed-10", 3_400_000), ("mixed-20", 6_800_000), ("drift-10", 3_000_000)),
        *(("cw10", 10_000_000), ("cw10-fast", 5_000_000), ("cw20", 20_000_000)),
        *(("fetch-4", 4_000_000), ("pointmaze-4", 2_000_000)),
    ],
)
def test_a_life_is_as_long_as_its_results_say(name: str, steps: int) -> None:
    assert named.sequence(name).total_steps == steps


def test_every_drift_but_the_first_changes_something_and_pick_and_place_is_examined_without_eased_starts() -> None:
    first, *others = named.sequence("drift-10").tasks
    assert first.env_kwargs == {"dynamics": {}}
    nominal = {
        "friction": 1.0,
        "tilt": 0.0,
        "payload": 0.0,
        "motor_strength": 1.0,
        "sensor_noise": 0.0,
        "action_delay": 0,
    }
    for task in others:
        ((name, value),) = task.env_kwargs["dynamics"].items()
        assert value != nominal[name], task.name
    pick_place = named.sequence("mixed-10").tasks[-1]
    assert pick_place.arguments(evaluation=False) == {"grasped_starts": 0.75}
    assert pick_place.arguments(evaluation=True) == {"grasped_starts": 0.0}


def test_meta_world_is_learned_with_the_settings_that_were_searched() -> None:
    agent = named.sequence("cw20").agent
    assert agent["initial_log_std"] == 0.5 and agent["hyperparameters"]["gamma"] == 0.97
    assert {task.reward_scale for task in named.sequence("cw20").tasks} == {"auto"}
