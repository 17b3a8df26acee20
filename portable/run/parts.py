"""The real parts: the clouds' own runtime clients and emulators, as data, and where each is found.

Parts that come from a package index are installed, at the versions pinned here, into a directory of the user's cache
(``PORTABLE_PARTS`` names another one) by :mod:`portable.run.installation`. The others belong to the machine; their
``how_to_get`` says what to do.
"""

from __future__ import annotations

import platform
from pathlib import Path

from portable.errors import ConfigError
from portable.run.inventory import ALL
from portable.run.part import (
    INSTALL_COMMAND,
    Found,
    NodePackage,
    OnMachine,
    Packages,
    Part,
    WheelFile,
    parts_directory,
)

__all__ = [
    "ALL",
    "INSTALL_COMMAND",
    "Found",
    "NodePackage",
    "OnMachine",
    "Packages",
    "Part",
    "WheelFile",
    "find",
    "named",
    "need",
    "parts_directory",
    "parts_for",
]


def find(name: str, python: str | None = None) -> Found | None:
    """The part called ``name``, or None when this machine has not got it.

    Args:
        python: for parts installed one a Python version, and for ``python`` itself; left out, the part's default.
    """
    part = named(name)
    version = part.python(python)
    if isinstance(part.source, OnMachine):
        seen = part.source.look(version)
        return Found(name, seen[0], seen[1], version) if seen else None
    path = installed_file(part, part.directory(python))
    return Found(name, part.version, path, version) if path else None


def need(name: str, python: str | None = None) -> Found:
    """Like :func:`find`, but a missing part is a :class:`~portable.errors.ConfigError` that says how to get it."""
    if found := find(name, python):
        return found
    part = named(name)
    asked = " ".join(word for word in (part.name, part.version) if word)
    if (version := part.python(python)) and part.name == "python":
        raise ConfigError(f"Python {version} is not on this machine: {part.how_to_get.replace('VERSION', version)}")
    asked += f" for Python {version}" if version else ""
    raise ConfigError(f"{asked} is not on this machine; it is {part.covers}. To get it: {part.how_to_get}")


def named(name: str) -> Part:
    """The record of the part called ``name``."""
    for part in ALL:
        if part.name == name:
            return part
    raise ConfigError(f"no part is called {name!r}; there are {', '.join(part.name for part in ALL)}")


def parts_for(target: str) -> tuple[Part, ...]:
    """What ``portable run`` and the resources of ``target`` take."""
    return tuple(part for part in ALL if target in part.targets)


def installed_file(part: Part, directory: Path) -> Path | None:
    """What ``Found.path`` is for an installable part in ``directory``; None when it is not complete there."""
    match part.source:
        case Packages(module=module):
            return directory if (directory / module).exists() else None
        case WheelFile():
            return next((path for path in sorted(directory.glob("*")) if path.is_file()), None)
        case NodePackage(script=script):
            path = directory / "node_modules" / script
            return path if path.is_file() else None
        case OnMachine():
            return None


def machine() -> tuple[str, str]:
    """System and processor, as in the keys of ``WheelFile.files``."""
    processor = platform.machine().lower()
    return platform.system().lower(), {"amd64": "x86_64", "aarch64": "arm64"}.get(processor, processor)
