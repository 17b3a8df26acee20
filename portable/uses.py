"""Which resources a handler uses, traced through the code it can reach in the project's own modules.

Names are looked up, nothing is called or imported: a global that is a resource, a function or class of the project that
is followed in turn, an attribute of a project's module, what a list, dict or object of the project holds. What cannot
be traced (a name built at run time) is not found here; the manifest gives a resource that no handler was seen to use to
every function.
"""

from __future__ import annotations

import os
import sys
import weakref
from collections.abc import Iterator
from functools import cached_property, lru_cache, partial
from os.path import isabs
from pathlib import Path
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any

from portable.errors import ConfigError
from portable.flow import Note, Trace
from portable.flow.roots import follow
from portable.flow.shared import Interference, Shared
from portable.flow.sources import Project
from portable.grants import every
from portable.resources import Resource
from portable.router import Router
from portable.signatures import parameters_of, split_annotated

__all__ = ["grants_used", "in_project", "resources_used"]

_MISSING = object()
_PROXIES = (weakref.ProxyType, weakref.CallableProxyType)


def in_project(file: Path | str, root: Path) -> bool:
    """Whether a module's file is the project's own source, not an environment or a build inside its folder."""
    path = str(file)
    return _holds(path, root) if isabs(path) else _lies_in(path, root)


def resources_used(handlers: list[Any], root: Path, shared: Shared | None = None) -> set[tuple[str, str]]:
    """``(kind, name)`` of every resource the handlers can be seen to reach. ``shared``: with others of the same app."""
    known = _everything(handlers, root, shared or Shared())
    return {(one.kind, one.name) for one in known if isinstance(one, Resource)}


def grants_used(
    handlers: list[Any], root: Path, declared: dict[tuple[str, str], Resource], shared: Shared | None = None
) -> tuple[dict[tuple[str, str], set[str]], list[Note]]:
    """What the handlers can be seen to do with each resource, by its kind and name, and where that went out of sight.

    ``declared``: the app's resources. ``shared``: what its other functions have in common with this one is followed
    once. See ``portable.flow``.
    """
    known = _everything(handlers, root, shared or Shared())
    project = Project(root, lambda file: in_project(file, root))
    try:
        trace = _followed(handlers, Trace(project, known, declared, shared), known)
    except Interference:
        trace = _followed(handlers, Trace(project, known, declared), known)
    return trace.grants, sorted(trace.notes, key=lambda note: (note.where, note.resource or ()))


def _followed(handlers: list[Any], trace: Trace, known: list[Any]) -> Trace:
    try:
        follow(trace, handlers)
    except RecursionError:  # an expression, or a chain of objects, that is deeper than Python's own bound
        trace.note("this is nested too deep to be followed: it may do anything with what it reaches", None)
        for one in known:
            if isinstance(one, Resource):
                for key, verbs in every(one):
                    trace.grants.setdefault(key, set()).update(verbs)
    else:
        trace.publish()
    return trace


def _everything(handlers: list[Any], root: Path, shared: Shared) -> list[Any]:
    """All objects that the handlers reach by name."""
    seen: dict[int, Any] = {}  # holds what was seen, so that no other object takes its id
    waiting: list[Any] = list(handlers)
    while waiting:
        one = waiting.pop()
        if type(one) in _PROXIES:  # what it stands for, or nothing
            one = _attribute(_attribute(one, "__repr__"), "__self__")
        if id(one) in seen:
            continue
        seen[id(one)] = one
        if not isinstance(one, Resource):
            reached = shared.reached.get(id(one))
            if reached is None:
                reached = shared.reached[id(one)] = list(_reached(one, root))
                shared.kept.append(one)
            waiting.extend(reached)
    return list(seen.values())


def _reached(one: Any, root: Path) -> Iterator[Any]:
    """What an object holds or refers to, as far as it is the project's."""
    if isinstance(one, FunctionType):
        yield from _reached_by_function(one, root)
    elif isinstance(one, type):
        for base in one.__mro__:
            if _is_ours(base.__module__, root):
                yield from vars(base).values()
    elif isinstance(one, (list, tuple, set, frozenset)):
        yield from one
    elif isinstance(one, dict):
        yield from one.values()
    elif isinstance(one, property):
        yield from (one.fget, one.fset, one.fdel)
    elif isinstance(one, MethodType):
        yield from (one.__func__, one.__self__)
    elif isinstance(one, (staticmethod, classmethod)):
        yield one.__func__
    elif isinstance(one, partial):
        yield from (one.func, one.args, one.keywords)
    elif isinstance(one, cached_property):
        yield one.func
    elif _is_ours(type(one).__module__, root):
        yield type(one)
        yield from _values(one)
    elif type(one).__module__.startswith("portable.") and not isinstance(one, Router):
        yield from _values(one)  # a dependency, a middleware, a limit: declared with the project's functions
    else:  # a decorator's object around a function
        yield _attribute(one, "__wrapped__")


def _values(one: Any) -> Iterator[Any]:
    """What an object's attributes hold, in its dict and in slots."""
    yield from getattr(one, "__dict__", {}).values()
    for base in type(one).__mro__:
        slots = vars(base).get("__slots__", ())
        for slot in (slots,) if isinstance(slots, str) else slots:
            yield _attribute(one, slot)


def _attribute(one: Any, name: str) -> Any:
    try:
        return getattr(one, name, None)
    except Exception:  # a proxy without anything behind it may raise whatever it likes
        return None


def _reached_by_function(function: FunctionType, root: Path) -> Iterator[Any]:
    yield from vars(function).values()  # what it wraps, and what decorators noted of it
    for cell in function.__closure__ or ():
        try:
            yield cell.cell_contents
        except ValueError:  # not filled yet
            continue
    if not _is_ours(function.__module__, root):
        return
    yield from function.__defaults__ or ()
    yield from (function.__kwdefaults__ or {}).values()
    yield from _annotated(function)
    names = _names(function.__code__)
    for name in names:
        value = function.__globals__.get(name, _MISSING)
        if value is _MISSING:
            yield from _imported_inside(name, function.__globals__, names, root)
        elif issubclass(type(value), ModuleType):  # a proxy may answer isinstance with whatever it likes
            yield from _reached_in_module(value, names, root)
        else:
            yield value


def _annotated(function: FunctionType) -> Iterator[Any]:
    """What the annotations of a function's parameters hold besides types: what it depends on."""
    try:
        parameters = parameters_of(function)
    except ConfigError:  # whoever binds it says so
        return
    for parameter in parameters:
        yield from split_annotated(parameter.annotation)[1]


def _imported_inside(name: str, scope: dict[str, Any], names: set[str], root: Path) -> Iterator[Any]:
    """What a function takes from a module that it imports itself, where something else has imported that already."""
    for full in (name, f"{scope.get('__package__')}.{name}"):
        module = sys.modules.get(full)
        if module is not None:
            yield from _reached_in_module(module, names, root)


def _reached_in_module(module: ModuleType, names: set[str], root: Path) -> Iterator[Any]:
    waiting, seen = [module], {id(module)}
    while waiting:
        module = waiting.pop()
        if not _is_ours(module.__name__, root):
            continue
        for name in names.intersection(vars(module)):
            value = vars(module)[name]
            if not issubclass(type(value), ModuleType):
                yield value
            elif id(value) not in seen:  # a package's module: package.storage.uploads
                seen.add(id(value))
                waiting.append(value)


def _names(code: CodeType) -> set[str]:
    names = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            names |= _names(constant)
    return names


def _is_ours(module: str, root: Path) -> bool:
    file = getattr(sys.modules.get(module), "__file__", None)
    return file is not None and in_project(file, root)


@lru_cache(1 << 15)  # asked for every module of the process, and for each function and each class that is met
def _holds(file: str, root: Path) -> bool:
    return _lies_in(file, root)


def _lies_in(file: str, root: Path) -> bool:
    folder, name = os.path.split(os.path.abspath(file))
    path = os.path.realpath(file) if os.path.islink(file) else os.path.join(_real(folder), name)
    start = os.path.join(root, "")
    if not os.path.join(path, "").startswith(start):
        return False
    parts = path[len(start) :].split(os.sep)
    return not any(part.startswith(".") or part in ("site-packages", "dist", "node_modules") for part in parts)


@lru_cache(1 << 12)  # most modules lie beside others
def _real(folder: str) -> str:
    return os.path.realpath(folder)
