"""What the policy did at the end of each task, on observations of that task: the memory that retention learns from."""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from nestrl.agents.actor_output import ActorOutput


class Batch(NamedTuple):
    """A sample of memory: equally many consecutive rows for each of k tasks."""

    tasks: Tensor
    """(k,), task indices."""
    observations: Tensor
    """(n, D + n_tasks), as they were remembered."""
    teacher: ActorOutput
    """What the teacher answered, n rows."""


class TeacherMemory:
    """Observations of each task and the teacher's outputs on them; one tensor a field, so that sampling is one gather.

    capacity: most rows kept a task.
    """

    def __init__(self, capacity: int = 4096, device: torch.device | str = "cpu") -> None:
        self._capacity, self._device = capacity, device
        self._rows_of: dict[int, range] = {}
        self._fields: dict[str, Tensor] = {}

    @property
    def tasks(self) -> tuple[int, ...]:
        """Indices of the tasks that have a teacher, the most recent one last."""
        return tuple(self._rows_of)

    @property
    def n_bytes(self) -> int:
        """Size of everything remembered."""
        return sum(field.nbytes for field in self._fields.values())

    def remember(self, task: int, observations: Tensor, teacher: ActorOutput, generator: torch.Generator) -> None:
        """Replace what is remembered of a task by at most `capacity` of these rows (m), drawn at random.

        Without rows (a segment that went into trials altogether) what was remembered stays.
        """
        if not len(observations):
            return
        chosen = torch.randperm(len(observations), generator=generator)[: self._capacity].to(self._device)
        new = {name: field.detach()[chosen] for name, field in _fields(observations, teacher).items()}
        parts = {old: self._part(old) for old in self.tasks if old != task} | {task: new}
        self._fields = {name: torch.cat([part[name] for part in parts.values()]) for name in new}
        self._rows_of, start = {}, 0
        for known, part in parts.items():
            self._rows_of[known] = range(start, start + len(part["observations"]))
            start = self._rows_of[known].stop

    def sample(self, n: int, tasks: list[int], generator: torch.Generator) -> Batch:
        """Return about n rows (with replacement), an equal share, at least one, of each of `tasks`."""
        starts = torch.tensor([[self._rows_of[task].start] for task in tasks])
        counts = torch.tensor([[len(self._rows_of[task])] for task in tasks])
        share = max(1, n // len(tasks))
        places = torch.rand(len(tasks), share, generator=generator, dtype=torch.float64)
        rows = (starts + (places * counts).long()).flatten().to(self._device)
        fields = {name: field[rows] for name, field in self._fields.items()}
        return Batch(torch.tensor(tasks), fields.pop("observations"), ActorOutput(**fields))

    def state_dict(self) -> dict[str, Any]:
        """Return everything that `load_state_dict` needs: tensors and numbers."""
        rows_of = {task: [rows.start, rows.stop] for task, rows in self._rows_of.items()}
        return {"rows_of": rows_of, "fields": dict(self._fields)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a `state_dict`."""
        self._rows_of = {int(task): range(*rows) for task, rows in state["rows_of"].items()}
        self._fields = {name: field.to(self._device) for name, field in state["fields"].items()}

    def _part(self, task: int) -> dict[str, Tensor]:
        rows = self._rows_of[task]
        return {name: field[rows.start : rows.stop] for name, field in self._fields.items()}


def _fields(observations: Tensor, teacher: ActorOutput) -> dict[str, Tensor]:
    """Return the tensors to remember by name; those that this kind of policy does not have are None and left out."""
    outputs = {name: output for name, output in teacher._asdict().items() if output is not None}
    return {"observations": observations} | outputs
