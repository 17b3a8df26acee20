"""Calls: of the project's functions and classes, of a resource's methods, and of what is not the project's."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from functools import partial
from types import FunctionType, MethodType
from typing import Any

from portable.errors import ConfigError
from portable.flow.foreign import IN_ORDER, Kind, kind_of
from portable.flow.held import held
from portable.flow.trace import Trace
from portable.flow.values import UNKNOWN, Bound, Holder, Live, Made, Nested, Operations, Partial, Use, Value, Values
from portable.grants import BESIDE, METHODS, VERBS, check_verbs, needs
from portable.permissions import grants_of
from portable.resources import Resource

__all__ = ["SPECIAL", "Special", "call", "call_method", "escape", "maybe_called", "results", "touch"]

Special = Callable[[Trace, list[Values], Mapping[Any, Any], Values], set[Value] | None]
SPECIAL: dict[int, Special] = {}
"""Builtins that reach into objects by name, by their id: what each may give; None where it is a call like another."""

_CONTAINER = frozenset(
    [
        "add",
        "append",
        "appendleft",
        "clear",
        "copy",
        "count",
        "discard",
        "extend",
        "extendleft",
        "get",
        "index",
        "insert",
        "items",
        "keys",
        "pop",
        "popitem",
        "popleft",
        "remove",
        "reverse",
        "rotate",
        "setdefault",
        "sort",
        "union",
        "update",
        "values",
    ]
)
_JOINING = frozenset(["extend", "extendleft", "union", "update"])
_FILLS = ("_bisect", "_heapq", "bisect", "heapq")
"""Modules whose functions put what they are given into the list that they are given first."""
_ENDS = {id(contextlib.closing): ("close",), id(contextlib.aclosing): ("aclose",)}
"""Methods of what it is given that a class calls, by its id."""
_ITEMS = frozenset(["__getitem__", "__iter__", "__next__", "__reversed__", "__setitem__"])
_NOT_BY_ITSELF = frozenset(
    [
        "__init__",
        "__new__",
        "__call__",
        "__getattr__",
        "__getattribute__",
        "__init_subclass__",
        "__class_getitem__",
        "__get__",
        "__set__",
        "__set_name__",
    ]
)


def call(
    trace: Trace,
    functions: Values,
    given: list[Values],
    named: dict[str, Values],
    rest: Values,
    constants: Mapping[Any, Any] | None = None,
    name: str = "",
    unknown: bool = False,
) -> set[Value]:
    """What a call may return.

    Args:
        functions: what may be called. given: arguments in order. named: by name. rest: that may be any of them.
        constants: arguments that are written there, by position or name. name: what is called, as it is written.
        unknown: whether there may be arguments with other names.
    """
    found: set[Value] = set()
    constants = constants or {}
    if name in ("asend", "send"):  # to a generator, perhaps: to whichever takes what is sent
        trace.write(set(rest).union(*given), "sent")
    if not functions:
        return _foreign(trace, None, given, named, rest, name)
    for one in functions:
        if isinstance(one, Use):
            found |= _use(trace, one, given, named, rest, constants, unknown)
        elif isinstance(one, Nested):
            found |= trace.bind(trace.scope_within(one), given, named, rest)
        elif isinstance(one, Bound) and isinstance(one.function, Holder):
            found |= _container_method(trace, one.function, given, named, rest, name)
        elif isinstance(one, Bound):
            found |= call(trace, {one.function}, [{one.first}, *given], named, rest, {}, name, unknown)
        elif isinstance(one, Holder):
            found |= _holder(trace, one, given, named, rest, name)
        elif isinstance(one, Partial):
            found |= _call_partial(trace, one, given, named, rest)
        elif isinstance(one, Made):
            found |= call_method(trace, one, "__call__", given, rest, named)
        elif isinstance(one, Live):
            found |= _object(trace, one, given, named, rest, constants, name, unknown)
        else:
            found |= _foreign(trace, None, given, named, rest, name)
    return found


def _object(
    trace: Trace,
    value: Live,
    given: list[Values],
    named: dict[str, Values],
    rest: Values,
    constants: Mapping[Any, Any],
    name: str,
    unknown: bool,
) -> set[Value]:
    one = value.object
    if isinstance(one, Resource):
        return set()
    if trace.owns(one):
        found: set[Value] = set()
        if (said := grants_of(one)) is not None:
            _said(trace, one, said)
            return {UNKNOWN}
        scopes = trace.scopes_of(one)
        for scope in scopes:
            found |= trace.bind(scope, given, named, rest)
        return found if scopes else _opaque(trace, one, given, named, rest)
    if isinstance(one, type):
        return _instantiate(trace, one, given, named, rest, constants, name)
    if isinstance(one, MethodType):
        first = trace.live(one.__self__)
        if isinstance(one.__self__, Resource) and not trace.ours(one.__func__.__module__):
            from portable.flow.attributes import attribute

            functions = attribute(trace, first, one.__name__, called=True)
            return call(trace, functions, given, named, rest, constants, name, unknown)
        made = _made_by_app(trace, one, constants) if one.__name__ in VERBS else None
        return made or call(trace, {Live(one.__func__)}, [first, *given], named, rest, {}, one.__name__, unknown)
    if isinstance(one, partial):
        bound = [*(trace.live(argument) for argument in one.args), *given]
        options = {key: trace.live(argument) for key, argument in one.keywords.items()} | named
        return call(trace, trace.live(one.func), bound, options, rest, {}, name, True)
    if trace.is_instance(one):
        return call_method(trace, value, "__call__", given, rest, named)
    special = SPECIAL.get(id(one))
    if special is not None and (answer := special(trace, given, constants, rest)) is not None:
        return answer
    return _foreign(trace, one, given, named, rest, name)


def _said(trace: Trace, function: FunctionType, said: Mapping[tuple[str, str], tuple[str, ...]]) -> None:
    """What ``@granted`` says a function does. Raises ConfigError for a verb or a resource there is not."""
    code = function.__code__
    where = f"{trace.project.place(code.co_filename)}:{code.co_firstlineno}: granted"
    for (kind, name), verbs in said.items():
        resource = trace.declared.get((kind, name))
        if resource is None:
            known = ", ".join(":".join(key) for key in sorted(trace.declared)) or "none"
            raise ConfigError(f"{where}: the app declares no resource '{kind}:{name}'; it has {known}")
        checked = check_verbs(kind, verbs, f"{where} of {kind}:{name}")
        methods = [method for method, needed in METHODS[kind].items() if set(needed) & set(checked)]
        trace.allow(resource, checked, {verb for method in methods for verb in BESIDE.get(kind, {}).get(method, ())})


def call_method(
    trace: Trace,
    value: Live | Made,
    name: str,
    given: list[Values],
    rest: Values,
    named: dict[str, Values] | None = None,
) -> set[Value]:
    """What a method of an instance returns; nothing where its classes of the project have none of this name."""
    cls = value.cls if isinstance(value, Made) else type(value.object)
    for base in cls.__mro__:
        raw = vars(base).get(name)
        if raw is not None and trace.ours(base.__module__):
            from portable.flow.attributes import inherited

            return call(trace, inherited(trace, value, cls, raw), given, named or {}, rest)
    return set()


def _use(
    trace: Trace,
    use: Use,
    given: list[Values],
    named: dict[str, Values],
    rest: Values,
    constants: Mapping[Any, Any],
    unknown: bool,
) -> set[Value]:
    resources = [use.resource]
    if use.resource is None:  # Bucket.read(uploads, "a")
        firsts = (given[0] if given else set()) | set(rest)
        resources = [one.object for one in firsts if isinstance(one, Live) and isinstance(one.object, Resource)]
    for resource in resources:
        if use.method == "transaction":
            return {Operations(resource)}
        verbs = needs(use.kind, use.method, constants, named, unknown or bool(rest))
        trace.allow(resource, verbs, BESIDE.get(use.kind, {}).get(use.method, ()))
    others = named.get("to", set()) if use.method == "copy" else set()
    for other in others:
        if isinstance(other, Live) and isinstance(other.object, Resource):
            trace.allow(other.object, ("write",))
    for values in (*given[use.resource is None :], *(one for key, one in named.items() if key != "to")):
        for value in _deep(trace, values):  # an iterator of the project's is asked for its data
            if isinstance(value, (Made, Live)) and not (isinstance(value, Live) and isinstance(value.object, Resource)):
                maybe_called(trace, value)
    return set()


def _made_by_app(trace: Trace, method: MethodType, constants: Mapping[Any, Any]) -> set[Value] | None:
    """``app.bucket("uploads")`` within a function: the resource of this name."""
    from portable.app import App

    return _named(trace, method.__name__, constants) if isinstance(method.__self__, App) else None


def _named(trace: Trace, kind: str, constants: Mapping[Any, Any]) -> set[Value]:
    name = constants.get(0, constants.get("name"))
    if isinstance(name, str):
        known = trace.declared.get((kind, name))
        return set() if known is None else {Live(known)}
    found: set[Value] = set()
    for (of, _), resource in trace.declared.items():
        if of == kind:
            trace.allow_all(resource, f"the name of a {kind} is made when this runs: it may be {resource}")
            found.add(Live(resource))
    return found


def _instantiate(
    trace: Trace,
    cls: type,
    given: list[Values],
    named: dict[str, Values],
    rest: Values,
    constants: Mapping[Any, Any],
    name: str,
) -> set[Value]:
    if issubclass(cls, Resource):
        return _named(trace, cls.kind, constants)
    if not trace.ours(cls.__module__):
        special = SPECIAL.get(id(cls))
        if special is not None and (answer := special(trace, given, constants, rest)) is not None:
            return answer
        return _foreign(trace, cls, given, named, rest, name)
    made = Made(cls)
    found: set[Value] = {made}
    for method in ("__new__", "__init__"):
        base = next((one for one in cls.__mro__ if method in vars(one)), object)
        raw: Any = vars(base).get(method)
        raw = getattr(raw, "__func__", raw)
        first: set[Value] = {made} if method == "__init__" else {Live(cls)}
        if trace.owns(raw) and trace.scopes_of(raw):
            found |= call(trace, {Live(raw)}, [first, *given], named, rest)
        elif method == "__init__":
            _fields(trace, cls, made, given, named, rest)
    return found


def _fields(trace: Trace, cls: type, made: Made, given: list[Values], named: dict[str, Values], rest: Values) -> None:
    """A constructor that is generated, or not the project's: what it is given may be in a field."""
    data: dict[str, Any] = getattr(cls, "__dataclass_fields__", {})
    named_fields: Any = getattr(cls, "__struct_fields__", None) or getattr(cls, "_fields", ())
    fields = list(data) or list(named_fields)
    for field, one in data.items():
        if callable(getattr(one, "default_factory", None)):
            trace.put(call(trace, trace.live(one.default_factory), [], {}, set()), "attribute", made, field)
    for index, values in enumerate(given):
        field = fields[index] if index < len(fields) else "*"
        trace.put(values, "attribute", made, field)
    for field, values in named.items():
        trace.put(values, "attribute", made, field)
    trace.write(rest, "attribute", made, "*")
    for hook in ("__post_init__", "__attrs_post_init__", "model_post_init"):
        call_method(trace, made, hook, [], {UNKNOWN})


def made_partial(
    trace: Trace, key: Any, functions: Values, given: list[Values], named: dict[str, Values], rest: Values
) -> Partial:
    """``partial(function, …)``."""
    made = Partial(key)
    trace.write(functions, "function", made)
    for index, values in enumerate(given):
        trace.put(values, "item", made, index)
    for name, values in named.items():
        trace.put(values, "item", made, name)
    trace.write(rest, "element", made)
    return made


def _call_partial(
    trace: Trace, one: Partial, given: list[Values], named: dict[str, Values], rest: Values
) -> set[Value]:
    kept = trace.read("items", one)
    bound: list[Values] = [trace.read("item", one, index) for index in sorted(k for k in kept if isinstance(k, int))]
    options: dict[str, Values] = {name: trace.read("item", one, name) for name in kept if isinstance(name, str)}
    functions = trace.read("function", one)
    others = set(rest) | trace.read("element", one)
    return call(trace, functions, [*bound, *given], options | named, others, {}, "", True) if functions else set()


def _handed_on(trace: Trace, given: list[Values], named: dict[str, Values], rest: Values) -> set[Value]:
    """``pool.submit(function, argument)``: what follows a function are its arguments, in order."""
    found: set[Value] = set()
    for index, values in enumerate(given):
        functions = {one for one in values if _is_function(trace, one)}
        if functions:
            found |= call(trace, functions, given[index + 1 :], named, rest, {}, "", True)
            return found | functions
    return results(trace, set(rest).union(*given, *named.values()))


def _holder(
    trace: Trace, holder: Holder, given: list[Values], named: dict[str, Values], rest: Values, name: str
) -> set[Value]:
    """What holds functions is called, or one of its methods: they are called with all there is."""
    if name in IN_ORDER:
        return {holder} | _handed_on(trace, given, named, rest)
    arguments = set(rest).union(*given, *named.values())
    trace.write(arguments, "element", holder)
    return {holder} | results(trace, {holder} | arguments)


def _container_method(
    trace: Trace, holder: Holder, given: list[Values], named: dict[str, Values], rest: Values, method: str
) -> set[Value]:
    arguments = set(rest).union(*given)
    if method in _JOINING:
        for one in list(arguments):
            arguments |= trace.elements(one) if isinstance(one, Holder) else set()
    trace.write(arguments, "element", holder)
    for name, values in named.items():  # d.update(a=uploads), l.sort(key=f)
        trace.put(values, "item", holder, name)
    for function in named.get("key", ()):
        call(trace, {function}, [trace.elements(holder)], {}, set())
    return {holder} | trace.elements(holder)


def container_method(holder: Holder, name: str) -> Bound | None:
    """A method of a list, dict or set; None for what is called like none."""
    return Bound(holder, UNKNOWN) if name in _CONTAINER or name in _ITEMS else None


def results(trace: Trace, values: Values) -> set[Value]:
    """What may come of values that are handed to what calls functions: themselves, what they hold, what each function
    among them returns for the others.
    """
    deep = _deep(trace, values)
    found = set(deep)
    others = {one for one in deep if not _is_function(trace, one)}
    for one in deep - others - trace.calling:
        trace.calling.add(one)  # what it calls may hand it on again
        found |= call(trace, {one}, [], {}, others)
        trace.calling.discard(one)
    return found


def _deep(trace: Trace, values: Values) -> set[Value]:
    """Values, and what containers among them hold."""
    found: set[Value] = set()
    waiting = list(values)
    while waiting:
        one = waiting.pop()
        if one not in found:
            found.add(one)
            if isinstance(one, Holder):
                waiting.extend(trace.elements(one))
            elif isinstance(one, Live) and not trace.is_instance(one.object) and not _is_function(trace, one):
                waiting.extend(held(trace, one.object))  # an iterator that is there now
    return found


def _is_function(trace: Trace, value: Value) -> bool:
    if isinstance(value, Live):
        one = value.object
        return isinstance(one, (FunctionType, MethodType, partial)) or (trace.is_instance(one) and callable(one))
    return isinstance(value, (Use, Nested, Bound, Partial)) or (
        # Every class can be called, so it is not to be asked whether it has the method.
        isinstance(value, Made) and any("__call__" in vars(base) for base in value.cls.__mro__)
    )


def _foreign(
    trace: Trace, one: Any, given: list[Values], named: dict[str, Values], rest: Values, name: str
) -> set[Value]:
    """Something that is not the project's is called."""
    arguments = set(rest).union(*given, *named.values())
    kind = kind_of(one, name)
    if kind is Kind.NOTHING:
        for value in arguments:
            touch(trace, value)
        return set()
    if name in IN_ORDER and kind in (Kind.PASSES, Kind.LATER):
        return _handed_on(trace, given, named, rest)
    if one is partial and given:
        return {made_partial(trace, (trace.current, id(trace.node)), given[0], given[1:], named, rest)}
    if kind is Kind.HOLDS:
        holder = Holder(("made", trace.current, id(trace.node)))
        trace.write(arguments, "element", holder)
        for end in _ENDS.get(id(one), ()):
            for value in arguments:
                if isinstance(value, (Live, Made)):
                    call_method(trace, value, end, [], set())
        return {holder} | results(trace, arguments)
    if kind is Kind.PASSES:
        if getattr(one, "__module__", None) in _FILLS and given:
            for filled in given[0]:
                if isinstance(filled, Holder):
                    trace.write(arguments - {filled}, "element", filled)
        return results(trace, arguments)
    inner = held(trace, one)
    if inner:  # a decorator's object, or its function, around a function of the project; a weak reference
        found = {value for value in inner if not _is_function(trace, value)}
        for function in inner:
            found |= call(trace, {function}, given, named, rest)
        return found | {UNKNOWN}
    if any(_is_function(trace, value) for value in arguments) and kind is Kind.LATER:
        return results(trace, arguments)
    if not arguments:
        return set()
    escape(trace, arguments, f"{name or 'what is called here'} is not the project's")
    return {UNKNOWN} | {value for value in arguments if not (isinstance(value, Live) and _is_resource(value))}


def _is_resource(value: Live) -> bool:
    return isinstance(value.object, Resource)


def _opaque(
    trace: Trace, function: FunctionType, given: list[Values], named: dict[str, Values], rest: Values
) -> set[Value]:
    """A function of the project whose source is not there."""
    if function.__name__.startswith("__"):  # of a dataclass: generated, and harmless
        return set()
    why = f"the source of {function.__qualname__} is not there"
    trace.set_own()  # only the first time says it all
    if function in trace.opaque:
        arguments = _deep(trace, set(rest).union(*given, *named.values()))
        escape(trace, {one for one in arguments if isinstance(one, Live) and _is_resource(one)}, why)
        return {UNKNOWN}
    trace.opaque.add(function)
    trace.note(f"{why}: it may use any resource", None)
    reached = {value for name in function.__code__.co_names for value in trace.live(function.__globals__.get(name))}
    escape(trace, reached | set(rest).union(*given, *named.values()), why)
    return {UNKNOWN}


def escape(trace: Trace, values: Values, why: str) -> None:
    """Values go out of sight: what they are may be used in any way, what they can do may be done."""
    seen: set[Value] = set()
    waiting = list(values)
    while waiting:
        value = waiting.pop()
        if value in seen:
            continue
        seen.add(value)
        if isinstance(value, Live) and isinstance(value.object, Resource):
            trace.allow_all(value.object, f"{why}: it may do anything with {value.object}")
        elif isinstance(value, Operations):
            trace.allow_all(value.table, f"{why}: it may do anything with {value.table}")
        elif isinstance(value, Use):
            call(trace, {value}, [], {}, set(), {}, "", True)
        elif isinstance(value, Holder):
            waiting.extend(trace.elements(value))
            results(trace, {value})
        elif value is not UNKNOWN:
            maybe_called(trace, value)
            if isinstance(value, Bound):
                waiting.append(value.first)
            elif isinstance(value, Made) or (isinstance(value, Live) and trace.is_instance(value.object)):
                from portable.flow.attributes import every_attribute

                waiting.extend(every_attribute(trace, value))


def maybe_called(trace: Trace, value: Value) -> None:
    """Somebody unseen may call a function, or any method of an object or a class."""
    touch(trace, value)
    if isinstance(value, Nested):
        trace.bind(trace.scope_within(value), [], {}, {UNKNOWN})
    elif isinstance(value, (Bound, Partial)):
        call(trace, {value}, [], {}, {UNKNOWN})
    elif isinstance(value, Live) and trace.owns(value.object):
        named: dict[str, Values] = {one.name: trace.typed(one.annotation) for one in trace.parameters_of(value.object)}
        call(trace, {value}, [], named, set() if named else {UNKNOWN})
    elif isinstance(value, Live) and isinstance(value.object, (MethodType, partial)):
        call(trace, {value}, [], {}, {UNKNOWN})
    else:
        cls = value.cls if isinstance(value, Made) else None
        first: Value = value
        if isinstance(value, Live) and isinstance(value.object, type):
            cls, first = value.object, Made(value.object)
        elif isinstance(value, Live):
            cls = type(value.object)
        for base in cls.__mro__ if cls is not None else ():
            if trace.ours(base.__module__):
                for raw in list(vars(base).values()):
                    if trace.owns(raw):
                        call(trace, {Bound(Live(raw), first)}, [], {}, {UNKNOWN})


def touch(trace: Trace, value: Value) -> None:
    """An object of the project is used: operators, ``with``, ``for`` and formatting call its methods by themselves."""
    if not isinstance(value, (Live, Made)) or (trace.current, value) in trace.touched:
        return
    trace.touched.add((trace.current, value))
    if isinstance(value, Live) and not trace.is_instance(value.object):
        return
    by_itself(trace, value)


def by_itself(trace: Trace, value: Value) -> set[Value]:
    """What an object's special methods may return."""
    found: set[Value] = set()
    if not isinstance(value, (Live, Made)) or (isinstance(value, Live) and not trace.is_instance(value.object)):
        return found
    cls = value.cls if isinstance(value, Made) else type(value.object)
    for base in cls.__mro__:
        if trace.ours(base.__module__):
            for name, raw in list(vars(base).items()):
                special = name.startswith("__") and name.endswith("__") and name not in _NOT_BY_ITSELF
                if special and trace.owns(raw):
                    found |= call(trace, {Bound(Live(raw), value)}, [], {}, {UNKNOWN})
    return found
