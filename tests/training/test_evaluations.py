"""However often a run is evaluated, it learns the same."""

from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from tiny_worlds import TINY, tiny_config

from nestrl.methods.finetune import Finetune, FinetuneOptions
from nestrl.tasks.sequence import Segment
from nestrl.training.trainer import run


def test_evaluation_leaves_training_alone(tmp_path: Path) -> None:
    """However often and long it is measured, the same policy is learned."""
    often = tiny_config(evaluations_per_segment=3, evaluation_episodes=9)
    seldom = tiny_config(evaluations_per_segment=1, evaluation_episodes=2)
    runs = [run(config, tmp_path / name) for name, config in (("often", often), ("seldom", seldom))]
    weights = [(each.path / "policy.safetensors").read_bytes() for each in runs]
    assert weights[0] == weights[1]


class Restless(Finetune):
    """Notes where it pauses."""

    pauses: ClassVar[list[float]] = []

    def __init__(self, options: FinetuneOptions, learner: Any, seed: int) -> None:
        super().__init__(options, learner, seed)

    def pause(self) -> None:
        self.pauses.append(self._learner.progress)


def test_evaluation_leaves_pauses_where_they_are(tmp_path: Path) -> None:
    """A segment's slices hold several rollouts, and evaluations come within them."""
    long = replace(TINY, segments=(Segment("calm", 6400),))
    seen = []
    for count in (1, 3, 7):
        config = tiny_config(sequence=long, method=f"{__name__}:Restless", method_options={})
        run(replace(config, evaluations_per_segment=count), tmp_path / str(count))
        seen.append(list(Restless.pauses))
        Restless.pauses.clear()
    assert seen[0] == seen[1] == seen[2] == [place / 50 for place in range(1, 51)]
