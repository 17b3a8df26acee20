"""Where an analysis starts: handlers, with what they depend on, and the framework's own objects around them."""

from __future__ import annotations

from types import FunctionType
from typing import Any

from portable.flow.attributes import attribute
from portable.flow.calls import call, maybe_called
from portable.flow.held import log_handlers
from portable.flow.reading import read_scope
from portable.flow.trace import Trace
from portable.flow.values import Live, Values
from portable.http.params import Depends
from portable.idempotency import Idempotence, settings_of
from portable.resources import Resource
from portable.security.guard import Guard
from portable.signatures import split_annotated

__all__ = ["follow"]

_GUARDED = {"cache": ("use",), "table": ("read",), "secret": ("read",), "config": ("read",)}
_KEPT = {"cache": ("use",), "table": ("delete", "read", "write")}


def follow(trace: Trace, roots: list[Any]) -> None:
    """Read all that these may call, until nothing new is found."""
    known = -1
    while known != (known := trace.size()):  # what a dependency returns is known only after it has been read
        trace.roots.clear()
        for one in roots:
            _start(trace, one)
        for value in log_handlers(trace):
            maybe_called(trace, value)
        while (scope := trace.waiting()) is not None:
            read_scope(trace, scope)


def _start(trace: Trace, one: Any) -> Values:
    """What a callable that the framework calls may give."""
    if id(one) in trace.roots:
        return trace.roots[id(one)]
    trace.roots[id(one)] = set()
    if isinstance(one, Depends):
        found = _start(trace, one.function)
    elif isinstance(one, Guard):
        found = _guard(trace, one)
    elif isinstance(getattr(one, "__self__", None), Guard):
        found = _guard(trace, one.__self__)
    else:
        found = _callable(trace, one)
    trace.roots[id(one)] = found
    return found


def _callable(trace: Trace, one: Any) -> Values:
    idempotence = settings_of(one)
    if idempotence is not None:
        _idempotence(trace, idempotence)
    if not isinstance(one, type) and trace.is_instance(one) and not callable(one):  # middleware without a call
        for name in ("before", "after"):
            call(trace, attribute(trace, {Live(one)}, name), [], {}, set())
        return set()
    named: dict[str, Values] = {}
    for parameter in trace.parameters_of(one):
        named[parameter.name] = trace.typed(parameter.annotation) - trace.unknown
        for mark in split_annotated(parameter.annotation)[1]:
            if isinstance(mark, Depends):
                named[parameter.name] = _start(trace, mark.function)
            elif isinstance(mark, Guard):
                _guard(trace, mark)
    return call(trace, trace.live(one), [], named, set())


def _guard(trace: Trace, guard: Guard) -> Values:
    for resource in guard.resources:
        trace.allow(resource, _GUARDED.get(resource.kind, ()))
    for value in _values(guard):
        _contained(trace, value)
    return set()


def _contained(trace: Trace, value: Any) -> None:
    """A function of the project that an object of the framework calls: how to find a key, whom to count."""
    if isinstance(value, Guard):
        _start(trace, value)
    elif isinstance(value, FunctionType) and not trace.owns(value):
        for cell in value.__closure__ or ():
            try:
                _contained(trace, cell.cell_contents)
            except ValueError:
                continue
    elif callable(value) and not isinstance(value, (type, Resource)):
        for one in trace.live(value):
            if isinstance(value, FunctionType) or trace.is_instance(value) or hasattr(value, "__func__"):
                maybe_called(trace, one)


def _values(one: Any) -> list[Any]:
    found = list(getattr(one, "__dict__", {}).values())
    for base in type(one).__mro__:
        slots = vars(base).get("__slots__", ())
        found += [getattr(one, slot, None) for slot in ((slots,) if isinstance(slots, str) else slots)]
    return found


def _idempotence(trace: Trace, settings: Idempotence) -> None:
    trace.allow(settings.store, _KEPT[settings.store.kind])
    if settings.key is not None:
        _contained(trace, settings.key)
