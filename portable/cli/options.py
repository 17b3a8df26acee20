"""Arguments that several commands take, and what they stand for."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from portable.build.project import Project
    from portable.hookspecs import Adapter

__all__ = [
    "add_app",
    "add_platform",
    "add_project",
    "add_stage",
    "add_target",
    "add_variables",
    "chosen_adapter",
    "chosen_project",
    "chosen_variables",
    "port",
]


def add_project(parser: argparse.ArgumentParser) -> None:
    """``--project`` and ``--app``."""
    parser.add_argument(
        "--project", type=Path, default=Path(), metavar="DIR", help="the project's folder, or one in it (default: .)"
    )
    add_app(parser)


def add_app(parser: argparse.ArgumentParser, name: str = "--app", **more: str) -> None:
    """``--app``, or the same by position."""
    meaning = "module:variable of the App (default: the project's settings, else app:app)"
    parser.add_argument(name, metavar="APP", help=meaning, **more)  # type: ignore[arg-type]


def add_target(parser: argparse.ArgumentParser, *, required: bool = True, help: str = "the target") -> None:
    """``--target``."""
    parser.add_argument("--target", required=required, metavar="TARGET", help=f"{help}: aws, gcp, azure, local …")


def add_stage(parser: argparse.ArgumentParser) -> None:
    """``--stage``."""
    parser.add_argument("--stage", metavar="STAGE", help="whose settings: [tool.portable.stages.STAGE] (default: dev)")


def add_platform(parser: argparse.ArgumentParser) -> None:
    """``--platform``."""
    meaning = "of the target container: whose drivers it has (default: [tool.portable.container] platform, else local)"
    parser.add_argument("--platform", metavar="NAME", help=meaning)


def port(text: str) -> int:
    """The type of ``--port``."""
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"a number from 0 to 65535, got {text!r}")
    return int(text)


def add_variables(parser: argparse.ArgumentParser) -> None:
    """``--env``."""
    meaning = "a variable for the functions, over those of the settings; without a value, this shell's"
    parser.add_argument("--env", action="append", default=[], metavar="NAME[=VALUE]", help=meaning)


def chosen_variables(options: argparse.Namespace) -> dict[str, str]:
    """What ``--env`` says. Raises ConfigError for a name that is none, and one that this shell has no value for."""
    import os

    from portable.errors import ConfigError

    found = {}
    for said in options.env:
        name, equals, value = said.partition("=")
        if not name.isidentifier():
            raise ConfigError(f"--env {said}: NAME=VALUE, or NAME alone for the value it has here")
        if not equals and name not in os.environ:
            raise ConfigError(f"--env {name}: it has no value here; say --env {name}=VALUE")
        found[name] = value if equals else os.environ[name]
    return found


def chosen_project(options: argparse.Namespace) -> Project:
    """The project the options mean. Raises ConfigError; a table for no installed target is one."""
    from portable.build.project import find_project
    from portable.plugins import adapters

    project = find_project(options.project, options.app)
    if project.targets:
        project.check_targets(adapters())
    project = project.at_stage(getattr(options, "stage", None))
    platform = getattr(options, "platform", None)
    return project if platform is None else _on_platform(project, options.target, platform)


def _on_platform(project: Project, target: str, platform: str) -> Project:
    """The project with ``platform`` set for a target. Raises ConfigError for one that has no such choice."""
    from msgspec.structs import replace

    from portable.errors import ConfigError

    if "platform" not in getattr(chosen_adapter(target).build, "known_settings", ()):
        raise ConfigError(f"--platform is for the target container; {target} has its own")
    settings = {**project.settings(target), "platform": platform}
    return replace(project, targets={**project.targets, target: settings})


def chosen_adapter(name: str) -> Adapter:
    """The adapter of a target. Raises ConfigError that names the nearest one there is."""
    from portable.build.project import nearest
    from portable.errors import ConfigError
    from portable.plugins import adapters

    found = adapters()
    if name not in found:
        raise ConfigError(f"no target {name!r}{nearest(name, found)}")
    return found[name]
