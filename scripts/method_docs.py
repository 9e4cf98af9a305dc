"""Write docs/methods.md and docs/levels.md from the methods' own cards, docstrings, options and level table.

python scripts/method_docs.py
python scripts/method_docs.py --check    # writes nothing; exit code 1 if the page is out of date
"""

import dataclasses
import inspect
import sys
from pathlib import Path
from typing import Any

from nestrl.methods import METHODS, find_method
from nestrl.report.tables import levels_table, method_cards

ROOT = Path(__file__).resolve().parents[1]
HEAD = """\
# Ways to keep skills

<!-- Written by scripts/method_docs.py from the methods; do not edit. -->

Each is one file in [nestrl/methods](../nestrl/methods), and any of them runs with
`nestrl train SEQUENCE --method NAME`. Parts compose: `--method cloning+best-start+trac` keeps by cloning, starts each
task with the best earlier skill, and scales the steps as TRAC does; options are then named by part,
`--set method.cloning.drift_limit=.05`.

All methods act on the actor only; network, steps, observations, exploration noise and critic are the agent's, the same
for all. How they compare stands in the [README](../README.md).

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


def options_table(options: type[Any]) -> str:
    """Return the options with their defaults as a list; nothing if there are none."""
    lines = [f"- `{field.name}` = {_default(field)}" for field in dataclasses.fields(options)]
    return "\n".join([*lines, ""]) if lines else ""


def _default(field: "dataclasses.Field[Any]") -> Any:
    return field.default if field.default_factory is dataclasses.MISSING else field.default_factory()


def levels_page() -> str:
    """Return the level table of the nested agent."""
    return levels_table() + "\n"


PAGES = {"docs/methods.md": page, "docs/levels.md": levels_page}
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
