"""The one reward of all tasks."""

import numpy as np

PROGRESS = 2.0  # per m of remaining path (the potential's unit)
SUCCESS = 5.0
STEP = 0.02  # cost of a control step: waiting never pays
EFFORT = 0.002  # per unit of squared action
TERMS = ("reward_progress", "reward_success", "reward_time", "reward_effort")


def reward_terms(
    before: np.ndarray, after: np.ndarray, success: np.ndarray, actions: np.ndarray
) -> dict[str, np.ndarray]:
    """Return the terms, (n,) each, whose sum is r = 2 (phi' - phi) + 5 [success] - 0.02 - 0.002 |a|^2.

    `before`, `after`: potential phi of the task in m, (n,); `success`: (n,) bool; `actions`: (n, 6) in [-1, 1].
    Source: potential-based shaping, Ng, Harada and Russell 1999, theorem 1, with a discount of 1 in place of gamma
    (differs from the theorem: the sum over an episode is then the progress made, and standing still earns nothing).
    """
    effort = actions[:, 0] ** 2
    for joint in range(1, actions.shape[1]):
        effort = effort + actions[:, joint] ** 2
    terms = (PROGRESS * (after - before), SUCCESS * success, np.full(len(after), -STEP), -EFFORT * effort)
    return dict(zip(TERMS, terms, strict=True))
