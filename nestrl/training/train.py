"""What `nestrl.train` and the command line's `train` and `resume` do: choose, configure, run."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from nestrl.agents.agent import find_device
from nestrl.agents.config import AgentConfig
from nestrl.decode import decode
from nestrl.errors import BadConfig
from nestrl.methods import find_method
from nestrl.tasks.named import sequence as find_sequence
from nestrl.tasks.sequence import TaskSequence
from nestrl.training.config import RunConfig, import_modules
from nestrl.training.display import Display, display_for_here
from nestrl.training.result import Run
from nestrl.training.run_folder import RunFolder
from nestrl.training.trainer import run


def train(
    sequence: str | Path | TaskSequence,
    method: str = "nested",
    *,
    seed: int = 0,
    steps_scale: float = 1.0,
    agent: AgentConfig | None = None,
    options: Mapping[str, Any] | None = None,
    imports: Sequence[str] = (),
    folder: str | Path | None = None,
    display: Display | None = None,
) -> Run:
    """Train an agent through a sequence of tasks; return the run, whose files stand in its folder.

    sequence: a name of `nestrl list sequences`, a YAML file, or a TaskSequence.
    method: how skills are kept, a name of `nestrl list methods` or "package.module:Class"; by default the nested agent.
    steps_scale: every segment is this many times as long.
    agent: the learner; by default with the settings that the sequence wants.
    options: as of the command line's --set, for example {"method.drift_limit": 0.05, "evaluation_episodes": 32}.
    imports: modules that register environments, sequences or methods; a resumed run imports them again.
    folder: where the run goes, by default runs/<sequence>-<method>-s<seed>; raises RunExists if it is not free.
    display: what shows it meanwhile; by default a panel in a terminal, lines elsewhere.

    Raises UnknownName or BadConfig for a configuration with a mistake, and what `nestrl.training.trainer.run` does.
    """
    config = configure(
        sequence, method, seed=seed, steps_scale=steps_scale, agent=agent, options=options, imports=imports
    )
    return run(config, folder or config.default_folder, display=display or display_for_here())


def configure(
    sequence: str | Path | TaskSequence,
    method: str = "nested",
    *,
    seed: int = 0,
    steps_scale: float = 1.0,
    agent: AgentConfig | None = None,
    options: Mapping[str, Any] | None = None,
    imports: Sequence[str] = (),
) -> RunConfig:
    """Return the configuration that `train` would run, checked. Raises UnknownName or BadConfig."""
    if isinstance(imports, str) or not isinstance(imports, Sequence):
        raise BadConfig(f"imports is {imports!r}; give a list of modules.")
    if not isinstance(options or {}, Mapping):
        raise BadConfig(f"options is {options!r}; give a mapping, such as {{'agent.n_envs': 64}}.")
    steps_scale = decode(float, steps_scale, "steps_scale")
    import_modules(imports)
    chosen = sequence if isinstance(sequence, TaskSequence) else find_sequence(str(sequence))
    if steps_scale != 1.0:
        chosen = chosen.with_steps(steps_scale)
    options = dict(options or {})
    agent = agent or _wanted_agent(chosen, options.get("agent.algorithm"))
    config = RunConfig(chosen, method, agent=agent, seed=seed, imports=tuple(imports))
    config = config.with_options(options.items(), find_method(method).options)
    config.require_suited_method()
    return config


def _wanted_agent(sequence: TaskSequence, algorithm: Any) -> AgentConfig:
    """Return the learner that a sequence wants; another algorithm has its own hyperparameters and simulations."""
    wanted = decode(AgentConfig, sequence.agent, f"agent of the sequence {sequence.name!r}")
    if algorithm in (None, wanted.algorithm):
        return wanted
    return replace(wanted, algorithm=str(algorithm), hyperparameters={}, n_envs=0)


def resume(folder: str | Path, *, display: Display | None = None) -> Run:
    """Go on with a run that was stopped, from its newest checkpoint, exactly as if it had never been.

    Where the device that it began on cannot be used, it goes on on the CPU, and the display says so. Raises BadConfig
    where there is no run, and what `nestrl.training.trainer.run` does.
    """
    display = display or display_for_here()
    return run(for_here(RunFolder(folder).config(), display), folder, resume=True, display=display)


def for_here(config: RunConfig, display: Display) -> RunConfig:
    """Return the configuration, with the CPU in place of a device that cannot be used here."""
    device = config.agent.device
    try:
        find_device(device)
    except BadConfig:
        display.say(f"This run began on {device}, which cannot be used here: it goes on on the CPU, not bit for bit.")
        return replace(config, agent=replace(config.agent, device="cpu"))
    return config
