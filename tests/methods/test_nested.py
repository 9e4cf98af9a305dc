import numpy as np
import pytest
import torch

from nestrl.errors import BadConfig, UnknownName
from nestrl.methods.cloning import Cloning, CloningOptions
from nestrl.methods.nested import Nested
from nestrl.nested.levels import REMOVABLE
from nestrl.nested.options import NestedOptions
from nestrl.nested.peak import Peak
from nestrl.updates.drift import drift_between
from nestrl.updates.values import values_of

from .fake_learner import FEATURES, TASKS, FakeLearner, live
from .keeping import finetune, keeps_and_learns, parameters_after, resumes_exactly, same


def nested(**options):
    levels = set(options.get("levels", REMOVABLE))
    usual = {"consolidation": 100} if "slow_policy" in levels else {}
    usual |= {"samples": 256} if levels & {"dual_weights", "slow_policy"} else {}
    return lambda learner: Nested(NestedOptions(**usual | options), learner, seed=0)


def test_with_no_level_it_is_the_base_optimizer_to_the_bit():
    assert same(parameters_after(nested(levels=())), parameters_after(finetune))


def test_with_dual_weights_alone_it_is_cloning_to_the_bit():
    cloning = parameters_after(lambda learner: Cloning(CloningOptions(samples=256), learner, seed=0))
    assert same(parameters_after(nested(levels=("dual_weights",))), cloning)


def test_orders_that_change_nothing_change_nothing():
    fast = ("task_code", "meta_controller", "dual_weights")
    unchanged = parameters_after(nested(levels=fast, code_start="fresh"))
    assert same(unchanged, parameters_after(nested(levels=("dual_weights",))))


@pytest.mark.parametrize("order", ["share=0", "step=.5", "depth=.5", "code_step=3", "noise=.05"])
def test_each_order_has_its_effect(order):
    assert not same(parameters_after(nested(meta_controller=f"constant:{order}")), parameters_after(nested()))


def test_no_share_of_retention_is_finetuning():
    fast = ("meta_controller", "dual_weights")
    kept = parameters_after(nested(levels=fast, meta_controller="constant:share=0"))
    assert same(kept, parameters_after(finetune))


def test_half_the_step_moves_half_as_far():
    ends = [parameters_after(nested(meta_controller=f"constant:step={s}"), tasks=(0,), steps=1) for s in (1, 0.5)]
    start = FakeLearner().parameters()
    for begun, whole, half in zip(start, *ends, strict=True):
        torch.testing.assert_close(half - begun, 0.5 * (whole - begun), atol=1e-6, rtol=1e-3)


@pytest.mark.learning
@pytest.mark.parametrize("discrete", [False, True], ids=["Box", "Discrete"])
def test_keeps_what_finetuning_loses_and_learns_the_next_task(discrete):
    _, method = keeps_and_learns(nested(consolidation=400), discrete)
    assert method.measurements()["updates.slow_policy"] == 2


def test_counts_updates_as_the_level_table_says():
    learner = FakeLearner()
    method = nested(consult_every=16)(learner)
    live(method, learner, [0, 1], 40)
    counted = {name.removeprefix("updates."): n for name, n in method.measurements().items() if "updates." in name}
    assert counted == {"fast_policy": 80, "task_code": 80, "meta_controller": 5, "dual_weights": 40, "slow_policy": 2}


def test_the_inner_objective_is_success_in_training_also_without_a_meta_controller():
    learner = FakeLearner()
    method = nested(levels=("dual_weights",))(learner)
    live(method, learner, [0], 300)
    assert method.measurements()["inner"] == learner.tally.success > 0.5


@pytest.mark.parametrize("removed", REMOVABLE)
def test_each_rung_can_be_taken_out(removed):
    learner = FakeLearner()
    out = {removed, "rival"} if removed == "slow_policy" else {removed}  # there is no rival without a slow policy
    method = nested(levels=tuple(level for level in REMOVABLE if level not in out))(learner)
    live(method, learner, [0, 1], 20)
    assert f"updates.{removed}" not in method.measurements()


def test_old_tasks_are_answered_by_the_slow_policy_the_present_one_by_the_fast():
    learner = FakeLearner()
    method = nested(consolidation=400)(learner)
    live(method, learner, [0, 1], 50)
    assert method.measurements()["commits"] == 2
    method.begin(2, 2)
    assert method.policy_for(2) is learner.policy
    slow = method.policy_for(0)
    before = [value.clone() for value in slow.parameters]
    live(method, learner, [2], 5)
    assert method.policy_for(0) is not learner.policy
    assert not same(before, learner.parameters())


@pytest.mark.parametrize(
    ("drifts", "limits"),
    [({0: 0.05, 1: 0.002}, [0.1, 0.09]), ({0: 0.002}, [0.09, 0.03])],
    ids=["hardly kept", "not taken in"],
)
def test_what_the_slow_policy_answers_for_has_leeway_and_what_it_hardly_keeps_room(drifts, limits):
    learner = FakeLearner()
    method = nested(drift_limit=0.03, leeway=3.0)(learner)
    live(method, learner, [0, 1], 20)
    state = method.state_dict()
    state["slow"]["drifts"], state["start_drifts"] = drifts, {}
    method.load_state_dict(state)
    method.begin(2, 2)
    assert method.state_dict()["dual_weights"]["limits"][:2].tolist() == pytest.approx(limits)


@pytest.mark.parametrize("taken", [True, False])
def test_a_teacher_remembers_what_the_policy_that_is_kept_has_met(taken, monkeypatch):
    learner = FakeLearner()
    method = nested()(learner)
    method.begin(0, 0)
    method._peak.seen = np.ones((8, FEATURES + TASKS), np.float32)
    monkeypatch.setattr(Peak, "better", lambda self: values_of(method._parameters) if taken else None)
    method.end(0, 0, np.zeros((8, FEATURES + TASKS), np.float32))
    assert (method.state_dict()["memory"]["fields"]["observations"] == float(taken)).all()


class Standing(FakeLearner):
    """What it has learned stands in its way: it learns nothing more, unless it is renewed."""

    stands = succeeds = False

    def step(self, task):
        if not self.stands:
            return super().step(task)
        before = self.branch()
        loss = super().step(task)
        super().return_to(before)
        return loss

    def renew(self):
        super().renew()
        self.stands = False


def after_a_race(discrete, **options):
    """Live through a task and one that only a fresh network learns; return how far a policy is from the first skill."""
    learner = Standing(discrete)
    method = nested(consolidation=400, **options)(learner)
    live(method, learner, [0], 300)
    old = learner.observations(0, 1000)
    with torch.no_grad():
        known = method.policy_for(0).output(old)
    learner.stands = True
    (loss,) = live(method, learner, [1], 600)
    assert loss < 0.2
    return method, learner, lambda policy: drift_between(known, policy.output(old)).total.mean()


@pytest.mark.learning
@pytest.mark.parametrize("discrete", [False, True], ids=["Box", "Discrete"])
def test_where_what_is_known_learns_nothing_a_fresh_network_does_and_the_old_skill_is_kept(discrete):
    method, learner, drift = after_a_race(discrete)
    measured = method.measurements()
    assert (measured["races"], measured["races_won"], measured["commits"]) == (1, 1, 2)
    for policy in (method.policy_for(0), learner.policy):  # the fast policy goes on from the slow one
        assert drift(policy) < 0.03


def test_nobody_races_who_is_not_told_when_a_segment_ends():
    learner = Standing()
    learner.knows_boundaries = False
    method = nested()(learner)
    live(method, learner, [0], 300)
    learner.stands = True
    live(method, learner, [1], 300)
    assert method.measurements()["races"] == 0


def test_after_a_won_race_the_fast_policy_knows_the_old_skills_even_if_nothing_was_committed():
    method, learner, drift = after_a_race(discrete=False, drift_limit=1e-6)
    measured = method.measurements()
    assert (measured["races_won"], measured["commits"]) == (1, 1)
    assert drift(learner.policy) < 0.03
    method.begin(2, 2)
    start = method.state_dict()["start_drifts"]
    limits = method.state_dict()["dual_weights"]["limits"][:2]
    assert limits.tolist() == pytest.approx([2 * start[0], 2 * start[1]])  # not 1e-6, far below where it begins


def test_a_skill_that_a_race_has_won_is_taken_in_at_up_to_twice_the_limit():
    limit = 0.002
    method, _, _ = after_a_race(discrete=False, drift_limit=limit)
    drifts = method.state_dict()["slow"]["drifts"]
    assert method.measurements()["commits"] == 2
    assert drifts[0] < limit < drifts[1] < 2 * limit


def test_a_skill_that_only_the_fast_policy_has_outlives_a_race():
    method, learner, _ = after_a_race(discrete=False, drift_limit=1e-6)
    assert method.measurements()["commits"] == 1  # the second skill was not taken in
    rows, racing = learner.observations(1, 1000), []
    with torch.no_grad():
        known = method.policy_for(1).output(rows)

    def drift(policy):
        with torch.no_grad():
            return float(drift_between(known, policy.output(rows)).total.mean())

    def look(segment, task, observations):
        twin = nested(consolidation=400, drift_limit=1e-6)(learner)
        twin.load_state_dict(method.state_dict())
        racing.extend(drift(policy) for policy in (method.policy_for(1), twin.policy_for(1), learner))
        Nested.end(method, segment, task, observations)

    method.end, learner.stands = look, True
    (loss,) = live(method, learner, [2], 600)
    assert method.measurements()["races_won"] == 2 and loss < 0.2
    assert racing[0] == racing[1] < 0.03 < 0.3 < racing[2]
    assert drift(method.policy_for(1)) < 0.1


def test_a_skill_learned_anew_is_not_answered_for_by_a_slow_policy_that_has_its_old_self():
    learner = FakeLearner()
    method = nested(drift_limit=1e-6)(learner)
    live(method, learner, [0, 1])  # so narrow a limit lets the slow policy take in the first skill alone
    assert method.policy_for(0) is not learner.policy
    learner.skills[0] = learner.skills[1]
    live(method, learner, [0])
    assert method.measurements()["commits"] == 1
    assert method.policy_for(0) is learner.policy


def test_neither_the_first_task_nor_one_that_comes_back_nor_one_that_succeeds_is_raced_for():
    learner = FakeLearner()
    method = nested()(learner)
    learner.succeeds = False
    live(method, learner, [0, 0], 40)
    learner.succeeds = True
    live(method, learner, [1], 40)
    assert method.measurements()["races"] == 0


def test_a_task_starts_with_the_code_of_the_skill_that_succeeds_in_it_and_with_its_own_where_none_is_better():
    learner = FakeLearner()
    method = nested()(learner)
    inputs = learner.trunk[0].weight[:, FEATURES:]
    live(method, learner, [0])
    inputs.data[:, 1] = inputs[:, 0]  # by itself the network does in the second task as in the first
    live(method, learner, [1])
    assert method.measurements()["source"] == -1
    learner.skills[2] = learner.skills[1]  # the third task is the second one again
    inputs.data[:, 2] = 5.0  # and what the network does there by itself is bad
    method.begin(2, 2)
    assert method.measurements()["source"] == 1
    assert torch.equal(inputs[:, 2], inputs[:, 1])
    assert learner.trials[-1] == (2, 8, True)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"code_start": "fresh"},
        {"meta_controller": "learned", "meta_learning_rate": 0.3},
        {"meta_controller": "constant:code_step=3,depth=.2"},
    ],
    ids=["constant", "fresh", "learned", "code"],
)
def test_resumed_in_the_middle_of_a_segment_it_ends_bit_identical(options):
    assert resumes_exactly(nested(consult_every=4, **options), steps=10)


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"levels": ("dual_weight",)}, UnknownName, "dual_weights"),
        ({"levels": ("dual_weights", "rival")}, BadConfig, "no rival without slow_policy"),
        ({"drift_limit": float("inf")}, BadConfig, "finite"),
        ({"drift_limit": 0.0}, BadConfig, "drift_limit"),
        ({"leeway": 0.0}, BadConfig, "leeway"),
        ({"levels": ("dual_weights",), "leeway": 2.0}, BadConfig, "leeway .* only with the level slow_policy"),
        ({"weight": 7.0}, BadConfig, "weight is 7.0, but does something only with dual_weights taken out"),
        ({"levels": ("dual_weights",), "consolidation": 7}, BadConfig, "only with the level slow_policy"),
        ({"levels": ("task_code",), "samples": 7}, BadConfig, "samples .* only with a level that keeps"),
        ({"levels": ("dual_weights",), "code_start": "blend"}, BadConfig, "code_start .* only with .* task_code"),
        ({"levels": ("dual_weights",), "meta_controller": "learned"}, BadConfig, "only with the level meta_controller"),
        ({"levels": ("dual_weights",), "meta_learning_rate": 0.1}, BadConfig, "only with the level meta_controller"),
        ({"meta_learning_rate": float("nan")}, BadConfig, "meta_learning_rate"),
        ({"code_start": "best"}, BadConfig, "skilled"),
        ({"meta_controller": "nowhere.safetensors"}, BadConfig, "learn-controller"),
    ],
)
def test_mistakes_get_one_clear_error(options, error, says):
    with pytest.raises(error, match=says):
        NestedOptions(**options)


@pytest.mark.parametrize(
    ("options", "discrete", "says"),
    [
        ({"levels": ("meta_controller",), "meta_controller": "constant:code_step=2"}, False, "task_code"),
        ({"meta_controller": "constant:noise=.01"}, True, "log_std"),
    ],
)
def test_a_constant_order_that_nothing_obeys_is_refused(options, discrete, says):
    with pytest.raises(BadConfig, match=says):
        nested(**options)(FakeLearner(discrete=discrete))


def test_constants_cannot_learn_inside_a_life():
    with pytest.raises(BadConfig, match="learned"):
        nested(meta_learning_rate=0.1)(FakeLearner())


def test_a_code_starts_from_the_latest_task_though_that_had_come_before():
    learner = FakeLearner()
    method = nested(code_start="latest")(learner)
    live(method, learner, [0, 1, 0], steps=2)
    method.begin(3, 2)
    assert method._sources == [0]


def test_weights_that_the_slow_policy_gives_count_as_other_weights():
    """So that trac, beside it, begins anew from there."""
    learner = FakeLearner()
    method = nested()(learner)
    live(method, learner, [0], steps=2)
    before = learner.renewals
    live(method, learner, [1], steps=2)
    assert method.measurements()["commits"] >= 1 and learner.renewals > before


def test_what_had_drifted_from_a_teacher_is_forgotten_with_it():
    learner = FakeLearner()
    method = nested()(learner)
    live(method, learner, [0, 1], steps=2)
    method._start_drifts = {0: 0.5, 1: 0.5}  # as after a race whose candidate was refused
    method._slow.consolidate = lambda *arguments: False
    method.begin(2, 0)
    method.end(2, 0, learner.observations(0, 64).numpy())
    assert method._start_drifts == {1: 0.5}


def test_the_agreement_of_gradients_is_read_as_often_by_a_controller_that_learns():
    read = []
    for rate in (0.0, 1e-12):
        learner = FakeLearner()
        method = nested(meta_controller="learned", meta_learning_rate=rate)(learner)
        live(method, learner, [0, 1], steps=40)
        read.append(method._consultation.state_dict()["agreement"])
    assert read[0] == pytest.approx(read[1], abs=1e-4) and read[0] != 0
