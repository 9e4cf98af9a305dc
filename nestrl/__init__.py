"""Continual robot learning: train one agent through a sequence of tasks and see how much of each skill is left.

    import nestrl
    run = nestrl.train("quick-3", method="cloning", seed=0)
    print(run.retention)

Names are imported when they are first used, so `import nestrl` is quick.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nestrl.agents.config import AgentConfig as AgentConfig
    from nestrl.errors import NestrlError as NestrlError
    from nestrl.tasks.named import register_sequence as register_sequence
    from nestrl.tasks.named import sequence as sequence
    from nestrl.tasks.sequence import Segment as Segment
    from nestrl.tasks.sequence import Task as Task
    from nestrl.tasks.sequence import TaskSequence as TaskSequence
    from nestrl.training.config import RunConfig as RunConfig
    from nestrl.training.loaded import LoadedAgent as LoadedAgent
    from nestrl.training.loaded import load as load
    from nestrl.training.result import Run as Run
    from nestrl.training.train import resume as resume
    from nestrl.training.train import train as train

_HOMES = {
    "AgentConfig": "nestrl.agents.config",
    "LoadedAgent": "nestrl.training.loaded",
    "NestrlError": "nestrl.errors",
    "Run": "nestrl.training.result",
    "RunConfig": "nestrl.training.config",
    "Segment": "nestrl.tasks.sequence",
    "Task": "nestrl.tasks.sequence",
    "TaskSequence": "nestrl.tasks.sequence",
    "load": "nestrl.training.loaded",
    "register_sequence": "nestrl.tasks.named",
    "resume": "nestrl.training.train",
    "sequence": "nestrl.tasks.named",
    "train": "nestrl.training.train",
}
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'nestrl' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
