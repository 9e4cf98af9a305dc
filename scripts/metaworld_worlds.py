"""Meta-World's tasks as EnvPool has them and as the official package has them, for scripts/verify_metaworld.py.

The official package wants another MuJoCo than nestrl, so it gets a virtual environment and a process of its own, in
which scripts/metaworld_worker.py runs.
"""

import importlib
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from nestrl.agents.environments import ended_observations, make_environment, succeeded
from nestrl.agents.envpool_env import CONTINUAL_WORLD, PREFIX
from nestrl.errors import EnvironmentFault, NestrlError
from nestrl.tasks.sequence import Task

OFFICIAL = ("metaworld==3.1.1", "packaging")  # gymnasium's MuJoCo environments want packaging and do not say so
PINNED_MUJOCO = "3.3.0"
WORKER = Path(__file__).resolve().with_name("metaworld_worker.py")

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


class World(Protocol):
    """n simulations of one task."""

    n: int

    def reset(self, seeds: list[int] | None) -> Floats:
        """Start an episode in each, for None the next of its stream; return observations (n, 39)."""

    def step(self, actions: Floats) -> tuple[Floats, Floats, Bools]:
        """Advance all by actions (n, 4); return observations (n, 39), rewards (n,), success (n,)."""


class EnvPoolWorld:
    """The task in EnvPool, as nestrl's evaluation makes it."""

    def __init__(self, task: Task, n: int) -> None:
        self.n = n
        self._environment = make_environment(task, n, evaluation=True)

    def reset(self, seeds: list[int] | None) -> Floats:
        """Start an episode in each; seeds make all simulations anew."""
        observations, _ = self._environment.reset(seed=seeds)  # type: ignore[arg-type]  # as gymnasium documents it
        return np.array(observations)

    def step(self, actions: Floats) -> tuple[Floats, Floats, Bools]:
        """Advance all; where an episode ends, its last observation and success are returned."""
        observations, rewards, terminated, truncated, infos = self._environment.step(actions.astype(np.float32))
        observations, rows = np.array(observations), np.flatnonzero(terminated | truncated)
        if len(rows):
            observations[rows] = ended_observations(self._environment, infos, rows)
        return observations, np.array(rewards, float), succeeded(infos, self.n)

    def close(self) -> None:
        """Free the simulations."""
        self._environment.close()


class OfficialWorld:
    """The task in the official package, which runs in another process with another Python."""

    def __init__(self, python: Path, worker: Path = WORKER) -> None:
        """Start the process."""
        self.n = 0
        command = [str(python), "-I", str(worker)]  # what PYTHONPATH adds is not the worker's
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, do: str, **arguments: Any) -> dict[str, Any]:
        """Return the answer to a request; raises EnvironmentFault with the worker's error, or if it has ended."""
        try:
            self._input.write(json.dumps({"do": do, **arguments}) + "\n")
            self._input.flush()
            line = self._output.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise EnvironmentFault(
                f"The worker of the official Meta-World ended when asked to {do}; see above for why."
            )
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise EnvironmentFault(f"The official Meta-World failed to {do}: {answer['error']}.")
        return answer

    def make(self, task: Task, n: int) -> tuple[Floats, Floats]:
        """Make n simulations of the task that EnvPool would make; return the bounds (d,), (d,) of their starts."""
        answer = self.ask("make", task=official_name(task), n=n, **official_settings(task))
        self.n = n
        return np.array(answer["low"]), np.array(answer["high"])

    def reset(self, seeds: list[int] | None) -> Floats:
        """Start a random episode in each simulation."""
        return np.array(self.ask("reset", seeds=seeds)["observations"])

    def start(self, starts: Floats) -> Floats:
        """Start the episodes (n, d) in which objects and goals stand where they say; return observations (n, 39)."""
        return np.array(self.ask("start", starts=starts.tolist())["observations"])

    def step(self, actions: Floats) -> tuple[Floats, Floats, Bools]:
        """Advance all by actions, which are rounded to the 32 bits that EnvPool takes."""
        answer = self.ask("step", actions=actions.astype(np.float32).tolist())
        return np.array(answer["observations"]), np.array(answer["rewards"], float), np.array(answer["success"], bool)

    def expert(self, observations: Floats) -> Floats:
        """Return the actions (n, 4) of the task's scripted policy."""
        return np.array(self.ask("expert", observations=observations.tolist())["actions"])

    def close(self) -> None:
        """End the process."""
        with suppress(BrokenPipeError):
            self._input.close()
        self._output.close()
        self._process.wait()

    @property
    def _input(self) -> Any:
        return self._process.stdin

    @property
    def _output(self) -> Any:
        return self._process.stdout


def official_name(task: Task) -> str:
    """Return what the official package calls the task ("door-open-v3")."""
    envpool = importlib.import_module("envpool")
    name: str = envpool.make_spec(task.env_id.removeprefix(PREFIX)).config.task_name
    return name


def official_settings(task: Task) -> dict[str, Any]:
    """Return how long an official episode is and whether its goal is hidden, as the task's arguments say."""
    given = {**CONTINUAL_WORLD, **task.arguments(evaluation=True)}
    return {"horizon": given["max_episode_steps"], "partially_observable": given["partially_observable"]}


def official_python(venv: Path, mujoco: str = PINNED_MUJOCO) -> Path:
    """Return the Python of a virtual environment with the official package, made first if there is none.

    Raises NestrlError if it cannot be made.
    """
    python = venv / "bin" / "python"
    if not _has_official(python):
        print(f"installing {OFFICIAL[0]} into {venv}; it takes a minute", flush=True)
        install = (python, "-m", "pip", "install", "--quiet")
        for command in (
            (sys.executable, "-m", "venv", venv),
            (*install, *OFFICIAL),
            (*install, "--no-deps", f"mujoco=={mujoco}"),
        ):
            subprocess.run([str(word) for word in command])
    if not _has_official(python):
        raise NestrlError(
            f"{OFFICIAL[0]} could not be installed into {venv}; see above for why. It wants mujoco 3.3.0, which has "
            "wheels up to Python 3.13. --venv can name an environment of another Python that has it."
        )
    return python


def _has_official(python: Path) -> bool:
    """Return whether this Python is there and can import the official package."""
    command = [str(python), "-I", "-c", "import metaworld.policies"]
    return python.exists() and subprocess.run(command, capture_output=True).returncode == 0


@contextmanager
def opened(python: Path) -> Iterator[OfficialWorld]:
    """Give the official world, and end its process at the end."""
    official = OfficialWorld(python)
    try:
        yield official
    finally:
        official.close()
