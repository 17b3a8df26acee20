"""Take a deployment away again: everything that `portable deploy` created.

It asks first. Buckets and tables that hold data stay, and are named, unless
--delete-data is said too. --dry-run names what would go.
"""

from __future__ import annotations

import argparse

from portable.cli.deploy import add_deployment, agreed, chosen_deployment, ending, progress_printer

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """See ``portable.cli.parser``."""
    add_deployment(parser)
    parser.add_argument("--delete-data", action="store_true", help="buckets and tables that hold data too")
    parser.add_argument("--dry-run", action="store_true", help="name what holds data, and take nothing away")


def run(options: argparse.Namespace) -> int:
    """See ``portable.cli.parser``."""
    deployer, artifact, place = chosen_deployment(options)
    holding = deployer.holding(artifact, place)
    print(f"in {deployer.where(artifact, place)}")
    for name in holding:
        print(f"holds data: {name}{'' if options.delete_data else ' (stays)'}")
    if options.dry_run:
        return 0
    lost = f", and the data of {', '.join(holding)}" if holding and options.delete_data else ""
    if not agreed(options, f"Destroy app {artifact.manifest.app} at stage {place.stage}{lost}?"):
        return 1
    with ending():
        deployer.destroy(artifact, place, progress_printer(), with_data=options.delete_data)
    return 0
