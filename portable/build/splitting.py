"""A bundle for each function, ``split = true``: with the modules it imports, and the distributions it may need. Where
the target groups functions itself, it is one for each group.

What a function imports is read from the sources, from the app's own module and the routers it holds on; nothing is run.
A module that imports by a name made at run time keeps all of the project together. Data files go with every function. A
distribution stays out where modules of other functions import it, and none of this one's; what no module imports by
name (a database driver, a plugin) goes with every function.
"""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from portable.build.layers import Layer
from portable.build.project import Project
from portable.build.pruning import Owners
from portable.build.requirements import distribution
from portable.build.shared import requirements_of
from portable.build.target import BuildTarget, Bundle
from portable.build.vendor import Pin
from portable.errors import ConfigError
from portable.manifest import Manifest

__all__ = ["Sources", "bundles_of", "dependencies_of", "source_of"]

_BY_NAME = ("import_module", "__import__", "iter_modules", "walk_packages", "run_module", "run_path")


def bundles_of(target: BuildTarget, manifest: Manifest, project: Project) -> list[Bundle]:
    """The target's bundles; with ``split``, one for each function under its name, unless the target groups them itself.

    Raises ConfigError where the target's functions are not deployed from bundles of their own.
    """
    settings = project.settings(target.name)
    split = settings.get("split", False)
    if not isinstance(split, bool):
        raise ConfigError(f"{project.where(target.name, 'split')}: split is true or false, got {split!r}")
    if not split:
        return list(target.bundles(manifest, settings))
    splits = getattr(target, "splits", False)
    if splits == "grouped":
        return list(target.bundles(manifest, settings))
    if not splits:
        raise ConfigError(f"{project.where(target.name, 'split')}: {target.name} deploys its functions together")
    found = []
    for function in manifest.functions:
        [bundle] = target.bundles(manifest.only([function.name]), settings)
        found.append(msgspec.structs.replace(bundle, name=function.name))
    return found


class _Module(msgspec.Struct):
    path: str
    imports: frozenset[str]
    names: frozenset[str]
    unclear: str = ""


class Sources:
    """The files of a project, and what each of its modules imports."""

    def __init__(self, files: Mapping[str, Path], manifest: Manifest) -> None:
        self.files = files
        self._spec = manifest.spec
        self._modules = {_dotted(path): path for path in files if path.endswith(".py")}
        self._by_name = {module.partition(":")[0] for one in manifest.functions for module in one.modules}
        self._read: dict[str, _Module] = {}

    def needed_by(self, manifest: Manifest, bundle: Bundle) -> tuple[dict[str, Path], str]:
        """The files a bundle's functions need; and why these are all of them where nobody can tell."""
        modules, unclear = self._reached(manifest, bundle)
        if unclear:
            return dict(self.files), unclear
        kept = {self._modules[module] for module in modules}
        gone = set(self._modules.values()) - kept
        return {path: file for path, file in self.files.items() if path not in gone}, ""

    def imports(self, manifest: Manifest | None = None, bundle: Bundle | None = None) -> set[str]:
        """Dotted names that the modules of a bundle import, or those of the whole project."""
        modules: Iterable[str] = self._modules
        if manifest is not None and bundle is not None:
            reached, unclear = self._reached(manifest, bundle)
            modules = self._modules if unclear else reached
        return {name for module in modules for name in self._module(module).imports}

    def _reached(self, manifest: Manifest, bundle: Bundle) -> tuple[set[str], str]:
        routers = [name for one in manifest.functions if one.name in bundle.sources for name in one.modules]
        waiting = [name.partition(":")[0] for name in (self._spec, *routers)]
        seen: set[str] = set()
        while waiting:
            for module in self._with_packages(waiting.pop()):
                if module in seen:
                    continue
                seen.add(module)
                found = self._module(module)
                if found.unclear:
                    return seen, found.unclear
                waiting += found.imports
                # An application mounted by name, a handler in a string: all but the routers of other functions.
                waiting += [name for name in found.names if name not in self._by_name]
        return seen, ""

    def _with_packages(self, name: str) -> Iterator[str]:
        """The module of a dotted name, or what holds it, and the packages around it."""
        parts = name.split(".")
        for end in range(1, len(parts) + 1):
            if (dotted := ".".join(parts[:end])) in self._modules:
                yield dotted
        if parts[-1] == "*":
            package = ".".join(parts[:-1])
            yield from (module for module in self._modules if module.startswith(f"{package}."))

    def _module(self, dotted: str) -> _Module:
        if dotted not in self._read:
            path = self._modules[dotted]
            self._read[dotted] = _read(path, self.files[path].read_bytes(), self._modules)
        return self._read[dotted]


def dependencies_of(
    bundle: Bundle,
    manifest: Manifest,
    sources: Sources,
    target: BuildTarget,
    settings: Mapping[str, Any],
    pins: Sequence[Pin],
    outside: Collection[str],
    layer: Layer,
    folder: str,
) -> Layer:
    """Of the dependencies, those that a bundle's functions may need. ``outside``: what the target adds to them."""
    owner = Owners(layer.folder / "files" / folder)
    here, anywhere = owner.of_modules(sources.imports(manifest, bundle)), owner.of_modules(sources.imports())
    only = manifest.only(list(bundle.sources))
    added = {distribution(one) for one in requirements_of(target, only, settings)}
    every = {distribution(one) for one in requirements_of(target, manifest, settings)} & set(outside)
    roots = {pin.name for pin in pins if "" in pin.needed_by}
    kept = here | added | (roots - anywhere - every)
    grown = True
    while grown:
        more = {pin.name for pin in pins if kept & set(pin.needed_by)} - kept
        kept |= more
        grown = bool(more)
    gone = {pin.name for pin in pins} - kept
    prefix = f"{folder}/" if folder else ""
    return layer.only(path for path in layer.files if owner(source_of(path.removeprefix(prefix))) not in gone)


def source_of(path: str) -> str:
    """The source that a file of bytecode is of; a path of anything else as it is."""
    if not path.endswith(".pyc"):
        return path
    folder, _, name = path.rpartition("/__pycache__/") if "/__pycache__/" in path else ("", "", path.rpartition("/")[2])
    return f"{folder}/{name.partition('.')[0]}.py".lstrip("/")


def _dotted(path: str) -> str:
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def _read(path: str, text: bytes, modules: Collection[str]) -> _Module:
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):
        return _Module(path, frozenset(), frozenset())
    dotted = _dotted(path)
    package = dotted.split(".") if path.endswith("__init__.py") else dotted.split(".")[:-1]
    imports: set[str] = set()
    names: set[str] = set()
    unclear = ""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imports.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            start = ".".join([*base, *([node.module] if node.module else [])])
            imports.update({start, *(f"{start}.{alias.name}" for alias in node.names)})
        elif isinstance(node, ast.Call) and _called(node) in _BY_NAME:
            first = node.args[0] if node.args else None
            if isinstance(first, ast.Constant) and isinstance(first.value, str) and not first.value.startswith("."):
                imports.add(first.value)
            else:
                unclear = f"{path}:{node.lineno} imports by a name that is made at run time"
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and ":" in node.value:
            names.add(node.value.partition(":")[0])
    return _Module(path, frozenset(imports - {""}), frozenset(names & set(modules)), unclear)


def _called(node: ast.Call) -> str:
    function = node.func
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
