"""The source of functions: from a code object to where it is written."""

from __future__ import annotations

import ast
import sys
from collections import defaultdict
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import FunctionType
from typing import Any

__all__ = ["Function", "Project", "local_names", "nodes_of", "parameters"]

Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
_WITHIN = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)


class Project:
    """What is the project's own. ``holds``: whether a file is its source."""

    def __init__(self, root: Path, holds: Callable[[Path], bool]) -> None:
        self._root = root
        self._holds = holds
        self._files: dict[str, bool] = {}

    def owns(self, module: str) -> bool:
        """Whether a module that is imported is the project's."""
        file = getattr(sys.modules.get(module), "__file__", None)
        return file is not None and self._has(file)

    def wrote(self, function: FunctionType) -> bool:
        """Whether a function is written in the project: a decorator of others gives its own that function's module."""
        file = function.__code__.co_filename
        return self.owns(function.__module__) if file.startswith("<") else self._has(file)

    def place(self, file: str) -> str:
        """A file as it is shown: by its path within the project."""
        path = Path(file)
        return path.relative_to(self._root).as_posix() if path.is_relative_to(self._root) else file

    def has_source(self, module: str) -> bool:
        """Whether there is source for a module that is not imported."""
        place = self._root.joinpath(*module.split("."))
        return place.with_suffix(".py").is_file() or (place / "__init__.py").is_file()

    def _has(self, file: str) -> bool:
        known = self._files.get(file)
        if known is None:
            known = self._files[file] = self._holds(Path(file))
        return known


_files: dict[str, dict[tuple[int, str], list[Function]]] = {}
_read: dict[str, tuple[int, int]] = {}


def nodes_of(function: FunctionType) -> list[Function]:
    """Where a function is written: nothing where its source is not there, several for lambdas of one line."""
    code = function.__code__
    return _functions_in(code.co_filename).get((code.co_firstlineno, code.co_name), [])


def _functions_in(file: str) -> dict[tuple[int, str], list[Function]]:
    try:
        state = Path(file).stat()
        stamp = (state.st_mtime_ns, state.st_size)
        if _read.get(file) != stamp:
            _files[file] = _index(ast.parse(Path(file).read_bytes(), file))
            _read[file] = stamp
    except (OSError, SyntaxError, ValueError):
        return {}
    return _files[file]


def _index(tree: ast.AST) -> dict[tuple[int, str], list[Function]]:
    """Functions by the first line of their code, which is that of the first decorator, and their name."""
    found: dict[tuple[int, str], list[Function]] = defaultdict(list)
    for node in ast.walk(tree):
        if isinstance(node, ast.Lambda):
            found[node.lineno, "<lambda>"].append(node)
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            line = min([node.lineno, *(one.lineno for one in node.decorator_list)])
            found[line, node.name].append(node)
    return dict(found)


@cache
def parameters(node: Function) -> tuple[list[str], list[str], str | None, str | None]:
    """Positional parameters, keyword-only ones, ``*args`` and ``**kwargs``."""
    given = node.args
    positional = [one.arg for one in (*given.posonlyargs, *given.args)]
    only = [one.arg for one in given.kwonlyargs]
    rest, named = given.vararg, given.kwarg
    return positional, only, None if rest is None else rest.arg, None if named is None else named.arg


@cache
def local_names(node: Function) -> tuple[frozenset[str], frozenset[str]]:
    """Variables of a function itself, those of its comprehensions among them; and those it declares ``global``."""
    positional, only, rest, named = parameters(node)
    found = {*positional, *only, *(name for name in (rest, named) if name)}
    elsewhere: set[str] = set()
    outside: set[str] = set()
    waiting: list[Any] = list(node.body) if isinstance(node.body, list) else [node.body]
    while waiting:
        one = waiting.pop()
        if isinstance(one, (ast.Name,)) and isinstance(one.ctx, (ast.Store, ast.Del)):
            found.add(one.id)
        elif isinstance(one, ast.Global):
            outside.update(one.names)
        elif isinstance(one, ast.Nonlocal):
            elsewhere.update(one.names)
        elif isinstance(one, (ast.Import, ast.ImportFrom)):
            found.update((name.asname or name.name.partition(".")[0]) for name in one.names)
        elif isinstance(one, (ast.ExceptHandler, ast.MatchAs, ast.MatchStar)) and one.name:
            found.add(one.name)
        elif isinstance(one, ast.MatchMapping) and one.rest:
            found.add(one.rest)
        if isinstance(one, _WITHIN):
            if not isinstance(one, ast.Lambda):
                found.add(one.name)
                waiting.extend(one.decorator_list)
            continue
        waiting.extend(ast.iter_child_nodes(one))
    return frozenset(found - elsewhere - outside), frozenset(outside)
