"""The report of a study: tables, figures and the page, written beside its results."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from nestrl.report.comparison import Comparison, comparisons
from nestrl.report.figures import rendered, study_figures
from nestrl.report.page import Section, anchor, page
from nestrl.report.study_tables import StudyTable, study_tables
from nestrl.studies.study import Study
from nestrl.training.writing import one_clear_error, write_file


def write_report(
    study: Study, baseline: str | None = None, *, allow_mixed: bool = False, per_order: bool = False
) -> list[StudyTable]:
    """Write tables/ (.md, .csv), figures/ (.png, .svg) and index.html into the study's folder, in place of older ones.

    baseline: the method that the others are compared with; by default cloning, else the first. per_order: retention
    matrices of each order, too. Returns the main tables, one for each regime and sequence. Raises BadConfig for runs
    that do not belong in one table (unless allow_mixed), and before anything is written.
    """
    compared = comparisons(study, baseline, allow_mixed=allow_mixed)
    for name in ("tables", "figures"):
        with one_clear_error(study.folder / name):
            (study.folder / name).mkdir(exist_ok=True)
    sections = [_write_section(study.folder, comparison, per_order) for comparison in compared]
    _remove_older(study, sections)
    made_with = [(name, (study.folder / name).read_text()) for name in _sources(study.folder)]
    html = page(f"Study {study.plan.name}", sections, made_with, _unfinished(study))
    write_file(study.folder / "index.html", html.encode())
    return [section.tables[0] for section in sections]


def _unfinished(study: Study) -> str:
    """Return the sentence that says how much of the study has not ended yet; empty where all has."""
    if study.unreadable:
        return f"Whether all runs have ended is not known here: {study.unreadable}"
    left = len(study.left)
    return f"{left} run{'s' if left > 1 else ''} of the study not ended yet." if left else ""


def _write_section(folder: Path, comparison: Comparison, per_order: bool) -> Section:
    place = anchor(comparison.regime, comparison.sequence)
    tables = study_tables(comparison)
    for table in tables:
        write_file(folder / "tables" / f"{place}-{table.name}.md", table.markdown().encode())
        write_file(folder / "tables" / f"{place}-{table.name}.csv", table.csv().encode())
    drawn = []
    for figure in study_figures(comparison, per_order=per_order):
        svg = rendered(figure.figure, "svg")
        name = f"{place}-{anchor(figure.name)}"
        write_file(folder / "figures" / f"{name}.svg", svg)
        write_file(folder / "figures" / f"{name}.png", rendered(figure.figure, "png"))
        drawn.append((figure, svg.decode()))
    return Section(comparison, tables, drawn)


def _remove_older(study: Study, sections: Sequence[Section]) -> None:
    """Remove tables and figures of earlier reports that are not made any more, such as that of runs that had failed.

    They are known by their names, which begin with a regime and a sequence of the study; other files are the user's.
    """
    ours = tuple(f"{anchor(record.regime, record.sequence)}-" for record in study.records)
    made = {f"{section.anchor}-{table.name}" for section in sections for table in section.tables}
    made |= {f"{section.anchor}-{anchor(figure.name)}" for section in sections for figure, _ in section.figures}
    for path in (path for name in ("tables", "figures") for path in (study.folder / name).iterdir()):
        by_a_report = path.name.startswith(ours) and path.suffix in (".md", ".csv", ".png", ".svg")
        if by_a_report and path.stem not in made:
            path.unlink()


def _sources(folder: Path) -> Iterable[str]:
    return [name for name in ("command.txt", "study.yaml") if (folder / name).is_file()]
