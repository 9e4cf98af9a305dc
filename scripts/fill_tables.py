"""Put files of results/ into the README and docs/*.md where they say <!-- file: PATH -->, so that no figure is typed.

python scripts/fill_tables.py            # a .txt file stands in a code block, a .md file as it is
python scripts/fill_tables.py --check    # writes nothing; exit code 1 if a page is out of date
"""

import os
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
LINK = re.compile(r"\]\((?!\w+:|#)(?P<target>[^)]+)\)")
BLOCK = re.compile(r"<!-- file: (?P<path>\S+) -->\n.*?<!-- /file -->", re.DOTALL)


def filled(page: Path) -> str:
    """Return a page with every block as its file says."""
    return BLOCK.sub(
        lambda block: f"<!-- file: {block['path']} -->\n{content(ROOT / block['path'], page)}<!-- /file -->",
        page.read_text(),
    )


def content(file: Path, page: Path) -> str:
    """Return a file's text as Markdown, its links leading from the page to where they lead from the file."""
    text = file.read_text().strip()
    if file.suffix == ".txt":
        return f"```\n{text}\n```\n"
    moved = LINK.sub(lambda link: f"]({os.path.relpath(file.parent / link['target'], page.parent)})", text)
    return f"{moved}\n\n"


def main() -> int:
    """Write or check; return the exit code."""
    out_of_date = [page for page in PAGES if filled(page) != page.read_text()]
    if "--check" in sys.argv[1:]:
        names = ", ".join(str(page.relative_to(ROOT)) for page in out_of_date)
        print(f"out of date: {names}; run `make tables`" if names else "all is up to date")
        return int(bool(out_of_date))
    for page in out_of_date:
        page.write_text(filled(page))
    return 0


if __name__ == "__main__":
    sys.exit(main())
