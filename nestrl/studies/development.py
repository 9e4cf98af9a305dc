"""What searches over development lives have in common: their seeds, their plan as a study, and what they avoid."""

import copy
import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from nestrl.document import Document
from nestrl.errors import BadConfig
from nestrl.studies.plan import StudyPlan
from nestrl.tasks.named import sequence as find_sequence
from nestrl.tasks.sequence import TaskSequence

FIRST_SEED = 1000
"""Seeds below are those of studies, whose results are reported."""


def as_study(
    document: Document, keys: Collection[str], methods: Mapping[str, Mapping[str, Any]], seeds: Sequence[int]
) -> Document:
    """Return a search's file as that of a study with these methods and seeds, in its own lines; `keys` are common."""
    study = copy.copy(document)
    shared = {key: value for key, value in document.values.items() if key in keys}
    study.values = {**shared, "seeds": list(seeds), "methods": methods}
    return study


def refuse_reported(document: Document, study: StudyPlan, reported: Sequence[str]) -> None:
    """Raise BadConfig if a sequence of the study is one whose results are reported, under whatever name."""
    for index, name in enumerate(reported):
        with document.at("reported", index):
            kept = find_sequence(name)
        for place, used in enumerate(map(find_sequence, study.sequences)):
            if used.name == kept.name or _worlds(used) == _worlds(kept):
                raise BadConfig(
                    f"{document.where('sequences', place)}: {used.name!r} is among the reported sequences; what "
                    "is tuned or learned on it would make its results too good. Use another one."
                )


def _worlds(sequence: TaskSequence) -> set[str]:
    return {f"{task.env_id} {json.dumps(task.env_kwargs, sort_keys=True)}" for task in sequence.tasks}
