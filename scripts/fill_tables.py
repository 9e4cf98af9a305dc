"""Put files of results/ into the README and docs/*.md where they say <!-- file: PATH -->, so that no figure is typed.

python scripts/fill_tables.py            # a .txt file stands in a code block, a .md file as it is
python scripts/fill_tables.py --check    # writes nothing; exit code 1 if a page is out of date
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
BLOCK = re.compile(r"<!-- file: (?P<path>\S+) -->\n.*?<!-- /file -->", re.DOTALL)


def filled(text: str) -> str:
    """Return a page with every block as its file says."""
    return BLOCK.sub(lambda block: f"<!-- file: {block['path']} -->\n{content(block['path'])}<!-- /file -->", text)


def content(path: str) -> str:
    """Return a file's text as Markdown."""
    text = (ROOT / path).read_text().strip()
    return f"```\n{text}\n```\n" if path.endswith(".txt") else f"{text}\n\n"


def main() -> int:
    """Write or check; return the exit code."""
    out_of_date = [page for page in PAGES if filled(page.read_text()) != page.read_text()]
    if "--check" in sys.argv[1:]:
        names = ", ".join(str(page.relative_to(ROOT)) for page in out_of_date)
        print(f"out of date: {names}; run `make tables`" if names else "all is up to date")
        return int(bool(out_of_date))
    for page in out_of_date:
        page.write_text(filled(page.read_text()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
