"""Training without labels: the learner notices by itself that it is in another task, and whether it knows that task."""

from collections.abc import Sequence
from typing import Any

import torch

from nestrl.agents.agent import Agent, Simulations
from nestrl.agents.tally import Tally
from nestrl.agents.trial import Trial, TryOut
from nestrl.agents.unlabelled_vec_env import UnlabelledVecEnv
from nestrl.agents.vec_env import TaskVecEnv
from nestrl.identity.change_detection import ChangeDetector, Place
from nestrl.identity.unlabelled_testing import Recognised
from nestrl.methods.acting_as import ActingAs
from nestrl.methods.protocol import Method, Observations, Policy
from nestrl.updates.values import flattened, n_bytes, put_values, values_of


class Unlabelled(Recognised):
    """A method and its learner that are told neither task nor boundary; `begin` and `end` say nothing to them.

    The learner is always in a believed slot, whose one-hot its observations carry. After each slice a detector judges
    what was seen. When it is sure of a change, the actor goes back to what it was before the first suspicious slice,
    that is the end of the slot's segment for the method, and the next begins: in a known slot if the new observations
    fit it, else in the next free one. Without free slots it stays where it is.
    """

    def __init__(self, method: Method, agent: Agent, detector: ChangeDetector, try_out: TryOut, *, tried: bool) -> None:
        super().__init__(method, agent.union.feature_size, agent.n_tasks, try_out, tried=tried)
        self._agent, self._detector = agent, detector
        self._parameters = flattened(agent.actor_groups())
        self._before_suspicion = values_of(self._parameters)
        self._places: dict[int, Place] = {}
        self._segments = 0  # believed ones that have ended
        self._tally = Tally(agent.config.n_envs)
        self._begun = self._loaded = False
        self._world = 0  # the true task; only what plays trials may read it

    def hidden(self, world: TaskVecEnv) -> UnlabelledVecEnv:
        """Return simulations of whatever task as the learner may see them."""
        self._world = world.task_index
        return UnlabelledVecEnv(world, self.present, self._tally)

    def try_out_here(self, policies: Sequence[Policy], slot: int, episodes: int, seed: int) -> Trial:
        """Play a method's trials (see TryOut) in the world that the learner is in, shown as `slot`."""
        shown = [ActingAs(policy, slot, self._n_tasks) for policy in policies]
        return self._try_out(shown, self._world, episodes, seed)

    def begin(self, segment_index: int, task_index: int) -> None:
        """Say nothing to the method, but let it begin once, and again in a process that has resumed the run."""
        if not self._begun and not self._loaded:
            self._method.begin(0, self.present)
        elif not self._begun:
            method, agent = self._method.state_dict(), self._agent.state_dict()
            self._method.begin(self._segments, self.present)
            self._method.load_state_dict(method)
            self._agent.load_state_dict(agent)
        self._begun = True

    def pause(self) -> None:
        """Say nothing: nobody knows here how long a segment will be, nor whether it is still the same one."""

    def end(self, segment_index: int, task_index: int, observations: Observations) -> None:
        """Say nothing."""

    def notice(self, environment: Simulations) -> bool:
        """Judge what a slice of training has shown; return whether another task is believed to have begun."""
        if not isinstance(environment, UnlabelledVecEnv):
            raise TypeError(f"{type(environment).__name__} carries labels; train in what `hidden` returns.")
        seen = torch.from_numpy(environment.take_seen())
        if not len(seen):  # all steps of the slice went into trials
            return False
        changed = self._detector.notice(seen, environment.tally.rounds)
        if changed:
            changed = self._turn()
        elif not self._detector.suspicious:
            self._before_suspicion = values_of(self._parameters)
            self._remember(self.present, self._detector.before)
        self._tally = environment.tally
        return changed

    def measurements(self) -> dict[str, float]:
        """Return what the method measures, the believed slot, the evidence against it, and all bytes kept for that."""
        measured = super().measurements()
        places = [self._detector.place, *self._places.values()]
        kept = measured["recognition_bytes"] + self._detector.n_bytes + n_bytes(self._before_suspicion)
        kept += sum(place.reference.nbytes for place in places)
        return measured | {
            "slot": float(self.present),
            "evidence": self._detector.evidence,
            "recognition_bytes": float(kept),
        }

    def state_dict(self) -> dict[str, Any]:
        """Return the method's state, the beliefs and what they rest on."""
        return super().state_dict() | {
            "detector": self._detector.state_dict(),
            "before_suspicion": [values.clone() for values in self._before_suspicion],
            "places": {slot: [place.reference, list(place.recent)] for slot, place in self._places.items()},
            "segments": self._segments,
            "tally": list(self._tally),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a `state_dict`."""
        if self._begun:  # in the middle of a segment: the method expects to have begun it
            self._method.begin(state["segments"], state["present"])
        super().load_state_dict(state)
        self._detector.load_state_dict(state["detector"])
        self._before_suspicion = list(state["before_suspicion"])
        self._places = {slot: self._detector.known_place(*place) for slot, place in state["places"].items()}
        self._segments, self._tally = state["segments"], Tally(*state["tally"])
        self._loaded = True

    def _turn(self) -> bool:
        """End the believed segment, as of before the first suspicious slice, and begin the next; True if there is one.

        The places of other slots are asked whether they know what was seen since.
        """
        detector, left = self._detector, self.present
        slot = detector.familiar(self._places)
        free = [slot for slot in range(self._n_tasks) if slot not in self._places and slot != left]
        if slot is None and not free:
            detector.dismiss()
            return False
        put_values(self._before_suspicion, self._parameters)
        self._method.end(self._segments, left, detector.before.numpy())
        self._remember(left, detector.before)
        self._places[left] = detector.place
        self.present = free[0] if slot is None else slot
        self._segments += 1
        self._agent.turn_to(self.present)
        self._method.begin(self._segments, self.present)
        detector.start(self._places.pop(self.present, None))
        self._before_suspicion = values_of(self._parameters)
        self._remember(self.present, detector.before)
        return True
