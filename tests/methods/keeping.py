"""What tests ask of every method: how much it keeps, and whether it goes on from its state bit for bit."""

import io

import torch

from nestrl.methods.finetune import Finetune, FinetuneOptions
from nestrl.updates.drift import drift_between

from .fake_learner import FakeLearner, live


def finetune(learner):
    return Finetune(FinetuneOptions(), learner, seed=0)


def drift_after_next_task(make_method, discrete=False, steps=100):
    """Learn task 0, then task 1; return the drift since on fresh observations of task 0, the losses, and the method."""
    learner = FakeLearner(discrete)
    method = make_method(learner)
    first = live(method, learner, [0], steps)
    observations = learner.observations(0, 2000)
    with torch.no_grad():
        teacher = learner.output(observations)
    second = live(method, learner, [1], steps)
    with torch.no_grad():
        drift = drift_between(teacher, learner.output(observations)).total.mean().item()
    return drift, first + second, method


def keeps_and_learns(make_method, discrete):
    """Assert that a drift limit of .03 holds where fine-tuning drifts, at hardly any loss; return drift and method."""
    kept, losses, method = drift_after_next_task(make_method, discrete, steps=400)
    lost, plain_losses, _ = drift_after_next_task(finetune, discrete, steps=400)
    assert kept < 0.06
    assert lost > 10 * kept
    assert losses[1] < plain_losses[1] + 0.1
    return kept, method


def parameters_after(make_method, tasks=(0, 1), steps=20):
    """Live with the method and the same data whatever it draws; return all parameters."""
    learner = FakeLearner()
    method = make_method(learner)
    learner.generator.manual_seed(5)
    live(method, learner, tasks, steps)
    return learner.parameters()


def same(ones, others):
    return all(torch.equal(one, other) for one, other in zip(ones, others, strict=True))


def resumes_exactly(make_method, steps=7):
    """Save within the third segment, load into a new learner and method; tell whether both go on alike."""
    learner, twin = FakeLearner(), FakeLearner()
    method, resumed = make_method(learner), make_method(twin)
    live(method, learner, [0, 1], 20)
    method.begin(2, 2)
    for _ in range(steps):
        learner.step(2)
    buffer = io.BytesIO()
    torch.save({"method": method.state_dict(), "optimizer": learner.optimizer.state_dict()}, buffer)
    for parameter, value in zip(twin.optimizer.param_groups[0]["params"], learner.parameters(), strict=True):
        parameter.data.copy_(value)
    twin.generator.set_state(learner.generator.get_state())
    twin.progress, twin.tally = learner.progress, learner.tally
    buffer.seek(0)
    state = torch.load(buffer, weights_only=True)
    twin.optimizer.load_state_dict(state["optimizer"])
    resumed.begin(2, 2)
    resumed.load_state_dict(state["method"])
    twin.optimizer.attach(resumed.regulate)
    alike = resumed.measurements() == method.measurements()
    for one in (learner, twin):
        for _ in range(10):
            one.step(2)
    return alike and resumed.measurements() == method.measurements() and same(learner.parameters(), twin.parameters())
