import math

import pytest
import torch

from nestrl.agents.tally import Tally
from nestrl.nested.consultation import Consultation
from nestrl.nested.meta_controller import Context, find_controller
from nestrl.nested.meta_gradient import MetaGradient, effects
from nestrl.nested.rounds import Rounds


def end_of(log_step, gradients, rate=0.1):
    """Plain gradient descent on linear losses: where it ends, and what each step moved."""
    position, moves = torch.zeros(3, dtype=torch.float64), []
    for gradient in gradients:
        moves.append(-rate * math.exp(log_step) * gradient)
        position = position + moves[-1]
    return position, moves


def test_exact_where_the_trace_is_exact():
    """On linear losses d theta/d(log step) is the sum of all steps, a trace without decay; so dJ/dc is exact."""
    gradients = [
        torch.tensor(row, dtype=torch.float64) for row in ([1.0, -2.0, 0.5], [0.3, 1.0, -1.0], [2.0, 0.0, 1.0])
    ]
    outer = torch.tensor([0.7, -0.4, 1.1], dtype=torch.float64)
    _, moves = end_of(0.0, gradients)
    meta = MetaGradient(("step",), 3, decay=1.0)
    for move in moves:
        meta.follow({"step": move.float()})
    meta.read(outer.float(), None, total_weight=0.0)
    trace = torch.stack(moves).sum(0)
    finite = (outer @ end_of(1e-6, gradients)[0] - outer @ end_of(-1e-6, gradients)[0]) / 2e-6
    assert meta.take()["step"] * float(outer.norm() * trace.norm()) == pytest.approx(float(finite), rel=1e-5)


def test_retention_counts_with_its_weight():
    meta = MetaGradient(("step",), 2, decay=0.5)
    meta.follow({"step": torch.tensor([1.0, 0.0])})
    meta.follow({"step": torch.tensor([0.0, 1.0])})  # trace (.5, 1)
    meta.read(torch.tensor([1.0, 0.0]), torch.tensor([0.0, -1.0]), total_weight=3.0)
    length = math.hypot(0.5, 1.0)
    assert meta.take()["step"] == pytest.approx(0.25 * 0.5 / length - 0.75 * 1.0 / length)
    assert meta.take() == {"step": 0.0}


def test_effects_by_hand():
    moved = effects(torch.tensor([3.0, 4.0]), torch.tensor([-1.0, 1.0]), torch.tensor([0.0, 2.0]))
    assert moved["step"].tolist() == [3.0, 4.0]
    assert moved["depth"].tolist() == [-3.0, 4.0]
    assert moved["share"].tolist() == pytest.approx([0.0, -5.0])
    assert effects(torch.ones(2), torch.ones(2), None)["share"].tolist() == [0.0, 0.0]


def rounds_of(*tallies):
    rounds = Rounds()
    for tally in tallies:
        rounds.read(tally)
    return rounds


def test_inside_a_life_an_order_goes_where_the_outer_objective_falls():
    """Every step goes the way of the next gradient: longer ones would be better, so the log step must rise."""
    consultation = Consultation(find_controller("learned"), learning_rate=0.5, n_parameters=2)
    consultation.start_segment(known=0)
    for _ in range(5):
        consultation.meta_gradient.read(torch.tensor([1.0, 0.0]), None, 0.0)
        consultation.meta_gradient.follow(
            {name: torch.zeros(2) for name in ("share", "depth")} | {"step": torch.tensor([-1.0, 0.0])}
        )
        orders = consultation.ask(0.1, rounds_of(Tally(2)), 0.0)
    assert orders.step > 1.2
    assert orders.share == orders.code_step == 1.0


def test_a_gradient_that_is_not_finite_pauses_learning_until_the_next_segment():
    consultation = Consultation(find_controller("learned"), learning_rate=0.5, n_parameters=2)
    consultation.start_segment(known=0)
    consultation.meta_gradient.follow({"step": torch.ones(2)})
    consultation.meta_gradient.read(torch.tensor([math.nan, 0.0]), None, 0.0)
    assert consultation.ask(0.1, rounds_of(Tally(2)), 0.0).step == 1.0
    assert consultation.paused
    consultation.start_segment(known=1)
    assert not consultation.paused


def test_context_from_measurements():
    consultation = Consultation(find_controller("constant"), learning_rate=0.0, n_parameters=2)
    consultation.start_segment(known=3)
    consultation.note_agreement(torch.tensor([1.0, 0.0]), torch.tensor([1.0, 0.0]))
    rounds = rounds_of(Tally(2), Tally(2, episodes=2, successes=0), Tally(2, episodes=6, successes=3))
    consultation.ask(0.3, rounds, 100.0)
    assert consultation.context == pytest.approx(Context(0.3, 0.75, 3 * 0.75, 1.0, 0.5, 0.1))
    rounds.read(Tally(2, episodes=7, successes=4))
    consultation.ask(0.4, rounds, 1.0)
    assert consultation.context == pytest.approx(Context(0.4, 4 / 5, 3 * 4 / 5, 0.0, 0.5, 0.1))
