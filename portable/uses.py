"""Which resources a handler uses, traced through the code it can reach in the project's own modules.

Names are looked up, nothing is called: a global that is a resource, a function or class of the project that is
followed in turn, an attribute of a project's module. What cannot be traced (a resource in a dict, a name built at run
time) is not found here; the manifest gives such a resource to every function.
"""

from __future__ import annotations

import os
import sys
from functools import cache
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

from portable.resources import Resource

__all__ = ["in_project", "resources_used"]


def in_project(file: Path, root: Path) -> bool:
    """Whether a module's file is the project's own source, not an environment or a build inside its folder."""
    name = os.fspath(file)
    if name.startswith("<"):  # <string>, <frozen importlib._bootstrap>
        return False
    folder, base = os.path.split(name)
    home, folder = os.fspath(root), _real(folder)
    if folder != home and not folder.startswith(home.rstrip(os.sep) + os.sep):
        return False
    parts = [*folder[len(home) :].split(os.sep), base]
    return not any(part.startswith(".") or part in ("site-packages", "dist", "node_modules") for part in parts)


@cache
def _real(folder: str) -> str:
    """Asked for every module there is, and they lie in few folders."""
    return os.path.realpath(folder)


def resources_used(handlers: list[Any], root: Path) -> set[tuple[str, str]]:
    """``(kind, name)`` of every resource the handlers can be seen to reach."""
    found: set[tuple[str, str]] = set()
    seen: set[int] = set()
    waiting: list[Any] = list(handlers)
    while waiting:
        one = waiting.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        if isinstance(one, Resource):
            found.add((one.kind, one.name))
        elif isinstance(one, type):
            if _is_ours(getattr(one, "__module__", ""), root):
                waiting.extend(vars(one).values())
        elif isinstance(one, (staticmethod, classmethod)):
            waiting.append(one.__func__)
        elif isinstance(one, property):
            waiting.extend(part for part in (one.fget, one.fset, one.fdel) if part is not None)
        else:
            waiting.extend(_reached(one, root))
    return found


def _reached(one: Any, root: Path) -> list[Any]:
    """What a function, or an instance of a project's class, refers to."""
    function = getattr(one, "__func__", one)
    wrapped = getattr(function, "__wrapped__", None)
    found = [wrapped] if wrapped is not None else []
    if not isinstance(function, FunctionType):
        kind = type(function)
        return [*found, kind] if _is_ours(getattr(kind, "__module__", ""), root) else found
    if not _is_ours(function.__module__, root) and wrapped is None:
        return found
    names = _names(function.__code__)
    for cell in function.__closure__ or ():
        try:
            found.append(cell.cell_contents)
        except ValueError:
            continue
    found += [*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()]
    for name in names:
        value = function.__globals__.get(name)
        if isinstance(value, ModuleType):
            if _is_ours(value.__name__, root):
                found.extend(vars(value)[attribute] for attribute in names if attribute in vars(value))
        elif value is not None:
            found.append(value)
    return found


def _names(code: CodeType) -> set[str]:
    names = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            names |= _names(constant)
    return names


def _is_ours(module: str, root: Path) -> bool:
    file = getattr(sys.modules.get(module), "__file__", None)
    return file is not None and in_project(Path(file), root)
