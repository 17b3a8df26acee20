"""Create or update in a cloud what `portable build` wrote to dist/TARGET.

First what will change is shown; it is done after a yes, or with --yes. With
--dry-run it ends there. A change that replaces what holds data is warned of,
and takes a second yes, or --replace-data too. A resource that fails is named
with the cloud's reason; the same command goes on from there once that is
mended.
"""

from __future__ import annotations

import argparse
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from portable.cli.options import add_project, add_stage, add_target, chosen_adapter, chosen_project

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from portable.deploy import Deployer, Place, Step
    from portable.run.target import Artifact

__all__ = ["add_arguments", "add_deployment", "agreed", "chosen_deployment", "ending", "progress_printer", "run"]


def add_deployment(parser: argparse.ArgumentParser) -> None:
    """What both ways have in common."""
    add_target(parser, help="whose artifact")
    add_project(parser)
    add_stage(parser)
    parser.add_argument("--dist", type=Path, metavar="DIR", help="the artifact (default: dist/TARGET of the project)")
    parser.add_argument("--yes", action="store_true", help="do not ask")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """See ``portable.cli.parser``."""
    add_deployment(parser)
    parser.add_argument("--dry-run", action="store_true", help="show what would change, and change nothing")
    parser.add_argument("--replace-data", action="store_true", help="do not ask about what holds data either")


def run(options: argparse.Namespace) -> int:
    """See ``portable.cli.parser``."""
    from portable.cli.lines import change_lines, counted

    deployer, artifact, place = chosen_deployment(options)
    changes = deployer.preview(artifact, place)
    print("\n".join(change_lines(changes)))
    ahead = [one for one in changes if one.action != "keep"]
    losing = [f"{one.kind} {one.name}: {one.loses}" for one in changes if one.loses]
    for line in losing:
        print(f"warning: {line}")
    print(f"to {deployer.where(artifact, place)}")
    if options.dry_run:
        return 0
    question = f"{counted(len(ahead), 'change')} to {options.target}, stage {place.stage}: go on?"
    if not ahead:
        print("nothing to change")
    elif not (agreed(options, question) and (not losing or _agreed_to_lose(options, losing))):
        return 1
    with ending():
        outputs = deployer.apply(artifact, place, progress_printer())
    for name, value in outputs.items():
        print(f"{name}: {value}")
    return 0


def chosen_deployment(options: argparse.Namespace) -> tuple[Deployer, Artifact, Place]:
    """What deploys, the artifact, and where to.

    Raises ConfigError where there is no artifact, it is another stage's, or its dependencies are this machine's.
    """
    import json

    from portable.deploy import Place
    from portable.errors import ConfigError
    from portable.run.target import open_artifact

    adapter, project = chosen_adapter(options.target), chosen_project(options)
    folder = options.dist or project.root / "dist" / options.target
    artifact = open_artifact(folder)
    said = json.loads((artifact.folder / "manifest.json").read_bytes())
    again = f"portable build --target {artifact.target} --stage {project.stage}"
    if artifact.target != options.target:
        raise ConfigError(f"{folder} is built for {artifact.target}, not for {options.target}")
    if said["stage"] != project.stage:
        raise ConfigError(f"{folder} is built for stage {said['stage']}, not for {project.stage}: {again}")
    if said["for_here"]:
        raise ConfigError(f"the dependencies in {folder} are this machine's, not the cloud's: {again}")
    return adapter.deploy, artifact, Place(project.stage, project.settings(options.target))


def agreed(options: argparse.Namespace, question: str) -> bool:
    """Whether the user says yes. Raises ConfigError where nobody can be asked."""
    from portable.errors import ConfigError

    if options.yes:
        return True
    if not sys.stdin.isatty():
        raise ConfigError(f"{question} Nobody is there to answer; say --yes")
    return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")


def _agreed_to_lose(options: argparse.Namespace, losing: Sequence[str]) -> bool:
    """A second yes. Raises DeployError where nobody can be asked."""
    from portable.errors import DeployError

    if options.replace_data:
        return True
    if options.yes or not sys.stdin.isatty():
        raise DeployError(
            f"nothing is changed: {'; '.join(losing)}. --replace-data says that it may be, once the data is copied; a "
            "resource of another name leaves the old one as it is"
        )
    return input("The app loses sight of that data. Still go on? [y/N] ").strip().lower() in ("y", "yes")


@contextmanager
def ending() -> Iterator[None]:
    """Ctrl-C while a cloud is changed: say what is left. A deployer that knows better says it itself."""
    from portable.errors import DeployError

    try:
        yield
    except KeyboardInterrupt as error:
        raise DeployError("interrupted: what is done stays done, and the same command goes on from there") from error


def progress_printer() -> Callable[[Step], None]:
    """Prints a line for each step."""
    signs = {"started": "…", "done": "✓", "failed": "✗"}

    def show(step: Step) -> None:
        print(f"{signs[step.state]} {step.kind} {step.name}{f': {step.detail}' if step.detail else ''}", flush=True)

    return show
