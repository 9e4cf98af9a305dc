import sys
from dataclasses import dataclass, is_dataclass
from types import ModuleType
from typing import Any

import pytest
import torch

from nestrl.decode import decode
from nestrl.errors import BadConfig, UnknownName
from nestrl.methods import METHODS, as_numbers, find_method, make_method, make_options
from nestrl.methods.cloning import Cloning, CloningOptions
from nestrl.methods.composed import ORDER
from nestrl.methods.finetune import Finetune

from .fake_learner import FakeLearner, live


@dataclass(frozen=True)
class ForeignOptions:
    strength: float = 1.0


class Foreign(Finetune):
    """A method from another package."""

    card = None

    def __init__(self, options: ForeignOptions, learner, seed: int) -> None:
        self.options, self._learner = options, learner


class Undeclared(Finetune):
    def __init__(self, options, learner, seed):
        pass


class Halfway:
    def __init__(self, options: ForeignOptions, learner, seed: int) -> None:
        pass

    def begin(self, segment_index: int, task_index: int) -> None:
        pass


class Misplaced(Foreign):
    card = Finetune.card._replace(part="memory")


@pytest.fixture
def foreign_package(monkeypatch):
    module = ModuleType("foreign_package")
    for kind in (Foreign, Undeclared, Halfway, Misplaced):
        setattr(module, kind.__name__, kind)
    module.A_MAPPING = {}
    monkeypatch.setitem(sys.modules, "foreign_package", module)


@pytest.mark.parametrize("name", METHODS)
def test_every_method_keeps_the_protocol(name):
    learner = FakeLearner()
    method = make_method(name, {}, learner, seed=0)
    live(method, learner, [0, 1, 0], steps=2)
    method.load_state_dict(method.state_dict())
    assert isinstance(method.measurements(), dict)
    assert method.policy_for(0).act(learner.observations(0, 5).numpy()).shape == (5, 2)


@pytest.mark.parametrize("name", METHODS)
def test_every_method_has_frozen_options_with_defaults_and_a_card(name):
    entry = find_method(name)
    assert is_dataclass(entry.options)
    assert entry.options.__dataclass_params__.frozen
    assert entry.options() == entry.options()
    assert entry.card.part in ORDER
    assert all("\n" not in text for text in entry.card[:5])
    assert entry.card.summary and entry.card.stores and entry.card.cost


def test_options_reach_the_method():
    assert make_options("cloning", {"samples": 64}) == CloningOptions(samples=64)
    assert isinstance(make_method("cloning", {"weight": 0.5}, FakeLearner(), 0), Cloning)


def test_foreign_method_needs_no_registration(foreign_package):
    entry = find_method("foreign_package:Foreign")
    assert (entry.options, entry.card.summary) == (ForeignOptions, "A method from another package.")
    assert make_method("foreign_package:Foreign", {"strength": 2.0}, FakeLearner(), 0).options.strength == 2.0


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("clonign", "'cloning'"),
        ("no_such_package:Method", "no_such_package"),
        ("foreign_package:Missing", "Missing"),
        (":Method", "cannot import"),
    ],
)
def test_unknown_methods_are_answered_with_advice(foreign_package, name, message):
    with pytest.raises(UnknownName, match=message):
        find_method(name)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Undeclared", "annotates"),
        ("A_MAPPING", "is a dict; it must be a class"),
        ("Halfway", "no regulate, end, policy_for, measurements, state_dict, load_state_dict"),
        ("Misplaced", "'memory'.*retention"),
    ],
)
def test_a_foreign_class_that_is_no_method_is_refused(foreign_package, name, message):
    with pytest.raises(BadConfig, match=message):
        find_method(f"foreign_package:{name}")


def test_measurements_are_numbers():
    assert as_numbers({"loss": torch.tensor(0.5), "phase": 2}) == {"loss": 0.5, "phase": 2.0}
    with pytest.raises(BadConfig, match="phase.*warm.*number"):
        as_numbers({"phase": "warm"})
    with pytest.raises(BadConfig, match="gave None"):
        as_numbers(None)


def test_a_card_that_is_none_is_refused(foreign_package, monkeypatch):
    monkeypatch.setattr(Foreign, "card", ("whole", "a tuple"))
    with pytest.raises(BadConfig, match="must be a Card"):
        find_method("foreign_package:Foreign")


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [("cloning", {"drift_limt": 0.1}, "'drift_limit'"), ("finetune", {"weight": 1.0}, "has none")],
)
def test_unknown_options_are_answered_with_advice(name, options, message):
    with pytest.raises(UnknownName, match=message):
        make_options(name, options)


def test_values_of_a_wrong_type_are_refused():
    with pytest.raises(BadConfig, match="samples is .many.; expected int"):
        make_options("cloning", {"samples": "many"})


def test_options_have_the_type_that_they_declare():
    options = make_options("nested", {"drift_limit": 1, "levels": "task_code, dual_weights"})
    assert isinstance(options.drift_limit, float)
    assert options.levels == ("task_code", "dual_weights")


@dataclass(frozen=True)
class Anything:
    """Options whose type says nothing, but whose check compares."""

    steps: Any = 1

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise BadConfig("too few")


def test_a_value_that_the_options_cannot_compare_is_refused():
    with pytest.raises(BadConfig, match="does not take .*many"):
        decode(Anything, {"steps": "many"}, "options")
