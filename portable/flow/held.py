"""What an object that is not the project's holds of the project: a ChainMap of buckets, a signal's receivers, a weak
reference, a decorator's object around a function, the handlers of a log.
"""

from __future__ import annotations

import gc
import logging
import weakref
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from contextvars import ContextVar
from functools import partial
from types import BuiltinFunctionType, FunctionType, MemberDescriptorType, MethodType, ModuleType
from typing import Any

from portable.flow.trace import CONTAINERS, Trace
from portable.flow.values import Holder, Live, Made, Value
from portable.resources import Resource

__all__ = ["held", "kept_in", "log_handlers"]

_NEAR, _FAR, _MOST = 1, 50, 20_000
"""Attributes of attributes: how far down all is looked through, containers not counted, and how many objects further
down, where a decorator's objects have their function; and how many in all.
"""
_PROXIES = (weakref.ProxyType, weakref.CallableProxyType)
_OF_C = ("builtins", "itertools")
_COMPILED = (MethodType, partial)
_WHOLE = (type, ModuleType, str, bytes, int, float, type(None), BuiltinFunctionType, logging.Logger, logging.Manager)
"""Reach whatever there is, or nothing."""


def held(trace: Trace, one: Any) -> list[Value]:
    """Resources, functions and instances of the project in its attributes, closures and containers, in order."""
    known = trace.held.get(id(one))
    if known is None:
        trace.live(one)  # so that its id stays its own
        known = trace.held[id(one)] = list(_within(trace, one))
    return known


def _within(trace: Trace, one: Any) -> Iterator[Value]:
    seen: dict[int, Any] = {}  # holds what was seen, so that no other object takes its id
    waiting = deque([(one, 0)])
    far = 0
    while waiting and len(seen) < _MOST:
        inner, depth = waiting.popleft()
        kind = type(inner)  # what isinstance asks a proxy for may be answered by anything
        if id(inner) in seen or issubclass(kind, _WHOLE):
            continue
        far += depth > _NEAR
        if depth > _NEAR and far > _FAR:
            continue
        seen[id(inner)] = inner
        is_ours = trace.owns(inner) if issubclass(kind, FunctionType) else trace.ours(kind.__module__)
        if inner is not one and (issubclass(kind, (Resource, *_PROXIES)) or is_ours):
            yield from trace.live(inner)
        elif inner is one or not kind.__module__.startswith("portable."):
            with suppress(Exception):  # of an object that raises whatever it likes
                holds = issubclass(kind, (*CONTAINERS, *_COMPILED)) or kind.__module__ in _OF_C
                waiting.extend((part, depth if holds else depth + 1) for part in _parts(inner))


def _parts(one: Any) -> Iterable[Any]:
    if isinstance(one, weakref.ReferenceType):
        return [one()]
    if isinstance(one, ContextVar):
        return [one.get(None), *gc.get_referents(one)]
    if isinstance(one, _COMPILED) or (
        type(one).__module__ in _OF_C and not isinstance(one, (FunctionType, *CONTAINERS))
    ):
        return gc.get_referents(one)
    found: list[Any] = []
    if isinstance(one, FunctionType):
        for cell in one.__closure__ or ():
            try:
                found.append(cell.cell_contents)
            except ValueError:  # not filled yet
                continue
    elif isinstance(one, CONTAINERS):
        found += list(one.values()) if hasattr(one, "values") else list(one)
    own = getattr(one, "__dict__", None)
    if isinstance(own, dict):
        found += list(own.values())
    for base in type(one).__mro__:
        found += [getattr(one, name, None) for name, raw in vars(base).items() if isinstance(raw, MemberDescriptorType)]
    return found


def kept_in(trace: Trace, value: Live | Made, found: Iterable[Value]) -> Holder:
    """The inside of an object whose methods are not the project's: ``found``, and what these methods are given."""
    live = value.object if isinstance(value, Live) and isinstance(value.object, CONTAINERS) else None
    inside = Holder(("of", value), live)
    trace.write(set(found), "element", inside)
    return inside


def log_handlers(trace: Trace) -> Iterator[Value]:
    """Handlers and filters of the project that logs have now: whoever logs calls them."""
    loggers = [logging.root, *logging.root.manager.loggerDict.values()]
    for logger in loggers:
        if isinstance(logger, logging.Logger):
            for one in (*logger.handlers, *logger.filters, *(mine for of in logger.handlers for mine in of.filters)):
                if trace.is_instance(one) or trace.owns(one):
                    yield Live(one)
