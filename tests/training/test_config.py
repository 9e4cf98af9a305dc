import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from stable_baselines3 import SAC
from tiny_worlds import tiny_config

from nestrl.agents.algorithms import hyperparameters
from nestrl.agents.config import AgentConfig
from nestrl.decode import decode
from nestrl.errors import BadConfig, UnknownName
from nestrl.methods import find_method
from nestrl.methods.cloning import CloningOptions
from nestrl.methods.finetune import FinetuneOptions
from nestrl.training.config import RunConfig
from nestrl.training.train import configure


@pytest.mark.parametrize("algorithm", ["ppo", "sac"])
def test_json_round_trip(algorithm: str) -> None:
    config = tiny_config(algorithm)
    assert RunConfig.from_json(config.to_json()) == config


def test_json_is_read_strictly() -> None:
    text = tiny_config().to_json()
    with pytest.raises(UnknownName, match=r"here\.json has no option 'sed'\. Did you mean 'seed'"):
        RunConfig.from_json(text.replace('"seed"', '"sed"'), "here.json")
    with pytest.raises(BadConfig, match=r"here\.json\.seed is 'one'; expected int"):
        RunConfig.from_json(text.replace('"seed": 0', '"seed": "one"'), "here.json")
    with pytest.raises(BadConfig, match=r"here\.json is not a run configuration"):
        RunConfig.from_json(text[:50], "here.json")


@pytest.mark.parametrize("name", ["evaluations_per_segment", "evaluation_episodes", "final_episodes", "threads"])
def test_counts_below_one_are_refused(name: str) -> None:
    with pytest.raises(BadConfig, match=f"{name} is 0"):
        tiny_config(**{name: 0})


def test_options_by_name() -> None:
    changed = tiny_config(method_options={}).with_options(
        [
            ("agent.network", [32, 16]),
            ("agent.hyperparameters.learning_rate", 1e-3),
            ("method.drift_limit", 1),
            ("evaluation_episodes", 5),
        ],
        CloningOptions,
    )
    assert changed.agent.network == (32, 16)
    assert changed.agent.hyperparameters == {"n_steps": 8, "n_epochs": 2, "learning_rate": 1e-3}
    assert changed.method_options == {"drift_limit": 1}
    assert changed.evaluation_episodes == 5
    assert replace(changed, agent=tiny_config().agent).sequence == tiny_config().sequence


def test_a_pair_comes_back_from_a_file_as_what_the_algorithm_takes() -> None:
    assert hyperparameters(SAC, {"train_freq": [1, "step"]}, 32)["train_freq"] == (1, "step")
    assert hyperparameters(SAC, {"train_freq": (1, "episode")}, 1)["train_freq"] == (1, "episode")
    with pytest.raises(BadConfig, match="32 simulations; set n_envs to 1"):
        hyperparameters(SAC, {"train_freq": (1, "episode")}, 32)


def test_the_learner_is_what_the_sequence_wants_unless_the_user_says_otherwise() -> None:
    wanted = {"n_envs": 16, "hyperparameters": {"n_steps": 200, "gamma": 0.9}}
    tasks = replace(tiny_config().sequence, agent=wanted)
    assert configure(tasks).agent == AgentConfig(**wanted)
    changed = configure(tasks, options={"agent.hyperparameters.gamma": 0.8, "agent.network": [8]}).agent
    assert changed == AgentConfig(network=(8,), n_envs=16, hyperparameters={"n_steps": 200, "gamma": 0.8})
    narrow = replace(tasks, agent=wanted | {"network": [8], "heads": "per_task"})
    with_sac = configure(narrow, options={"agent.algorithm": "sac"}).agent
    assert with_sac == AgentConfig("sac", network=(8,), heads="per_task")
    assert configure(tasks, agent=AgentConfig(n_envs=4)).agent == AgentConfig(n_envs=4)
    with pytest.raises(UnknownName, match=r"agent of the sequence .*'n_env'.*Did you mean 'n_envs'"):
        configure(replace(tasks, agent={"n_env": 16}))


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("agent.netwrk", 8, "agent.network"),
        ("method.drift_limt", 8, "method.drift_limit"),
        ("evaluation_episode", 8, "evaluation_episodes"),
        ("network", 8, "agent.network"),
    ],
)
def test_unknown_options_name_the_nearest(name: str, value: Any, message: str) -> None:
    with pytest.raises(UnknownName, match=message):
        tiny_config(method_options={}).with_options([(name, value)], CloningOptions)


def test_mistyped_option() -> None:
    with pytest.raises(BadConfig, match=r"agent\.network.*'wide'.*int"):
        tiny_config().with_options([("agent.network", "wide")], CloningOptions)


def test_option_of_another_method() -> None:
    with pytest.raises(UnknownName, match=r"method\.drift_limit"):
        tiny_config(method_options={}).with_options([("method.drift_limit", 0.1)], FinetuneOptions)


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        (float, 3, 3.0),
        (int, 1e6, 1_000_000),
        (int | float, 2.0, 2.0),
        (tuple[int, ...], 3, (3,)),
        (tuple[int, ...], [1, 2], (1, 2)),
        (float | None, None, None),
        (float | None, 1, 1.0),
        (dict[str, Any], {"a": 1}, {"a": 1}),
        (Mapping[str, int], {"a": np.int64(1)}, {"a": 1}),
        (Mapping[str, Sequence[int]], {"a": (1, 2)}, {"a": [1, 2]}),
        (tuple[int, float], [1, 2], (1, 2.0)),
        (tuple, [1, "a"], (1, "a")),
        (list[float], (1, 2), [1.0, 2.0]),
        (list, ["a", 1], ["a", 1]),
    ],
)
def test_decode(kind: Any, value: Any, expected: Any) -> None:
    came = decode(kind, value, "here")
    assert came == expected
    assert type(came) is type(expected)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        *((int, True), (int, 1.5), (int, math.inf), (int, 2**63), (float, 10**400)),
        *((float, "1"), (str, 1), (float | None, "x")),
        *((tuple[int, int], [1]), (tuple[int, int], [1, "2"])),
    ],
)
def test_decode_refuses(kind: Any, value: Any) -> None:
    with pytest.raises(BadConfig, match="here is"):
        decode(kind, value, "here")


def test_options_of_a_composition_within_a_composition() -> None:
    options = find_method("clonex+trac").options
    before = tiny_config(method="clonex+trac", method_options={"clonex": {"cloning": {"samples": 64}}})
    changed = before.with_options([("method.clonex.cloning.weight", 1.0)], options)
    assert changed.method_options == {"clonex": {"cloning": {"samples": 64, "weight": 1.0}}}
    assert before.method_options == {"clonex": {"cloning": {"samples": 64}}}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [({"initial_log_std": float("nan")}, "finite"), ({"noise_correlation": [0.5, 1.5]}, "below 1")],
)
def test_a_learner_that_makes_no_sense(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(BadConfig, match=message):
        AgentConfig(**wrong)


@pytest.mark.parametrize(
    ("field", "value"), [("sequence", "cw10"), ("method", None), ("method_options", []), ("threads", "2")]
)
def test_a_run_of_values_of_a_wrong_kind(field: str, value: Any) -> None:
    with pytest.raises(BadConfig, match=rf"run\.{field} is .*; expected"):
        tiny_config(**{field: value})


def test_correlations_may_come_as_a_list() -> None:
    assert AgentConfig(noise_correlation=[0.0, 0.9]).noise_correlation == (0.0, 0.9)  # type: ignore[arg-type]


@pytest.mark.parametrize("seed", ["3", None, 1.5])
def test_a_seed_is_a_whole_number(seed: Any) -> None:
    with pytest.raises(BadConfig, match="seed is .*expected int"):
        tiny_config(seed=seed)
    assert type(tiny_config(seed=np.int64(3)).seed) is int


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("network", "128", "int"),
        ("network", (64.5,), "int"),
        ("n_envs", "32", "int"),
        ("n_envs", True, "int"),
        ("initial_log_std", None, "float"),
        ("fresh_critic", "no", "bool"),
        ("hyperparameters", 3, "Mapping"),
        ("noise_correlation", "a", "float"),
    ],
)
def test_an_agent_of_wrong_types_gets_one_clear_error(field, value, expected):
    with pytest.raises(BadConfig, match=rf"^agent\.{field} is .*expected .*{expected}"):
        AgentConfig(**{field: value})


def test_an_agent_takes_one_width_for_a_network_of_one_block():
    assert AgentConfig(network=64).network == AgentConfig(network=[64]).network == (64,)
