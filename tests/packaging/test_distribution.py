"""The wheel and the source archive hold what they should, and what is installed from them trains elsewhere."""

import json
import os
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

pytestmark = [pytest.mark.packaging, pytest.mark.xdist_group("packaging")]


def run(*command: str | Path, cwd: Path) -> str:
    """Run a command as a user would from `cwd`, without the checkout on any path; return what it printed."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run([str(part) for part in command], cwd=cwd, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, f"{' '.join(map(str, command))}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="session")
def archives(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Build the source archive, and the wheel from it: so the source archive is complete. Returns (wheel, sdist)."""
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, ROOT, cwd=folder)
    return next(folder.glob("*.whl")), next(folder.glob("*.tar.gz"))


@pytest.fixture(scope="session")
def installed(archives: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the bin folder of a clean environment with the wheel in it.

    The wheel is installed without its dependencies, which come from the environment that runs the tests, by a .pth
    file: nothing is downloaded, and since .pth files are not followed from a .pth file, the editable install of the
    checkout there stays out of sight.
    """
    folder = tmp_path_factory.mktemp("installed")
    venv.create(folder, with_pip=False)
    python = folder / "bin" / "python"
    target = run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=folder).strip()
    pip = (sys.executable, "-m", "pip", "--python", python)
    run(*pip, "install", "--quiet", "--no-deps", "--no-index", archives[0], cwd=folder)
    (Path(target) / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    return folder / "bin"


def test_the_wheel_has_code_assets_and_types(archives: tuple[Path, Path]) -> None:
    names = set(zipfile.ZipFile(archives[0]).namelist())
    assert {"nestrl/py.typed", "nestrl_envs/py.typed", "nestrl/cli.py", "nestrl_envs/__init__.py"} <= names
    sources = [path for path in (ROOT / "assets").rglob("*") if path.is_file()]
    assert sources
    assert {f"nestrl_envs/assets/{path.relative_to(ROOT / 'assets')}" for path in sources} <= names
    assert {name.split("/")[0] for name in names if ".dist-info" not in name} == {"nestrl", "nestrl_envs"}


def test_the_source_archive_is_complete(archives: tuple[Path, Path]) -> None:
    with tarfile.open(archives[1]) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    files = ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "CITATION.cff", "LICENSE", "Makefile", "constraints.txt")
    assert set(files) <= names
    for folder in ("nestrl", "envs/nestrl_envs", "scripts", "tests"):
        code = {str(path.relative_to(ROOT)) for path in (ROOT / folder).rglob("*.py")}
        assert code <= names, f"missing under {folder}: {sorted(code - names)}"
    assert not [name for name in names if name.startswith((".venv", "runs", "dist"))]


def test_it_runs_from_the_installation(installed: Path, tmp_path: Path) -> None:
    where = run(installed / "python", "-c", "import nestrl, nestrl_envs; print(nestrl_envs.__file__)", cwd=tmp_path)
    assert str(installed.parent) in where
    assert "mixed-10" in run(installed / "nestrl", "list", cwd=tmp_path)


def test_the_demo_runs_from_another_folder(installed: Path, tmp_path: Path) -> None:
    nestrl = installed / "nestrl"
    for method in ("finetune", "cloning"):
        demo = ("train", "quick-3", "--steps-scale", "0.02", "--method", method, "--folder", method)
        run(nestrl, *demo, cwd=tmp_path)
        assert json.loads((tmp_path / method / "metrics.json").read_text())["retention"]
    printed = run(nestrl, "report", "finetune", "cloning", "--picture", "skills.png", cwd=tmp_path)
    assert "reach" in printed
    assert (tmp_path / "skills.png").stat().st_size > 0
