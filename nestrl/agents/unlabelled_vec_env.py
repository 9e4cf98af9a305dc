"""The simulations of a task, seen by a learner that is not told which task it is, nor that they are new."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import VecEnvWrapper

from nestrl.agents.tally import Tally
from nestrl.agents.vec_env import Infos, TaskVecEnv
from nestrl.tasks.union import Observations, label_as


class UnlabelledVecEnv(VecEnvWrapper):
    """Shows observations with the one-hot of a believed `slot`, and counts episodes since that belief began.

    slot: what the learner believes to be in; `believe` changes it.
    tally: the episodes so far, of simulations before these.
    """

    task_index = None
    """Nobody says."""

    def __init__(self, world: TaskVecEnv, slot: int, tally: Tally) -> None:
        super().__init__(world)
        self.world, self.slot = world, slot
        self._earlier = tally._replace(simulations=0)  # of the same n simulations, to the learner
        self._seen: list[Observations] = []

    @property
    def tally(self) -> Tally:
        """The finished episodes since the belief began."""
        return self.world.tally.plus(self._earlier)

    def believe(self, slot: int) -> None:
        """Show observations as those of another slot, and count its episodes from zero."""
        self.slot = slot
        self._earlier = Tally(0).since(self.world.tally)

    def labelled(self, observations: Observations) -> Observations:
        """Write the slot's one-hot into observations (m, D + N), in place; return them."""
        label_as(observations, self.world.union.n_tasks, self.slot)
        return observations

    def take_seen(self) -> Observations:
        """Return all observations (m, D + N) since the last call."""
        seen, self._seen = self._all_seen, []
        return seen

    @property
    def _all_seen(self) -> Observations:
        nothing = np.zeros((0, *self.observation_space.shape), np.float32)  # type: ignore[misc]
        return np.concatenate([nothing, *self._seen])

    def reset(self) -> Observations:
        """Start an episode in every simulation; return (n, D + N)."""
        return self._noted(self.world.reset())

    def step_wait(self) -> tuple[Observations, NDArray[np.float32], NDArray[np.bool_], Infos]:
        """Advance all simulations; return observations (n, D + N), rewards (n,), dones (n,) and infos."""
        observations, rewards, dones, infos = self.world.step_wait()
        for info in infos:
            if "terminal_observation" in info:
                self.labelled(info["terminal_observation"][None])
        return self._noted(observations), rewards, dones, infos

    def recent_observations(self) -> Observations:
        """Return the last union observations of these simulations, as those of the slot."""
        return self.labelled(self.world.recent_observations())

    def state_dict(self) -> dict[str, Any]:
        """Return everything that `load_state_dict` needs."""
        return {
            "world": self.world.state_dict(),
            "slot": self.slot,
            "earlier": list(self._earlier),
            "seen": self._all_seen,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a `state_dict`."""
        self.world.load_state_dict(state["world"])
        self.slot, self._earlier = state["slot"], Tally(*state["earlier"])
        self._seen = [state["seen"]] if "seen" in state else []  # which older checkpoints lack

    def _noted(self, observations: Observations) -> Observations:
        self._seen.append(self.labelled(observations).copy())
        return observations
