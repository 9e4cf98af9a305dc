"""The house: nothing imports upward, nothing in a circle, and the entrance is light."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import nestrl

ROOT = Path(__file__).parents[1]
HEAVY = ("torch", "mujoco", "stable_baselines3", "gymnasium", "matplotlib")
LAZY = ("__init__.py", "cli.py")  # the only files with imports inside functions

# Each room, and the rooms that it may import from (itself always).
MAY_IMPORT: dict[str, set[str]] = {
    "errors": set(),
    "decode": {"errors"},
    "settings": {"errors"},
    "document": {"errors", "decode"},
    "tasks": {"errors", "decode", "document"},
    "agents": {"errors", "decode", "tasks"},
    "updates": {"errors", "agents"},
    "nested": {"errors", "updates", "agents"},
    "methods": {"errors", "decode", "nested", "updates", "agents", "tasks"},
    "identity": {"methods", "updates", "agents"},
    "evaluation": {"errors", "agents", "tasks"},
    "training": {"errors", "decode", "tasks", "agents", "updates", "nested", "methods", "identity", "evaluation"},
    "studies": {
        "errors",
        "document",
        "decode",
        "tasks",
        "agents",
        "nested",
        "methods",
        "evaluation",
        "training",
    },
    "report": {"errors", "tasks", "agents", "nested", "methods", "evaluation", "training", "studies"},
}


def python_files() -> list[Path]:
    return sorted((ROOT / "nestrl").rglob("*.py"))


def imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


@pytest.mark.parametrize("path", python_files(), ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_imports_upward(path: Path) -> None:
    room = path.relative_to(ROOT / "nestrl").parts[0].removesuffix(".py")
    if room in ("__init__", "cli"):
        return  # the entrance and the roof
    allowed = MAY_IMPORT[room] | {room}
    for name in imports(ast.parse(path.read_text())):
        parts = name.split(".")
        assert parts[0] != "nestrl_envs", f"{path} knows a particular world"
        if parts[0] == "nestrl" and len(parts) > 1:
            assert parts[1] in allowed, f"{path} imports {name}; {room} may import from {sorted(allowed)}"


def test_worlds_know_neither_torch_nor_nestrl() -> None:
    for path in (ROOT / "envs").rglob("*.py"):
        for name in imports(ast.parse(path.read_text())):
            assert name.split(".")[0] not in ("torch", "stable_baselines3", "nestrl"), f"{path} imports {name}"


def test_tasks_and_measures_need_no_torch() -> None:
    for path in [*(ROOT / "nestrl" / "tasks").rglob("*.py"), ROOT / "nestrl" / "evaluation" / "retention.py"]:
        for name in imports(ast.parse(path.read_text())):
            assert name.split(".")[0] not in ("torch", "stable_baselines3"), f"{path} imports {name}"


@pytest.mark.parametrize("path", python_files(), ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_stand_at_the_top(path: Path) -> None:
    if path.parent == ROOT / "nestrl" and path.name in LAZY:
        return
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef):
            inner = [each for each in ast.walk(node) if isinstance(each, ast.Import | ast.ImportFrom)]
            assert not inner, f"{path}:{node.lineno} imports inside {node.name}"


@pytest.mark.parametrize("path", python_files(), ids=lambda path: str(path.relative_to(ROOT)))
def test_files_and_functions_stay_readable(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) < 400, f"{path} is too long for one file"
    for node in ast.walk(ast.parse(text)):
        assert not isinstance(node, ast.Assert), f"{path}:{node.lineno}: raise with a message, assert can be off"
        if isinstance(node, ast.FunctionDef) and node.end_lineno:
            assert node.end_lineno - node.lineno <= 60, f"{path}:{node.lineno} {node.name} is too long"


def test_the_run_reads_as_a_straight_path() -> None:
    tree = ast.parse((ROOT / "nestrl" / "training" / "trainer.py").read_text())
    run = next(node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "run")
    assert run.end_lineno is not None
    assert run.end_lineno - run.lineno <= 45
    names = [node.id for node in ast.walk(run) if isinstance(node, ast.Name)]
    assert "isinstance" not in names
    text = ast.unparse(run)
    words = ["method.begin", "life.learn", "method.end", "life.evaluate", "life.checkpoint", "life.report"]
    places = [text.rindex(word) for word in words]
    assert places == sorted(places)


@pytest.mark.parametrize("entrance", ["import nestrl", "import nestrl.cli", "import nestrl; nestrl.TaskSequence"])
def test_the_entrance_is_light(entrance: str) -> None:
    code = f"import sys; {entrance}; print(*(name for name in {HEAVY!r} if name in sys.modules))"
    heavy = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    allowed = {"gymnasium"} if "TaskSequence" in entrance else set()
    assert set(heavy.split()) <= allowed


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys, nestrl.cli\n"
        "try: nestrl.cli.main(['--help'])\n"
        f"finally: print('HEAVY', *(name for name in {HEAVY!r} if name in sys.modules))"
    )
    shown = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.rstrip().endswith("HEAVY")


def test_every_public_name_is_there() -> None:
    for name in nestrl.__all__:
        assert getattr(nestrl, name) is not None
    assert set(nestrl.__all__) <= set(dir(nestrl))
    with pytest.raises(AttributeError, match="no_such_name"):
        nestrl.no_such_name  # noqa: B018
