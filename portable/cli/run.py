"""Run a built artifact under its cloud's own runtime client, here, with an HTTP
front on loopback. Its resources are emulators', unless the environment holds
their addresses; messages and blob events are delivered.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from portable.cli.options import add_variables, chosen_variables, port

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """See ``portable.cli.parser``."""
    parser.add_argument("dist", type=Path, metavar="DIST", help="the artifact's folder: dist/aws")
    parser.add_argument("--port", type=port, default=8000, help="the port; 0 takes a free one (default: 8000)")
    add_variables(parser)
    parser.add_argument("--log", type=Path, metavar="FILE", help="where the functions print (default: DIST.log)")


def run(options: argparse.Namespace) -> int:
    """See ``portable.cli.parser``."""
    from portable.run.serve import serve

    serve(options.dist, port=options.port, log=options.log, variables=chosen_variables(options))
    return 0
