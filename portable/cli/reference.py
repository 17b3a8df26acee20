"""The reference page of the command line, written from the parser: ``python -m portable.cli.reference FILE``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from portable.cli.parser import COMMANDS, make_parser

__all__ = ["page"]


def page() -> str:
    """``docs/reference/cli.md``."""
    parser = make_parser()
    parts = [
        "# The command line",
        "This page is written by `python -m portable.cli.reference docs/reference/cli.md`; a test holds it true.",
        f"```text\n{parser.format_help().strip()}\n```",
    ]
    commands = next(one for one in parser._actions if isinstance(one, argparse._SubParsersAction))
    for name in COMMANDS:
        parts += [f"## portable {name}", f"```text\n{commands.choices[name].format_help().strip()}\n```"]
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(page(), "utf-8")
