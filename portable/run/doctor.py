"""What is missing on this machine, and the command that installs it."""

from __future__ import annotations

import argparse
import sys
import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING

from portable.build import pythons
from portable.errors import ConfigError
from portable.run import parts
from portable.run.installation import install

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from portable.run.parts import Part

__all__ = ["Row", "doctor_report", "doctor_table", "install_missing", "main"]

TARGETS = ("aws", "gcp", "azure", "local", "nats", "image", "infrastructure")
"""What parts are for: targets, and ``image`` and ``infrastructure`` for what any of them may have."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the report.

    Attributes:
        version: what is here; None when the part is missing.
        python: the Python version this line is about, where that matters; else empty.
        how_to_get: the command that installs it, or what the user has to do.
        installable: True when :func:`install_missing` gets it.
    """

    part: str
    version: str | None
    python: str
    covers: str
    targets: tuple[str, ...]
    how_to_get: str
    installable: bool


def doctor_report(targets: Sequence[str] = TARGETS, pythons_wanted: Sequence[str] | None = None) -> list[Row]:
    """A row for each part that ``targets`` take, and for each Python version where it is one a version.

    Args:
        pythons_wanted: versions (``3.13``) artifacts are built for; left out, this process's own and 3.13.
    """
    return [_row(part, python) for part, python in _wanted(targets, pythons_wanted)]


def install_missing(rows: Sequence[Row]) -> list[str]:
    """Install what is missing and installable; return what went wrong, one message a part."""
    problems = []
    for row in rows:
        if row.version is None and row.installable:
            try:
                install(row.part, row.python or None)
            except ConfigError as error:
                problems.append(str(error))
    return problems


def doctor_table(rows: Sequence[Row]) -> str:
    """The report as text at 80 columns: parts by what they are for, then for each missing one how to get it, on a line
    of its own that can be copied.
    """
    lines = []
    for targets in dict.fromkeys(row.targets for row in rows):
        own = [row for row in rows if row.targets == targets]
        width = max(len(_label(row)) for row in own)
        lines.append(f"{', '.join(targets)}:")
        for row in own:
            lines += _row_lines(f"  {_label(row):<{width}}  {row.version or 'missing':<8}", row.covers)
    missing = [row for row in rows if row.version is None]
    if missing:
        lines += ["", "to get what is missing:"]
        lines += [f"  {_label(row)}: {row.how_to_get}" for row in missing]
    return "\n".join(lines)


def _row_lines(head: str, covers: str) -> list[str]:
    if len(head) + 2 + len(covers) < 80:
        return [f"{head}  {covers}"]
    return [head.rstrip(), *textwrap.wrap(covers, 79, initial_indent="      ", subsequent_indent="      ")]


def main(arguments: Sequence[str] | None = None) -> int:
    """``python -m portable.run.doctor [--install] [--target T …] [--python V …]``: 1 when an installation fails."""
    parser = argparse.ArgumentParser(prog="python -m portable.run.doctor", description=__doc__)
    parser.add_argument("--install", action="store_true", help="install what is missing and can be installed")
    parser.add_argument("--target", action="append", choices=TARGETS, help="only what this target takes")
    parser.add_argument("--python", action="append", metavar="VERSION", help="a version artifacts are built for")
    options = parser.parse_args(arguments)
    rows = doctor_report(options.target or TARGETS, options.python)
    problems: list[str] = []
    if options.install:
        problems = install_missing(rows)
        rows = doctor_report(options.target or TARGETS, options.python)
    sys.stdout.write(doctor_table(rows) + "\n")
    for problem in problems:
        sys.stderr.write(f"{problem}\n")
    return 1 if problems else 0


def _wanted(targets: Sequence[str], pythons_wanted: Sequence[str] | None) -> Iterator[tuple[Part, str | None]]:
    versions = list(dict.fromkeys(pythons_wanted or (pythons.CURRENT, "3.13")))
    for part in parts.ALL:
        if not set(part.targets) & set(targets):
            continue
        if part.name in _ONE_A_PYTHON:
            yield from ((part, version) for version in versions)
        else:
            yield part, None


# These run the artifact, so they are wanted for its Python; the rest runs on whichever is at hand.
_ONE_A_PYTHON = ("python", "awslambdaric")


def _row(part: Part, python: str | None) -> Row:
    found = parts.find(part.name, python)
    version = part.python(python)
    how_to_get = part.how_to_get.replace("VERSION", version) if part.name == "python" else part.how_to_get
    return Row(
        part.name, found.version if found else None, version, part.covers, part.targets, how_to_get, part.installable
    )


def _label(row: Row) -> str:
    if row.part == "python":
        return f"Python {row.python}"
    return f"{row.part} (Python {row.python})" if row.python else row.part


if __name__ == "__main__":
    sys.exit(main())
