"""Building what runs here: the cloud's own artifact where this machine is of its kind, else a variant for this one."""

from __future__ import annotations

import platform
import sys
from collections.abc import Sequence
from pathlib import Path

from portable.build import pythons
from portable.build.artifact import Wanted, build
from portable.build.project import Project
from portable.plugins import adapter
from portable.run import parts

__all__ = ["build_to_run", "missing_parts"]

_ARCHITECTURES = {"x86_64": "x86_64", "amd64": "x86_64", "aarch64": "arm64", "arm64": "arm64"}


def build_to_run(project: Project, target: str, out: Path) -> Path:
    """Build ``target``'s artifact into ``out`` and return it. Not safe under threads: the app is imported here.

    Raises BuildError and ConfigError.
    """
    found = adapter(target).build
    architecture = _ARCHITECTURES.get(platform.machine().lower())
    python = project.python or found.pythons[0]
    same = sys.platform == "linux" and architecture is not None and pythons.interpreter(python) is not None
    return build(project, found, Wanted(arch=architecture or "x86_64", for_here=not same, out=out)).folder


def missing_parts(target: str, python: str | None = None) -> Sequence[str]:
    """What ``target`` needs to run here and this machine has not got: for each part a sentence that says how to get it.

    ``python``: the version the project asks for; left out, the one :func:`build_to_run` takes.
    """
    found = adapter(target)
    runner, default = found.run, found.build.pythons[0]
    version = python or (default if pythons.interpreter(default) else pythons.CURRENT)
    missing = []
    for name in dict.fromkeys((*runner.parts, *runner.emulators)):
        part = parts.named(name)
        wanted = version if name in runner.parts else None
        if parts.find(name, wanted) is None:
            missing.append(f"{name} is not here. To get it: {part.how_to_get.replace('VERSION', wanted or '')}")
    return missing
