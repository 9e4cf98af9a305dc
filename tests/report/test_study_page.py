"""The page as a browser shows it, where there is one; what can be told from its text alone, everywhere."""

import html
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from synthetic_studies import TASKS, plausible_study, record, write_study

from nestrl.cli import main
from nestrl.report.study_report import write_report
from nestrl.studies.ledger import append
from nestrl.studies.study import open_study

KEPT = {"finetune": 0.1, "cloning": 0.95, "multitask": 1.0}

# Put into a copy of the page: notes errors, what was fetched, sizes of the figures, and what clicks on heads do.
SPY_FIRST = """<script>
window.seen = {errors: []};
addEventListener("error", (event) => seen.errors.push(event.message));
</script>"""
SPY_LAST = """<script>
for (const width of [390, 1300]) {  // a phone and a desktop: a window cannot be narrower than 500
  document.documentElement.style.width = `${width}px`;
  seen[width] = {
    figures: [...document.querySelectorAll("figure svg")].map((svg) => svg.getBoundingClientRect()),
    overflow: document.body.scrollWidth - document.body.clientWidth,
  };
}
seen.fetched = performance.getEntriesByType("resource").map((entry) => entry.name);
const table = document.querySelector("table");
const click = (column) => {
  table.tHead.rows[0].cells[column].querySelector("button").click();
  return [...table.tBodies[0].rows].map((row) => row.cells[0].textContent);
};
seen.sorted = [click(2), click(2), click(0), click(3)];
const note = document.createElement("pre");
note.id = "seen";
note.textContent = JSON.stringify(seen);
document.body.append(note);
</script>"""


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report of three methods, one run of which has failed."""
    folder = plausible_study(tmp_path_factory.mktemp("results") / "made-up", KEPT, 4)
    failed = record("cloning", 9, status="failed", error="<script>alert(1)</script> & more")
    append(folder / "finished.jsonl", failed)
    write_report(open_study(folder))
    return folder


@pytest.fixture(scope="module")
def seen(study: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the spy saw when a browser opened the page, and what the browser said."""
    browser = next(filter(None, map(shutil.which, ("chromium", "google-chrome", "chromium-browser"))), None)
    if browser is None:
        pytest.skip("no chromium or google-chrome is installed; `apt-get install chromium` brings one")
    scratch = tmp_path_factory.mktemp("browser")
    copy = scratch / "copy.html"
    text = (study / "index.html").read_text()
    copy.write_text(text.replace("<head>", f"<head>{SPY_FIRST}", 1).replace("</body>", f"{SPY_LAST}</body>", 1))
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={scratch / 'profile'}"]
    command += ["--enable-logging=stderr", "--dump-dom", copy.as_uri()]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=100, check=True)
    found = re.search(r'<pre id="seen">(.*?)</pre>', shown.stdout, re.DOTALL)
    assert found, shown.stderr
    return json.loads(html.unescape(found.group(1))) | {"said": shown.stderr}


def test_the_console_is_free_of_errors(seen: dict[str, Any]) -> None:
    assert seen["errors"] == []
    assert "CONSOLE" not in seen["said"]


@pytest.mark.parametrize("width", [390, 1300])
def test_every_figure_is_visible_and_nothing_overflows(seen: dict[str, Any], width: int) -> None:
    figures = seen[str(width)]["figures"]
    assert len(figures) == 3 + 2 * len(KEPT)
    assert all(box["width"] > 200 and box["height"] > 60 for box in figures)
    assert seen[str(width)]["overflow"] <= 0


def test_nothing_is_fetched(seen: dict[str, Any]) -> None:
    assert [name for name in seen["fetched"] if not name.startswith("data:")] == []


def test_a_click_on_a_head_sorts(seen: dict[str, Any]) -> None:
    descending, ascending, names, with_missing = seen["sorted"]
    assert descending == ["multitask", "cloning", "finetune"]
    assert ascending == descending[::-1]
    assert names == ["multitask", "finetune", "cloning"]
    assert with_missing[-1] == "multitask"  # it has no forgetting


class Links(HTMLParser):
    """Collects what a page would load, and names that stand twice."""

    def __init__(self) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.names: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        for name, value in attributes:
            if name == "id":
                self.names.append(value or "")
            if tag != "a" and name in ("src", "href", "data", "xlink:href", "srcset"):
                self.loaded.append(value or "")


def test_the_page_needs_no_other_file(study: Path) -> None:
    text = (study / "index.html").read_text()
    links = Links()
    links.feed(text)
    assert all(link.startswith(("data:", "#")) for link in links.loaded)
    assert len(links.names) == len(set(links.names))
    assert "@import" not in text and not re.search(r"url\((?!#)", text)


def test_the_page_shows_how_it_was_made_and_what_to_beware_of(study: Path) -> None:
    text = html.unescape((study / "index.html").read_text())
    assert "nestrl study study.yaml" in text
    assert (study / "study.yaml").read_text() in text
    assert "fewer than 5 seeds of finetune, cloning, multitask: they tell little" in text
    assert "with Student's correction" in text and "too narrow" not in text
    assert "success on each task over the life" in text and "stability gap" in text


def test_files_of_the_report(study: Path) -> None:
    names = {path.name for path in (study / "tables").iterdir()} | {path.name for path in (study / "figures").iterdir()}
    for table in ("methods", "tasks", "boundaries", "ages", "costs", "failed"):
        assert {f"shared-mixed-5-{table}.md", f"shared-mixed-5-{table}.csv"} <= names
    for figure in ("bars", "ages", "cost", "retention-cloning", "life-cloning"):
        assert {f"shared-mixed-5-{figure}.png", f"shared-mixed-5-{figure}.svg"} <= names


def test_what_is_not_made_any_more_is_removed(tmp_path: Path) -> None:
    folder = plausible_study(tmp_path / "made-up", KEPT, 1)
    append(folder / "finished.jsonl", record("cloning", 1, cell="broken", status="failed", error="NaN"))
    write_report(open_study(folder))
    for mine in ("mine.txt", "mine.md"):
        (folder / "tables" / mine).write_text("kept")
    failed = list((folder / "tables").glob("*-failed.*"))
    kept = {path.name for path in (folder / "tables").iterdir()} - {path.name for path in failed}
    append(folder / "finished.jsonl", record("cloning", 1, cell="broken"))
    write_report(open_study(folder))
    assert len(failed) == 2 and {path.name for path in (folder / "tables").iterdir()} == kept


def test_joint_training_alone_has_a_report(tmp_path: Path) -> None:
    folder = plausible_study(tmp_path / "made-up", {"multitask": 1.0}, 1)
    write_report(open_study(folder))
    assert (folder / "index.html").is_file()
    assert not list((folder / "figures").glob("*-ages.*"))


def test_labels_that_differ_in_plus_and_minus_have_figures_of_their_own(tmp_path: Path) -> None:
    folder = plausible_study(tmp_path / "made-up", {"cloning+trac": 0.9, "cloning-trac": 0.1}, 1)
    write_report(open_study(folder))
    assert len(list((folder / "figures").glob("shared-mixed-5-life-*.svg"))) == 2
    links = Links()
    links.feed((folder / "index.html").read_text())
    assert len(links.names) == len(set(links.names))


def test_methods_of_which_all_runs_failed_are_on_the_page(tmp_path: Path) -> None:
    folder = plausible_study(tmp_path / "made-up", {"cloning": 0.9}, 1)
    append(folder / "finished.jsonl", record("ewc", status="failed", error="NaN"))
    write_report(open_study(folder))
    before, _, _ = (folder / "index.html").read_text().partition("<section")
    assert "shared, mixed-5: no run of ewc has finished: 1 failed" in before


def test_text_of_others_cannot_break_the_page(study: Path) -> None:
    text = (study / "index.html").read_text()
    assert "<script>alert" not in text and "&lt;script&gt;alert(1)&lt;/script&gt; &amp; more" in text
    assert "1 run failed" in text


def test_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = [record("cloning", 0, tasks=TASKS[:2]), record("finetune", 0, tasks=TASKS[:2], network=(8, 8))]
    folder = write_study(tmp_path / "made-up", runs)
    with pytest.raises(SystemExit):
        main(["report", str(folder)])
    assert "--allow-mixed" in capsys.readouterr().err
    assert not (folder / "index.html").exists()
    main(["report", str(folder), "--allow-mixed", "--per-order", "--baseline", "finetune"])
    shown = capsys.readouterr().out
    assert "different network" in shown and "performance minus finetune" in shown
    assert (folder / "index.html").is_file()
    assert (folder / "figures" / "shared-mixed-5-retention-cloning-order-0.png").is_file()


def test_where_the_plan_cannot_be_read_the_page_says_that_what_is_left_is_not_known(tmp_path: Path) -> None:
    folder = plausible_study(tmp_path / "made-up", {"cloning": 0.9}, 1)
    path = folder / "study.yaml"
    path.write_text("tuned: gone.yaml\n" + path.read_text())
    write_report(open_study(folder))
    text = (folder / "index.html").read_text()
    assert "Whether all runs have ended is not known here" in text and "gone.yaml" in text
