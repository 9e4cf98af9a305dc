"""Is this gymnasium environment fit for a sequence? Each finding says what was seen and what to mend."""

import io
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, redirect_stdout
from dataclasses import dataclass, field
from typing import Any, Literal

import gymnasium as gym
import numpy as np
from gymnasium.utils.env_checker import check_env as gymnasium_check
from gymnasium.utils.env_checker import data_equivalence
from stable_baselines3.common.env_checker import check_env as stable_baselines3_check

from nestrl.agents.environments import SUCCESS_KEYS, find_spec, make_single
from nestrl.agents.envpool_env import PREFIX
from nestrl.errors import BadConfig, EnvironmentFault, in_words
from nestrl.evaluation.rollouts import LONGEST_EPISODE
from nestrl.tasks.union import UnionSpace

SAMPLE_STEPS = 2_000  # random actions from which all but the formal checks are judged
SAMPLE_SECONDS = 30.0  # a slow environment is judged on what it does in this time
SLOW = 500.0  # steps/s; below it, 150,000 steps of a segment take over five minutes
LARGE = 1e3  # an observation beyond this drowns the others
WIDE = 2_000  # so many numbers are pictures, or the like

# What the two checkers warn of and nestrl's union space takes care of by itself.
HANDLED = (
    *("symmetric and normalized", "render", "maximum value is infinity", "minimum value is -infinity", "float64"),
    *("found nan", "found inf", "NaN value", "contains NaN"),
)

Level = Literal["ok", "warn", "error"]
Make = Callable[[], gym.Env[Any, Any]]


@dataclass(frozen=True)
class Finding:
    """One thing seen: `level` ok, warn (usable, results may suffer) or error (mend it first)."""

    level: Level
    what: str
    remedy: str = ""


@dataclass
class Sample:
    """What random actions met: one row or entry a step, and one a finished episode."""

    observations: list[np.ndarray] = field(default_factory=list)  # flattened, (D,) each
    rewards: list[float] = field(default_factory=list)
    returns: list[float] = field(default_factory=list)  # one a finished episode
    successes: list[bool] = field(default_factory=list)  # one a finished episode, at any of its steps
    truncations: int = 0
    success_key: str | None = None
    seconds: float = 0.0  # spent in step() alone

    @property
    def enough(self) -> bool:
        """Whether the checks can be judged: enough steps and an ended episode, or no hope of one."""
        steps = len(self.rewards)
        return (steps >= SAMPLE_STEPS and bool(self.returns)) or steps >= LONGEST_EPISODE


def check_environment(env_id: str, env_kwargs: Mapping[str, Any] | None = None) -> list[Finding]:
    """Run every check on a gymnasium id and return what was found, in the order of the checks.

    `env_id` may name its package as gymnasium does: "my_package:MyArm-v0". Raises UnknownName for an id that nobody
    registered and EnvironmentFault for one that cannot be made; a fault met later is a finding of level "error".
    """
    spec = find_spec(env_id)

    def make() -> gym.Env[Any, Any]:
        return make_single(spec, env_kwargs or {}, disable_env_checker=True)

    findings = [*_first_make(env_id, make)]
    findings += _guarded("gymnasium's checker", _gymnasium, make)
    findings += _guarded("stable-baselines3's checker", _stable_baselines3, make)
    findings += _guarded("the determinism check", _determinism, make)
    findings += _guarded("an episode of random actions", _behaviour, make)
    return list(dict.fromkeys(findings))


def _first_make(env_id: str, make: Make) -> Iterator[Finding]:
    """Make it once; yield whether its spaces can be part of a sequence."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with closing(make()) as env:
                observed, acted = env.observation_space, env.action_space
    except Exception as error:
        raise EnvironmentFault(
            f"{env_id!r} cannot be made, asked for its spaces and closed: {in_words(error)}. Mend it, or give the "
            "arguments that it needs with --set NAME=VALUE."
        ) from error
    try:
        union = UnionSpace([observed], [acted])
        yield Finding("ok", f"spaces fit: {observed} -> {acted}")
        if union.observation_sizes[0] > WIDE:
            remedy = "The networks here take numbers in a row, not pixels: observe what a picture would show."
            yield Finding("warn", f"an observation is {union.observation_sizes[0]:,} numbers", remedy)
    except BadConfig as error:
        problem, _, remedy = str(error).partition("; ")
        yield Finding("error", problem, remedy[:1].upper() + remedy[1:])


def _guarded(title: str, check: Callable[[Make], Iterable[Finding]], make: Make) -> Iterator[Finding]:
    """Yield a check's findings; what it raises and warns of becomes findings, too."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            yield from list(check(make))
        except Exception as error:
            remedy = "Mend what the message names; https://gymnasium.farama.org/api/env/ defines the interface."
            yield Finding("error", f"{title} met {in_words(error)}", remedy)
    for text in dict.fromkeys(" ".join(str(warning.message).split()) for warning in caught):
        if not any(handled in text for handled in HANDLED):
            yield Finding("warn", f"{title}: {_plain(text)}", "Worth a look; training works all the same.")


def _plain(text: str) -> str:
    """Take gymnasium's colour codes and "WARN:" off a warning."""
    return text.replace("\x1b[33m", "").replace("\x1b[0m", "").removeprefix("WARN: ")


def _gymnasium(make: Make) -> Iterator[Finding]:
    gymnasium_check(make().unwrapped, skip_render_check=True)  # closes it
    yield Finding("ok", "gymnasium's checker is content")


def _stable_baselines3(make: Make) -> Iterator[Finding]:
    env = make().unwrapped  # wrappers hide compute_reward, which it asks goal environments for
    with closing(env), redirect_stdout(io.StringIO()):
        try:
            stable_baselines3_check(env, warn=True, skip_render_check=True)
        except (AssertionError, ValueError) as error:  # of types that are read as what they are meant for, of numbers
            yield Finding("warn", f"stable-baselines3's checker: {error}", "Only stable-baselines3 alone would mind.")
            return
    yield Finding("ok", "stable-baselines3's checker is content")


def _episode(env: gym.Env[Any, Any], seed: int, steps: int = 50) -> tuple[Any, list[Any]]:
    """Return the start and everything that `steps` fixed random actions lead to, for one seed."""
    start, _ = env.reset(seed=seed)
    env.action_space.seed(0)
    course: list[Any] = []
    for _ in range(steps):
        observation, reward, terminated, truncated, _ = env.step(env.action_space.sample())
        course.append(
            (_comparable(observation), float(np.nan_to_num(float(reward))), bool(terminated), bool(truncated))
        )
        if terminated or truncated:
            break
    return _comparable(start), course


def _comparable(observation: Any) -> Any:
    """Return the same without NaN, which never equals itself and is a finding of its own."""
    if isinstance(observation, Mapping):
        return {key: _comparable(part) for key, part in observation.items()}
    if isinstance(observation, tuple):
        return tuple(map(_comparable, observation))
    floating = isinstance(observation, np.ndarray | np.floating) and observation.dtype.kind == "f"
    return np.nan_to_num(observation) if floating else observation


def _determinism(make: Make) -> Iterator[Finding]:
    with closing(make()) as first, closing(make()) as second:
        (start, course), (twin_start, twin_course) = _episode(first, seed=7), _episode(second, seed=7)
        again_start, again_course = _episode(first, seed=7)
        other_start, _ = _episode(first, seed=8)
    own_random = "Draw every random number from self.np_random and begin reset() with super().reset(seed=seed)."
    if not (data_equivalence(start, twin_start, exact=True) and data_equivalence(start, again_start, exact=True)):
        yield Finding("error", "the same seed gave different starts", own_random)
    elif not data_equivalence(course, twin_course, exact=True):
        yield Finding("error", "the same seed and actions gave different episodes", own_random)
    elif not data_equivalence(course, again_course, exact=True):
        yield Finding("error", "an episode depends on the one before it", "Let reset() set everything step() reads.")
    else:
        yield Finding("ok", "the same seed gives the same episode")
    if data_equivalence(start, other_start, exact=True):
        remedy = "Evaluation sees one start only: randomise it in reset() with self.np_random, if the task can vary."
        yield Finding("warn", "every seed gives the same start", remedy)
    else:
        yield Finding("ok", "another seed gives another start")


def _behaviour(make: Make) -> Iterator[Finding]:
    with closing(make()) as env:
        sample = _sample(env)
        limit = _time_limit(env)
        hint = env.spec.reward_threshold if env.spec else None
    if not sample.rewards:
        remedy = "Make reset() faster: leave to __init__ what is needed once, such as loading or compiling a model."
        yield Finding("error", f"no step within {SAMPLE_SECONDS:g} s, since reset() took that long", remedy)
        return
    yield from _numbers(sample)
    yield from _horizon(sample, limit)
    yield from _success(sample, hint, spoken=not (env.spec and env.spec.id.startswith(PREFIX)))
    yield from _speed(sample)


def _time_limit(env: gym.Env[Any, Any]) -> int | None:
    """Return after how many steps an episode is cut off, as registered or as the environment (EnvPool's) says."""
    registered = env.spec.max_episode_steps if env.spec else None
    said = getattr(env.unwrapped, "max_episode_steps", None)
    return registered or (said if isinstance(said, int) else None)


def _sample(env: gym.Env[Any, Any]) -> Sample:
    """Act at random (fixed seeds) until the checks can be judged or the time is over."""
    env.action_space.seed(0)
    sample, began = Sample(), time.perf_counter()
    while not sample.enough and time.perf_counter() - began < SAMPLE_SECONDS:
        observation, _ = env.reset(seed=len(sample.returns))
        total, success, over = 0.0, False, False
        while not over and len(sample.rewards) < LONGEST_EPISODE and time.perf_counter() - began < SAMPLE_SECONDS:
            action = env.action_space.sample()
            clock = time.perf_counter()
            observation, reward, terminated, truncated, info = env.step(action)
            sample.seconds += time.perf_counter() - clock
            sample.observations.append(np.asarray(gym.spaces.flatten(env.observation_space, observation), float))
            sample.rewards.append(float(reward))
            sample.success_key = sample.success_key or next((key for key in SUCCESS_KEYS if key in info), None)
            total += float(reward)
            success |= any(bool(info.get(key)) for key in SUCCESS_KEYS)
            over = bool(terminated or truncated)
            sample.truncations += int(truncated)
        if over:
            sample.returns.append(total)
            sample.successes.append(success)
    return sample


def _numbers(sample: Sample) -> Iterator[Finding]:
    with np.errstate(over="ignore"):
        observations = np.stack(sample.observations).astype(np.float32)  # as a learner sees them
    if np.isfinite(sample.rewards).all():
        yield Finding("ok", f"rewards are finite, {min(sample.rewards):.3g} to {max(sample.rewards):.3g} a step")
    else:
        step = int(np.flatnonzero(~np.isfinite(sample.rewards))[0]) + 1
        remedy = "Bound what the reward divides by or takes a root of."
        yield Finding("error", f"a reward was NaN or infinite, first in step {step} under random actions", remedy)
    bad = np.flatnonzero(~np.isfinite(observations).all(axis=0))
    if bad.size:
        remedy = "End the episode before the simulation diverges, or clip these entries."
        step = int(np.flatnonzero(~np.isfinite(observations).all(axis=1))[0]) + 1
        what = f"the observation was NaN or infinite at {_indices(bad)}, first in step {step} under random actions"
        yield Finding("error", what, remedy)
        return
    large = np.flatnonzero(np.abs(observations).max(axis=0) > LARGE)
    constant = np.flatnonzero(np.ptp(observations, axis=0) == 0)
    if large.size:
        remedy = "Observe in units in which usual values are about 1 (metres, radians), or leave these entries out."
        yield Finding("warn", f"the observation exceeds {LARGE:g} at {_indices(large)}", remedy)
    if constant.size:
        remedy = "Harmless if they tell this task from others; else leave them out."
        yield Finding("warn", f"the observation never changes at {_indices(constant)}", remedy)
    if not large.size and not constant.size:
        yield Finding("ok", f"all {observations.shape[1]} observation entries vary within +-{LARGE:g}")


def _indices(indices: np.ndarray) -> str:
    text = ", ".join(str(index) for index in indices[:8])
    return f"{'index' if indices.size == 1 else 'indices'} {text}{', ...' if indices.size > 8 else ''}"


def _horizon(sample: Sample, limit: int | None) -> Iterator[Finding]:
    remedy = "Register it with max_episode_steps=..., so that every episode ends."
    if limit is not None and limit > LONGEST_EPISODE:
        yield Finding("error", f"episodes may have {limit} steps, more than {LONGEST_EPISODE}", "Split the task.")
    elif limit is not None and not sample.returns and len(sample.rewards) > limit:
        what = f"no episode ended within {len(sample.rewards)} steps, though its limit is said to be {limit}"
        yield Finding("error", what, "Let it end with terminated or truncated; nothing here would ever end it.")
    elif limit is not None:
        yield Finding("ok", f"episodes end after at most {limit} steps")
    elif not sample.returns:
        known = len(sample.rewards) >= LONGEST_EPISODE  # else the time for samples was over first
        yield Finding("error" if known else "warn", f"no episode ended within {len(sample.rewards)} steps", remedy)
    elif not sample.truncations:
        yield Finding("warn", "episodes ended by themselves but have no time limit; a good policy's may never", remedy)
    else:
        yield Finding("ok", "the environment ends its episodes itself")


def _success(sample: Sample, hint: float | None, spoken: bool) -> Iterator[Finding]:
    """`spoken`: whether whoever asks could make the environment tell, which EnvPool's are not."""
    if sample.success_key is None:
        random = f"random actions reach {np.max(sample.returns):.4g} at best" if sample.returns else "unknown yet"
        example = f", e.g. {hint:g}, its registered reward_threshold" if hint is not None else ""
        give = 'Put info["is_success"] into what step() returns, or give' if spoken else "Give"
        remedy = f"{give} the task a success_threshold on the return of an episode ({random}{example})."
        yield Finding("warn", "nothing tells whether an episode succeeded", remedy)
        return
    yield Finding("ok", f'info["{sample.success_key}"] tells success')
    rate = float(np.mean(sample.successes)) if sample.successes else 0.0
    if rate > 0.05:
        remedy = "A skill kept shows less the easier the task is: make the goal smaller, or let it be held for a time."
        yield Finding("warn", f"random actions succeed in {rate:.0%} of {len(sample.successes)} episodes", remedy)


def _speed(sample: Sample) -> Iterator[Finding]:
    speed = len(sample.rewards) / max(sample.seconds, 1e-9)
    what = f"{speed:,.0f} steps/s one at a time; 150,000 steps take {150_000 / speed / 60:.1f} min without training"
    if speed < SLOW:
        yield Finding("warn", what, "Fewer physics substeps, a simpler scene, or shorter segments.")
    else:
        yield Finding("ok", what)
