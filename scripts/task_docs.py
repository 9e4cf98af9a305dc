"""Write docs/worlds/ and the README's table of worlds from the environments themselves, so that they cannot disagree.

python scripts/task_docs.py              # pages and tables
python scripts/task_docs.py --pictures   # also the pictures (needs EGL or OSMesa)
python scripts/task_docs.py --check      # writes nothing; exit code 1 if anything is out of date
"""

import argparse
import inspect
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import gymnasium as gym
import numpy as np
from PIL import Image

from nestrl.report.tables import table
from nestrl_envs import TASKS, shaping
from nestrl_envs.batch_env import BatchEnv
from nestrl_envs.dynamics import Dynamics
from nestrl_envs.fields import Field

ROOT = Path(__file__).resolve().parents[1]
WORLDS = ROOT / "docs" / "worlds"
README = ROOT / "README.md"
MARKS = ("<!-- worlds: written by scripts/task_docs.py -->", "<!-- /worlds -->")
PICTURE_SEED = 3
PARTS = ("Start", "Success", "Potential")
PAGE = """\
# {title}

<!-- Written by scripts/task_docs.py from the environment; do not edit. -->

{does}

{picture}```python
import gymnasium as gym

env = gym.make("nestrl_envs:{env_id}")
many = gym.make_vec("nestrl_envs:{env_id}", num_envs=256)
```

## Actions
`Box(-1, 1, ({n_actions},), float32)`, every {step}. Top speed of the base: {speed}.

{actions}

## Observations
`Box(-inf, inf, ({n_observations},), float32)`. The slots mean the same in every task. Range is what the physics
reaches with the arguments as by default and without drift, for which the distances below hold, too; size is a typical
value, by which the learner divides.

{observations}

## Reward
`{reward}` a step: `phi` in m before and `phi'` after the step, `a` the action. The terms are in `info` as {terms}.

`phi` = {potential}

## Start
{start}

## End
- Terminated by success: {success}
- Truncated after {horizon}; `horizon`), or when the simulation diverges (`info["diverged"]`).

## Arguments
{arguments}

### Dynamics
{dynamics}

## Versions
{versions}
"""


def main() -> int:
    """Write or check; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--check", action="store_true", help="write nothing, fail if anything is out of date")
    parser.add_argument("--pictures", action="store_true", help="render the pictures, too")
    arguments = parser.parse_args()
    if arguments.pictures and not arguments.check:
        for env_id in TASKS:
            draw(env_id)
    stale = {path: text for path, text in pages() if not path.exists() or path.read_text() != text}
    if arguments.check:
        names = ", ".join(str(path.relative_to(ROOT)) for path in stale)
        print(f"out of date: {names}; run `make tables`" if stale else "the worlds' documentation is up to date")
        return int(bool(stale))
    for path, text in stale.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return 0


def pages() -> Iterator[tuple[Path, str]]:
    """Yield every generated file with the text that it should have."""
    for env_id, task in TASKS.items():
        yield WORLDS / f"{short_name(env_id)}.md", page(env_id, task)
    yield WORLDS / "README.md", "# The worlds\n\n" + overview("") + "\n"
    if README.exists() and MARKS[0] in (text := README.read_text()):
        head, rest = text.split(MARKS[0], 1)
        _, tail = rest.split(MARKS[1], 1)
        yield README, f"{head}{MARKS[0]}\n{overview('docs/worlds/')}\n{MARKS[1]}{tail}"


def overview(folder: str) -> str:
    """Return the table of all worlds; links start with `folder`."""
    rows = []
    for env_id, task in TASKS.items():
        does, parts, _ = described(task)
        link = f"[`{env_id}`]({folder}{short_name(env_id)}.md)"
        rows.append((link, does.split(". ")[0].rstrip("."), parts["Success"], f"{task.default_horizon * 0.08:.1f} s"))
    return table(("id", "the robot must", "success", "time limit"), rows, right=False)


def page(env_id: str, task: type[BatchEnv]) -> str:
    """Return the page of one task."""
    does, parts, arguments = described(task)
    name, step = short_name(env_id), control_step(task)
    terms = ", ".join(f"`{term}`" for term in shaping.TERMS)
    speed, yaw_rate = getattr(task, "base_speed", (0.0, 0.0))
    return PAGE.format(
        env_id=env_id,
        title=env_id.split("/")[1],
        does=does,
        picture=f"![{name}]({name}.png)\n\n" if (WORLDS / f"{name}.png").exists() else "",
        n_actions=sum(field.size for field in task.driven),
        step=f"{step:g} s",
        speed=f"{speed:g} m/s and {yaw_rate:g} rad/s",
        actions=field_table(task.driven),
        n_observations=sum(field.size for field in task.observed),
        observations=field_table(task.observed),
        reward=f"r = {shaping.PROGRESS:g} (phi' - phi) + {shaping.SUCCESS:g} [success] - {shaping.STEP:g} - "
        f"{shaping.EFFORT:g} |a|^2",
        terms=terms,
        potential=parts["Potential"],
        start=parts["Start"][0].upper() + parts["Start"][1:],
        success=parts["Success"],
        horizon=f"{task.default_horizon} steps ({task.default_horizon * step:g} s",
        arguments=argument_table(task, arguments),
        dynamics=inspect.getdoc(Dynamics),
        versions="\n".join(f"- {version}: {what}" for version, what in getattr(task, "versions", {}).items()),
    )


def short_name(env_id: str) -> str:
    """Return "pick_place" for "nestrl/RoverPickPlace-v1"."""
    name = env_id.split("/")[1].removeprefix("Rover").rsplit("-", 1)[0]
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


def described(task: type[BatchEnv]) -> tuple[str, dict[str, str], dict[str, str]]:
    """Split a class's docstring: what it is about, its parts (Start, Success, ...), its arguments."""
    text = inspect.getdoc(task) or ""
    prose, _, listed = text.partition("\n- ")
    before, *named = re.split(rf"\b({'|'.join(PARTS)}):\s", " ".join(prose.split()))
    parts = {name: body.strip() for name, body in zip(named[::2], named[1::2], strict=True)}
    bullets = (" ".join(bullet.split()).partition(": ") for bullet in listed.split("\n- ") if bullet)
    return before.strip(), parts, {name: meaning for name, _, meaning in bullets}


def control_step(task: type[BatchEnv]) -> float:
    """Return the time between two actions in s."""
    simulation = task(1)
    return float(simulation.model.opt.timestep * simulation.substeps)


def field_table(fields: Iterable[Field]) -> str:
    """Return a table with the index or indices of each field."""
    rows, start = [], 0
    for field in fields:
        index = f"{start}" if field.size == 1 else f"{start}-{start + field.size - 1}"
        unit, span = field.unit.replace("1", ""), f"[{field.low:g}, {field.high:g}]"
        rows.append((index, field.name, field.meaning, unit, span, f"{field.scale:g}"))
        start += field.size
    return table(("index", "name", "meaning", "unit", "range", "size"), rows, right=False)


def argument_table(task: type[BatchEnv], own: dict[str, str]) -> str:
    """Return own and shared keyword arguments with their defaults."""
    base = task.__mro__[1]
    defaults = dict(inspect.signature(base).parameters) | dict(inspect.signature(task).parameters)
    meanings = own | described(base)[2]
    rows = [(f"`{name}`", f"`{defaults[name].default!r}`", text) for name, text in meanings.items()]
    rows = [(name, f"`{task.default_horizon}`" if name == "`horizon`" else value, text) for name, value, text in rows]
    told = [row for row in rows if row[0] != "`num_simulations`"]
    return table(("name", "default", "meaning"), told, right=False)


def draw(env_id: str) -> None:
    """Render the start of one episode into docs/worlds/."""
    WORLDS.mkdir(parents=True, exist_ok=True)
    env = gym.make(env_id, render_mode="rgb_array")
    env.reset(seed=PICTURE_SEED)
    picture = Image.fromarray(np.asarray(env.render()))
    picture.quantize(256).save(WORLDS / f"{short_name(env_id)}.png", optimize=True)
    env.close()


if __name__ == "__main__":
    sys.exit(main())
