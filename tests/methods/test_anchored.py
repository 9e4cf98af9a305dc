"""What L2, EWC, MAS and SI have in common."""

import numpy as np
import pytest
import torch

from nestrl.errors import BadConfig
from nestrl.methods.ewc import EWC, EWCOptions
from nestrl.methods.l2 import L2, L2Options
from nestrl.methods.mas import MAS, MASOptions
from nestrl.methods.si import SI, SIOptions

from .fake_learner import FakeLearner, live
from .keeping import drift_after_next_task, finetune, parameters_after, resumes_exactly, same

METHODS = {"l2": (L2, L2Options), "ewc": (EWC, EWCOptions), "mas": (MAS, MASOptions), "si": (SI, SIOptions)}
OPTIONS = {
    "l2": {"strength": 1.0},
    "ewc": {"strength": 10.0, "samples": 64},
    "mas": {"strength": 1.0, "samples": 64},
    "si": {"strength": 1.0},
}
"""The fake learner's gradients are far larger than PPO's, so its penalties must be stronger than the defaults."""


def make(name, learner, **options):
    method, options_class = METHODS[name]
    return method(options_class(**OPTIONS[name] | options), learner, seed=0)


@pytest.fixture(scope="module")
def lost():
    """What fine-tuning loses."""
    return drift_after_next_task(finetune)[0]


@pytest.mark.parametrize("name", METHODS)
def test_finetuning_forgets_and_this_keeps(name, lost):
    kept = drift_after_next_task(lambda learner: make(name, learner))[0]
    held_fast = drift_after_next_task(lambda learner: make(name, learner, strength=1e4))[0]
    assert kept < 0.8 * lost
    assert held_fast < 0.1 * lost


@pytest.mark.parametrize("name", METHODS)
def test_first_task_is_learned_exactly_as_by_finetuning(name):
    plain = parameters_after(finetune, tasks=[0])
    assert same(plain, parameters_after(lambda learner: make(name, learner), tasks=[0]))


@pytest.mark.parametrize("name", METHODS)
def test_resumed_in_the_middle_of_a_segment_it_ends_bit_identical(name):
    assert resumes_exactly(lambda learner: make(name, learner))


@pytest.mark.parametrize("name", ["ewc", "mas"])
def test_a_task_of_which_nothing_was_seen_is_not_measured(name):
    learner = FakeLearner()
    method = make(name, learner)
    method.end(0, 0, learner.observations(0, 100)[:0])
    assert not method._penalty.importances.any()


@pytest.mark.parametrize("name", METHODS)
def test_a_resumed_run_meets_the_next_boundary_alike(name):
    learner = FakeLearner()
    method, resumed = make(name, learner), make(name, learner)
    live(method, learner, [0, 1], 5)
    resumed.load_state_dict(method.state_dict())
    observations = learner.observations(1, 500).numpy()
    for one in (method, resumed):
        one.end(2, 1, observations)
    ours, theirs = (one.state_dict()["penalty"] for one in (method, resumed))
    assert all(torch.equal(ours[part], theirs[part]) for part in ("anchor", "importances"))


@pytest.mark.parametrize(("name", "numbers"), [("l2", 1), ("ewc", 2), ("mas", 2), ("si", 4)])
def test_memory_is_what_the_card_says(name, numbers):
    learner = FakeLearner()
    method = make(name, learner)
    live(method, learner, [0, 1, 0], 3)
    n_parameters = sum(parameter.numel() for parameter in learner.parameters())
    measured = method.measurements()
    assert all(type(value) is float and np.isfinite(value) for value in measured.values())
    assert measured["memory_bytes"] == pytest.approx(numbers * 4 * n_parameters, abs=4)
    assert method.card.stores.startswith(f"{numbers} number")
    assert method.policy_for(1) is learner.policy


@pytest.mark.parametrize("name", METHODS)
def test_global_random_streams_are_left_alone(name):
    learner = FakeLearner()
    before = torch.get_rng_state()
    live(make(name, learner), learner, [0, 1], 3)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize(
    ("name", "option", "value"),
    [(name, "strength", -1.0) for name in METHODS]
    + [("ewc", "samples", 0), ("ewc", "decay", 1.5), ("mas", "samples", 0), ("si", "damping", 0.0)],
)
def test_senseless_options_are_refused(name, option, value):
    with pytest.raises(BadConfig, match=f"{name}'s {option}"):
        METHODS[name][1](**{option: value})
