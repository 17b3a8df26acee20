"""Say what changes when the app moves from one target to another.

In meaning, event sources, names, limits and cost, and what the new target
cannot give at all. The cost is that of a month at list prices, under a load
that [tool.portable.load] says. Exit status 1 when it could not be built there.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from portable.cli.options import add_project, add_stage, chosen_adapter, chosen_project

if TYPE_CHECKING:
    from portable.build.costs import Bill
    from portable.build.load import Loads
    from portable.build.moving import Move
    from portable.build.project import Project
    from portable.build.target import BuildTarget, Finding
    from portable.manifest import Manifest

    _Described = tuple[BuildTarget, Sequence[Finding], Mapping[str, str]]
    """A target, what it finds in the app, and the event source of each function there."""

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """See ``portable.cli.parser``."""
    parser.add_argument("--from", required=True, dest="source", metavar="TARGET", help="where the app is")
    parser.add_argument("--to", required=True, metavar="TARGET", help="where it shall go")
    add_project(parser)
    add_stage(parser)
    load = parser.add_argument_group("load, of each function that the settings say nothing of")
    load.add_argument("--requests", metavar="N", help="events in a month: 250k, 1M (default: 1M; a schedule's own)")
    load.add_argument("--duration", metavar="TIME", help="of one: 50 ms, 2 s (default: 100 ms)")
    load.add_argument("--memory", type=int, metavar="MIB", help="instead of what is deployed")
    parser.add_argument("--prices", type=Path, metavar="FILE", help="prices of your own, as TOML: [aws], [gcp] …")


def run(options: argparse.Namespace) -> int:
    """See ``portable.cli.parser``."""
    from portable.build.load import read_load
    from portable.build.moving import compare_targets
    from portable.cli.bills import bill_lines
    from portable.errors import ConfigError

    project = chosen_project(options)
    old, new = chosen_adapter(options.source), chosen_adapter(options.to)
    if old.name == new.name:
        raise ConfigError(f"--from and --to are both {old.name}")
    manifest, before = _described(project, old.build)
    _, after = _described(project, new.build)
    given = {key: getattr(options, key) for key in ("requests", "duration", "memory")}
    loads = read_load(project, manifest, {key: value for key, value in given.items() if value is not None})
    bills = {one[0].name: _bill(project, manifest, one, loads, options.prices) for one in (before, after)}
    move = compare_targets(manifest, before, after)
    print(f"{manifest.app} from {old.title} to {new.title}")
    print("\n".join([*_lines(move, options.source, options.to), "", "cost:", *bill_lines(bills, loads)]))
    return 1 if any(one.severity == "error" for one in after[1]) else 0


def _bill(
    project: Project, manifest: Manifest, described: _Described, loads: Loads, prices: Path | None
) -> Bill | None:
    """None for a target that has no prices."""
    from portable.build.costs import bill_of
    from portable.build.prices import read_prices
    from portable.build.settings import function_settings

    target: Any = described[0]
    if not hasattr(target, "prices"):
        return None
    settings = project.settings(target.name)
    functions = function_settings(project, target.name, manifest)
    found = read_prices(target.prices, target.name, prices)
    return bill_of(target, found, manifest, described[2], functions, settings, loads)


def _described(project: Project, target: BuildTarget) -> tuple[Manifest, _Described]:
    from portable.build.artifact import check
    from portable.build.features import served

    description, findings = check(project, target)
    sources: dict[str, str] = {}
    can: Any = served(description.manifest, target)
    for bundle in target.bundles(can, project.settings(target.name)):
        sources.update(bundle.sources)
    return description.manifest, (target, findings, sources)


def _lines(move: Move, old: str, new: str) -> list[str]:
    from portable.cli.lines import difference_lines, finding_lines

    lines = []
    said = {
        f"{new} cannot give": [one for one in move.lost if one.severity == "error"],
        f"{new} does otherwise": [one for one in move.lost if one.severity != "error"],
        f"only {old} could not give": move.gained,
    }
    for title, findings in said.items():
        if findings:
            lines += ["", f"{title}:", *finding_lines(findings, indent="  ")]
    parts = {
        "meaning": move.meaning,
        "what calls a function": move.sources,
        "names": move.names,
        "limits": move.limits,
        "calls that are paid for": move.cost,
    }
    for title, differences in parts.items():
        if differences:
            lines += ["", f"{title}:", *difference_lines(differences, old, new)]
    if move.data:
        lines += ["", "to be carried over:", *(f"  {one}" for one in move.data)]
    return lines
