"""Build the project for every target, run each artifact under its cloud's own
runtime client, send all the same requests and events, and compare answers,
headers, bodies and what is stored. Exit status 1 when there is a difference
that is not declared as unavoidable.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from portable.cli.options import chosen_adapter, chosen_project

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """See ``portable.cli.parser``."""
    parser.add_argument(
        "project", nargs="?", type=Path, default=Path(), metavar="PROJECT", help="the project's folder (default: .)"
    )
    parser.add_argument(
        "--app", metavar="APP", help="module:variable of the App (default: the settings', else app:app)"
    )
    parser.add_argument("--targets", metavar="LIST", help="some targets, with commas: aws,gcp (default: all)")
    parser.add_argument(
        "--corpus", type=_count, default=0, metavar="N", help="send N generated requests and events instead"
    )
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="what the corpus is drawn with (default: 0)")


def run(options: argparse.Namespace) -> int:
    """See ``portable.cli.parser``."""
    from portable.run.verify import verify

    names = [name for name in (options.targets or "").split(",") if name]
    targets = [chosen_adapter(name).name for name in names] or None
    report = verify(
        chosen_project(options),
        targets,
        corpus=options.corpus,
        seed=options.seed,
        say=lambda line: print(line, flush=True),
    )
    print(report.text())
    return report.status


def _count(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"a number of steps from 1 on, got {text!r}")
    return int(text)
