"""The walled room, the rover and its props, put together with MjSpec."""

from importlib import resources
from pathlib import Path

import mujoco

WALL_GROUP = 2  # geom group that the lidar sees
WALL_HEIGHT = 0.15  # m, half
WALL_COLOUR = (0.62, 0.65, 0.70, 1.0)
FIXTURE_COLOUR = (0.72, 0.60, 0.45, 1.0)
MOVABLE_COLOUR = (0.25, 0.60, 0.55, 1.0)
GOAL_COLOUR = (0.20, 0.70, 0.30, 0.45)
MEETS_ALL = {"contype": 0, "conaffinity": 3}  # walls and fixtures
MEETS_WALLS_AND_ROBOT = {"contype": 2, "conaffinity": 1}  # objects
MEETS_NOTHING = {"contype": 0, "conaffinity": 0}  # marks to look at


def asset(name: str) -> Path:
    """Return the path of an asset, in an installed wheel or in a checkout."""
    installed = Path(str(resources.files("nestrl_envs"))) / "assets" / name
    return installed if installed.exists() else Path(__file__).parents[2] / "assets" / name


def room(half_size: float) -> mujoco.MjSpec:
    """Return the rover in a square room with walls `half_size` m from its middle."""
    spec = mujoco.MjSpec.from_file(str(asset("rover.xml")))
    thick = 0.05
    for name, x, y in (("east", 1, 0), ("west", -1, 0), ("north", 0, 1), ("south", 0, -1)):
        size = [thick if x else half_size + 2 * thick, thick if y else half_size + 2 * thick, WALL_HEIGHT]
        position = [x * (half_size + thick), y * (half_size + thick), WALL_HEIGHT]
        box(spec.worldbody, f"wall_{name}", size, position, WALL_COLOUR, group=WALL_GROUP, **MEETS_ALL)
    spec.worldbody.add_camera(
        name="overview", pos=[0, -1.1 * half_size, 2.0 * half_size], xyaxes=[1, 0, 0, 0, 0.88, 0.48], fovy=52
    )
    return spec


def box(
    body: mujoco.MjsBody, name: str, size: list[float], pos: list[float], rgba: tuple[float, ...], **options: object
) -> mujoco.MjsGeom:
    """Add a box with half sizes `size` m at `pos` to `body`."""
    return body.add_geom(name=name, type=mujoco.mjtGeom.mjGEOM_BOX, size=size, pos=pos, rgba=rgba, **options)


def wall(spec: mujoco.MjSpec, name: str, half_length: float) -> None:
    """Add a wall along y as a mocap body, so that every episode can stand it elsewhere; the lidar sees it."""
    body = spec.worldbody.add_body(name=name, mocap=True, pos=[0, 0, WALL_HEIGHT])
    box(body, name, [0.04, half_length, WALL_HEIGHT], [0, 0, 0], WALL_COLOUR, group=WALL_GROUP, **MEETS_ALL)


def post(spec: mujoco.MjSpec, name: str, radius: float = 0.05) -> None:
    """Add a round post as a mocap body; the lidar sees it."""
    body = spec.worldbody.add_body(name=name, mocap=True, pos=[0, 0, WALL_HEIGHT])
    body.add_geom(
        name=name,
        type=mujoco.mjtGeom.mjGEOM_CYLINDER,
        size=[radius, WALL_HEIGHT, 0],
        rgba=(0.85, 0.30, 0.25, 1),
        group=WALL_GROUP,
        **MEETS_ALL,
    )


def mark(spec: mujoco.MjSpec, name: str, radius: float, flat: bool = True) -> None:
    """Add a goal mark, to look at only, as a mocap body: a disc on the floor, or a ball."""
    body = spec.worldbody.add_body(name=name, mocap=True)
    shape = mujoco.mjtGeom.mjGEOM_CYLINDER if flat else mujoco.mjtGeom.mjGEOM_SPHERE
    body.add_geom(name=name, type=shape, size=[radius, 0.003, 0], rgba=GOAL_COLOUR, **MEETS_NOTHING)


def pieces_of_baffle(room_half: float, gap: float, place: int) -> tuple[list[float], float]:
    """Return where the three pieces of a baffle stand and where its gap is, all as y in m.

    A baffle crosses the room as three equal pieces and a gap, which comes first, second, third or last: `place` 0 to 3.
    """
    piece = (2 * room_half - gap) / 3
    middles = [-room_half + piece * (k + 0.5) + (gap if k >= place else 0.0) for k in range(3)]
    return middles, -room_half + piece * place + 0.5 * gap


def baffle(spec: mujoco.MjSpec, name: str, room_half: float, gap: float) -> None:
    """Add the three pieces of a baffle as mocap walls."""
    for piece in range(3):
        wall(spec, f"{name}_{piece}", (2 * room_half - gap) / 6)
