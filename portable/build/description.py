"""A project's app as a manifest, without leaving anything of the project behind in this process.

The app is imported here and not in a process of its own, which would cost a second interpreter's start for every
build. What one project's modules are called says nothing about another's, so they are taken out of ``sys.modules``
again; installed packages stay, since they are the same for all.
"""

from __future__ import annotations

import contextlib
import sys
import traceback
from collections.abc import Callable, Container, Iterator
from importlib.machinery import EXTENSION_SUFFIXES, SOURCE_SUFFIXES, ExtensionFileLoader, FileFinder, SourceFileLoader
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any

import msgspec

from portable.app import App, load_app
from portable.build.granted import with_grants
from portable.build.project import Project
from portable.build.variables import declared_variables, missing_variable, variables_set
from portable.errors import BuildError, ConfigError, PortableError
from portable.manifest import Manifest, describe_app
from portable.uses import in_project

__all__ = ["Description", "describe_project", "imported_app"]


class Description(msgspec.Struct, frozen=True):
    """A manifest, and the project's files that were imported for it, relative to its folder."""

    manifest: Manifest
    files: frozenset[str]


def describe_project(project: Project, target: str = "local") -> Description:
    """The manifest of a project's app, as it is with the variables that the settings give to a target's functions.

    Raises BuildError, with the traceback as far as it lies in the project, when the app does not import; ConfigError
    for what the app declares wrongly.
    """
    with imported_app(project, target) as app:
        try:
            manifest = describe_app(app, project.spec, project.root)
        except Exception as error:
            raise _explain(error, project) from error
        return Description(with_grants(project, manifest), frozenset(_files(project.root)))


@contextlib.contextmanager
def imported_app(project: Project, target: str = "local") -> Iterator[App]:
    """The project's App, imported for the length of the block with the variables that the settings give to a target's
    functions. Not safe under threads: it changes ``sys.path`` and the environment.

    Raises BuildError when it does not import, ConfigError when it is not there.
    """
    module = project.spec.partition(":")[0]
    path, aside = list(sys.path), _set_aside(project.root)
    known = frozenset(sys.modules)
    sys.path.insert(0, str(project.root))
    hook = _finder(project.root)
    sys.path_hooks.insert(0, hook)
    _forget_finders(project.root)
    try:
        if not _exists(project.root, module):
            raise ConfigError(
                f"no module {module!r} in {project.root}; name the App as module:variable, "
                'on the command line or by `[tool.portable] app = "…"` in pyproject.toml'
            )
        with variables_set(declared_variables(project, target)):
            try:
                app = load_app(project.spec)
            except (Exception, SystemExit) as error:
                raise _explain(error, project) from error
            yield app
    finally:
        for name in _own_modules(project.root, known):
            del sys.modules[name]
        sys.modules.update(aside)
        sys.path[:] = path
        sys.path_hooks.remove(hook)
        _forget_finders(project.root)


class _SourceLoader(SourceFileLoader):
    """Reads sources, never bytecode: its time stamps are too coarse to tell two edits in one second apart."""

    def path_stats(self, path: str) -> Any:
        raise OSError(f"no bytecode for {path}")


def _finder(root: Path) -> Callable[[str], FileFinder]:
    """A path hook for the project's folders."""
    loaders = (ExtensionFileLoader, EXTENSION_SUFFIXES), (_SourceLoader, SOURCE_SUFFIXES)

    def find(folder: str) -> FileFinder:
        if Path(folder).is_dir() and in_project(Path(folder, "module.py"), root):
            return FileFinder(folder, *loaders)
        raise ImportError(f"{folder} is not the project's")

    return find


def _forget_finders(root: Path) -> None:
    """Of the project's folders: they remember what was there, and what reads it."""
    for folder in list(sys.path_importer_cache):
        if folder.startswith(str(root)):
            del sys.path_importer_cache[folder]


def _files(root: Path) -> Iterator[str]:
    for name in _own_modules(root):
        if file := sys.modules[name].__file__:
            yield Path(file).resolve().relative_to(root).as_posix()


def _exists(root: Path, module: str) -> bool:
    place = root.joinpath(*module.split("."))
    return place.with_suffix(".py").is_file() or place.is_dir()


def _set_aside(root: Path) -> dict[str, ModuleType]:
    """Take away modules that bear the names of the project's own: another project's, imported earlier."""
    own = {entry.stem if entry.suffix == ".py" else entry.name for entry in root.iterdir()}
    found = {}
    for name, module in list(sys.modules.items()):
        top = name.partition(".")[0]
        if top in own and top != "portable" and _is_users(module, root):
            found[name] = sys.modules.pop(name)
    return found


def _is_users(module: ModuleType, root: Path) -> bool:
    """Whether a module is some project's, or a stale one of this project: neither installed nor built in."""
    file = getattr(module, "__file__", None)
    if file is None:
        return hasattr(module, "__path__")  # a folder without __init__.py
    if in_project(Path(file), root):
        return True
    installed = Path(file).is_relative_to(sys.base_prefix) or "site-packages" in Path(file).parts
    return not installed and module.__name__ != "__main__"


def _own_modules(root: Path, known: Container[str] = ()) -> list[str]:
    """Names of the project's modules, without those ``known`` before."""
    found = []
    for name, module in list(sys.modules.items()):
        if name in known or name == "__main__":
            continue
        file = getattr(module, "__file__", None)
        if file is None:
            mine = any(in_project(Path(folder), root) for folder in _folders(module))
        else:
            mine = in_project(Path(file), root)
        if mine:
            found.append(name)
    return found


def _folders(module: ModuleType) -> list[str]:
    with contextlib.suppress(Exception):  # a namespace package whose parent is gone
        return [str(entry) for entry in getattr(module, "__path__", ())]
    return []


def _explain(error: BaseException, project: Project) -> PortableError:
    """The error as a user reads it: their own frames, then the error itself."""
    if isinstance(error, BuildError) or (isinstance(error, ConfigError) and not _frames(error, project.root)):
        return error
    module = project.spec.partition(":")[0]
    summary = traceback.TracebackException.from_exception(error)
    part: traceback.TracebackException | None = summary
    while part is not None:
        part.stack = traceback.StackSummary.from_list(_relative(part.stack, project.root))
        part = part.__cause__ or (None if part.__suppress_context__ else part.__context__)
    text = "".join(summary.format()).replace("Traceback (most recent call last):\n", "").rstrip()
    if variable := missing_variable(error):
        text += (
            f"\nthe environment has no {variable}: set it here ({variable}=… portable …) or, where the functions are "
            'to have it, in [tool.portable.functions."*".environment] of pyproject.toml'
        )
    return BuildError(f"{module} does not import:\n{text}")


def _relative(stack: traceback.StackSummary, root: Path) -> list[traceback.FrameSummary]:
    kept = []
    for frame in stack:
        file = Path(frame.filename)
        if not frame.filename.startswith("<") and in_project(file, root):  # "<frozen os>" is in no folder
            name = file.resolve().relative_to(root).as_posix()
            kept.append(traceback.FrameSummary(name, frame.lineno, frame.name, line=frame.line))
    return kept


def _frames(error: BaseException, root: Path) -> bool:
    trace: TracebackType | None = error.__traceback__
    while trace is not None:
        if in_project(Path(trace.tb_frame.f_code.co_filename), root):
            return True
        trace = trace.tb_next
    return False
