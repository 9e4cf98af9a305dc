import numpy as np
import pytest
import torch

from nestrl.agents.trial import Trial
from nestrl.errors import BadConfig, UnknownName
from nestrl.methods import find_method, make_method, make_options
from nestrl.methods.composed import Composed
from nestrl.methods.finetune import Finetune
from nestrl.methods.protocol import Card
from nestrl.updates.regulated import Update

from .fake_learner import FEATURES, FakeLearner, live


class Spy(Finetune):
    """Writes down when it is called, and doubles its own mark on the way in."""

    def __init__(self, name, diary):
        self.name, self.diary = name, diary

    def begin(self, segment_index, task_index):
        self.diary.append(f"begin {self.name}")

    def regulate(self, update):
        self.diary.append(f"before {self.name}")
        update.apply()
        self.diary.append(f"after {self.name}")


def composed_of(*names, diary):
    parts = [
        (name, lambda options, learner, seed, name=name: Spy(name, diary), Card("retention", *"....")) for name in names
    ]
    return Composed(parts, type("Options", (), dict.fromkeys(names)), None, 0)


def test_parts_regulate_one_inside_the_other_around_one_step():
    diary = []
    composed_of("outer", "inner", diary=diary).regulate(Update(lambda: diary.append("step")))
    assert diary == ["before outer", "before inner", "step", "after inner", "after outer"]


def test_a_part_that_does_not_apply_is_found_out():
    diary = []
    method = composed_of("outer", "inner", diary=diary)
    method._parts["inner"].regulate = lambda update: None
    with pytest.raises(RuntimeError, match="must be applied"):
        method.regulate(Update(lambda: None))


def test_starts_begin_before_retention_whatever_the_order_in_the_name():
    method = make_method("cloning+best-start", {}, FakeLearner(), 0)
    assert list(method._parts) == ["best-start", "cloning"]
    assert method._speaks == "cloning"


def test_what_a_part_with_policies_of_its_own_leaves_is_what_others_keep():
    for name in ("ewc+nested", "nested+ewc"):
        assert list(make_method(name, {}, FakeLearner(), 0)._parts) == ["nested", "ewc"]


def test_slow_blocks_wait_for_what_retains_too_whatever_the_order_in_the_name():
    for name in ("cms+l2", "l2+cms"):
        assert list(make_method(name, {}, FakeLearner(), 0)._parts) == ["l2", "cms"]


def test_options_of_parts_are_nested():
    options = make_options("clonex", {"cloning": {"weight": 0.5}, "best_start": {"episodes": 3}})
    assert (options.cloning.weight, options.best_start.episodes) == (0.5, 3)
    with pytest.raises(UnknownName, match="'weight'"):
        make_options("clonex", {"cloning": {"wieght": 0.5}})


def test_cloning_alone_and_composed_with_a_start_that_finds_nothing_are_the_same_bits():
    alone, together = FakeLearner(), FakeLearner()
    nothing = np.zeros((3, 2))
    together.trial = lambda policies, *_, **__: Trial(nothing[: len(policies)], nothing > 0, 0)  # the first is the best
    live(make_method("cloning", {}, alone, 0), alone, [0, 1], 20)
    live(make_method("clonex", {}, together, 0), together, [0, 1], 20)
    for one, other in zip(alone.parameters(), together.parameters(), strict=True):
        assert torch.equal(one, other)


def test_what_retains_measures_under_its_own_names_and_all_bytes_are_counted():
    learner = FakeLearner()
    alone, method = make_method("cloning", {}, learner, 0), make_method("cloning+best-start+trac", {}, learner, 0)
    live(method, learner, [0, 1], 3)
    measured = method.measurements()
    assert set(alone.measurements()) <= set(measured)
    assert "best-start.source" in measured
    assert measured["memory_bytes"] > measured["trac.memory_bytes"] > 0


def test_the_part_with_policies_of_its_own_speaks_wherever_it_stands():
    for name in ("ewc+snapshots", "snapshots+ewc"):
        learner = FakeLearner()
        method = make_method(name, {}, learner, 0)
        live(method, learner, [0, 1], 20)
        rows = learner.observations(0, 20)
        before = method.policy_for(0).act(rows.numpy())
        learner.trunk[0].weight.data += 1.0
        assert np.array_equal(method.policy_for(0).act(rows.numpy()), before)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("cloning+cloning", "twice"),
        ("finetune+cloning", "cannot be put together"),
        ("packnet+cloning+snapshots", "packnet cannot be put together with snapshots"),
    ],
)
def test_senseless_compositions_are_refused(name, message):
    with pytest.raises(BadConfig, match=message):
        find_method(name)


def test_best_start_takes_the_skill_that_earns_most_and_leaves_other_tasks_alone():
    learner = FakeLearner()
    method = make_method("best-start", {"episodes": 4}, learner, 0)
    live(method, learner, [0, 1], 300)
    learner.skills[2] = learner.skills[1]  # the third task is the second one again
    learner.trunk[0].weight.data[:, FEATURES + 2] = 5.0  # and what the network does there by itself is bad
    rows = learner.observations(0, 50)
    before = learner.output(rows).mean.detach().clone()
    method.begin(2, 2)
    assert method.measurements()["source"] == 1
    assert torch.equal(learner.trunk[0].weight[:, FEATURES + 2], learner.trunk[0].weight[:, FEATURES + 1])
    assert torch.equal(learner.output(rows).mean, before)
    assert learner.trials[-1] == (2, 4, True)
