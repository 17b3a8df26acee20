"""Builtins that reach into objects and modules by a name that is a value."""

from __future__ import annotations

import builtins
import importlib
import importlib.util
import sys
from collections.abc import Mapping
from types import ModuleType
from typing import Any

from portable.flow.attributes import assign, attribute, every_attribute
from portable.flow.calls import SPECIAL, Special, escape
from portable.flow.trace import Trace
from portable.flow.values import UNKNOWN, Live, Made, Operations, Use, Value, Values
from portable.grants import METHODS
from portable.resources import Resource

__all__ = ["imported", "names_of_module"]


def _getattr(trace: Trace, given: list[Values], constants: Mapping[Any, Any], _rest: Values) -> set[Value] | None:
    if len(given) < 2:
        return None
    found = set(given[2]) if len(given) > 2 else set()
    if isinstance(constants.get(1), str):
        return found | attribute(trace, given[0], constants[1])
    for value in given[0]:
        if isinstance(value, Live) and isinstance(value.object, Resource):
            resource = value.object
            trace.allow_all(resource, f"getattr with a name made at run time: it may do anything with {resource}")
            found |= {Use(resource.kind, method, resource) for method in METHODS[resource.kind]}
        elif isinstance(value, Operations):
            escape(trace, {value}, "getattr with a name made at run time")
        elif isinstance(value, Live) and isinstance(value.object, ModuleType):
            found |= names_of_module(trace, value.object)
        else:
            found |= every_attribute(trace, value) | _methods(trace, value)
    return found | {UNKNOWN}


def _methods(trace: Trace, value: Value) -> set[Value]:
    cls = value.cls if isinstance(value, Made) else type(value.object) if isinstance(value, Live) else None
    if isinstance(value, Live) and isinstance(value.object, type):
        cls = value.object
    found: set[Value] = set()
    for base in cls.__mro__ if cls is not None else ():
        if trace.ours(base.__module__):
            for name in list(vars(base)):
                if not name.startswith("__"):
                    found |= attribute(trace, {value}, name)
    return found


def names_of_module(trace: Trace, module: ModuleType) -> set[Value]:
    """All that a module of the project has under a name that is made at run time."""
    if not trace.ours(module.__name__):
        return set()
    trace.note(f"a name of {module.__name__} is made when this runs: it may be any of them", None)
    found: set[Value] = set()
    for value in list(vars(module).values()):
        owner = getattr(value, "__module__", None)
        if isinstance(value, (Resource, dict, list, tuple)) or (isinstance(owner, str) and trace.ours(owner)):
            found |= trace.live(value)
    return found


def _setattr(trace: Trace, given: list[Values], constants: Mapping[Any, Any], _rest: Values) -> set[Value] | None:
    if len(given) != 3:
        return None
    name = constants.get(1)
    assign(trace, given[0], name if isinstance(name, str) else "*", given[2])
    return set()


def _vars(trace: Trace, given: list[Values], _constants: Mapping[Any, Any], _rest: Values) -> set[Value] | None:
    found: set[Value] = set()
    for value in given[0] if given else ():
        if isinstance(value, Live) and isinstance(value.object, ModuleType):
            found |= trace.live(vars(value.object)) | names_of_module(trace, value.object)
        else:
            found |= attribute(trace, {value}, "__dict__")
    return found | {UNKNOWN}


def _globals(trace: Trace, _given: list[Values], _constants: Mapping[Any, Any], _rest: Values) -> set[Value]:
    scope = trace.current.globals if trace.current is not None else {}
    module = sys.modules.get(scope.get("__name__", ""))
    return names_of_module(trace, module) if module is not None else {UNKNOWN}


def _type(_trace: Trace, given: list[Values], _constants: Mapping[Any, Any], _rest: Values) -> set[Value] | None:
    if len(given) != 1:
        return None
    found: set[Value] = set()
    for value in given[0]:
        if isinstance(value, Made):
            found.add(Live(value.cls))
        elif isinstance(value, Live):
            found.add(Live(type(value.object)))
    return found


def _new(_trace: Trace, given: list[Values], _constants: Mapping[Any, Any], _rest: Values) -> set[Value] | None:
    classes = [one.object for one in (given[0] if given else ()) if isinstance(one, Live)]
    return {Made(one) for one in classes if isinstance(one, type)}


def _anything(trace: Trace, _given: list[Values], _constants: Mapping[Any, Any], _rest: Values) -> set[Value]:
    trace.note("code made at run time may use any resource", None)
    return {UNKNOWN}


def _import(trace: Trace, _given: list[Values], constants: Mapping[Any, Any], _rest: Values) -> set[Value]:
    name = constants.get(0)
    if not isinstance(name, str):
        trace.note("a module chosen when this runs may use any resource", None)
        return {UNKNOWN}
    package = constants.get(1)
    if name.startswith(".") and isinstance(package, str):
        name = importlib.util.resolve_name(name, package)
    return imported(trace, name)


def imported(trace: Trace, name: str) -> set[Value]:
    """A module that a function imports itself, where the build has imported that too."""
    module = sys.modules.get(name)
    if module is not None:
        return {Live(module)}
    if trace.project.has_source(name):
        trace.note(
            f"{name} is imported only when this runs, so nobody sees what it uses; import it at the top of a module",
            None,
        )
        return {UNKNOWN}
    return set()


_HANDLERS: dict[Any, Special] = {
    getattr: _getattr,
    setattr: _setattr,
    vars: _vars,
    globals: _globals,
    locals: _globals,
    type: _type,
    object.__new__: _new,
    eval: _anything,
    exec: _anything,
    builtins.__import__: _import,
    importlib.import_module: _import,
}
SPECIAL.update({id(function): handler for function, handler in _HANDLERS.items()})
