"""The sequences that have a name, and how to find one: by name, or in a YAML file."""

from collections.abc import Callable, Mapping
from pathlib import Path

from nestrl.errors import BadConfig, UnknownName, nearest
from nestrl.tasks import continual_world
from nestrl.tasks.files import read_sequence
from nestrl.tasks.sequence import Segment, Task, TaskSequence

SEGMENT_STEPS = {
    "reach": 300_000,
    "slalom": 300_000,
    "maze": 300_000,
    "dock": 300_000,
    "ice": 300_000,
    "push": 300_000,
    "button": 300_000,
    "door": 300_000,
    "drawer": 300_000,
    "pick_place": 700_000,
}
"""Environment steps of one segment on each rover task."""

MIXED = ("reach", "slalom", "push", "button", "maze", "drawer", "dock", "door", "ice", "pick_place")
"""The ten tasks in an order that alternates driving and handling."""

ARGUMENTS: dict[str, tuple[dict[str, object], dict[str, object]]] = {
    "maze": ({"layouts": "train"}, {"layouts": "held_out"}),
    "pick_place": ({"grasped_starts": 0.75}, {"grasped_starts": 0.0}),
}
"""Arguments of a rover task in training and in evaluation, where they are not the default ones."""

VERSIONS = {"pick_place": 1}
"""Version of a rover task's environment, where it is not 0."""

DRIFTS: dict[str, tuple[str, dict[str, object]]] = {
    "push": ("push", {}),
    "reach_weak": ("reach", {"motor_strength": 0.5}),
    "push_slippery": ("push", {"friction": 0.4}),
    "reach_late": ("reach", {"action_delay": 2}),
    "push_heavy": ("push", {"payload": 20.0}),
    "reach_tilted": ("reach", {"tilt": 5.0}),
    "push_noisy": ("push", {"sensor_noise": 0.1}),
    "reach_fading": ("reach", {"motor_strength": [1.0, 0.4]}),
    "push_tilted": ("push", {"tilt": 3.0}),
    "reach_tired_arm": ("reach", {"motor_strength": {"lift": 0.4, "arm": 0.4}}),
}
"""The tasks of drift-10 in order: a rover task and the dynamics (see nestrl_envs) under which it is met."""

DESCRIPTIONS = {
    "quick-3": "reach, button and ice in short segments: the demo",
    "nav-5": "five driving tasks: slalom, dock, ice, maze, reach",
    "manip-5": "five handling tasks: reach, push, button, drawer, door",
    "mixed-5": "reach, slalom, button, ice, door: handling and driving in turn, in short segments for studies",
    "mixed-10": "all ten rover tasks, driving and handling in turn",
    "mixed-20": "mixed-10 twice: every task comes back once",
    "drift-10": "ten reach and push tasks whose dynamics change from one to the next",
    **continual_world.DESCRIPTIONS,
}
"""One line for each named sequence."""


def rover_id(name: str) -> str:
    """Return the environment id of a rover task's short name ("pick_place")."""
    return f"nestrl_envs:nestrl/Rover{name.title().replace('_', '')}-v{VERSIONS.get(name, 0)}"


def rover_task(name: str) -> Task:
    """Return the rover task of this short name."""
    arguments, evaluation_arguments = ARGUMENTS.get(name, ({}, {}))
    return Task(name, rover_id(name), arguments, evaluation_kwargs=evaluation_arguments)


def rover_sequence(name: str, tasks: tuple[str, ...], scale: float = 1.0) -> TaskSequence:
    """Return a sequence of rover tasks, each for its SEGMENT_STEPS times `scale`; a name may come twice."""
    segments = tuple(Segment(task, SEGMENT_STEPS[task]) for task in tasks)
    known = tuple(rover_task(task) for task in dict.fromkeys(tasks))
    return TaskSequence(name, known, segments).with_steps(scale)


def drift_sequence(name: str, drifts: Mapping[str, tuple[str, dict[str, object]]]) -> TaskSequence:
    """Return a sequence of rover tasks under the given dynamics, by the name of the changed task."""
    tasks = tuple(Task(new, rover_id(task), {"dynamics": changes}) for new, (task, changes) in drifts.items())
    segments = tuple(Segment(new, SEGMENT_STEPS[task]) for new, (task, _) in drifts.items())
    return TaskSequence(name, tasks, segments)


SEQUENCES: dict[str, Callable[[], TaskSequence]] = {
    "quick-3": lambda: rover_sequence("quick-3", ("reach", "button", "ice"), scale=0.5),
    "nav-5": lambda: rover_sequence("nav-5", ("slalom", "dock", "ice", "maze", "reach")),
    "manip-5": lambda: rover_sequence("manip-5", ("reach", "push", "button", "drawer", "door")),
    "mixed-5": lambda: rover_sequence("mixed-5", ("reach", "slalom", "button", "ice", "door"), scale=0.5),
    "mixed-10": lambda: rover_sequence("mixed-10", MIXED),
    "mixed-20": lambda: rover_sequence("mixed-20", MIXED * 2),
    "drift-10": lambda: drift_sequence("drift-10", DRIFTS),
    **continual_world.SEQUENCES,
}
"""Makers of the named sequences."""


def sequence(name_or_path: str | Path) -> TaskSequence:
    """Return a named sequence, or the one in a .yaml file.

    Raises UnknownName with the nearest names, or BadConfig with file, line, key and remedy.
    """
    text = str(name_or_path)
    if text in SEQUENCES:
        return SEQUENCES[text]()
    if text.endswith((".yaml", ".yml")):
        return read_sequence(Path(text), SEQUENCES)
    raise UnknownName(f"No sequence {text!r}.{nearest(text, SEQUENCES)} A path must end in .yaml.")


def register_sequence(new: TaskSequence, description: str = "") -> None:
    """Give a sequence a name, for `nestrl train NAME` and `nestrl list`; BadConfig if the name is taken by another."""
    if new.name in SEQUENCES and SEQUENCES[new.name]() != new:
        raise BadConfig(f"There is already a sequence {new.name!r}; give yours another name.")
    SEQUENCES[new.name] = lambda: new
    DESCRIPTIONS[new.name] = description or ", ".join(new.task_names)
