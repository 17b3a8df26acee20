"""Attributes: of resources, which says how these are used; of modules, classes and instances."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from functools import cached_property, partialmethod
from types import FunctionType, MemberDescriptorType, MethodType, ModuleType
from typing import Any

from portable.app import App
from portable.flow.calls import call, call_method, container_method, made_partial, maybe_called
from portable.flow.held import held, kept_in
from portable.flow.trace import CONTAINERS, Trace
from portable.flow.values import UNKNOWN, Bound, Holder, Live, Made, Operations, Use, Value, Values
from portable.grants import BESIDE, METHODS, NEEDS_NOTHING, TRANSACTION, method_of
from portable.resources import Resource

__all__ = ["assign", "attribute", "every_attribute", "inherited", "inside"]

_MISSING = object()


def attribute(trace: Trace, values: Values, name: str, *, called: bool = False) -> set[Value]:
    """What ``x.name`` may be. ``called``: it is called at once, so that its arguments say what it needs."""
    found: set[Value] = set()
    for value in values:
        if isinstance(value, Live):
            found |= _of_object(trace, value, name, called)
        elif isinstance(value, Made):
            found |= _of_instance(trace, value, value.cls, name)
        elif isinstance(value, Holder):
            found |= {value} | trace.elements(value)
        elif isinstance(value, Bound):
            found |= {value.first, value.function} if name.startswith("__") else set()
        elif isinstance(value, Operations):
            _operation(trace, value.table, name)
        elif value is UNKNOWN:
            found |= {UNKNOWN} | _by_name(trace, name)
        else:
            found |= trace.read("attribute", value, name)
    return found


def _of_object(trace: Trace, value: Live, name: str, called: bool) -> set[Value]:
    one = value.object
    if isinstance(one, Resource):
        return _of_resource(trace, value, name, called)
    if isinstance(one, ModuleType):
        return _of_module(trace, one, name)
    if isinstance(one, type):
        return _of_class(trace, one, name)
    if trace.is_instance(one):
        return _of_instance(trace, value, type(one), name)
    found = trace.read("attribute", value, name) | trace.read("attribute", value, "*")
    if isinstance(one, App) and name in METHODS:
        return {Live(trace.kept(id(one), name, getattr(one, name)))}
    if isinstance(one, MethodType) and name in ("__self__", "__func__"):
        return found | trace.live(getattr(one, name))
    found |= trace.live(_own(one, name))
    if not found and (inner := held(trace, one)):
        found |= {kept_in(trace, value, inner), *inner}
    return found


def _of_resource(trace: Trace, value: Live, name: str, called: bool) -> set[Value]:
    resource: Any = value.object
    kind = resource.kind
    method = method_of(kind, name)
    if method is not None or name == "transaction":
        use = Use(kind, method or name, resource)
        if not called and method is not None:
            trace.allow(resource, METHODS[kind].get(method, ()), BESIDE.get(kind, {}).get(method, ()))
        return {use}
    if name in ("large", "store"):
        return trace.live(getattr(resource, name, None))
    if name in NEEDS_NOTHING or (name.startswith("__") and name.endswith("__")):
        return set()
    found = set(_members(trace, value, type(resource), name))
    if not found and hasattr(type(resource), name):
        trace.allow_all(resource, f"{name!r} of {resource} is no operation of a {kind}: it may do anything with it")
        found = {UNKNOWN}
    return found


def _operation(trace: Trace, table: Any, name: str) -> None:
    if name in TRANSACTION:
        trace.allow(table, TRANSACTION[name])
    elif not name.startswith("__"):
        trace.allow_all(table, f"{name!r} of a transaction of {table} may do anything with it")


def _of_module(trace: Trace, module: ModuleType, name: str) -> set[Value]:
    found = trace.read("global", id(vars(module)), name)
    value = vars(module).get(name, _MISSING)
    if value is _MISSING:
        value = sys.modules.get(f"{module.__name__}.{name}", _MISSING)
    if name == "__dict__":
        from portable.flow.special import names_of_module

        return names_of_module(trace, module) | trace.live(vars(module))
    if value is not _MISSING:
        return found | trace.live(value)
    if trace.ours(module.__name__) and "__getattr__" in vars(module):
        found |= call(trace, trace.live(vars(module)["__getattr__"]), [], {}, {UNKNOWN})
    return found


def _of_class(trace: Trace, cls: type, name: str) -> set[Value]:
    if issubclass(cls, Resource) and isinstance(kind := getattr(cls, "kind", None), str) and kind in METHODS:
        method = method_of(kind, name)
        if method is not None:
            return {Use(kind, method, None)}
    found: set[Value] = set()
    if name == "__subclasses__":
        return {kept_in(trace, Live(cls), [Live(one) for one in _below(cls)])}
    for base in cls.__mro__:
        found |= trace.read("attribute", Live(base), name)
        raw = vars(base).get(name, _MISSING)
        if raw is _MISSING or not trace.ours(base.__module__):
            continue
        if isinstance(raw, classmethod):
            return found | {Bound(Live(raw.__func__), Live(cls))}
        return found | trace.live(raw.__func__ if isinstance(raw, staticmethod) else raw)
    meta = type(cls)
    return found | (set(_members(trace, Live(cls), meta, name)) if trace.ours(meta.__module__) else set())


def _below(cls: type) -> Iterator[type]:
    below: list[type] = type.__subclasses__(cls)
    for one in below:
        yield one
        yield from _below(one)


def _of_instance(trace: Trace, value: Live | Made, cls: type, name: str) -> set[Value]:
    found = trace.read("attribute", value, name) | trace.read("attribute", value, "*")
    if name == "__class__":
        return {Live(cls)}
    if name == "exceptions" and issubclass(cls, BaseException):  # caught as a group
        found.add(kept_in(trace, value, [value]))
    own = Holder(("dict", value))  # what goes through it may be under any name
    if name == "__dict__":
        trace.write(every_attribute(trace, value), "element", own)
        return {own}
    found |= trace.read("element", own) | trace.read("item", own, name)
    if isinstance(value, Live):
        found |= trace.read("attribute", Made(cls), name) | trace.read("attribute", Made(cls), "*")
        found |= trace.live(_own(value.object, name))
    found |= set(_members(trace, value, cls, name))
    for hook in ("__getattr__", "__getattribute__"):
        if not found:
            found |= call_method(trace, value, hook, [set()], set())
    return found


def _own(one: Any, name: str) -> Any:
    """What an object itself has under a name, in its dict or in a slot, without calling anything of the project."""
    try:
        own = object.__getattribute__(one, "__dict__")
    except AttributeError:
        own = {}
    if isinstance(own, dict) and name in own:
        return own[name]
    for base in type(one).__mro__:
        raw = vars(base).get(name)
        if isinstance(raw, MemberDescriptorType) or type(raw).__name__ == "_tuplegetter":
            return getattr(one, name, None)
    return None


def _members(trace: Trace, value: Live | Made, cls: type, name: str) -> Iterator[Value]:
    """What a class gives its instances under a name."""
    for base in cls.__mro__:
        yield from trace.read("attribute", Live(base), name)
        raw = vars(base).get(name, _MISSING)
        if raw is _MISSING:
            continue
        if trace.ours(base.__module__):
            yield from inherited(trace, value, cls, raw)
            return
        if isinstance(raw, FunctionType):  # a method of a class that is not the project's: it may call those that are
            maybe_called(trace, value)
        method = container_method(inside(trace, value), name) if callable(raw) else None
        if method is not None:
            yield method
        return


def inside(trace: Trace, value: Live | Made) -> Holder:
    """What an instance of the project holds for methods that are not: those of a dict, a UserDict, a Queue."""
    found = every_attribute(trace, value)
    for one in list(found):
        if isinstance(one, Holder):
            found |= trace.elements(one)
    return kept_in(trace, value, found)


def inherited(trace: Trace, value: Live | Made, cls: type, raw: Any) -> set[Value]:
    """What stands in a class, as an instance of it gives it."""
    if isinstance(raw, FunctionType):
        return {Bound(Live(raw), value)}
    if isinstance(raw, staticmethod):
        return trace.live(raw.__func__)
    if isinstance(raw, classmethod):
        return {Bound(Live(raw.__func__), Live(cls))}
    if isinstance(raw, property):
        return call(trace, trace.live(raw.fget), [{value}], {}, set())
    if isinstance(raw, cached_property):
        return call(trace, trace.live(raw.func), [{value}], {}, set())
    if isinstance(raw, partialmethod):
        given: list[Values] = [{value}, *(trace.live(one) for one in raw.args)]
        named: dict[str, Values] = {key: trace.live(one) for key, one in raw.keywords.items()}
        return {made_partial(trace, (id(raw), value), trace.live(raw.func), given, named, set())}
    if isinstance(raw, MemberDescriptorType) or type(raw).__name__ == "_tuplegetter":
        return set()
    if trace.is_instance(raw) and hasattr(type(raw), "__get__"):
        return call_method(trace, Live(raw), "__get__", [{value}, {Live(cls)}], set())
    if callable(raw) and not isinstance(raw, type) and not isinstance(raw, Resource):
        return {Bound(one, value) for one in trace.live(raw)}
    found = trace.live(raw)
    if hasattr(type(raw), "__get__") and not isinstance(raw, (type, Resource)):  # a singledispatchmethod
        found |= {Bound(one, value) for one in held(trace, raw) if isinstance(one, Live) and trace.owns(one.object)}
    return found


def _by_name(trace: Trace, name: str) -> set[Value]:
    """Methods of this name of every class that is known: what an object of unknown origin may be."""
    found: set[Value] = set()
    if name.startswith("__"):
        return found
    for cls in trace.classes:
        if any(name in vars(base) for base in cls.__mro__ if trace.ours(base.__module__)):
            found |= _of_instance(trace, Made(cls), cls, name)
    for one in trace.instances:
        if any(name in vars(base) for base in type(one).__mro__ if trace.ours(base.__module__)):
            found |= _of_instance(trace, Live(one), type(one), name)
    return found


def every_attribute(trace: Trace, value: Value) -> set[Value]:
    """All that an object may have in its attributes, its methods left out."""
    found = trace.read("attribute", value, "*")
    if isinstance(value, Made) or (isinstance(value, Live) and trace.is_instance(value.object)):
        found |= _of_its_classes(trace, value.cls if isinstance(value, Made) else type(value.object))
    for name in trace.read("attributes", value):
        found |= trace.read("attribute", value, name)
    if isinstance(value, Live):
        own = vars(value.object) if hasattr(value.object, "__dict__") else {}
        for one in list(own.values()):
            found |= trace.live(one)
        if not isinstance(value.object, (type, ModuleType)):
            for base in type(value.object).__mro__:
                for name, raw in vars(base).items():
                    if isinstance(raw, MemberDescriptorType):
                        found |= trace.live(getattr(value.object, name, None))
    return found


def _of_its_classes(trace: Trace, cls: type) -> set[Value]:
    found: set[Value] = set()
    for base in cls.__mro__:
        for raw in list(vars(base).values()) if trace.ours(base.__module__) else ():
            if isinstance(raw, (Resource, *CONTAINERS)) or trace.is_instance(raw):
                found |= trace.live(raw)
    return found


def assign(trace: Trace, bases: Values, name: str, values: Values) -> None:
    """``x.name = values``; ``*`` for a name that is made at run time."""
    for base in bases:
        if isinstance(base, (Live, Made)) and not (isinstance(base, Live) and isinstance(base.object, Resource)):
            cls = base.cls if isinstance(base, Made) else type(base.object)
            raw = next((vars(one)[name] for one in cls.__mro__ if name in vars(one)), None)
            if isinstance(raw, property):
                call(trace, trace.live(raw.fset), [{base}, values], {}, set())
            elif trace.is_instance(raw) and hasattr(type(raw), "__set__"):
                call_method(trace, Live(raw), "__set__", [{base}, values], set())
        if isinstance(base, Live) and isinstance(base.object, ModuleType):
            trace.write(values, "global", id(vars(base.object)), name)
        if isinstance(base, Holder):
            trace.write(values, "element", base)
        trace.put(values, "attribute", base, name)
