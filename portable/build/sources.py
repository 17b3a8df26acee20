"""Which of a project's files are deployed."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from pathlib import Path

from portable.build.project import Project
from portable.build.withheld import check_path, holds_secret, is_regular, is_secret_name
from portable.errors import ConfigError

__all__ = ["check_names", "find_sources"]

# What a project's folder holds beside the application. A pattern without "/" matches a name at any depth, one with
# "/" the path from the project's folder; a folder stands for all it holds.
NEVER = ("__pycache__", "*.pyc")
LEFT_OUT = (
    "*.egg-info",
    "node_modules",
    "site-packages",
    "conftest.py",
    "test_*.py",
    "*_test.py",
    "/tests",
    "/test",
    "/dist",
    "/build",
    "/docs",
    "/pyproject.toml",
    "/setup.py",
    "/setup.cfg",
    "/tox.ini",
    "/noxfile.py",
    "/uv.lock",
    "/poetry.lock",
    "/pdm.lock",
    "/Pipfile*",
    "/requirements*.txt",
    "/Makefile",
    "/Dockerfile*",
    "/docker-compose*",
    "/compose.y*ml",
    "/README*",
    "/CHANGELOG*",
    "/CONTRIBUTING*",
    "/LICENSE*",
    "/verify.json",
)


def find_sources(project: Project, withheld: list[str] | None = None) -> dict[str, Path]:
    """The files to deploy, by their path from the project's folder, sorted.

    Everything is deployed but hidden files, virtual environments, tests, what :data:`LEFT_OUT` names, and files with
    secrets (see ``portable.build.withheld``), whose paths ``withheld`` is given where they would have been deployed.
    ``include`` brings back what the first of these leave out, ``exclude`` leaves out more; ``exclude`` wins. Raises
    ConfigError for a link out of the project and a name that no bundle may hold.
    """
    found = dict(_Walk(project, [] if withheld is None else withheld).files())
    for pattern in project.include:
        if not any(_matches(path, pattern) for path in found):
            raise ConfigError(f"[tool.portable] include: no file is {pattern!r} in {project.root}")
    return dict(sorted(found.items()))


def check_names(paths: Iterable[str], reserved: Iterable[str], dependencies: Iterable[str]) -> None:
    """Raise ConfigError for a top-level module whose name is taken.

    ``reserved``: by the entry files and this framework. ``dependencies``: by what is installed beside it.
    """
    tops = _top_modules(paths)
    way_out = "rename it, or leave it out by `[tool.portable] exclude`"
    for names, why in (
        (frozenset(reserved), "the name of a module the build brings"),
        (frozenset(dependencies), "the name of a package of a dependency, which it would hide"),
        (sys.stdlib_module_names, "the name of a module of the standard library, which it would hide"),
    ):
        for name in sorted(tops.keys() & names):
            raise ConfigError(f"{tops[name]} bears {why}: {way_out}")


def _top_modules(paths: Iterable[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for path in paths:
        top, _, rest = path.partition("/")
        if not rest and top.endswith(".py"):
            found[top.removesuffix(".py")] = top
        elif rest == "__init__.py":
            found[top] = f"{top}/"
    return found


class _Walk:
    """Through a project's folder."""

    def __init__(self, project: Project, withheld: list[str]) -> None:
        self._project = project
        self._root = os.path.realpath(project.root)
        self._withheld = withheld

    def files(self) -> Iterator[tuple[str, Path]]:
        """Path and file of each to deploy."""
        return self._below(self._project.root, "", frozenset(), included=False)

    def _below(self, folder: Path, prefix: str, above: frozenset[str], *, included: bool) -> Iterator[tuple[str, Path]]:
        real = os.path.realpath(folder)
        if real in above:
            return  # a link back to a folder that holds it
        include = self._project.include
        with os.scandir(folder) as entries:
            for entry in entries:
                path = prefix + entry.name
                if any(_matches(path, pattern) for pattern in (*NEVER, *self._project.exclude)):
                    continue
                wanted = included or any(_matches(path, pattern) for pattern in include)
                left_out = entry.name.startswith(".") or any(_matches(path, pattern) for pattern in LEFT_OUT)
                kept = wanted or not left_out
                if kept:
                    check_path(path, entry, self._root)
                if entry.is_dir():
                    if os.path.exists(os.path.join(entry.path, "pyvenv.cfg")):
                        continue
                    if kept or any(_lies_below(path, pattern) for pattern in include):
                        for name, file in self._below(Path(entry.path), f"{path}/", above | {real}, included=wanted):
                            if kept or any(_matches(name, pattern) for pattern in include):
                                yield name, file
                elif kept and is_regular(entry) and self._may_go(path, Path(entry.path), wanted=wanted):
                    yield path, Path(entry.path)

    def _may_go(self, path: str, file: Path, *, wanted: bool) -> bool:
        """Whether there is no secret in a file. One that ``include`` names may be called like one."""
        if is_secret_name(path, self._project.include if wanted else ()) or holds_secret(file):
            self._withheld.append(path)
            return False
        return True


def _matches(path: str, pattern: str) -> bool:
    """Whether a path, or a folder it lies in, is what the pattern says."""
    pattern = pattern.rstrip("/")
    parts = path.split("/")
    if "/" not in pattern:
        return any(fnmatchcase(part, pattern) for part in parts)
    pattern = pattern.lstrip("/")
    depth = pattern.count("/") + 1
    return fnmatchcase("/".join(parts[:depth]), pattern) or fnmatchcase(path, pattern)


def _lies_below(folder: str, pattern: str) -> bool:
    """Whether something in the folder could be what an ``include`` pattern with a path says."""
    return pattern.lstrip("/").startswith(f"{folder}/")
