"""Say which parts are on this machine and which are missing, and how to get them.
Only `run` and `verify` need any; they say so when one is missing.
"""

from __future__ import annotations

import argparse
import sys

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """See ``portable.cli.parser``."""
    parser.add_argument("--install", action="store_true", help="install what is missing and can be installed")
    parser.add_argument(
        "--target",
        action="append",
        metavar="TARGET",
        help="only what this target takes, or image, or infrastructure; repeatable",
    )
    parser.add_argument(
        "--python", action="append", metavar="VERSION", help="a version artifacts are built for; repeatable"
    )


def run(options: argparse.Namespace) -> int:
    """See ``portable.cli.parser``."""
    from portable.cli.options import chosen_adapter
    from portable.run.doctor import TARGETS, doctor_report, doctor_table, install_missing

    targets = [name if name in TARGETS else chosen_adapter(name).name for name in options.target or ()] or TARGETS
    rows = doctor_report(targets, options.python)
    problems = install_missing(rows) if options.install else []
    if options.install:
        rows = doctor_report(targets, options.python)
    print(doctor_table(rows))
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0
