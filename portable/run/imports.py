"""What a function of a built artifact imports before its first event, and how long each import takes.

Measured by ``-X importtime`` of the interpreter the artifact was built for, in a process that sees its standard library
and the bundle, nothing else of this machine. Loading is what the target says it is (``BuildTarget.loads``); the cloud's
own runtime client is not part of it.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from portable.build.variables import unset_variable
from portable.errors import ConfigError
from portable.run import parts
from portable.run.processes import basic_environment
from portable.run.target import Artifact

__all__ = ["Import", "Loading", "load_function", "parse_imports"]

_MARK = "portable: from here on it is the function's own"
_LINE = re.compile(r"import time:\s+(\d+) \|\s+(\d+) \| (\s*)(\S+)")
_START = "import sys; sys.path[:0] = {paths!r}; sys.stderr.write({mark!r} + chr(10)); sys.stderr.flush(); {load}"
_SECONDS = 120.0


class Import(msgspec.Struct):
    """One module: seconds its own code took, and with what it imported. ``start``: seconds since loading began."""

    name: str
    own: float
    total: float
    start: float = 0.0
    children: list[Import] = []


class Loading(msgspec.Struct):
    """How a function was loaded. ``modules``: how many it imported; ``roots``: as they were begun, outermost first."""

    function: str
    modules: int
    roots: list[Import]

    @property
    def seconds(self) -> float:
        """All imports together."""
        return sum(one.total for one in self.roots)

    def every(self) -> Iterator[tuple[int, Import]]:
        """Each import after the one that caused it, with how deep it is."""
        waiting = [(0, one) for one in reversed(self.roots)]
        while waiting:
            depth, one = waiting.pop()
            yield depth, one
            waiting += [(depth + 1, child) for child in reversed(one.children)]


def load_function(
    artifact: Artifact, target: Any, function: str, runs: int = 3, variables: Mapping[str, str] | None = None
) -> Loading:
    """Load a function ``runs`` times after once for the disk's sake, and answer with the run of median length.

    ``target``: the ``BuildTarget`` it was built by. ``variables`` are laid over those of the function's settings.
    Raises ConfigError for a missing interpreter, a target that does not say how its functions are loaded, and what the
    app's own import raises.
    """
    record = artifact.manifest.function(function)
    template = getattr(target, "loads", None)
    if template is None:
        raise ConfigError(f"target {artifact.target!r} does not say how a function is loaded, so no import is measured")
    python = parts.need("python", artifact.python)
    bundle = artifact.bundle_of(function)
    load = template.format(
        function=repr(function),
        identifier=function.replace("-", "_"),
        spec=repr(artifact.manifest.spec),
        modules=repr(record.modules),
    )
    paths = list(dict.fromkeys([str(bundle), str(bundle / target.dependency_folder)]))
    script = _START.format(paths=paths, mark=_MARK, load=load)
    command = [str(python.path), "-I", "-S", "-B", "-X", "importtime", "-c", script]
    own = {**artifact.environment.get(function, {}), **(variables or {})}
    found = [_measure(command, bundle, function, own) for _ in range(runs + 1)][1:]
    return sorted(found, key=lambda one: one.seconds)[len(found) // 2]


def parse_imports(text: str) -> list[Import]:
    """The tree of what ``-X importtime`` printed, where a module comes after those it imports, further right."""
    levels: list[list[Import]] = [[]]
    for line in text.splitlines():
        match = _LINE.match(line)
        if match is None:
            continue
        own, total, indent, name = match.groups()
        depth = len(indent) // 2
        levels += [[] for _ in range(depth + 2 - len(levels))]
        children, levels[depth + 1] = levels[depth + 1], []
        levels[depth].append(Import(name, int(own) / 1e6, int(total) / 1e6, children=children))
    roots = levels[0]
    _place(roots, 0.0)
    return roots


def _place(imports: Sequence[Import], start: float) -> None:
    for one in imports:
        one.start = start
        _place(one.children, start)
        start += one.total


def _measure(command: list[str], folder: Path, function: str, variables: Mapping[str, str]) -> Loading:
    environment = {**basic_environment(), "PORTABLE_STAGE": "dev", **variables}
    try:
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, timeout=_SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        raise ConfigError(f"function {function} was not loaded within {_SECONDS:.0f} s") from error
    printed = done.stderr.decode("utf-8", "replace")
    before, mark, after = printed.partition(f"{_MARK}\n")
    if done.returncode or not mark:
        said = [line for line in (after or before).splitlines() if not _LINE.match(line)]
        text = "\n".join(said[-15:])
        if variable := unset_variable(text):
            text = (
                f"it reads {variable}, which is not set; --env {variable}=… sets it here, and where the functions are "
                'to have it, [tool.portable.functions."*".environment]'
            )
        raise ConfigError(f"function {function} does not load:\n{text}")
    roots = parse_imports(after)
    loading = Loading(function, 0, roots)
    loading.modules = sum(1 for _ in loading.every())
    return loading
