"""Calling what a handler depends on: in order, once an invocation, with the clean-up after it.

Imported by a function that has dependencies, and no other. The same coroutines serve sync and async: where nothing
awaits, they are stepped through without a loop.
"""

from __future__ import annotations

from _thread import RLock
from contextvars import ContextVar

from portable.errors import ConfigError
from portable.events import Context, current_context
from portable.http.answers import answer
from portable.http.binding import Misfit, getter_of, refuse
from portable.http.parameters import callable_of, describe_dependency, place_of
from portable.http.params import Depends
from portable.http.routing import parse_path
from portable.invoke.loops import call_apart, needs_thread, step
from portable.signatures import MISSING, Parameter, parameters_of, split_annotated, split_optional

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable, Mapping
    from typing import Any, NoReturn

    from portable.events import Request, Response
    from portable.http.parameters import Binding
    from portable.http.params import Depends
    from portable.triggers import HTTPRoute

    Getter = Callable[[Any], Any]

__all__ = ["bind_event", "bind_with_dependencies", "close_instance", "depends_on", "replacements", "waits"]

_COROUTINE, _GENERATOR, _ASYNC_GENERATOR = 0x80, 0x20, 0x200  # of a code's co_flags

replacements: ContextVar[Mapping[Any, Callable[..., Any]] | None] = ContextVar("replacements", default=None)
"""What tests put in the place of dependencies, by function."""


class Node:
    """A dependency with its arguments' sources: getters, and nodes.

    Attributes:
        awaits: whether calling it, or what it needs, takes an event loop. getters: of its tree, to name every misfit.
    """

    __slots__ = ("_make", "_replaced", "arguments", "awaits", "flags", "function", "kept", "locks")
    awaits: bool

    def __init__(self, function: Callable[..., Any], kept: bool, arguments: Arguments, make: Any) -> None:
        self.function = function
        self.flags = _flags(function)
        self.kept = kept
        self.arguments = arguments
        self.awaits = waits(function) or arguments.awaits
        self.locks: dict[Any, Any] = {}  # by event loop: one call at a time of what is kept
        self._make = make
        self._replaced: dict[Any, Node] = {}

    def in_force(self) -> Node:
        """This one, or what a test has put in its place."""
        table = replacements.get()
        if table is None or self.function not in table:
            return self
        function = table[self.function]
        if function not in self._replaced:
            self._replaced[function] = self._make(function, self.kept)
        return self._replaced[function]


class Arguments:
    """Where the arguments of a handler or a dependency come from."""

    __slots__ = ("awaits", "named", "positional")
    awaits: bool

    def __init__(self, sources: Iterable[tuple[str, bool, Getter | Node]]) -> None:
        found = list(sources)
        self.positional = [source for _, keyword_only, source in found if not keyword_only]
        self.named = [(name, source) for name, keyword_only, source in found if keyword_only]
        self.awaits = any(isinstance(source, Node) and source.awaits for _, _, source in found)

    def getters(self) -> list[Getter]:
        """Every getter of the tree."""
        found: list[Getter] = []
        for source in (*self.positional, *(source for _, source in self.named)):
            if isinstance(source, Node):
                found += source.arguments.getters()
            else:
                found.append(source)
        return found


class Invocation:
    """What one invocation has called, and has to close."""

    __slots__ = ("_apart", "_event", "_open", "_values")

    def __init__(self, event: Any, apart: bool) -> None:
        self._event = event
        self._apart = apart  # what may block goes to a thread: others share the loop
        self._values: dict[Any, Any] = {}
        self._open: list[Any] = []

    async def arguments(self, wanted: Arguments) -> tuple[list[Any], dict[str, Any]]:
        """The values a callable is called with. Raises Misfit, and what a dependency raises."""
        values = [await self._value_of(source) for source in wanted.positional]
        return values, {name: await self._value_of(source) for name, source in wanted.named}

    async def _value_of(self, source: Getter | Node) -> Any:
        return await self.value(source) if isinstance(source, Node) else source(self._event)

    async def value(self, declared: Node) -> Any:
        """What a dependency gives, called now unless it was already."""
        node = declared.in_force()
        key = node.function
        if key not in self._values:
            self._values[key] = await (_kept_value(node, self._apart) if node.kept else self._call(node))
        return self._values[key]

    async def _call(self, node: Node) -> Any:
        values, named = await self.arguments(node.arguments)
        if node.flags & _ASYNC_GENERATOR:
            generator = node.function(*values, **named)
            value = await generator.__anext__()
            self._open.append(generator)
            return value
        if node.flags & _GENERATOR:
            generator = node.function(*values, **named)
            value = await self._run(_first, generator)
            self._open.append(generator)
            return value
        if node.flags & _COROUTINE:
            return await node.function(*values, **named)
        value = await self._run(node.function, *values, **named)
        return await value if hasattr(value, "__await__") else value

    async def _run(self, function: Callable[..., Any], *values: Any, **named: Any) -> Any:
        return await call_apart(function, *values, **named) if self._apart else function(*values, **named)

    async def close(self) -> None:
        """Let every generator go on, the last opened first. Raises the last error that one of them raised."""
        error = await self._close(None)
        if error is not None:
            raise error

    async def fail(self, error: BaseException) -> NoReturn:
        """Raise ``error`` at the ``yield`` of every generator, the last opened first, and then here.

        One of them may raise another instead, which counts from then on.
        """
        raised = await self._close(error)
        assert raised is not None
        if raised is error:
            raise error
        raise raised from error

    async def _close(self, error: BaseException | None) -> BaseException | None:
        while self._open:
            generator = self._open.pop()
            try:
                if hasattr(generator, "__anext__"):
                    await _finish_async(generator, error)
                else:
                    await self._run(_finish, generator, error)
            except BaseException as raised:
                error = raised
        return error


def _first(generator: Any) -> Any:
    try:
        return next(generator)
    except StopIteration:
        raise RuntimeError(f"dependency {generator.__name__} ended without a yield") from None


def _finish(generator: Any, error: BaseException | None) -> None:
    try:
        if error is None:
            next(generator)
        else:
            generator.throw(error)
    except StopIteration:
        if error is not None:
            raise error from None  # a dependency may answer with another error, and hides none
        return
    generator.close()
    raise RuntimeError(f"dependency {generator.__name__} yields twice")


async def _finish_async(generator: Any, error: BaseException | None) -> None:
    try:
        if error is None:
            await generator.__anext__()
        else:
            await generator.athrow(error)
    except StopAsyncIteration:
        if error is not None:
            raise error from None
        return
    await generator.aclose()
    raise RuntimeError(f"dependency {generator.__name__} yields twice")


# --- once an instance

_kept: dict[Any, Any] = {}
_kept_open: list[Invocation] = []
_keeping = RLock()


async def _kept_value(node: Node, apart: bool) -> Any:
    if node.function in _kept:
        return _kept[node.function]
    if not node.awaits:
        return await call_apart(_keep_now, node) if apart else _keep_now(node)
    from asyncio import Lock, get_running_loop

    loop = get_running_loop()
    lock = node.locks.get(loop)
    if lock is None:
        lock = node.locks[loop] = Lock()
    async with lock:
        if node.function not in _kept:
            await _keep(node, apart)
        return _kept[node.function]


def _keep_now(node: Node) -> Any:
    with _keeping:
        if node.function not in _kept:
            step(_keep(node, False))
        return _kept[node.function]


async def _keep(node: Node, apart: bool) -> None:
    opened = Invocation(None, apart)
    _kept[node.function] = await opened._call(node)
    if opened._open:
        _kept_open.append(opened)


def close_instance(run: Callable[[Coroutine[Any, Any, Any]], Any]) -> None:
    """Let go of what is kept once an instance, the last made first. Raises the last error of what goes on then.

    ``run`` runs a coroutine to its end.
    """
    with _keeping:
        opened = list(_kept_open)
        _kept_open.clear()
        _kept.clear()
    error: Exception | None = None
    for invocation in reversed(opened):
        waits = any(hasattr(generator, "__anext__") for generator in invocation._open)
        try:
            (run if waits else step)(invocation.close())
        except Exception as raised:
            error = raised
    if error is not None:
        raise error


# --- handlers of requests


def bind_with_dependencies(route: HTTPRoute, bindings: list[Binding]) -> Callable[[Request], Any]:
    """A function that answers a request with the route's handler and what it depends on.

    It gives the Response, or a coroutine of it. The answer is encoded before the dependencies are closed, so that one
    of them may fail it. It raises HTTPError for a request that does not fit.
    """
    in_path = {name for converter, name in parse_path(route.path) if converter}

    def make(function: Callable[..., Any], kept: bool) -> Node:
        declared = Depends(function, scope="instance" if kept else "request")
        return node_of(describe_dependency(place_of(route), declared, in_path))

    def node_of(binding: Binding) -> Node:
        assert binding.dependency is not None
        arguments = Arguments((one.parameter, one.keyword_only, source_of(one)) for one in binding.bindings)
        return Node(binding.dependency.function, binding.dependency.scope == "instance", arguments, make)

    def source_of(binding: Binding) -> Getter | Node:
        return node_of(binding) if binding.place == "depends" else getter_of(route, binding)

    sources = [(one.parameter, one.keyword_only, source_of(one)) for one in bindings]
    first = [source for name, _, source in sources if not name and isinstance(source, Node)]
    wanted = Arguments(source for source in sources if source[0])
    getters = [getter for node in first for getter in node.arguments.getters()] + wanted.getters()
    awaits = route.is_async or wanted.awaits or any(node.awaits for node in first)
    if awaits:
        route.is_async = True

    async def serve(request: Request) -> Response:
        invocation = Invocation(request, awaits and needs_thread())
        try:
            for node in first:
                await invocation.value(node)
            values, named = await invocation.arguments(wanted)
            value = await _call_handler(route.handler, handler_awaits, invocation, values, named)
            response = answer(route, value)
        except Misfit as misfit:
            await invocation.fail(refuse(misfit, request, getters))
        except BaseException as error:
            await invocation.fail(error)
        await invocation.close()
        return response

    handler_awaits = waits(route.handler)
    return serve if awaits else lambda request: step(serve(request))


def waits(function: Any) -> bool:
    """Whether calling this takes an event loop: an async function or generator, or an object called as one."""
    return bool(_flags(function) & (_COROUTINE | _ASYNC_GENERATOR))


def _flags(function: Any) -> int:
    code = getattr(function, "__code__", None) or getattr(type(function).__call__, "__code__", None)
    return 0 if code is None else int(code.co_flags)


async def _call_handler(
    handler: Callable[..., Any], awaits: bool, invocation: Invocation, values: list[Any], named: dict[str, Any]
) -> Any:
    value = handler(*values, **named) if awaits else await invocation._run(handler, *values, **named)
    return await value if hasattr(value, "__await__") else value


# --- handlers of events


def depends_on(annotation: Any) -> Depends | None:
    """The ``Depends`` of an annotation."""
    _, extra = split_annotated(annotation)
    return next((one for one in extra if getattr(one, "place", None) == "depends"), None)


class EventTree:
    """The nodes of an event handler's dependencies. ``kind`` is the class of its event, None where it takes none."""

    def __init__(self, where: str, kind: Any) -> None:
        self._where = where
        self._kind = kind

    def node(self, function: Callable[..., Any], kept: bool, around: tuple[Any, ...]) -> Node:
        """The node of a function. Raises ConfigError for one that needs itself, or what an event has not."""
        name = getattr(function, "__name__", type(function).__name__)
        if function in around:
            raise ConfigError(f"{self._where}: dependency {name} depends on itself")
        inner = (*around, function)
        sources = [
            (one.name, one.keyword_only, source)
            for one in parameters_of(callable_of(function))
            if (source := self.source(one, name, kept, inner)) is not None
        ]
        return Node(function, kept, Arguments(sources), lambda other, kept: self.node(other, kept, around))

    def source(self, parameter: Parameter, name: str, kept: bool, around: tuple[Any, ...]) -> Getter | Node | None:
        """Where a parameter of ``name`` comes from; None leaves it its default."""
        dependency = depends_on(parameter.annotation)
        if dependency is not None:
            if kept and dependency.scope != "instance":
                raise ConfigError(f"{self._where}: {name} is made once an instance, and {parameter.name!r} is not")
            return self.node(dependency.function, dependency.scope == "instance", around)
        annotation = split_optional(parameter.annotation)[0]
        if annotation is Context:
            return lambda event: current_context.get()
        if self._kind is not None and not kept and getattr(annotation, "__origin__", annotation) is self._kind:
            return lambda event: event
        if parameter.default is not MISSING:
            return None
        raise ConfigError(
            f"{self._where}: dependency {name} of an event handler takes the event, a Context or other dependencies, "
            f"not {parameter.name!r}"
        )


def bind_event(
    where: str, handler: Callable[..., Any], event: Parameter | None, others: list[Parameter]
) -> tuple[Callable[[Any], Any], bool]:
    """A function of the event that calls an event handler with what it depends on, and whether it gives a coroutine.

    ``others``: the parameters that are not the event: a Context, and dependencies. Raises ConfigError.
    """
    tree = EventTree(where, None if event is None else getattr(event.annotation, "__origin__", event.annotation))
    sources: list[tuple[str, bool, Getter | Node]] = []
    if event is not None:
        sources.append((event.name, False, lambda event: event))
    for one in others:
        source = tree.source(one, handler.__name__, False, ())
        if source is not None:
            sources.append((one.name, True, source))
    wanted = Arguments(sources)
    handler_awaits = waits(handler)
    awaits = wanted.awaits or handler_awaits

    async def call(event: Any) -> Any:
        invocation = Invocation(event, awaits and needs_thread())
        try:
            values, named = await invocation.arguments(wanted)
            value = await _call_handler(handler, handler_awaits, invocation, values, named)
        except BaseException as error:
            await invocation.fail(error)
        await invocation.close()
        return value

    def call_now(event: Any) -> Any:
        return step(call(event))

    return (call if awaits else call_now), awaits
