"""A study as one HTML file that needs nothing else: no network, no other file, and no script but for sorting."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from itertools import chain
from pathlib import Path

from nestrl.evaluation.retention import MEASURES
from nestrl.evaluation.statistics import Interval
from nestrl.report.comparison import Comparison
from nestrl.report.figures import StudyFigure
from nestrl.report.study_tables import WARNING, Cell, StudyTable, shown

HERE = Path(__file__).parent
MORE_DEFINITIONS = {
    "performance minus ...": "Interquartile mean of the difference in average performance over pairs of runs of the "
    "same order and seed; a paired bootstrap interval without 0 tells the methods apart.",
    "P(better than ...)": "Probability that a run of this method has a higher average performance than one of the "
    "other in the same order, or in any where an order has one run; ties count half (Agarwal et al., 2021).",
    "[low, high]": "95 % interval from 10,000 bootstrap resamples of the runs, drawn within each order of the tasks "
    "(Agarwal et al., 2021), or from all together where an order has one run, with Student's correction for few runs. "
    "That of forward transfer takes the curves from scratch as exact.",
    "beware": "Where a method knows, uses or was given something that the others were not.",
}


@dataclass(frozen=True)
class Section:
    """What the page shows of one comparison. figures: with the SVG that each was drawn as."""

    comparison: Comparison
    tables: Sequence[StudyTable]
    figures: Sequence[tuple[StudyFigure, str]]

    @property
    def anchor(self) -> str:
        """Name of its place in the page."""
        return anchor(self.comparison.regime, self.comparison.sequence)


def page(title: str, sections: Sequence[Section], made_with: Iterable[tuple[str, str]], unfinished: str) -> str:
    """Return the page as HTML. made_with: (name, content) of each file that says how the study was run.

    unfinished: a sentence on the runs of the study that have not ended yet, if there are any.
    """
    parts = [
        f"<h1>{escape(title)}</h1>",
        _navigation(sections),
        _warnings(sections, unfinished),
        *(_section(section) for section in sections),
        _cards(sections),
        _definitions(),
        _how_made(made_with),
    ]
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<link rel="icon" href="data:,">\n'  # else a browser asks for favicon.ico
        f"<title>{escape(title)}</title>\n<style>\n{(HERE / 'page.css').read_text()}</style>\n</head>\n<body>\n"
        + "\n".join(parts)
        + f"\n<script>\n{(HERE / 'page.js').read_text()}</script>\n</body>\n</html>\n"
    )


def anchor(*names: str) -> str:
    """Return names as one name for files and for places in the page; what labels are made of is left as it is."""
    return "-".join(re.sub(r"[^A-Za-z0-9_.+-]", "-", name) for name in names)


def _navigation(sections: Sequence[Section]) -> str:
    links = [(section.anchor, section.comparison.title) for section in sections]
    links += [("methods", "what the methods are"), ("definitions", "definitions"), ("made", "how it was made")]
    return "<nav>" + "".join(f'<a href="#{place}">{escape(name)}</a>' for place, name in links) + "</nav>"


def _warnings(sections: Sequence[Section], unfinished: str) -> str:
    lines = [unfinished] if unfinished else []
    for section in sections:
        comparison, doubts = section.comparison, section.tables[0].doubts
        lines += [f"{comparison.title}: {doubt}" for doubt in doubts]
        failed = len(comparison.failed)
        lines += [f"{comparison.title}: {failed} run{'s' if failed > 1 else ''} failed."] if failed else []
    if not lines:
        return ""
    return f'<div class="warnings" role="note"><strong>Beware</strong>{_list(lines)}</div>'


def _section(section: Section) -> str:
    main, *others = section.tables
    wide = [_figure(section, figure, svg) for figure, svg in section.figures if figure.wide]
    parts = [
        f'<section id="{section.anchor}">\n<h2>{escape(section.comparison.title)}</h2>',
        _table(main),
        *wide,
        _panels(section, "Retention matrices", "retention"),
        _panels(section, "Success over the life", "life"),
        *(f"<h3>{escape(table.title.partition(':')[0])}</h3>\n{_table(table)}" for table in others),
        "</section>",
    ]
    return "\n".join(parts)


def _panels(section: Section, title: str, kind: str) -> str:
    figures = [_figure(section, figure, svg) for figure, svg in section.figures if figure.name.startswith(kind)]
    return f'<h3>{title}</h3>\n<div class="panels">{"".join(figures)}</div>'


def _table(table: StudyTable) -> str:
    words = [any(isinstance(row[column], str) for row in table.rows) for column in range(len(table.head))]
    head = "".join(
        f'<th scope="col"{_class_of(column, words)}>{escape(name)}</th>' for column, name in enumerate(table.head)
    )
    rows = (
        "<tr>" + "".join(_cell(cell, _class_of(column, words)) for column, cell in enumerate(row)) + "</tr>\n"
        for row in table.rows
    )
    notes = "".join(
        f"<li{' class=doubt' if note.startswith(WARNING) else ''}>{escape(note)}</li>" for note in table.notes
    )
    return (
        f'<div class="box" tabindex="0"><table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{"".join(rows)}</tbody>\n'
        f'</table></div>\n<ul class="notes">{notes}</ul>'
    )


def _class_of(column: int, words: Sequence[bool]) -> str:
    return ' class="words"' if column and words[column] else ""


def _cell(cell: Cell, kind: str) -> str:
    if cell is None or cell == "":
        return f"<td{kind}>{shown(cell)}</td>"
    value = cell.estimate if isinstance(cell, Interval) else int(cell) if isinstance(cell, int) else cell
    text = escape(shown(cell))
    if isinstance(cell, Interval):
        text = re.sub(r"(\[.*\])", r'<span class="range">\1</span>', text)
    return f'<td{kind} data-value="{escape(str(value))}">{text}</td>'


def _figure(section: Section, figure: StudyFigure, svg: str) -> str:
    name = f"{section.anchor}-{anchor(figure.name)}"
    wide = ' class="wide" tabindex="0"' if figure.wide else ""
    caption = escape(figure.caption)
    return f"<figure{wide}>{_inline(svg, name, caption)}<figcaption>{caption}</figcaption></figure>"


def _inline(svg: str, name: str, caption: str) -> str:
    """Return an SVG file's drawing for use within the page: its names made unlike those of all others."""
    drawing = svg[svg.index("<svg") :]
    drawing = re.sub(r"<metadata>.*?</metadata>", "", drawing, flags=re.DOTALL)
    drawing = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{name}-", drawing)
    opening = re.search(r'viewBox="[^"]*"', drawing)
    viewbox = opening.group() if opening else ""
    body = drawing[drawing.index(">") + 1 :].strip()
    return f'<svg {viewbox} role="img" aria-label="{caption}" xmlns:xlink="http://www.w3.org/1999/xlink">{body}'


def _cards(sections: Sequence[Section]) -> str:
    methods = {
        method.label: method for method in chain.from_iterable(section.comparison.methods for section in sections)
    }
    cards = []
    for label, method in methods.items():
        record = method.records[0]
        options = ", ".join(f"{key}: {value}" for key, value in record.options.items())
        facts = {"method": record.method_name if record.method_name != label else "", "options": options}
        if method.card:
            card = method.card
            facts |= {"paper": card.paper, "stores": card.stores, "costs": card.cost, "knows": ", ".join(card.knows)}
        lines = "".join(f"<dt>{name}</dt><dd>{escape(fact)}</dd>" for name, fact in facts.items() if fact)
        summary = escape(method.card.summary) if method.card else "not known to this installation"
        cards.append(f'<div class="card"><h3>{escape(label)}</h3><p>{summary}</p><dl>{lines}</dl></div>')
    return f'<section id="methods">\n<h2>What the methods are</h2>\n<div class="cards">{"".join(cards)}</div></section>'


def _definitions() -> str:
    meanings = {measure.title: measure.definition for measure in MEASURES.values()} | MORE_DEFINITIONS
    lines = "".join(f"<dt>{escape(name)}</dt><dd>{escape(meaning)}</dd>" for name, meaning in meanings.items())
    return f'<section id="definitions">\n<h2>Definitions</h2>\n<dl>{lines}</dl></section>'


def _how_made(files: Iterable[tuple[str, str]]) -> str:
    blocks = "".join(f"<h3>{escape(name)}</h3>\n<pre>{escape(content)}</pre>\n" for name, content in files)
    return f'<section id="made">\n<h2>How it was made</h2>\n{blocks}</section>'


def _list(lines: Iterable[str]) -> str:
    return "<ul>" + "".join(f"<li>{escape(line)}</li>" for line in lines) + "</ul>"
