"""Say what the app asks that a target cannot give, with the file and line.

An error stops a build: a meaning would be lost. A warning: the same meaning,
at another cost or delay. Exit status 1 when there is an error.
"""

from __future__ import annotations

import argparse

from portable.cli.options import add_platform, add_project, add_stage, add_target, chosen_adapter, chosen_project

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """See ``portable.cli.parser``."""
    add_target(parser, required=False, help="what to check for")
    parser.add_argument("--all", action="store_true", help="every target: what each cannot give, as a matrix")
    add_project(parser)
    add_stage(parser)
    add_platform(parser)


def run(options: argparse.Namespace) -> int:
    """See ``portable.cli.parser``."""
    from portable.errors import ConfigError

    if options.all and options.target is not None:
        raise ConfigError("--target or --all: one of them")
    if options.all:
        return _check_all(options)
    if options.target is None:
        raise ConfigError("say --target TARGET, or --all")
    return _check_one(options)


def _check_one(options: argparse.Namespace) -> int:
    from portable.build.artifact import check
    from portable.build.features import served
    from portable.build.schedules import timers_of
    from portable.cli.grants import grant_lines
    from portable.cli.lines import counted, finding_lines, function_lines, timer_lines

    adapter, project = chosen_adapter(options.target), chosen_project(options)
    target = adapter.build
    description, findings = check(project, target)
    manifest = description.manifest
    print(f"{manifest.app} on {adapter.title}: {counted(len(manifest.functions), 'function')}")
    timers = timers_of(served(manifest, target), target, project.settings(target.name))
    lines = [*function_lines(manifest.functions), *timer_lines(timers), *finding_lines(findings)]
    lines += grant_lines(manifest.functions)
    print("\n".join(lines))
    errors = sum(one.severity == "error" for one in findings)
    if not findings:
        print("nothing to say")
    return 1 if errors else 0


def _check_all(options: argparse.Namespace) -> int:
    from portable.build.artifact import check
    from portable.build.matrix import findings_matrix
    from portable.cli.lines import finding_lines, matrix_lines
    from portable.plugins import adapters

    project = chosen_project(options)
    checked = {name: check(project, one.build) for name, one in sorted(adapters().items()) if one.builds}
    found = {name: findings for name, (_, findings) in checked.items()}
    for manifest in [description.manifest for description, _ in checked.values()][:1]:
        print("\n".join(matrix_lines(findings_matrix(manifest, found), list(found))))
    for name, findings in found.items():
        if findings:
            print("\n".join(["", f"{name}:", *finding_lines(findings)]))
    return 1 if any(one.severity == "error" for findings in found.values() for one in findings) else 0
