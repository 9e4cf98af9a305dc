"""Put files of results/ into the README where it says <!-- file: PATH -->, so that no figure is typed.

python scripts/fill_readme.py            # a .txt file stands in a code block, a .md file as it is
python scripts/fill_readme.py --check    # writes nothing; exit code 1 if the README is out of date
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BLOCK = re.compile(r"<!-- file: (?P<path>\S+) -->\n.*?<!-- /file -->", re.DOTALL)


def filled(text: str) -> str:
    """Return the README with every block as its file says."""
    return BLOCK.sub(lambda block: f"<!-- file: {block['path']} -->\n{content(block['path'])}<!-- /file -->", text)


def content(path: str) -> str:
    """Return a file's text as Markdown."""
    text = (ROOT / path).read_text().strip()
    return f"```\n{text}\n```\n" if path.endswith(".txt") else f"{text}\n\n"


def main() -> int:
    """Write or check; return the exit code."""
    readme = ROOT / "README.md"
    before = readme.read_text()
    after = filled(before)
    if "--check" in sys.argv[1:]:
        print("the README is up to date" if before == after else "the README is out of date; run `make tables`")
        return int(before != after)
    readme.write_text(after)
    return 0


if __name__ == "__main__":
    sys.exit(main())
