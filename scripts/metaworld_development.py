"""Meta-World tasks outside Continual World, each a life by itself: what its learner is searched on, never reported."""

from nestrl import Segment, TaskSequence, register_sequence
from nestrl.tasks.continual_world import META_WORLD_LEARNER, meta_world_task

TASKS = (
    *("coffee-push", "pick-place", "plate-slide", "reach-wall", "door-open", "drawer-close", "button-press-topdown"),
    *("sweep", "stick-push", "bin-picking"),
)
STEPS = 300_000

for name in TASKS:
    register_sequence(TaskSequence(name, (meta_world_task(name),), (Segment(name, STEPS),)))

LIFE = ("coffee-push", "plate-slide", "door-open", "drawer-close", "button-press-topdown", "reach-wall")
register_sequence(
    TaskSequence(
        "metaworld-life",
        tuple(map(meta_world_task, LIFE)),
        tuple(Segment(task, STEPS) for task in LIFE),
        agent=META_WORLD_LEARNER,
    )
)
