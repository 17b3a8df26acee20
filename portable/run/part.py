"""What a real part is: its pin, where it comes from and where it is put."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from portable.build import pythons
from portable.build.caches import user_cache

__all__ = [
    "INSTALL_COMMAND",
    "Found",
    "NodePackage",
    "OnMachine",
    "Packages",
    "Part",
    "WheelFile",
    "parts_directory",
]

INSTALL_COMMAND = "portable doctor --install"


@dataclass(frozen=True, slots=True)
class Found:
    """A part as it is on this machine.

    Attributes:
        path: of ``Packages`` the directory to put on PYTHONPATH; else the file to run (``java -jar`` it, ``node`` it).
        version: as the part itself, or the pin it was installed with, says.
        python: the Python version it was installed for, where that matters; else empty.
    """

    name: str
    version: str
    path: Path
    python: str = ""

    def __str__(self) -> str:
        return f"{self.name} {self.version}" + (f" for Python {self.python}" if self.python else "")


@dataclass(frozen=True, slots=True)
class Packages:
    """Python packages, with what they require, in a directory for PYTHONPATH: one a Python version.

    ``compiles``: there are no wheels of it, so that installing takes a C compiler.
    """

    requirement: str
    module: str
    python: str = pythons.CURRENT
    compiles: bool = False


@dataclass(frozen=True, slots=True)
class WheelFile:
    """One executable out of a wheel. ``files`` holds a glob for each ``(system, machine)`` that has one."""

    requirement: str
    files: dict[tuple[str, str], str]


@dataclass(frozen=True, slots=True)
class NodePackage:
    """A package for Node.js and, inside it, the script that starts it."""

    requirement: str
    script: str


@dataclass(frozen=True, slots=True)
class OnMachine:
    """Something only the user can install. ``look`` gets a Python version or an empty string."""

    look: Callable[[str], tuple[str, Path] | None]
    advice: str


@dataclass(frozen=True, slots=True)
class Part:
    """One real part.

    Attributes:
        version: the pinned version; empty for a part that belongs to the machine.
        covers: what it is for, in a phrase.
        targets: the build targets whose artifacts or resources need it.
    """

    name: str
    version: str
    covers: str
    targets: tuple[str, ...]
    source: Packages | WheelFile | NodePackage | OnMachine

    @property
    def installable(self) -> bool:
        """True when ``portable doctor --install`` gets it."""
        return not isinstance(self.source, OnMachine)

    @property
    def how_to_get(self) -> str:
        """What to type, or where to go."""
        if isinstance(self.source, OnMachine):
            return self.source.advice
        if isinstance(self.source, Packages) and self.source.compiles:
            return f"{INSTALL_COMMAND} (needs a C compiler)"
        return INSTALL_COMMAND + (" (needs npm)" if isinstance(self.source, NodePackage) else "")

    def python(self, asked: str | None) -> str:
        """The Python version this part is wanted for: ``asked``, else its default; empty where none matters."""
        if isinstance(self.source, Packages):
            return asked or self.source.python
        return (asked or "") if self.name == "python" else ""

    def directory(self, python: str | None = None) -> Path:
        """Where ``portable doctor --install`` puts it. The name holds all that tells two installations apart."""
        suffix = f"-py{version}" if (version := self.python(python)) else ""
        return parts_directory() / f"{self.name}-{self.version}{suffix}"


def parts_directory() -> Path:
    """The directory of installed parts: ``PORTABLE_PARTS``, else one in the user's cache directory."""
    if chosen := os.environ.get("PORTABLE_PARTS"):
        return Path(chosen).expanduser().absolute()
    return user_cache() / "parts"
