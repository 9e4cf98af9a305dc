"""Write docs/methods.md, docs/levels.md and docs/options.md from the code's own cards, docstrings and options.

python scripts/method_docs.py
python scripts/method_docs.py --check    # writes nothing; exit code 1 if the page is out of date
"""

import ast
import dataclasses
import inspect
import sys
from collections.abc import Collection
from pathlib import Path
from typing import Any

from nestrl.agents.algorithms import PPO_DEFAULTS, SAC_DEFAULTS
from nestrl.agents.config import AgentConfig
from nestrl.methods import METHODS, find_method
from nestrl.report.tables import levels_table, method_cards
from nestrl.training.config import RunConfig

ROOT = Path(__file__).resolve().parents[1]
HEAD = """\
# Ways to keep skills

<!-- Written by scripts/method_docs.py from the methods; do not edit. -->

Each is one file in [nestrl/methods](../nestrl/methods), and any of them runs with
`nestrl train SEQUENCE --method NAME`. Parts compose: `--method cloning+best-start+trac` keeps by cloning, starts each
task with the best earlier skill, and scales the steps as TRAC does; options are then named by part,
`--set method.cloning.drift_limit=.05`.

All methods act on the actor only (nested, in a race, on the critic, too); network, steps, observations, exploration
noise and critic are the agent's, the same for all. How they compare stands in the [README](../README.md).

"""


OPTIONS_HEAD = """\
# Options of a run and of its learner

<!-- Written by scripts/method_docs.py from the code; do not edit. -->

All by `--set NAME=VALUE` on the command line, `options={"NAME": value}` in a script, and under `run` or a regime in a
study; sequence, method, agent, seed and imports have arguments of their own. Those of methods stand in
[methods.md](methods.md). Reference curves are looked for in results/references of a clone, else in the user's cache, or
where the environment variable `NESTRL_REFERENCES` says.

"""


def page() -> str:
    """Return the whole page."""
    return HEAD + method_cards() + "\n" + "".join(section(name) for name in METHODS)


def section(name: str) -> str:
    """Return what one method's class says of itself, and its options."""
    method = METHODS[name]
    if isinstance(method, str):
        return f"\n## {name}\n`{method}`: its parts are put together, with the options of both.\n"
    formula = inspect.getdoc(method) or ""
    return f"\n## {name}\n```text\n{formula}\n```\n{options_table(find_method(name).options)}"


def options_table(options: type[Any], apart: Collection[str] = ()) -> str:
    """Return the options with their defaults as a list, but for those that stand apart; nothing if there are none."""
    lines = [
        f"- `{field.name}` = {_default(field)}" for field in dataclasses.fields(options) if field.name not in apart
    ]
    return "\n".join([*lines, ""]) if lines else ""


def _default(field: "dataclasses.Field[Any]") -> Any:
    return field.default if field.default_factory is dataclasses.MISSING else field.default_factory()


def levels_page() -> str:
    """Return the level table of the nested agent."""
    return levels_table() + "\n"


APART = ("sequence", "method", "method_options", "agent", "seed", "imports")
"""Of a run: what has an argument of its own on the command line, or a list of its own."""


def options_page() -> str:
    """Return the options of a run, and those of its learner with what each says of itself."""
    said = _said_of_fields(AgentConfig)
    learner = "\n".join(
        f"- `agent.{field.name}` = {_default(field)}: {said[field.name]}"
        for field in dataclasses.fields(AgentConfig)
        if field.name != "hyperparameters"
    )
    defaults = "\n".join(
        f"- {name}: " + ", ".join(f"`{key}` = {value}" for key, value in values.items())
        for name, values in (("ppo", PPO_DEFAULTS), ("sac", SAC_DEFAULTS))
    )
    return (
        f"{OPTIONS_HEAD}## The run\n```text\n{inspect.getdoc(RunConfig)}\n```\n{options_table(RunConfig, APART)}"
        f"\n## The learner\n{learner}\n\n## Its hyperparameters\n"
        "`agent.hyperparameters.NAME`: any argument of the algorithm of stable-baselines3; here these go before its "
        f"own defaults, and for ppo `batch_size` is a quarter of a rollout:\n\n{defaults}\n"
    )


def _said_of_fields(kind: type[Any]) -> dict[str, str]:
    """Return by name the text that stands below each field of a class, on one line."""
    (definition,) = ast.parse(inspect.getsource(kind)).body
    assert isinstance(definition, ast.ClassDef)
    said = {}
    for field, below in zip(definition.body, definition.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(below, ast.Expr):
            said[field.target.id] = " ".join(str(ast.literal_eval(below.value)).split())
    return said


PAGES = {"docs/methods.md": page, "docs/levels.md": levels_page, "docs/options.md": options_page}
"""What makes each page."""


def main() -> int:
    """Write or check; return the exit code."""
    out_of_date = [name for name, made in PAGES.items() if not _holds(ROOT / name, made())]
    if "--check" in sys.argv[1:]:
        print(f"out of date: {', '.join(out_of_date)}; run `make tables`" if out_of_date else "all is up to date")
        return int(bool(out_of_date))
    for name in out_of_date:
        (ROOT / name).write_text(PAGES[name]())
    return 0


def _holds(path: Path, text: str) -> bool:
    return path.is_file() and path.read_text() == text


if __name__ == "__main__":
    sys.exit(main())
