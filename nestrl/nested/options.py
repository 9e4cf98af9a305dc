"""Options of the nested agent, and what they refuse."""

from dataclasses import dataclass

from nestrl.errors import BadConfig, UnknownName, nearest, require_not_negative, require_positive
from nestrl.nested.levels import REMOVABLE
from nestrl.nested.meta_controller import find_controller
from nestrl.nested.task_code import STARTS


@dataclass(frozen=True)
class NestedOptions:
    """Options of the nested agent."""

    levels: tuple[str, ...] = REMOVABLE
    """Rungs that are in."""
    meta_controller: str = "constant"
    """Who gives the orders: "constant", "constant:share=1,step=1", "learned" (starts from the constants), a
    .safetensors file made by `nestrl learn-controller`, or its null, "shuffled:FILE.safetensors"."""
    meta_learning_rate: float = 0.0
    """Of the meta-gradient inside a life; 0 freezes the meta-controller."""
    consult_every: int = 16
    """Gradient steps between two consultations of the meta-controller: a rollout, with PPO's defaults."""
    code_start: str = "skilled"
    """Where a new task's code starts: "skilled" (as that of the earlier skill which succeeds most often in 8 training
    episodes, or with one head earns clearly more), "fresh", "blend" (mean of the known ones) or "latest". With the last
    three no skill is tried, so that the rival cannot tell by them that a new task begins in a trap."""
    drift_limit: float = 0.03
    """How far the policy may drift from each teacher: mean KL divergence in nats. Twice as far as the slow policy has,
    where that is more."""
    leeway: float = 3.0
    """How many times as far the fast policy may drift from a skill that the slow one has, which answers for it
    meanwhile."""
    weight: float = 1.0
    """Weight of each task's drift where there are no dual weights."""
    samples: int = 512
    """Remembered observations in each gradient step, shared equally by the old tasks."""
    capacity: int = 4096
    """Remembered observations a task."""
    consolidation: int = 500
    """Gradient steps of the distillation in which the slow policy takes a task in; a quarter where that is enough."""

    def __post_init__(self) -> None:
        for level in self.levels:
            if level not in REMOVABLE:
                raise UnknownName(f"nested has no level {level!r} to put in.{nearest(level, REMOVABLE)}")
        if "rival" in self.levels and "slow_policy" not in self.levels:
            raise BadConfig("nested has no rival without slow_policy, which keeps the skills meanwhile: take out both.")
        positive = ("consult_every", "drift_limit", "leeway", "samples", "capacity", "consolidation")
        require_positive("nested", **{name: getattr(self, name) for name in positive})
        require_not_negative("nested", weight=self.weight, meta_learning_rate=self.meta_learning_rate)
        if self.code_start not in STARTS:
            raise BadConfig(f"nested's code_start is {self.code_start!r}; it must be one of {', '.join(STARTS)}.")
        find_controller(self.meta_controller)
        self._require_use("meta_controller", "meta_controller" in self.levels, "the level meta_controller in levels")
        self._require_use("meta_learning_rate", "meta_controller" in self.levels, "the level meta_controller in levels")
        self._require_use("code_start", "task_code" in self.levels, "the level task_code in levels")
        self._require_use("weight", "dual_weights" not in self.levels, "dual_weights taken out of levels")
        for name in ("consolidation", "leeway"):
            self._require_use(name, "slow_policy" in self.levels, "the level slow_policy in levels")
        keeps = bool({"dual_weights", "slow_policy"} & set(self.levels))
        for name in ("weight", "drift_limit", "samples", "capacity"):
            self._require_use(name, keeps, "a level that keeps: dual_weights or slow_policy")

    def _require_use(self, name: str, used: bool, where: str) -> None:
        """Raise BadConfig for an option that would do nothing."""
        if not used and getattr(self, name) != getattr(type(self), name):
            raise BadConfig(f"nested's {name} is {getattr(self, name)!r}, but does something only with {where}.")
