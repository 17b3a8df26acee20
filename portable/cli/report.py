"""Say what a built artifact weighs, by distribution; what was pruned from it; what
each function imports, and how long that takes; with --cold-start how long it is
from the start of a process to the first answer, under the cloud's own runtime
client, here. Exit status 1 when it is over [tool.portable.budget].
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from portable.cli.options import (
    add_project,
    add_stage,
    add_target,
    add_variables,
    chosen_adapter,
    chosen_project,
    chosen_variables,
)

if TYPE_CHECKING:
    from portable.run.report import Report

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """See ``portable.cli.parser``."""
    add_target(parser, help="whose artifact")
    add_project(parser)
    add_stage(parser)
    parser.add_argument("--dist", type=Path, metavar="DIR", help="the artifact (default: dist/TARGET of the project)")
    parser.add_argument("--cold-start", action="store_true", help="measure cold starts too")
    parser.add_argument("--runs", type=int, default=5, metavar="N", help="cold starts of each function (default: 5)")
    add_variables(parser)
    parser.add_argument("--html", type=Path, metavar="FILE", help="write a page too: a treemap, waterfalls, tables")


def run(options: argparse.Namespace) -> int:
    """See ``portable.cli.parser``."""
    from portable.build.budget import read_budget
    from portable.errors import ConfigError
    from portable.run.report import make_report

    chosen_adapter(options.target)
    if options.runs < 1:
        raise ConfigError(f"--runs {options.runs}: at least one")
    project = chosen_project(options)
    folder = options.dist or project.root / "dist" / options.target
    report = make_report(folder, options.cold_start * options.runs, chosen_variables(options))
    lines = _lines(report)
    over = report.excesses(read_budget(project, options.target, report.manifest))
    if options.html is not None:
        from portable.run.report_page import report_page

        try:
            options.html.write_text(report_page(report, over), "utf-8")
        except OSError as error:
            raise ConfigError(f"--html {options.html}: {error.strerror}") from error
        lines += ["", str(options.html)]
    print("\n".join(lines))
    if over:
        from portable.cli.bars import excess_lines

        print("\n".join(["", *excess_lines(over)]))
    return 1 if over else 0


def _lines(report: Report) -> list[str]:
    from portable.cli.bars import dropped_lines, size_lines, start_lines, waterfall_lines
    from portable.cli.lines import wrapped

    lines = [f"{report.manifest.app} for {report.target}, Python {report.python}", *size_lines(report.parts)]
    if report.dropped:
        lines += ["", "pruned from the dependencies:", *dropped_lines(report)]
    lines += ["", "imports before the first event:"]
    for loading in report.loadings:
        lines += waterfall_lines(loading)
    if report.unknown:
        first, *more = report.unknown.splitlines()
        lines += wrapped(f"not measured: {first}", "  ", "    ")
        lines += more if any(line.startswith(" ") for line in more) else wrapped(" ".join(more), "    ", "    ")
    if report.starts:
        parts = ", ".join(f"{name} {version}" for name, version in sorted(report.used.items()))
        said = f"cold start, runs: {len(report.starts[0].seconds)}, under {parts}:"
        lines += ["", *wrapped(said, "", "  "), *start_lines(report.starts)]
    return lines
