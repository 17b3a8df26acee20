"""Write dist/TARGET: the folder to deploy, the same as a zip, the files that
describe the infrastructure around it, and a manifest.

Dependencies come from the project's pyproject.toml or requirements.txt, for
the cloud's Python and machine. Their versions stay as they are until they are
asked for otherwise, or with --upgrade. What the target cannot give stops the
build with the file and line; a build that fails leaves the last artifact.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

from portable.cli.images import add_image, chosen_architectures, image_lines, pushed_line, wanted_image
from portable.cli.options import add_platform, add_project, add_stage, add_target, chosen_adapter, chosen_project

if TYPE_CHECKING:
    from portable.build.artifact import Built
    from portable.build.budget import Measured

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """See ``portable.cli.parser``."""
    add_target(parser, help="what to build for")
    add_project(parser)
    parser.add_argument(
        "--arch",
        action="append",
        metavar="ARCH",
        help="x86_64 (the default) or arm64; an image may have both: x86_64,arm64",
    )
    parser.add_argument("--python", metavar="VERSION", help="as 3.13 (default: the settings', else the target's)")
    parser.add_argument(
        "--for-here",
        action="store_true",
        help="a variant whose dependencies are this machine's, to run here; labelled in its manifest",
    )
    add_stage(parser)
    add_platform(parser)
    parser.add_argument("--iac", metavar="FORM", help="form of the infrastructure files (default: the target's first)")
    add_image(parser)
    parser.add_argument("--upgrade", action="store_true", help="choose the versions of the dependencies anew")
    parser.add_argument("--out", type=Path, metavar="DIR", help="instead of dist/TARGET")


def run(options: argparse.Namespace) -> int:
    """See ``portable.cli.parser``."""
    started = time.perf_counter()
    from msgspec.structs import replace

    from portable.build.again import TOOK
    from portable.build.artifact import FindingsError, Wanted, build
    from portable.build.budget import BudgetError
    from portable.build.image.write import push_image
    from portable.build.watched import keep
    from portable.cli.bars import excess_lines, size_lines
    from portable.cli.lines import finding_lines

    adapter = chosen_adapter(options.target)
    project = chosen_project(options)
    oci = wanted_image(options, project, adapter.build)
    arch, out = chosen_architectures(options, project, adapter.build)[0], options.out
    wanted = Wanted(options.python, arch, options.for_here, options.upgrade, out, form=options.iac, oci=oci)
    try:
        built = build(project, adapter.build, wanted, _measure)
    except FindingsError as error:
        print("\n".join(finding_lines(error.findings)), file=sys.stderr)
        return 1
    except BudgetError as error:
        print("\n".join([*size_lines(error.parts), "", *excess_lines(error.excesses)]), file=sys.stderr)
        print(f"nothing is written: {out or f'dist/{options.target}'} is as it was", file=sys.stderr)
        return 1
    print("\n".join(_lines(built, f"{time.perf_counter() - started:.2f}")))
    if built.lasts and (oci is None or not oci.push):
        keep(project.root, built.folder, "\n".join(_lines(replace(built, is_unchanged=True), TOOK)))
    if built.image is not None and oci is not None and oci.push:
        print(pushed_line(push_image(built.image, oci.push)))
    return 0


def _lines(built: Built, seconds: str) -> list[str]:
    from portable.cli.grants import built_grants
    from portable.cli.lines import built_lines, finding_lines

    image = image_lines(built.image) if built.image is not None else []
    return [*finding_lines(built.findings), *built_lines(built, seconds), *built_grants(built.folder), *image]


def _measure(folder: Path, wanted: Collection[str]) -> Measured:
    from portable.run.coldstart import measure

    return measure(folder, wanted)
