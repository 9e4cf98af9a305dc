"""What every registered task must hold, run over all of them."""

import warnings

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env as gymnasium_check
from stable_baselines3.common.env_checker import check_env as stable_baselines3_check

from nestrl_envs import TASKS
from nestrl_envs.fields import ACTION, OBSERVATION, column

ALL_DYNAMICS = {
    "friction": [1, 0.5],
    "tilt": 3,
    "payload": [0, 5],
    "motor_strength": {"base_x": 0.8, "lift": [1, 0.5]},
    "sensor_noise": 0.02,
    "action_delay": 2,
}
HARDER = {
    "RoverReach": {"radius": 0.04, "far": 2.5, "room": 3.0, "horizon": 120},
    "RoverSlalom": {"gate": 0.6},
    "RoverMaze": {"gap": 0.8, "layouts": "all"},
    "RoverDock": {"bay_width": 0.46, "heading_tolerance": 0.06},
    "RoverIce": {"friction_range": [0.02, 0.04], "horizon": 160},
    "RoverPush": {"box_size": 0.07, "radius": 0.06, "far": 1.2},
    "RoverButton": {"button_radius": 0.03},
    "RoverDoor": {"resistance": 16.0, "width": 0.7},
    "RoverDrawer": {"pull": 0.28, "resistance": 20.0},
    "RoverPickPlace": {"radius": 0.04},
}
every_task = pytest.mark.parametrize("env_id", TASKS)


def make_vector(env_id: str, n: int, **options: object) -> gym.vector.VectorEnv:
    return gym.make_vec(env_id, num_envs=n, vectorization_mode="vector_entry_point", **options)


@every_task
def test_passes_the_checkers_of_gymnasium_and_stable_baselines3(env_id: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # gymnasium advises against infinite bounds
        gymnasium_check(gym.make(env_id).unwrapped, skip_render_check=True)
        stable_baselines3_check(gym.make(env_id).unwrapped, warn=False)


@pytest.mark.learning
@every_task
@pytest.mark.parametrize("dynamics", [None, ALL_DYNAMICS], ids=["nominal", "drift"])
def test_a_batch_equals_single_environments_to_the_last_bit(env_id: str, dynamics: dict | None) -> None:
    n = 64 if dynamics is None else 8
    batch = make_vector(env_id, n, horizon=12, dynamics=dynamics, threads=2)
    singles = [gym.make(env_id, horizon=12, dynamics=dynamics).unwrapped for _ in range(n)]
    observations, _ = batch.reset(seed=7)
    assert np.array_equal(observations, [env.reset(seed=7 + i)[0] for i, env in enumerate(singles)])
    random = np.random.default_rng(0)
    for _ in range(30):  # two and a half episodes
        actions = random.normal(size=(n, 6))
        observations, rewards, terminated, truncated, _ = batch.step(actions)
        for i, env in enumerate(singles):
            observation, reward, *ended, _ = env.step(actions[i])
            assert reward == rewards[i] and ended == [terminated[i], truncated[i]]
            assert np.array_equal(env.reset()[0] if any(ended) else observation, observations[i])


@every_task
def test_state_goes_over_to_another_environment_to_the_last_bit(env_id: str) -> None:
    def run(env: gym.vector.VectorEnv, steps: int, random: np.random.Generator) -> np.ndarray:
        return np.stack([env.step(random.normal(size=(6, 6)))[0] for _ in range(steps)])

    env, other = (make_vector(env_id, 6, horizon=20, dynamics=ALL_DYNAMICS) for _ in range(2))
    env.reset(seed=3)
    run(env, 15, np.random.default_rng(1))
    state = env.unwrapped.get_state()
    expected = run(env, 30, np.random.default_rng(2))
    other.unwrapped.set_state(state)
    assert np.array_equal(run(other, 30, np.random.default_rng(2)), expected)
    with pytest.raises(ValueError, match="another number of simulations"):
        make_vector(env_id, 7, horizon=20, dynamics=ALL_DYNAMICS).unwrapped.set_state(state)


@every_task
@pytest.mark.parametrize("options", [{}, "harder"], ids=["default", "harder"])
def test_no_episode_starts_solved_and_random_actions_hardly_ever_succeed(env_id: str, options: dict | str) -> None:
    options = HARDER[env_id.split("/")[1].split("-")[0]] if options == "harder" else {}
    env = make_vector(env_id, 200, **options)
    env.reset(seed=11)
    simulations = env.unwrapped.simulations
    assert not simulations.solved().any()
    assert not simulations.failed().any()
    assert (np.abs(simulations.batch.qpos[:, :2]) < simulations.room - 0.2).all()
    random, successes, episodes = np.random.default_rng(0), 0, 0
    for _ in range(simulations.horizon):
        _, _, terminated, truncated, infos = env.step(random.uniform(-1, 1, size=(200, 6)))
        successes, episodes = successes + infos["is_success"].sum(), episodes + (terminated | truncated).sum()
    assert episodes >= 200
    assert successes / episodes < 0.05


@every_task
def test_starts_vary_over_episodes_and_repeat_with_the_seed(env_id: str) -> None:
    env = gym.make(env_id).unwrapped
    first, second, again = env.reset(seed=1)[0], env.reset()[0], env.reset(seed=1)[0]
    assert np.array_equal(first, again)
    assert not np.array_equal(first, second)


@every_task
def test_observations_keep_to_the_declared_ranges(env_id: str) -> None:
    env = make_vector(env_id, 32)
    random, low, high = np.random.default_rng(0), column(OBSERVATION, "low"), column(OBSERVATION, "high")
    observations, actions = [env.reset(seed=0)[0]], np.ones((32, 6))
    for _ in range(60):  # at full strength, for some ten steps each way, so that everything meets its stops
        actions = np.where(random.random((32, 6)) < 0.1, -actions, actions)
        observations.append(env.step(actions)[0])
    assert (np.concatenate(observations) >= low - 1e-6).all()
    assert (np.concatenate(observations) <= high + 1e-6).all()
    assert env.single_action_space.shape == (sum(field.size for field in ACTION),)


@every_task
def test_a_diverged_simulation_is_reset_and_counted_and_the_others_go_on(env_id: str) -> None:
    env, undisturbed = make_vector(env_id, 4), make_vector(env_id, 4)
    env.reset(seed=0), undisturbed.reset(seed=0)
    env.unwrapped.simulations.batch.qvel[2, 0] = 1e30
    actions = np.zeros((4, 6))
    observations, rewards, _, truncated, infos = env.step(actions)
    expected, expected_rewards, *_ = undisturbed.step(actions)
    others = [0, 1, 3]
    assert infos["diverged"].tolist() == [False, False, True, False]
    assert truncated[2] and env.unwrapped.simulations.diverged_count == 1
    assert np.isfinite(observations).all() and np.isfinite(rewards).all()
    assert np.array_equal(observations[others], expected[others])
    assert np.array_equal(rewards[others], expected_rewards[others])


@every_task
def test_reward_is_the_sum_of_its_terms(env_id: str) -> None:
    env = gym.make(env_id).unwrapped
    env.reset(seed=0)
    _, reward, _, _, info = env.step(env.action_space.sample())
    assert reward == pytest.approx(sum(value for name, value in info.items() if name.startswith("reward_")))
