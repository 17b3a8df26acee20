"""What Azure calls. The generated ``function_app.py`` registers one ``entry(…)`` for each trigger.

The worker calls a sync entry on a thread and awaits an async one, several at a time. Nothing of the user's is imported
while the worker indexes the app: the modules of a function are, at its first invocation, and what they raise fails it.
"""

from __future__ import annotations

from threading import RLock

from portable.drivers import read_address
from portable.errors import ConfigError
from portable.events import Context, current_context
from portable.instance import Instance
from portable.invoke import run_shared, step
from portable.resources import on_thread, set_platform
from portable.watchdog import enter as watch
from portable.watchdog import leave as unwatch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
    from typing import Any

    from portable_azure.platform import AzurePlatform

    Call = Callable[..., Awaitable[Any]]

__all__ = ["entry", "platform"]

_opening = RLock()
_cold = True
_platform: AzurePlatform | None = None
_loop: AbstractEventLoop | None = None  # the worker's own, where async handlers run


def platform(environment: Mapping[str, str] | None = None) -> AzurePlatform:
    """A new platform. Addresses and credentials are read from ``environment``, else from the process's."""
    from portable_azure.platform import AzurePlatform

    return AzurePlatform(environment)


def _run(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine from a thread of the worker's, on the worker's loop where that is known."""
    if _loop is not None and _loop.is_running():
        from asyncio import run_coroutine_threadsafe

        return run_coroutine_threadsafe(coroutine, _loop).result()
    return run_shared(coroutine)


class _Function:
    """One trigger of one function of the app, opened at its first invocation."""

    def __init__(self, spec: str, name: str, modules: Sequence[str] | None, **options: Any) -> None:
        self.spec = spec
        self.name = name
        self.modules = modules
        self.resource: str | None = options["resource"]
        self.timeout: float | None = options["timeout"]
        self.max_dequeue_count: int = options["max_dequeue_count"]
        self.drops: str = options["drops"]
        self.proxied: bool = options["proxied"]
        self.instance: Instance | None = None
        self.triggers: list[Any] = []
        self.codec: Any = None  # made at the first invocation by what serves the source

    def open(self) -> Instance:
        """Import the function's modules and run the app's start hooks, once. Raises what they raise, each time."""
        global _platform
        if self.instance is None:
            with _opening:
                if _platform is None:
                    _platform = platform()
                    set_platform(_platform)
                if self.instance is None:
                    instance = Instance(self.spec, self.name, self.modules)
                    self.triggers = instance.app.functions(self.modules)[self.name]
                    instance.start(_run)
                    instance.stop_at_exit(_run)
                    self.instance = instance
        return self.instance

    def context(self, native: Any) -> Context:
        """The portable context of an invocation."""
        global _cold
        from time import time

        deadline = None if self.timeout is None else time() + self.timeout
        stage = "" if self.instance is None else self.instance.stage
        cold, _cold = _cold, False
        return Context(
            self.name,
            native.invocation_id,
            deadline_at=deadline,
            cold_start=cold,
            target="azure",
            stage=stage,
            native=native,
        )

    def source_named(self, kind: str) -> Any:
        """The declared queue or bucket this trigger is bound to."""
        for trigger in self.triggers:
            source = trigger.source if kind == "queue" else trigger.bucket
            if source.name == self.resource:
                return source
        raise ConfigError(f"function {self.name!r} has no trigger on {kind} {self.resource!r}")


# What serves a source is written once, over ``call``: on a thread of the worker's it calls in place, and nothing is
# awaited in truth; on the worker's loop it awaits, and what may block goes to a thread.


async def _call_in_place(operation: Callable[..., Any], *arguments: Any) -> Any:
    result = operation(*arguments)
    return _run(result) if hasattr(result, "__await__") else result


async def _call_on_thread(operation: Callable[..., Any], *arguments: Any) -> Any:
    result = await on_thread(_watched, operation, *arguments)
    return await result if hasattr(result, "__await__") else result


def _watched(operation: Callable[..., Any], *arguments: Any) -> Any:
    """On another thread than that which the invocation was entered on: its stack is here for as long."""
    context = current_context.get()
    if context is not None:
        watch(context)
    return operation(*arguments)


async def _call_on_loop(operation: Callable[..., Any], *arguments: Any) -> Any:
    result = operation(*arguments)
    return await result if hasattr(result, "__await__") else result


async def _serve_http(function: _Function, handle: Any, native: Any, call: Call) -> Any:
    from portable_azure.triggers.http import HTTPTrigger

    response = await call(handle, HTTPTrigger.decode(native))
    try:
        return _answer(function, response)
    except ValueError as error:  # a cookie that the worker would lose
        from logging import getLogger

        from portable.http.answers import problem

        getLogger("portable").exception("an answer of %s cannot be sent on Azure", function.name)
        return HTTPTrigger.encode(problem(500, str(error)))


def _answer(function: _Function, response: Any) -> Any:
    """An answer as the worker takes it. Raises ValueError for a cookie that its own answers cannot carry."""
    if function.proxied:
        from portable_azure.triggers.proxied import answer_of

        return answer_of(response)
    from portable_azure.triggers.http import HTTPTrigger

    return HTTPTrigger.encode(response)


async def _serve_direct(function: _Function, handle: Any, native: Any, call: Call) -> Any:
    from portable_azure.triggers.direct import DirectTrigger

    try:
        response = DirectTrigger.encode(await call(handle, DirectTrigger.decode(native)))
    except Exception as error:
        response = DirectTrigger.encode_error(function.name, Context.current().request_id, error)
    return _answer(function, response)


async def _serve_message(function: _Function, handle: Any, native: Any, call: Call) -> None:
    if function.codec is None:
        from portable_azure.triggers.storage_queue import StorageQueueTrigger

        function.codec = StorageQueueTrigger(function.source_named("queue"), function.max_dequeue_count)
    await _deliver_message(function, handle, native, call)


async def _serve_bus_message(function: _Function, handle: Any, native: Any, call: Call) -> None:
    if function.codec is None:
        from portable_azure.triggers.service_bus import ServiceBusTrigger

        bound = {trigger.key: trigger for trigger in function.triggers}
        trigger = bound[function.resource]
        subscription = trigger.driver if trigger.source.kind == "topic" else None
        function.codec = ServiceBusTrigger(trigger.source, subscription)
    await _deliver_message(function, handle, native, call)


async def _deliver_message(function: _Function, handle: Any, native: Any, call: Call) -> None:
    message = function.codec.decode(native)
    text = message.body
    [outcome] = await call(handle, [message], function.resource)
    left = function.codec.encode(outcome, message, text)
    if left is not None:
        await (_call_in_place if call is _call_in_place else _call_on_thread)(left)


async def _serve_records(function: _Function, handle: Any, native: Any, call: Call) -> None:
    from portable_azure.triggers.event_hub import EventHubTrigger

    if function.codec is None:
        function.codec = EventHubTrigger(function.resource or function.triggers[0].stream.name)
    retries = Context.current().native.retry_context
    batch = function.codec.decode(native, 1 if retries is None else retries.retry_count + 1)
    function.codec.encode(batch, await call(handle, batch))


async def _serve_blob(function: _Function, handle: Any, native: Any, call: Call) -> None:
    from portable_azure.triggers.blob import BlobStorageTrigger

    if function.codec is None:
        function.codec = BlobStorageTrigger(function.source_named("bucket").name)
    await call(handle, function.codec.decode(native))


async def _serve_event_grid(function: _Function, handle: Any, native: Any, call: Call) -> None:
    from portable_azure.triggers.blob import EventGridTrigger

    if function.codec is None:
        bucket = function.source_named("bucket").name
        address = read_address("bucket", bucket).partition("?")[0]
        function.codec = EventGridTrigger(bucket, address.rstrip("/").rpartition("/")[2])
    event = function.codec.decode(native)
    if event is not None:
        await call(handle, event)


async def _serve_timer(function: _Function, handle: Any, native: Any, call: Call) -> None:
    from portable_azure.triggers.timer import TimerTrigger

    tick = TimerTrigger.decode(native)
    if function.drops:
        if function.codec is None:
            from portable.schedules.due import gate

            function.codec = gate(function.triggers[0], function.drops)
        if not function.codec(tick.scheduled_at):
            return
    await call(handle, tick)


async def _serve_changes(function: _Function, handle: Any, native: Any, call: Call) -> None:
    if function.codec is None:
        from portable.drivers.table import Schema
        from portable_azure.triggers.cosmos import CosmosTrigger

        table = next(one.table for one in function.triggers if one.table.name == function.resource)
        function.codec = CosmosTrigger(table.name, Schema(table.options))
    changes = function.codec.decode(native)
    for position, change in enumerate(changes):
        try:
            await call(handle, change)
        except BaseException:  # the worker may cancel it
            function.codec.failed(changes[:position])
            raise
    function.codec.finished(native)


async def _serve_socket(function: _Function, handle: Any, native: Any, call: Call) -> Any:
    from portable.events import Response
    from portable_azure.triggers.http import HTTPTrigger
    from portable_azure.triggers.web_pubsub import WebPubSubTrigger

    if function.codec is None:
        from os import environ

        name = function.triggers[0].sockets.name
        function.codec = WebPubSubTrigger.of_address(name, read_address("sockets", name), environ)
    found = function.codec.decode(HTTPTrigger.decode(native))
    if not isinstance(found, Response):
        found = function.codec.encode(found, await call(handle, found))
    return _answer(function, found)


_SERVES: dict[str, Callable[[_Function, Any, Any, Call], Coroutine[Any, Any, Any]]] = {
    "http": _serve_http,
    "direct": _serve_direct,
    "storage-queue": _serve_message,
    "service-bus": _serve_bus_message,
    "event-hub": _serve_records,
    "blob": _serve_blob,
    "blob-eventgrid": _serve_blob,
    "event-grid": _serve_event_grid,
    "timer": _serve_timer,
    "cosmos-db": _serve_changes,
    "web-pubsub": _serve_socket,
}


def entry(
    spec: str,
    function: str,
    modules: Sequence[str] | None = None,
    source: str = "http",
    *,
    resource: str | None = None,
    is_async: bool = False,
    timeout: float | None = None,
    max_dequeue_count: int = 5,
    drops: str = "",
    proxied: bool = False,
) -> Callable[..., Any]:
    """What the worker calls for one trigger, with the arguments ``event`` and ``context``.

    Args:
        spec: ``module:variable`` of the App. function: its name. modules: routers included by name that it imports.
        source: the event source, as ``portable_azure.samples`` names them.
        resource: the declared queue, bucket or table the trigger is bound to.
        is_async: whether the function has async handlers, as the manifest says; its sync ones then run on threads too.
        timeout: seconds until the host ends an invocation. max_dequeue_count: of host.json.
        drops: of a timer that fires more often than its schedule is due, what is left out; see
            ``portable.schedules.due.gate``.
        proxied: the app streams, so its HTTP triggers get requests of the worker's own server.

    Raises ConfigError for an unknown source. What the app's import raises, each invocation raises.
    """
    if source not in _SERVES:
        raise ConfigError(f"no event source {source!r} on Azure; there are {', '.join(_SERVES)}")
    options = {"resource": resource, "timeout": timeout, "max_dequeue_count": max_dequeue_count, "drops": drops}
    options["proxied"] = proxied
    one = _Function(spec, function, modules, **options)
    serve = _SERVES[source]
    _remember_loop()

    if is_async:

        async def serve_async(event, context):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
            _remember_loop()
            instance = one.instance or await on_thread(one.open)
            if proxied:
                event = await _read(event)
            call = _call_on_loop if all(trigger.is_async for trigger in one.triggers) else _call_on_thread
            ours = one.context(context)
            token = current_context.set(ours)
            watch(ours)
            try:
                return await serve(one, instance.call, event, call)
            finally:
                unwatch(ours)
                current_context.reset(token)

        return serve_async

    def serve_sync(event, context):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
        instance = one.open()
        if proxied:
            event = _run(_read(event))
        ours = one.context(context)
        token = current_context.set(ours)
        watch(ours)
        try:
            return step(serve(one, instance.call, event, _call_in_place))
        finally:
            unwatch(ours)
            current_context.reset(token)

    return serve_sync


async def _read(request: Any) -> Any:
    from portable_azure.triggers.proxied import ProxiedRequest

    return ProxiedRequest(request, await request.body())


def _remember_loop() -> None:
    """The loop that runs here is the worker's: it indexes the app and awaits async entries on it."""
    global _loop
    from sys import modules

    if "asyncio" in modules:
        _loop = modules["asyncio"]._get_running_loop() or _loop
