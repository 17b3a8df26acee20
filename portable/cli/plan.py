"""Say what changes when the app moves from one target to another.

In meaning, event sources, names, limits and cost, and what the new target
cannot give at all. Exit status 1 when it could not be built there.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from portable.cli.options import add_project, add_stage, chosen_adapter, chosen_project

if TYPE_CHECKING:
    from portable.build.moving import Move
    from portable.build.project import Project
    from portable.build.target import BuildTarget, Finding
    from portable.manifest import Manifest

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """See ``portable.cli.parser``."""
    parser.add_argument("--from", required=True, dest="source", metavar="TARGET", help="where the app is")
    parser.add_argument("--to", required=True, metavar="TARGET", help="where it shall go")
    add_project(parser)
    add_stage(parser)


def run(options: argparse.Namespace) -> int:
    """See ``portable.cli.parser``."""
    from portable.build.moving import compare_targets

    project = chosen_project(options)
    old, new = chosen_adapter(options.source), chosen_adapter(options.to)
    manifest, before = _described(project, old.build)
    _, after = _described(project, new.build)
    move = compare_targets(manifest, before, after)
    print(f"{manifest.app} from {old.title} to {new.title}")
    print("\n".join(_lines(move, options.source, options.to)))
    return 1 if any(one.severity == "error" for one in after[1]) else 0


def _described(
    project: Project, target: BuildTarget
) -> tuple[Manifest, tuple[BuildTarget, Sequence[Finding], Mapping[str, str]]]:
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
        "cost": move.cost,
    }
    for title, differences in parts.items():
        if differences:
            lines += ["", f"{title}:", *difference_lines(differences, old, new)]
    if move.data:
        lines += ["", "to be carried over:", *(f"  {one}" for one in move.data)]
    lines += ["", "Prices are not compared; calls that are paid for more or less often are."]
    return lines
