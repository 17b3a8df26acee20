"""The projects whose tests run in one session: the app of each, its modules, and its built artifacts."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Self

from portable.build.project import Project, find_project
from portable.errors import ConfigError
from portable.run.building import build_to_run
from portable.run.deployment import Deployment, deployed
from portable.uses import in_project

__all__ = ["Deployments", "Projects", "find_tested"]


def find_tested(test_file: Path) -> Project | None:
    """The project a test file lies in; None when the folder found upwards declares no app."""
    return _find(test_file.parent)


@cache
def _find(folder: Path) -> Project | None:
    try:
        project = find_project(folder)
    except ConfigError:
        return None
    declares = "portable" in project.document.get("tool", {})
    return project if declares or (project.root / "app.py").is_file() else None


class Projects:
    """Lets each test import from its own project: two may both have an ``app.py``."""

    def __init__(self) -> None:
        self._root: Path | None = None
        self._kept: dict[Path, dict[str, ModuleType]] = {}

    def enter(self, test_file: Path) -> None:
        """Make the project of a test file importable, its modules as they were left, and no other project."""
        project = find_tested(test_file)
        root = None if project is None else project.root
        if root == self._root:
            return
        if self._root is not None:
            self._kept[self._root] = _take_modules(self._root)
            with contextlib.suppress(ValueError):
                sys.path.remove(str(self._root))
        if root is not None:
            sys.modules.update(self._kept.pop(root, {}))
            sys.path.insert(0, str(root))
        self._root = root


class Deployments:
    """Built artifacts that run: one a project and target, until the block is left.

    Attributes:
        parts: the real parts in use, with their versions, by target.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stack = contextlib.ExitStack()
        self._running: dict[tuple[Path, str], Deployment] = {}
        self._failed: dict[tuple[Path, str], Exception] = {}
        self.parts: dict[str, Mapping[str, str]] = {}

    def get(self, project: Project, target: str) -> Deployment:
        """Build and start on first use. What failed once fails again at once."""
        key = project.root, target
        if key in self._failed:
            raise self._failed[key]
        if key not in self._running:
            out = self._folder / f"{project.root.name}-{len(self._running)}" / target
            try:
                artifact = build_to_run(project, target, out)
                self._running[key] = self._stack.enter_context(deployed(artifact, log=out.parent / f"{target}.log"))
            except Exception as error:
                self._failed[key] = error
                raise
            self.parts[target] = self._running[key].parts
        return self._running[key]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()


def _take_modules(root: Path) -> dict[str, ModuleType]:
    """Take the project's modules out of ``sys.modules``."""
    start = f"{root}{os.sep}"
    taken = {}
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if file is not None and file.startswith(start) and in_project(Path(file), root):
            taken[name] = sys.modules.pop(name)
    return taken
