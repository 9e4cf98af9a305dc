"""n simulations of one MuJoCo model, stepped together: the class that every fast task derives from."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import mujoco
import numpy as np
from mujoco.batch import Batch

from nestrl_envs.arguments import require_whole
from nestrl_envs.fields import Field, column
from nestrl_envs.shaping import reward_terms

Rows = np.ndarray | slice  # which simulations: their ids (m,), or slice(None) for all
ALL = slice(None)
WORTH_THREADS = 16  # simulations below which one thread is quickest
_WARNING = mujoco.mjtWarning
BAD_STATE = [int(kind) for kind in (_WARNING.mjWARN_BADQPOS, _WARNING.mjWARN_BADQVEL, _WARNING.mjWARN_BADQACC)]


@dataclass(frozen=True)
class Outcome:
    """What a step led to, one row a simulation: (n,) each; `terms` are the reward's parts and add up to it."""

    reward: np.ndarray
    terminated: np.ndarray
    truncated: np.ndarray
    success: np.ndarray
    diverged: np.ndarray
    terms: dict[str, np.ndarray]


class BatchEnv:
    """One MjModel, n simulations. A task says how it starts, what it observes, its potential and when it is solved.

    Every random number of an episode comes from a generator made of (seed of the simulation, number of the episode),
    so an episode is the same in a batch of any size, and an exact checkpoint needs no generator's state.
    """

    observed: ClassVar[tuple[Field, ...]]
    driven: ClassVar[tuple[Field, ...]]
    draws: ClassVar[int]  # how many uniform random numbers `start` uses
    default_horizon: ClassVar[int]  # control steps
    hold_steps: ClassVar[int] = 3  # control steps for which success must hold
    timestep: ClassVar[float] = 0.04  # s of a physics step
    substeps: ClassVar[int] = 2  # physics steps a control step

    def __init__(self, num_simulations: int = 1, *, horizon: int | None = None, threads: int = 0) -> None:
        require_whole("num_simulations", num_simulations, 1)
        require_whole("threads", threads, 0)  # 0: all cores
        if horizon is not None:
            require_whole("horizon", horizon, 1)
        self.num_simulations = num_simulations
        self.horizon = horizon or self.default_horizon
        self.model = self.build()
        self.model.opt.timestep = self.timestep
        alone = 1 if num_simulations < WORTH_THREADS else 0  # 0: the batch takes all cores
        self.batch = batch = Batch(self.model, num_simulations, threads or alone)
        self.qpos, self.qvel, self.ctrl = batch.qpos, batch.qvel, batch.ctrl  # live views (n, ...)
        self.mocap_pos, self.mocap_quat = batch.mocap_pos, batch.mocap_quat
        self._warnings = batch.warning[:, :, 1]  # how often each kind was given, live
        self.active = np.ones(num_simulations, bool)  # the others are not stepped: evaluation saves their cost
        self.diverged_count = 0
        self._arrays: dict[str, np.ndarray] = {}
        self._expanded: dict[str, np.ndarray] = {}
        self.seed = self.array("seed", dtype=np.int64)
        self.episode = self.array("episode", dtype=np.int64)
        self.steps = self.array("steps", dtype=np.int64)
        self.held = self.array("held", dtype=np.int64)
        self.last_potential = self.array("potential")

    # What a task defines.

    def build(self) -> mujoco.MjModel:
        """Return the compiled model."""
        raise NotImplementedError

    def start(self, ids: np.ndarray, draw: np.ndarray) -> None:
        """Write the start of an episode into the simulations `ids` (m,), from `draw` (m, draws) uniform in [0, 1)."""
        raise NotImplementedError

    def command(self, actions: np.ndarray) -> None:
        """Write actions (n, A), clipped to [-1, 1], into `ctrl`."""
        raise NotImplementedError

    def observe(self, rows: Rows = ALL) -> np.ndarray:
        """Return observations (m, D) float32."""
        raise NotImplementedError

    def potential(self, rows: Rows = ALL) -> np.ndarray:
        """Return the shaping potential phi in m, (m,): minus the remaining path."""
        raise NotImplementedError

    def solved(self, rows: Rows = ALL) -> np.ndarray:
        """Return whether the condition of success is met at this moment, (m,) bool."""
        raise NotImplementedError

    def failed(self) -> np.ndarray:
        """Return whether the episode has ended without success before its time, (n,) bool."""
        return np.zeros(self.num_simulations, bool)

    def advance(self) -> None:
        """Update what the task remembers within an episode (gates passed, for example), after a control step."""

    # What all tasks share.

    def array(self, name: str, *shape: int, dtype: type = float) -> np.ndarray:
        """Return a zero array (n, *shape) that belongs to the state of the simulations; write into it in place."""
        self._arrays[name] = np.zeros((self.num_simulations, *shape), dtype)
        return self._arrays[name]

    def expand(self, name: str) -> np.ndarray:
        """Return the model field `name` per simulation (n, ...), live, and count it as part of the state."""
        self._expanded[name] = self.batch.expand(name)
        return self._expanded[name]

    def reset(self, ids: np.ndarray | None = None, seeds: np.ndarray | None = None) -> None:
        """Start an episode in the simulations `ids` (m,), default all; `seeds` (m,) begin their series anew."""
        ids = np.arange(self.num_simulations) if ids is None else np.asarray(ids)
        if seeds is not None:
            self.seed[ids], self.episode[ids] = seeds, 0
        generators = [np.random.default_rng((self.seed[i], self.episode[i])) for i in ids]
        self.episode[ids] += 1
        self.steps[ids] = self.held[ids] = 0
        self.batch.reset(ids, stage=mujoco.mjtStage.mjSTAGE_NONE)
        self.start(ids, np.stack([generator.random(self.draws) for generator in generators]))
        self.after_start(ids, generators)
        self.last_potential[ids] = self.potential(ids)

    def after_start(self, ids: np.ndarray, generators: list[np.random.Generator]) -> None:
        """Draw what an episode needs beside its start (sensor noise, for example)."""

    def step(self, actions: np.ndarray) -> Outcome:
        """Advance the active simulations by one control step of `substeps` physics steps; `actions` (n, A)."""
        actions = self._checked(actions)
        self.command(actions)
        ids = None if self.active.all() else np.flatnonzero(self.active)
        warnings = self._warnings[:, BAD_STATE]
        self.batch.step(ids, nstep=self.substeps)
        diverged = (self._warnings[:, BAD_STATE] > warnings).any(axis=1)
        self.steps += self.active
        self.advance()
        held = np.where(self.solved() & ~diverged, self.held + 1, 0)
        self.held[:] = np.where(self.active, held, self.held)
        success = self.active & (self.held >= self.hold_steps)
        potential = np.where(diverged, self.last_potential, self.potential())
        terms = reward_terms(self.last_potential, potential, success, actions)
        self.last_potential[:] = potential
        self.diverged_count += int(diverged.sum())
        terminated = success | (self.active & self.failed() & ~diverged)
        truncated = self.active & ((self.steps >= self.horizon) | diverged) & ~terminated
        return Outcome(sum(terms.values()), terminated, truncated, success, diverged, terms)  # type: ignore[arg-type]

    def _checked(self, actions: np.ndarray) -> np.ndarray:
        actions = np.asarray(actions, float)
        expected = (self.num_simulations, sum(field.size for field in self.driven))
        if actions.shape != expected:
            raise ValueError(f"actions have shape {actions.shape}, expected {expected}")
        if not np.isfinite(actions).all():
            raise ValueError("an action is NaN or infinite: the policy has diverged")
        return np.clip(actions, -1.0, 1.0)

    @property
    def observation_scale(self) -> np.ndarray:
        """Typical size of every observed number, (D,) float32: divide by it before a network."""
        return column(self.observed, "scale")

    def get_state(self) -> dict[str, np.ndarray]:
        """Return everything that determines the future of the simulations, copied."""
        state = {f"array.{name}": values.copy() for name, values in self._arrays.items()}
        state |= {f"field.{name}": values.copy() for name, values in self._expanded.items()}
        return state | {"physics": self.batch.state.copy()}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Restore what `get_state` returned, to the last bit; raise ValueError if it belongs to another environment."""
        here = {name: values.shape for name, values in self.get_state().items()}
        if here != {name: np.shape(values) for name, values in state.items()}:
            raise ValueError("this state belongs to another task, other arguments or another number of simulations")
        for name, values in self._arrays.items():
            values[:] = state[f"array.{name}"]
        for name, values in self._expanded.items():
            values[:] = state[f"field.{name}"]
        self.after_restore()
        self.batch.state[:] = state["physics"]

    def after_restore(self) -> None:
        """Recompute what depends on restored model fields."""
