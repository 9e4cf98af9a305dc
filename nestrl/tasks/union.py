"""One observation and action space for all tasks of a sequence, so that one network can learn them.

Observation, float32 (D + N,), with D the widest task and N the number of tasks:

    [0 : D]      the task's own observation as a vector, then zeros
    [D : D + N]  which task this is: 1 at the task's index, 0 elsewhere

A Box is ravelled, a Discrete becomes a one-hot, a Dict is the concatenation of its entries with keys sorted.

Action: if every task is Discrete, Discrete(largest n), of which a smaller task uses `action % n`. Otherwise
Box(-1, 1, (A,)) with A the widest task: a Box task takes the first components and stretches them to its own bounds
(unbounded ones stay in [-1, 1]); a Discrete task takes the largest of its first n components.
"""

from collections.abc import Mapping, Sequence
from typing import Any, cast

import gymnasium
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from nestrl.errors import BadConfig, EnvironmentFault

Observations = NDArray[np.float32]
"""(n, D + N)."""
WIDEST = 1e9
"""Bounds of an action beyond this are no range that a policy could move in."""


def label_as(observations: Any, n_tasks: int, task_index: int) -> None:
    """Let union observations (n, D + N), an array or a tensor, say that they come from this task: in place."""
    observations[:, -n_tasks:] = 0.0
    observations[:, -n_tasks + task_index] = 1.0


class UnionSpace:
    """The shared space of N tasks. Raises BadConfig for a space that it cannot hold, and says which."""

    def __init__(
        self, observation_spaces: Sequence[gymnasium.Space[Any]], action_spaces: Sequence[gymnasium.Space[Any]]
    ) -> None:
        if not observation_spaces or len(observation_spaces) != len(action_spaces):
            counts = f"{len(observation_spaces)} observation and {len(action_spaces)} action spaces"
            raise BadConfig(f"A union needs one observation and one action space a task, but got {counts}.")
        self.observation_spaces = tuple(observation_spaces)
        self.action_spaces = cast("tuple[spaces.Box | spaces.Discrete, ...]", tuple(action_spaces))
        self.n_tasks = len(self.observation_spaces)
        self.observation_sizes = tuple(observation_size(space) for space in self.observation_spaces)
        self.feature_size = max(self.observation_sizes)
        self.action_space = _union_of_actions(self.action_spaces)
        width = self.feature_size + self.n_tasks
        self.observation_space = spaces.Box(-np.inf, np.inf, (width,), np.float32)
        self._stretch = {
            i: _stretch(space) for i, space in enumerate(self.action_spaces) if isinstance(space, spaces.Box)
        }

    def observe(self, task_index: int, observations: Any) -> Observations:
        """Return union observations (n, D + N) for what a vector environment of this task gave (n rows, any space).

        Raises EnvironmentFault if they are not as wide as the task's space.
        """
        flat = _flatten(self.observation_spaces[task_index], observations)
        if flat.shape[1] != self.observation_sizes[task_index]:
            raise EnvironmentFault(
                f"Task {task_index} gave observations of {flat.shape[1]} numbers, but its observation_space "
                f"{self.observation_spaces[task_index]} has {self.observation_sizes[task_index]}; mend the environment."
            )
        union = np.zeros((len(flat), self.feature_size + self.n_tasks), np.float32)
        union[:, : flat.shape[1]] = flat
        union[:, self.feature_size + task_index] = 1.0
        return union

    def act(self, task_index: int, actions: NDArray[Any]) -> NDArray[Any]:
        """Return what to give the task's vector environment for union actions, (n, A) in [-1, 1] or (n,) Discrete."""
        space = self.action_spaces[task_index]
        if isinstance(space, spaces.Discrete):
            # clipped, as stable-baselines3 does in training: of several numbers beyond 1, the first
            discrete = actions.ndim == 1
            choice = actions % space.n if discrete else np.clip(actions[:, : space.n], -1.0, 1.0).argmax(1)
            return np.asarray(choice + space.start, dtype=space.dtype)
        center, half_range = self._stretch[task_index]
        own = np.clip(actions[:, : len(center)], -1.0, 1.0) * half_range + center
        if np.issubdtype(space.dtype, np.integer):
            own = np.rint(own)
        own = np.clip(own, space.low.ravel(), space.high.ravel())  # rounding may leave them by a hair
        return np.asarray(own, dtype=space.dtype).reshape(-1, *space.shape)

    def layout(self) -> str:
        """Return what stands where in the union observation and action, for people."""
        width = self.feature_size
        lines = [f"observation: float32 ({width + self.n_tasks},), action: {self.action_space}"]
        for index, (size, action) in enumerate(zip(self.observation_sizes, self.action_spaces, strict=True)):
            lines.append(f"  task {index}: features [0:{size}], zeros [{size}:{width}], 1 at {width + index}; {action}")
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values from which `from_dict` makes a union that observes and acts alike."""
        return {
            "observations": [_space_to_dict(space) for space in self.observation_spaces],
            "actions": [_space_to_dict(space) for space in self.action_spaces],
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "UnionSpace":
        """Make a union from the values of `to_dict`."""
        observations = [_space_from_dict(space) for space in values["observations"]]
        return cls(observations, [_space_from_dict(space) for space in values["actions"]])


def observation_size(space: gymnasium.Space[Any]) -> int:
    """Return the length of an observation as a vector; BadConfig for a space that the union cannot hold."""
    match space:
        case spaces.Box():
            return int(np.prod(space.shape))
        case spaces.Discrete():
            return int(space.n)
        case spaces.Dict() if all(isinstance(key, str) for key in space.spaces):
            return sum(observation_size(part) for part in space.spaces.values())
    raise BadConfig(
        f"Observation space {space} cannot be part of a sequence; wrap the environment so that it observes a Box, "
        "a Discrete or a Dict of these with text as keys (gymnasium.wrappers.FlattenObservation makes a Box of most "
        "spaces)."
    )


def _flatten(space: gymnasium.Space[Any], observations: Any) -> NDArray[Any]:
    """Return batched observations of `space` as rows (n, size)."""
    match space:
        case spaces.Dict():
            return np.concatenate([_flatten(space[key], observations[key]) for key in sorted(space.spaces)], axis=1)
        case spaces.Discrete():
            hot: NDArray[np.bool_] = np.asarray(observations)[:, None] == np.arange(space.start, space.start + space.n)
            if not hot.any(axis=1).all():
                raise EnvironmentFault(f"An observation is outside its space {space}; mend the environment.")
            return hot
    return np.asarray(observations).reshape(len(observations), -1)


def _union_of_actions(action_spaces: Sequence[gymnasium.Space[Any]]) -> spaces.Box | spaces.Discrete:
    sizes = []
    for space in action_spaces:
        match space:
            case spaces.Box():
                sizes.append(int(np.prod(space.shape)))
            case spaces.Discrete():
                sizes.append(int(space.n))
            case _:
                raise BadConfig(
                    f"Action space {space} cannot be part of a sequence; wrap the environment so that it takes a Box "
                    "or a Discrete (gymnasium.wrappers.TransformAction does it in a line)."
                )
    if all(isinstance(space, spaces.Discrete) for space in action_spaces):
        return spaces.Discrete(max(sizes))
    return spaces.Box(-1.0, 1.0, (max(sizes),), np.float32)


def _stretch(space: spaces.Box) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return centre and half range (size,) that take [-1, 1] to the bounds of a Box; 0 and 1 where it has none.

    Raises BadConfig for numbers that are bounded on one side only, or too widely for 32 bits, and where there are none.
    """
    low, high = space.low.astype(float).ravel(), space.high.astype(float).ravel()
    bounded = np.isfinite(low) & np.isfinite(high)
    if (np.isfinite(low) != np.isfinite(high)).any():
        raise BadConfig(f"The action space {space} is bounded on one side only; wrap the environment so that both are.")
    if not low.size or max(abs(low[bounded]).max(initial=0), abs(high[bounded]).max(initial=0)) > WIDEST:
        raise BadConfig(f"The action space {space} has no numbers, or bounds beyond {WIDEST:g}; wrap the environment.")
    low, high = np.where(bounded, low, -1.0), np.where(bounded, high, 1.0)
    return ((high + low) / 2).astype(np.float32), ((high - low) / 2).astype(np.float32)


def _space_to_dict(space: gymnasium.Space[Any]) -> dict[str, Any]:
    match space:
        case spaces.Dict():
            return {"dict": {key: _space_to_dict(part) for key, part in space.spaces.items()}}
        case spaces.Discrete():
            return {"discrete": int(space.n), "start": int(space.start)}
    box = cast("spaces.Box", space)
    bounds = {name: _bounds(getattr(box, name)) for name in ("low", "high")}
    return {"box": list(box.shape), "dtype": np.dtype(box.dtype).name, **bounds}


def _bounds(values: NDArray[Any]) -> list[float | int | None]:
    """Return a Box's bounds ravelled, None for no bound: JSON has no infinity."""
    return [value.item() if np.isfinite(value) else None for value in values.ravel()]


def _space_from_dict(values: Mapping[str, Any]) -> gymnasium.Space[Any]:
    if "dict" in values:
        return spaces.Dict({key: _space_from_dict(part) for key, part in values["dict"].items()})
    if "discrete" in values:
        return spaces.Discrete(values["discrete"], start=values["start"])
    shape, dtype = values["box"], np.dtype(values["dtype"])
    low = np.array([-np.inf if bound is None else bound for bound in values["low"]], dtype)
    high = np.array([np.inf if bound is None else bound for bound in values["high"]], dtype)
    return spaces.Box(low.reshape(shape), high.reshape(shape), dtype=dtype.type)
