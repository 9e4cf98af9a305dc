"""What is not in a module's or optimizer's state but determines the future: counts, replay buffer, generators."""

import random
from collections.abc import Mapping
from copy import deepcopy
from typing import Any, cast

import numpy as np
import torch
from stable_baselines3.common.buffers import ReplayBuffer
from torch import Tensor

REPLAY_ARRAYS = ("observations", "next_observations", "actions", "rewards", "dones", "timeouts")


def copied(value: Any) -> Any:
    """Return a copy that shares no memory with the living agent, without any graph."""
    if isinstance(value, Tensor):
        return value.detach().clone()
    if isinstance(value, dict):
        return {key: copied(item) for key, item in value.items()}
    return deepcopy(value)


def rest_of(algorithm: Any) -> dict[str, Any]:
    """Return what an algorithm has beside policy and optimizers: its numbers, replay buffer and generators."""
    replay = getattr(algorithm, "replay_buffer", None)
    return {
        "counters": _numbers(algorithm),
        "replay": None if replay is None else _replay_state(replay),
        "random": _random_state(algorithm.action_space, algorithm.device),
    }


def load_rest(algorithm: Any, state: Mapping[str, Any]) -> None:
    """Make all that as it was when `rest_of` was called."""
    for name, value in state["counters"].items():
        setattr(algorithm, name, value)
    if getattr(algorithm, "replay_buffer", None) is not None:
        _load_replay_state(algorithm.replay_buffer, state["replay"])
    _load_random_state(algorithm.action_space, algorithm.device, state["random"])


def _numbers(algorithm: Any) -> dict[str, float]:
    """Return what an algorithm counts, and what a kind of it may change as it learns; the clock's time is no state."""
    numbers = {name: value for name, value in vars(algorithm).items() if type(value) in (bool, int, float)}
    return {name: value for name, value in numbers.items() if name != "start_time"}


def _replay_state(replay: ReplayBuffer) -> dict[str, Any]:
    """Return the filled part of a replay buffer."""
    filled = replay.size()
    arrays = {name: getattr(replay, name)[:filled].copy() for name in REPLAY_ARRAYS}
    return {"pos": replay.pos, "full": replay.full, **arrays}


def _load_replay_state(replay: ReplayBuffer, state: Mapping[str, Any]) -> None:
    """Fill a replay buffer as it was when `_replay_state` was called."""
    replay.pos, replay.full = state["pos"], state["full"]
    for name in REPLAY_ARRAYS:
        getattr(replay, name)[: replay.size()] = state[name]


def _random_state(action_space: Any, device: torch.device) -> dict[str, Any]:
    """Return the state of every generator that stable-baselines3 draws from."""
    name, key, *rest = cast("tuple[Any, ...]", np.random.get_state())
    return {
        "python": random.getstate(),
        "numpy": (name, key.tolist(), *rest),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state(device) if device.type == "cuda" else None,
        "action_space": action_space.np_random.bit_generator.state,
    }


def _load_random_state(action_space: Any, device: torch.device, state: Mapping[str, Any]) -> None:
    """Set every generator as it was when `_random_state` was called."""
    version, internal, gauss = state["python"]
    random.setstate((version, tuple(internal), gauss))
    name, key, *rest = state["numpy"]
    np.random.set_state((name, np.array(key, np.uint32), *rest))
    torch.set_rng_state(state["torch"])
    if state.get("cuda") is not None and device.type == "cuda":
        torch.cuda.set_rng_state(state["cuda"], device)
    action_space.np_random.bit_generator.state = state["action_space"]
