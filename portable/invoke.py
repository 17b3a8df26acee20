"""The one seam where a handler is called: sync or async, alone or in a batch.

An adapter's entry decodes the cloud's event, calls one of these functions, and encodes what comes back. What a sync
handler gives is there at once; for an async one the call gives a coroutine, which the entry awaits or runs with
:func:`run` (one invocation at a time) or :func:`run_shared` (several, on threads). One event loop is kept a process.
"""

from __future__ import annotations

from _thread import allocate_lock

from portable.errors import ConfigError, HTTPError, Reject, Retry
from portable.events import Context, Response, Tick, current_context
from portable.http.answers import answer, answer_error, problem, without_body
from portable.http.binding import bind
from portable.http.routing import Routes
from portable.jsontext import ModelError, converter_of_values, to_values
from portable.signatures import MISSING, parameters_of, split_optional

TYPE_CHECKING = False
if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Callable, Coroutine, Sequence
    from typing import Any

    from portable.events import BlobEvent, Change, Message, Request
    from portable.signatures import Parameter
    from portable.triggers import (
        BlobTrigger,
        ChangeTrigger,
        DirectTrigger,
        HTTPRoute,
        MessageTrigger,
        ScheduleTrigger,
        Trigger,
    )

    Outcomes = list[BaseException | None]

__all__ = [
    "BlobFunction",
    "ChangeFunction",
    "DirectFunction",
    "HTTPFunction",
    "MessageFunction",
    "ScheduleFunction",
    "event_call",
    "make_function",
    "run",
    "run_shared",
]

_starting = allocate_lock()
_own_loop: AbstractEventLoop | None = None
_shared_loop: AbstractEventLoop | None = None


def run(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine to its end in this thread, on the process's kept loop. For one invocation at a time."""
    global _own_loop
    if _own_loop is None or _own_loop.is_closed():
        from asyncio import new_event_loop

        _own_loop = new_event_loop()
    return _own_loop.run_until_complete(coroutine)


def run_shared(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine to its end on the process's kept loop in a thread of its own. For invocations on threads."""
    global _shared_loop
    from asyncio import new_event_loop, run_coroutine_threadsafe

    with _starting:
        if _shared_loop is None:
            from threading import Thread

            _shared_loop = new_event_loop()
            Thread(target=_keep_running, args=(_shared_loop,), name="portable-loop", daemon=True).start()
    value, end = run_coroutine_threadsafe(_contain(coroutine), _shared_loop).result()
    if end is not None:
        raise end
    return value


async def _contain(coroutine: Coroutine[Any, Any, Any]) -> tuple[Any, BaseException | None]:
    """The result, or what would end the process: raised on the shared loop it would end that, and its callers wait."""
    try:
        return await coroutine, None
    except (SystemExit, KeyboardInterrupt) as end:
        return None, end


def _keep_running(loop: AbstractEventLoop) -> None:
    """Run the shared loop, again when a handler's own task stopped it: others wait for it."""
    while True:
        try:
            loop.run_forever()
        except (SystemExit, KeyboardInterrupt):
            from logging import getLogger

            getLogger("portable").exception("a task ended the shared event loop, which goes on")


def step(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """The result of a coroutine that awaits nothing: how a sync handler goes through the same code without a loop."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value
    coroutine.close()
    raise RuntimeError("a sync handler's invocation waited for something")


class HTTPFunction:
    """Answers requests. Never raises: a request that fits no route is a 404, a handler's mistake a 500."""

    kind = "http"

    def __init__(self, routes: Sequence[HTTPRoute]) -> None:
        self.routes = Routes(routes)
        self._find = self.routes.find

    def __call__(self, request: Request) -> Response | Coroutine[Any, Any, Response]:
        try:
            hit = self._find(request.method, request.raw_path)
            if hit is None:
                return self._unmatched(request)
            route, request.params = hit
            plan = route.plan
            if plan is None:
                plan = route.plan = self._plan(route)
            value = plan(request)
            if route.is_async and hasattr(value, "__await__"):
                return self._finish(route, request, value)
            response = answer(route, value)
        except Exception as error:
            response = answer_error(request, error)
        return without_body(response) if request.method == "HEAD" else response

    _plan = staticmethod(bind)

    async def _finish(self, route: HTTPRoute, request: Request, value: Any) -> Response:
        try:
            response = answer(route, await value)
        except Exception as error:
            response = answer_error(request, error)
        return without_body(response) if request.method == "HEAD" else response

    def _unmatched(self, request: Request) -> Response:
        methods = self.routes.methods(request.raw_path)
        if request.method == "OPTIONS" and methods:
            return Response(None, 204, {"allow": ", ".join(methods)})
        if methods:
            response = problem(405, f"{request.method} is not allowed here", headers={"allow": ", ".join(methods)})
        else:
            response = problem(404, "Nothing is here")
        return without_body(response) if request.method == "HEAD" else response


def _name(trigger: Trigger) -> str:
    handler = trigger.handler
    return f"{getattr(handler, '__name__', handler)} at {trigger.where[0]}:{trigger.where[1]}"


def event_call(trigger: Trigger, event_required: bool = True) -> tuple[Callable[[Any], Any], Any]:
    """A function of the event that calls the handler with what it asks for, and the event's annotation."""
    handler = trigger.handler
    where = _name(trigger)
    parameters = parameters_of(handler)
    contexts = [p for p in parameters if split_optional(p.annotation)[0] is Context]
    event = parameters[0] if parameters and _takes_event(trigger, parameters[0]) else None
    if any(p.default is MISSING for p in parameters if p is not event and p not in contexts):
        raise ConfigError(f"{where}: an event handler takes the event first and, if it likes, a Context")
    if event is None and event_required:
        raise ConfigError(f"{where}: the handler takes no event; give it one parameter for it")
    annotation = MISSING if event is None else event.annotation
    if not contexts:
        return (handler if event else lambda event: handler()), annotation
    name = contexts[0].name
    if event:
        return lambda event: handler(event, **{name: current_context.get()}), annotation
    return lambda event: handler(**{name: current_context.get()}), annotation


def _takes_event(trigger: Trigger, first: Parameter) -> bool:
    """Whether a handler's first parameter is for the event. A schedule's may be an option with a default of its own."""
    annotation = split_optional(first.annotation)[0]
    if first.keyword_only or annotation is Context:
        return False
    return first.default is MISSING or trigger.kind != "schedule" or annotation is Tick


def _refuse_coroutine(trigger: Trigger, result: Any) -> None:
    """A plain function gave a coroutine, which nobody runs here: its work is not done, whatever it may seem."""
    if hasattr(result, "close"):
        result.close()
    raise TypeError(f"{_name(trigger)} gave {type(result).__name__}, and is no async function; write async def")


def _log_failure(trigger: Trigger, what: str, error: BaseException) -> None:
    from logging import getLogger

    getLogger("portable").error("%s failed on %s", trigger.function, what, exc_info=error)


class MessageFunction:
    """Hands messages over, one by one or as a batch, and says of each whether it is done.

    Called with messages whose ``body`` is the text as sent, which it replaces by what that says: a message delivered
    again is a new one. Answers with a list as long as the batch: None for a message that is done, else why not: Retry
    (with ``after``), Reject, or what the handler raised. A body that does not fit the queue's type fails that message
    alone, before the handler sees it.
    """

    kind = "message"

    def __init__(self, triggers: Sequence[MessageTrigger]) -> None:
        self.triggers = triggers
        self.is_async = any(trigger.is_async for trigger in triggers)
        self._has_large = any(getattr(trigger.source, "large_bodies", None) is not None for trigger in triggers)
        self._by_source: dict[str | None, MessageTrigger] = {trigger.key: trigger for trigger in triggers}
        if len(self._by_source) != len(triggers):
            raise ConfigError(f"function {triggers[0].function!r} takes one queue or topic twice")
        if len(triggers) == 1:
            self._by_source[None] = triggers[0]

    def __call__(
        self, batch: list[Message[Any]], source: str | None = None
    ) -> Outcomes | Coroutine[Any, Any, Outcomes]:
        """``source`` is the ``key`` of a trigger; it may be left out when the function has one.

        Raises ConfigError for one that is none of the function's.
        """
        trigger = self._by_source.get(source)
        if trigger is None:
            names = ", ".join(one.key for one in self.triggers)
            raise ConfigError(f"a batch of {source!r} for a function of {names}")
        plan = trigger.plan
        if plan is None:
            plan = trigger.plan = self._plan(trigger)
        call, whole = plan
        deliver = _deliver_batch if whole else _deliver_each
        if trigger.filter is not None:
            delivery = _deliver_wanted(trigger, deliver, call, batch)
        elif self._has_large and (large := getattr(trigger.source, "large_bodies", None)) is not None:
            delivery = large.deliver(batch, lambda whole: deliver(trigger, call, whole), trigger.is_async)
        else:
            delivery = deliver(trigger, call, batch)
        return delivery if trigger.is_async else step(delivery)

    @staticmethod
    def _plan(trigger: MessageTrigger) -> tuple[Callable[[Any], Any], bool]:
        call, annotation = event_call(trigger)
        origin = getattr(annotation, "__origin__", annotation)
        # Sequence[Message[User]] and the like come from collections.abc.
        return call, origin is list or getattr(origin, "__module__", "") == "collections.abc"


def _decode_bodies(trigger: MessageTrigger, batch: list[Message[Any]], outcomes: Outcomes) -> list[Message[Any]]:
    decode = trigger.source.decode
    fit = []
    for position, message in enumerate(batch):
        message._failed = False
        try:
            message.body = decode(message.body)
        except Exception as error:
            outcomes[position] = error
            _log_failure(trigger, f"message {message.id}: its body does not fit {trigger.source}", error)
        else:
            fit.append(message)
    return fit


def _explain(failed: BaseException | bool) -> BaseException | None:
    if failed is False:
        return None
    return Retry("message.fail()") if failed is True else failed


async def _deliver_each(trigger: MessageTrigger, call: Callable[[Any], Any], batch: list[Message[Any]]) -> Outcomes:
    outcomes: Outcomes = []
    decode = trigger.source.decode
    waits = trigger.is_async
    for message in batch:
        message._failed = False
        try:
            message.body = decode(message.body)
            result = call(message)
            if result is not None and hasattr(result, "__await__"):
                await result if waits else _refuse_coroutine(trigger, result)
            outcomes.append(None if message._failed is False else _explain(message._failed))
        except (Retry, Reject) as wish:
            outcomes.append(wish)
        except Exception as error:
            _log_failure(trigger, f"message {message.id}", error)
            outcomes.append(error)
    return outcomes


async def _deliver_batch(trigger: MessageTrigger, call: Callable[[Any], Any], batch: list[Message[Any]]) -> Outcomes:
    outcomes: Outcomes = [None] * len(batch)
    fit = _decode_bodies(trigger, batch, outcomes)
    if not fit:
        return outcomes
    whole: BaseException | None = None
    try:
        result = call(fit)
        if result is not None and hasattr(result, "__await__"):
            await result if trigger.is_async else _refuse_coroutine(trigger, result)
    except Exception as error:
        whole = error
        if not isinstance(error, (Retry, Reject)):
            _log_failure(trigger, f"a batch of {len(fit)}", error)
    for position, message in enumerate(batch):
        if outcomes[position] is None:
            # What was said of a message counts for more than what was raised for all.
            outcomes[position] = whole if message._failed is False else _explain(message._failed)
    return outcomes


async def _deliver_wanted(
    trigger: MessageTrigger, deliver: Any, call: Callable[[Any], Any], batch: list[Message[Any]]
) -> Outcomes:
    """What the filter leaves out is done: it was not for this handler."""
    wanted = [trigger.wants(message.attributes) for message in batch]
    theirs = [message for message, wants in zip(batch, wanted, strict=True) if wants]
    outcomes = iter(await deliver(trigger, call, theirs) if theirs else ())
    return [next(outcomes) if wants else None for wants in wanted]


class BlobFunction:
    """Hands a blob event to each trigger that wants it. Raises what the handler raised: the cloud retries."""

    kind = "blob"

    def __init__(self, triggers: Sequence[BlobTrigger]) -> None:
        self.triggers = triggers
        self.is_async = any(trigger.is_async for trigger in triggers)

    def __call__(self, event: BlobEvent) -> Any:
        delivery = self._deliver(event)
        return delivery if self.is_async else step(delivery)

    async def _deliver(self, event: BlobEvent) -> int:
        """How many handlers took the event. 0: it was not theirs, which is no error."""
        taken = 0
        for trigger in self.triggers:
            if event.bucket == trigger.bucket.name and trigger.wants(event.kind, event.key):
                if trigger.plan is None:
                    trigger.plan = self._plan(trigger)
                result = trigger.plan(event)
                if result is not None and hasattr(result, "__await__"):
                    await result if trigger.is_async else _refuse_coroutine(trigger, result)
                taken += 1
        return taken

    @staticmethod
    def _plan(trigger: BlobTrigger) -> Callable[[Any], Any]:
        return event_call(trigger)[0]


class ChangeFunction:
    """Hands a change to each trigger of its table that wants it. Raises what the handler raised: the cloud retries.

    Called with a change whose items are as the table's driver gives them.
    """

    kind = "change"

    def __init__(self, triggers: Sequence[ChangeTrigger]) -> None:
        self.triggers = triggers
        self.is_async = any(trigger.is_async for trigger in triggers)

    def __call__(self, event: Change[Any]) -> Any:
        delivery = self._deliver(event)
        return delivery if self.is_async else step(delivery)

    async def _deliver(self, event: Change[Any]) -> int:
        """How many handlers took the event. 0: it was not theirs, which is no error."""
        taken = 0
        for trigger in self.triggers:
            if event.table == trigger.table.name and trigger.wants(event.kind):
                if trigger.plan is None:
                    trigger.plan = self._plan(trigger)
                result = trigger.plan(trigger.table.decode_change(event, old=trigger.old))
                if result is not None and hasattr(result, "__await__"):
                    await result if trigger.is_async else _refuse_coroutine(trigger, result)
                taken += 1
        return taken

    @staticmethod
    def _plan(trigger: ChangeTrigger) -> Callable[[Any], Any]:
        return event_call(trigger)[0]


class ScheduleFunction:
    """Calls each handler of the one schedule this function has: a tick does not say which it is of.

    Raises what a handler raised.
    """

    kind = "schedule"

    def __init__(self, triggers: Sequence[ScheduleTrigger]) -> None:
        first = triggers[0]
        for other in triggers:
            if (other.cron, other.every, other.timezone) != (first.cron, first.every, first.timezone):
                raise ConfigError(
                    f"function {first.function!r} has two schedules, {_name(first)} and {_name(other)}, and a tick "
                    "does not say which of them is due; give each a function of its own"
                )
        self.triggers = triggers
        self.is_async = any(trigger.is_async for trigger in triggers)

    def __call__(self, tick: Tick) -> Any:
        delivery = self._deliver(tick)
        return delivery if self.is_async else step(delivery)

    async def _deliver(self, tick: Tick) -> None:
        for trigger in self.triggers:
            if trigger.plan is None:
                trigger.plan = self._plan(trigger)
            result = trigger.plan(tick)
            if result is not None and hasattr(result, "__await__"):
                await result if trigger.is_async else _refuse_coroutine(trigger, result)

    @staticmethod
    def _plan(trigger: ScheduleTrigger) -> Callable[[Any], Any]:
        return event_call(trigger, event_required=False)[0]


class DirectFunction:
    """Calls a handler by name with a payload of JSON values, and answers with JSON values.

    Raises HTTPError 422 when the payload does not fit the handler's annotation, and what the handler raised.
    """

    kind = "direct"

    def __init__(self, triggers: Sequence[DirectTrigger]) -> None:
        if len(triggers) != 1:
            raise ConfigError(f"function {triggers[0].function!r}: a direct function has one handler")
        self.trigger = triggers[0]
        self.is_async = self.trigger.is_async

    def __call__(self, payload: Any) -> Any:
        delivery = self._deliver(payload)
        return delivery if self.is_async else step(delivery)

    async def _deliver(self, payload: Any) -> Any:
        if self.trigger.plan is None:
            self.trigger.plan = self._plan(self.trigger)
        call, convert = self.trigger.plan
        try:
            value = convert(payload)
        except ModelError as error:
            field = {"in": "payload", "name": error.field, "detail": error.detail}
            raise HTTPError(
                422, f"the payload does not fit {self.trigger.function}: {error}", errors=[field]
            ) from error
        result = call(value)
        return to_values(await result if self.is_async and hasattr(result, "__await__") else result)

    @staticmethod
    def _plan(trigger: DirectTrigger) -> tuple[Callable[[Any], Any], Callable[[Any], Any]]:
        call, annotation = event_call(trigger, event_required=False)
        try:
            return call, converter_of_values(None if annotation is MISSING else annotation)
        except Exception as error:  # whatever msgspec or pydantic has against the type
            raise ConfigError(
                f"{_name(trigger)}: the payload cannot be read from JSON as {annotation!r}: {error}"
            ) from error


Function = HTTPFunction | MessageFunction | BlobFunction | ChangeFunction | ScheduleFunction | DirectFunction
_FUNCTIONS: dict[str, Any] = {
    kind.kind: kind
    for kind in (HTTPFunction, MessageFunction, BlobFunction, ChangeFunction, ScheduleFunction, DirectFunction)
}


def make_function(triggers: Sequence[Trigger]) -> Any:
    """The function that serves these triggers, all of one kind. Raises ConfigError."""
    return _FUNCTIONS[triggers[0].kind](triggers)
