"""The nested agent: levels that adapt at different speeds, each regulated by the next slower one.

A thin composition of nestrl.nested; the level table there says what each rung does. Rungs can be taken out:

    ()                                     the base optimizer, bit for bit
    ("dual_weights",)                      policy cloning with a drift limit, bit for bit
    without dual_weights                   all tasks weigh `weight`
    without slow_policy                    the fast policy is what is deployed; there can be no rival
    without rival                          no task is ever learned afresh
    without peak                           the last policy of a segment is what is kept of it
    without meta_controller                its orders stay at their defaults, which change nothing
    without task_code                      a new task's code starts as initialised and moves as all other weights; no
                                           skill is tried out, so that the rival cannot tell a trap by them

Beside another part that retains (`nested+ewc`) a fresh network is held, too: by that part.
"""

from typing import Any, ClassVar

from torch import Tensor
from torch.nn.utils import parameters_to_vector

from nestrl.agents.policies import EXPLORATION, OwnPolicy
from nestrl.agents.trial import Trial
from nestrl.errors import BadConfig
from nestrl.methods.acting_as import try_skills
from nestrl.methods.protocol import Card, Learner, Observations, Policy
from nestrl.methods.taught import Taught
from nestrl.nested.consultation import Consultation, or_zero
from nestrl.nested.dual_weights import DualWeights
from nestrl.nested.levels import UPDATES, Clock
from nestrl.nested.meta_controller import ConstantController, Context, Orders, find_controller
from nestrl.nested.meta_gradient import effects
from nestrl.nested.options import NestedOptions
from nestrl.nested.peak import Peak
from nestrl.nested.rival import Rival
from nestrl.nested.rounds import Rounds
from nestrl.nested.slow_policy import PATIENT, Attempt, SlowPolicy, quick_first
from nestrl.nested.task_code import TRIED, TaskCode, skilled
from nestrl.updates.regulated import Update
from nestrl.updates.step_sizes import Depths, scale_displacements
from nestrl.updates.values import as_vector, values_of

ROOM = 2.0
"""A skill that the fast policy starts out far from, as after a race, may drift this many times as far as it was then: a
limit that is passed from the first step on drives the skill's weight up until little else is learned. And what a race
has won is taken in at up to this many times the limit."""


class Nested(Taught):
    """One fast policy that learns, regulated by dual weights and a meta-controller, and a slow one that keeps.

    In each step:   g + share * clipped(sum_i lambda_i grad M_i)    goes into the base optimizer,
                    theta <- theta_0 + factor_l * (theta - theta_0)  by depth l, and once more for the task's code.
    At a task's end the slow policy takes the skill in, if no skill becomes worse, and the fast one goes on from there.
    """

    card: ClassVar[Card] = Card(
        part="retention",
        summary="levels at different speeds: task code, fast policy, meta-controller, dual weights, rival, slow policy",
        paper="none (this package)",
        stores="4096 observations and outputs a task, a second actor, and within a segment two or three more networks",
        cost="one backward pass of the actor over 512 remembered observations a gradient step, 125 at each boundary "
        "(500 or 2500 more where a skill suffers, 2000 or 4000 after a won race); 8 episodes with each earlier skill "
        "and the network as it is at a task's start, counted as its steps",
        own_policies=True,
    )

    def __init__(self, options: NestedOptions, learner: Learner, seed: int) -> None:
        weight = None if "dual_weights" in options.levels else options.weight
        weights = DualWeights(learner.n_tasks, options.drift_limit, weight)
        super().__init__(learner, seed, options.samples, options.capacity, weights)
        self._options, self._depths = options, Depths(learner.actor_groups())
        self._clock = Clock({"meta_controller": options.consult_every})
        controller = find_controller(options.meta_controller) if self._has("meta_controller") else ConstantController()
        if isinstance(controller, ConstantController):
            self._require_effect(controller.orders(Context()))
        n_parameters = sum(parameter.numel() for parameter in self._parameters)
        rate = options.meta_learning_rate if self._has("meta_controller") else 0.0
        self._consultation = Consultation(controller, rate, n_parameters)
        self._slow = SlowPolicy(options.drift_limit)
        self._rounds, self._rival, self._peak = Rounds(), Rival(learner), Peak(self._parameters)
        self._start_drifts: dict[int, float] = {}  # of the fast policy, where it goes on from what was not committed
        self._stand_in: OwnPolicy | None = None  # for the fast policy, in skills that only that one has, in a race
        self._code = TaskCode({})
        self._sources: list[int] = []  # tasks from whose codes the present one's started
        self._current: int | None = None
        self._met: list[int] = []

    def begin(self, segment_index: int, task_index: int) -> None:
        """Hold the policy to the teachers of all other tasks, and start the task's code."""
        super().begin(segment_index, task_index)
        self._current = task_index
        self._set_limits()
        new = task_index not in self._met
        trial = self._try_skills(task_index) if new else None
        self._code = TaskCode(self._learner.code_of(task_index))
        self._sources = self._find_sources(trial) if new and self._has("task_code") else []
        self._code.start_from([self._learner.code_of(task) for task in self._sources])
        self._consultation.start_segment(len(self._old_tasks))
        self._rounds.start_segment(self._learner.tally)
        may_race = self._has("rival") and self._learner.knows_boundaries  # without, nobody would end a turn
        doubted = may_race and new and bool(self._old_tasks)
        only_fast = set(self._old_tasks) - set(self._slow.drifts)
        self._stand_in = self._learner.policy_with() if doubted and only_fast else None
        self._rival.start_segment(doubted=doubted, trial=trial)
        self._count_rival(self._rival.fresh)
        self._peak.start_segment(self._learner.tally)

    def regulate(self, update: Update) -> None:
        """Take orders if it is time, add the retention gradient, apply, and make the step as long as ordered."""
        self._clock.tick()
        reading = self._clock.due("meta_controller")
        if reading:
            self._rounds.read(self._learner.tally)
        consulted = reading and self._has("meta_controller")
        if consulted:
            self._take_orders()
        orders = self._consultation.orders
        held = self._keeps and self._old_tasks and not self._rival.fresh
        retention = self._retention_gradient() if held else None
        kept = self._look_up(retention, consulted)
        if retention is not None:
            update.add_gradient(self._parameters, [part if part is None else orders.share * part for part in retention])
        self._apply(update, orders, kept)

    def pause(self) -> None:
        """Between two rollouts: remember the best policy; race a fresh network where a new task stands still."""
        if self._current is None:
            return
        if self._has("peak"):
            self._peak.pause(self._learner.tally, self._learner.recent_observations)
        if self._count_rival(self._rival.pause()):
            self._peak.start_segment(self._learner.tally)

    def end(self, segment_index: int, task_index: int, observations: Observations) -> None:
        """Make the policy the teacher of the task; let the slow policy take it in, and the fast one go on from it."""
        better = None if self._count_rival(self._rival.finish()) else self._peak.better()
        if better is not None:
            self._learner.take(better)
            self._clock.count("peak")
            observations = observations if self._peak.seen is None else self._peak.seen
        super().end(segment_index, task_index, observations)
        self._slow.forget(task_index)
        self._start_drifts.pop(task_index, None)  # from the teacher that it had before
        self._current = None
        if task_index not in self._met:
            self._met.append(task_index)
        if self._has("slow_policy"):
            self._clock.count("slow_policy")
            self._consolidate()

    def policy_for(self, task_index: int) -> Policy:
        """Return the slow policy for the tasks that it has taken in, the fast one for the present and all others.

        A fresh network answers for the present task alone, and what the fast policy was for those others.
        """
        if task_index == self._current:
            return self._learner.policy
        if self._slow.policy is not None and task_index in self._slow.drifts:
            return self._slow.policy
        return self._stand_in if self._stand_in is not None and self._rival.fresh else self._learner.policy

    def measurements(self) -> dict[str, float]:
        """Return drift and weights, orders, updates of each level, commits, and the inner and the outer objective."""
        measured = super().measurements()
        excess = max(0.0, self._drift_over_limit() - 1)
        success = or_zero(self._rounds.last.success)
        return (
            measured
            | self._consultation.measurements()
            | self._rival.measurements()
            | {UPDATES + level: float(count) for level, count in self._clock.updates.items()}
            | self._weights_measured()
            | {
                "drift_limit": self._mean_limit,
                "source": float(self._sources[-1]) if self._sources else -1.0,
                "commits": float(self._slow.commits),
                "inner": success,
                "outer": success - excess,
                "memory_bytes": measured["memory_bytes"] + self._slow.n_bytes,
            }
        )

    def state_dict(self) -> dict[str, Any]:
        """Return the state of every level."""
        return super().state_dict() | {
            "clock": self._clock.state_dict(),
            "consultation": self._consultation.state_dict(),
            "rounds": self._rounds.state_dict(),
            "rival": self._rival.state_dict(),
            "peak": self._peak.state_dict(),
            "slow": self._slow.state_dict(),
            "current": self._current,
            "met": list(self._met),
            "sources": list(self._sources),
            "start_drifts": dict(self._start_drifts),
            "stand_in": None if self._stand_in is None else values_of(self._stand_in.parameters),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a `state_dict`."""
        super().load_state_dict(state)
        self._clock.load_state_dict(state["clock"])
        self._consultation.load_state_dict(state["consultation"])
        self._rounds.load_state_dict(state["rounds"])
        self._rival.load_state_dict(state["rival"])
        self._peak.load_state_dict(state["peak"])
        self._slow.load_state_dict(state["slow"], self._learner.policy_with())
        self._current, self._met, self._sources = state["current"], list(state["met"]), list(state["sources"])
        self._start_drifts = dict(state.get("start_drifts", {}))  # which older checkpoints lack, as the next
        stand_in = state.get("stand_in")
        self._stand_in = None if stand_in is None else self._learner.policy_with(stand_in)

    def _require_effect(self, constants: Orders) -> None:
        """Raise BadConfig for constant orders that nothing here obeys."""
        if constants.code_step != Orders().code_step and not self._has("task_code"):
            raise BadConfig("The order code_step does something only with the level task_code in levels; leave it out.")
        if constants.noise != Orders().noise and EXPLORATION not in self._learner.code_of(0):
            raise BadConfig(
                "The order noise does something only where each task has a log_std of its own, with PPO and Box "
                "actions; leave it out."
            )

    def _set_limits(self) -> None:
        """Hold each old task to the drift limit, with more leeway where the slow policy answers for it meanwhile.

        Or to more, where what is gone on from could not meet half of that.
        """
        limit, starts = self._options.drift_limit, self._slow.drifts | self._start_drifts
        for task in self._old_tasks:
            wanted = limit * self._options.leeway if task in self._slow.drifts else limit
            self._dual_weights.allow(task, max(wanted, ROOM * starts.get(task, 0.0)))

    @property
    def _mean_limit(self) -> float:
        """The mean limit of the old tasks' drift, in nats; that of any task where there are none."""
        if not self._old_tasks:
            return self._options.drift_limit
        return float(self._dual_weights.limits(self._old_indices).mean())

    def _drift_over_limit(self) -> float:
        """Return the mean drift of the old tasks at the last step, in units of the mean limit; 0 without any."""
        return float(self._drift.total.mean()) / self._mean_limit if self._old_tasks else 0.0

    def _try_skills(self, task_index: int) -> Trial | None:
        """Return what came of trying the earlier skills out in a new task, where its code may start from one."""
        tries = self._has("task_code") and self._options.code_start == "skilled" and self._met
        return try_skills(self._learner, self._met, task_index, TRIED) if tries else None

    def _find_sources(self, trial: Trial | None) -> list[int]:
        """Return the tasks from whose codes a new one's starts."""
        if trial is None:
            return {"latest": self._old_tasks[-1:], "blend": list(self._met)}.get(self._options.code_start, [])
        chosen = skilled(trial, own_head=self._code.has_head)
        return [] if chosen is None else [self._met[chosen - 1]]

    def _count_rival(self, changed: bool) -> bool:
        """Count it if the networks changed places; return whether they did."""
        if changed:
            self._clock.count("rival")
        return changed

    def _has(self, level: str) -> bool:
        return level in self._options.levels

    @property
    def _keeps(self) -> bool:
        """Whether there is anything that holds the fast policy: memory comes with dual weights or the slow policy."""
        return self._has("dual_weights") or self._has("slow_policy")

    def _consolidate(self) -> None:
        """Let the slow policy take all skills in, and the fast one go on from it.

        A candidate starts from the fast policy; where that began afresh and knows nothing else, from the slow one, or
        from what the fast one was if that knows more. Then the new skill has some room, and the fast policy goes on
        from the candidate in any case.
        """
        fresh, holders = self._rival.fresh, [self._learner.policy_with()]
        known = self._slow.values if fresh else None
        if fresh and self._stand_in is not None:
            holders.append(self._stand_in)
            known = values_of(self._stand_in.parameters)
        self._stand_in = None
        candidate = self._learner.policy_with(known)
        attempts = [Attempt(PATIENT)] * 2 if fresh else quick_first(self._options.consolidation)
        room = ROOM if fresh else 1.0
        committed = self._slow.consolidate(candidate, holders, self._memory, attempts, self._generator, room)
        if committed or fresh:
            self._learner.take(candidate.parameters)
            self._start_drifts = {} if committed else dict(self._slow.tried)

    def _take_orders(self) -> None:
        """Let the meta-controller read where learning stands."""
        orders = self._consultation.ask(self._learner.progress, self._rounds, self._drift_over_limit())
        self._clock.count("meta_controller")
        self._code.widen(orders.noise)

    def _retention_gradient(self) -> list[Tensor | None]:
        """Return the clipped gradient of the weighted drift; the dual weights take a step by it."""
        if self._has("dual_weights"):
            self._clock.count("dual_weights")
        return super()._retention_gradient()

    def _look_up(self, retention: list[Tensor | None] | None, consulted: bool) -> Tensor | None:
        """Send both gradients up where somebody reads them; return the retention gradient as one vector, if read."""
        learns = self._consultation.meta_gradient
        if learns is None and not (consulted and retention is not None):
            return None
        rl_gradient = as_vector([parameter.grad for parameter in self._parameters], self._parameters)
        kept = None if retention is None else as_vector(retention, self._parameters)
        if consulted and kept is not None:
            self._consultation.note_agreement(rl_gradient, kept)
        if learns is not None:
            learns.read(rl_gradient, kept, 0.0 if kept is None else float(self._weights().sum()))
        return kept

    def _apply(self, update: Update, orders: Orders, kept: Tensor | None) -> None:
        """Let the base optimizer step, and make the step as long as ordered; with the defaults it is left alone."""
        learns = self._consultation.meta_gradient
        by_depth = orders.step != 1.0 or orders.depth != 0.0
        code_step = orders.code_step if self._has("task_code") else 1.0
        before = values_of(self._parameters) if by_depth or learns is not None else []
        if code_step != 1.0:
            self._code.keep()
        update.apply()
        if by_depth:
            scale_displacements(self._parameters, before, self._depths.factors(orders.step, orders.depth))
        if code_step != 1.0:
            self._code.scale_step(code_step)
        if learns is not None:
            moved = [now - start for now, start in zip(values_of(self._parameters), before, strict=True)]
            learns.follow(effects(parameters_to_vector(moved), parameters_to_vector(self._depths.spread()), kept))
        for level in ("fast_policy", *(("task_code",) if self._has("task_code") else ())):
            self._clock.count(level)
