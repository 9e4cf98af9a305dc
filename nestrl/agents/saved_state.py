"""What is not in a module's or optimizer's state but determines the future: replay buffer and random generators."""

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


def replay_state(replay: ReplayBuffer) -> dict[str, Any]:
    """Return the filled part of a replay buffer."""
    filled = replay.size()
    arrays = {name: getattr(replay, name)[:filled].copy() for name in REPLAY_ARRAYS}
    return {"pos": replay.pos, "full": replay.full, **arrays}


def load_replay_state(replay: ReplayBuffer, state: Mapping[str, Any]) -> None:
    """Fill a replay buffer as it was when `replay_state` was called."""
    replay.pos, replay.full = state["pos"], state["full"]
    for name in REPLAY_ARRAYS:
        getattr(replay, name)[: replay.size()] = state[name]


def random_state(action_space: Any, device: torch.device) -> dict[str, Any]:
    """Return the state of every generator that stable-baselines3 draws from."""
    name, key, *rest = cast("tuple[Any, ...]", np.random.get_state())
    return {
        "python": random.getstate(),
        "numpy": (name, key.tolist(), *rest),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state(device) if device.type == "cuda" else None,
        "action_space": action_space.np_random.bit_generator.state,
    }


def load_random_state(action_space: Any, device: torch.device, state: Mapping[str, Any]) -> None:
    """Set every generator as it was when `random_state` was called."""
    version, internal, gauss = state["python"]
    random.setstate((version, tuple(internal), gauss))
    name, key, *rest = state["numpy"]
    np.random.set_state((name, np.array(key, np.uint32), *rest))
    torch.set_rng_state(state["torch"])
    if state.get("cuda") is not None and device.type == "cuda":
        torch.cuda.set_rng_state(state["cuda"], device)
    action_space.np_random.bit_generator.state = state["action_space"]
