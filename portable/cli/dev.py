"""Serve the app on this machine: HTTP, queues with their retries, blob events and
schedules. It reloads when the project changes. State lies in the project's
.portable folder and survives a restart.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from portable.cli.options import add_app, chosen_project, port

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """See ``portable.cli.parser``."""
    add_app(parser, "app", nargs="?")
    parser.add_argument(
        "--project", type=Path, default=Path(), metavar="DIR", help="the project's folder, or one in it (default: .)"
    )
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on (default: 127.0.0.1)")
    parser.add_argument("--port", type=port, default=8000, help="the port; 0 takes a free one (default: 8000)")
    parser.add_argument("--no-reload", dest="reload", action="store_false", help="leave the app as it started")


def run(options: argparse.Namespace) -> int:
    """See ``portable.cli.parser``."""
    from portable.dev import serve

    return serve(chosen_project(options), options.host, options.port, options.reload)
