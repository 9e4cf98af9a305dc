"""Any gymnasium id becomes a vector environment that restarts episodes within the step."""

import gymnasium
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode

from nestrl.agents.environments import find_spec, make_environment, succeeded
from nestrl.errors import EnvironmentFault, UnknownName
from nestrl.tasks.sequence import Task


@pytest.mark.parametrize("env_id", ["Pendulum-v1", "CartPole-v1", "Reacher-v5", "nestrl_envs:nestrl/RoverReach-v0"])
def test_episodes_restart_within_the_step(env_id: str) -> None:
    environment = make_environment(Task("any", env_id), 3)
    assert environment.num_envs == 3
    assert environment.metadata["autoreset_mode"] == AutoresetMode.SAME_STEP
    environment.close()


def test_arguments_reach_the_environment() -> None:
    environment = make_environment(Task("light", "Pendulum-v1", {"g": 1.0}), 2)
    assert environment.get_attr("g") == (1.0, 1.0)


def test_unknown_id_names_the_nearest() -> None:
    with pytest.raises(UnknownName, match=r"Pendulum-v1.*Did you mean|Did you mean.*Pendulum-v1"):
        find_spec("Pendulm-v1")
    with pytest.raises(UnknownName, match="cannot be imported"):
        find_spec("no_such_package:Arm-v0")


def test_our_own_id_without_its_package_is_explained() -> None:
    with pytest.raises(UnknownName, match='write "nestrl_envs:nestrl/RoverReech-v0"'):
        find_spec("nestrl/RoverReech-v0")


def test_a_failing_constructor_is_explained() -> None:
    with pytest.raises(EnvironmentFault, match=r"Pendulum-v1 could not be made with {'gravity': 3}: TypeError"):
        make_environment(Task("wrong", "Pendulum-v1", {"gravity": 3}), 2)


def test_version_of_an_old_id_is_not_guessed() -> None:
    with pytest.raises(UnknownName):
        find_spec("Pendulum-v77")
    assert find_spec("Pendulum-v1").id in gymnasium.registry


def test_success_is_read_from_running_and_ended_episodes() -> None:
    infos = {
        "success": np.array([1.0, 0.0, 0.0, 1.0]),  # the last one: of a new episode that starts solved
        "final_info": {"is_success": np.array([False, False, True, False])},
        "_final_info": np.array([False, False, True, True]),
    }
    assert succeeded(infos, 4).tolist() == [True, False, True, False]
    assert succeeded({}, 2).tolist() == [False, False]


def test_success_of_a_shape_is_taken_where_it_is_one_bool_and_refused_else() -> None:
    assert succeeded({"is_success": np.array([[True], [False]])}, 2).tolist() == [True, False]
    with pytest.raises(EnvironmentFault, match=r"'is_success'.*one bool"):
        succeeded({"is_success": np.ones((2, 3), bool)}, 2)
