"""The pages of the documentation, and the snippets in them.

A comment above a fence says what its snippet is:

* ``<!-- file: app.py -->``: a file of the page's project.
* ``<!-- fragment -->``: Python that stands in an app the page does not show. It is compiled, and not run.
* ``<!-- answer: POST /orders {"id": 1} -->``: what the page's app answers, as JSON.
* ``<!-- output: command -->``: what a command prints in the page's project.

Python without one is run, in the page's order, in one namespace.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
PAGES = sorted(
    [
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
        ROOT / "CHANGELOG.md",
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / "examples").glob("*/README.md"),
        *(ROOT / "benchmarks").glob("*.md"),
    ]
)
_FENCE = re.compile(
    r"^(?:<!-- (?P<marker>.*?) -->\n)?```(?P<language>\w*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@dataclass
class Snippet:
    """``kind``: what the comment above says (``file``, ``fragment`` …), "" without one; ``about``: the rest of it."""

    page: Path
    line: int
    language: str
    text: str
    kind: str
    about: str

    def __str__(self) -> str:
        return f"{name_of(self.page)}:{self.line}"


def snippets_of(page: Path) -> list[Snippet]:
    """Every fenced snippet of a page."""
    text = page.read_text("utf-8")
    found = []
    for match in _FENCE.finditer(text):
        kind, _, about = (match["marker"] or "").partition(": ")
        line = text.count("\n", 0, match.start("text")) + 1
        found.append(Snippet(page, line, match["language"], match["text"], kind, about))
    return found


def all_text() -> str:
    """Every page's text."""
    return "\n".join(page.read_text("utf-8") for page in PAGES)
