"""Every link of the pages leads to a file that git knows: a study keeps the tables and figures that one leads to."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]


@pytest.fixture(scope="module")
def known() -> set[Path]:
    """What git knows, folders included."""
    try:
        listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this is no clone")
    files = {ROOT / name for name in listed.split("\0")}
    return files | {parent for file in files for parent in file.parents}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path, known: set[Path]) -> None:
    links = re.findall(r"\]\((?!https?:|#|mailto:)([^)\s#]+)", page.read_text())
    lost = [link for link in links if (page.parent / link).resolve() not in known]
    assert not lost, f"{page.name} leads to what git does not know (git add --force?): {lost}"
