"""The functions of websockets."""

from __future__ import annotations

from portable.errors import ConfigError, HTTPError
from portable.events import Response
from portable.invoke.calls import event_call, log_failure, refuse_coroutine
from portable.invoke.loops import step
from portable.resources.sockets import connecting

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from portable.events import SocketEvent
    from portable.triggers import SocketTrigger

__all__ = ["SocketFunction"]


class SocketFunction:
    """Hands the events of a websocket to its handler. Never raises.

    Answers with a Response. Of a connect: below 300 it is accepted, with the ``sec-websocket-protocol`` that was
    chosen; else it is refused with that. Of other events: 200, or 500 when the handler failed, which closes nothing.
    """

    kind = "socket"

    def __init__(self, triggers: Sequence[SocketTrigger], middleware: Sequence[Any] = ()) -> None:
        if len(triggers) != 1:
            raise ConfigError(f"function {triggers[0].function!r}: a function has one websocket")
        self.trigger = triggers[0]
        self.triggers = triggers
        self._middleware = middleware
        self.trigger.plan = self._plan(self.trigger)
        self.is_async = self.trigger.is_async

    def __call__(self, event: SocketEvent) -> Any:
        trigger = self.trigger
        event.path = trigger.path
        event.sockets = trigger.sockets
        if self.is_async:
            return self._deliver(event)
        if event.kind != "message":
            return step(self._deliver(event))
        try:  # what comes most often: without a coroutine
            value = trigger.plan(event)
            if value is None:
                return _DONE
            if hasattr(value, "__await__"):
                refuse_coroutine(trigger, value)
            return _done(value)
        except Exception as error:
            return self._failed(event, error)

    async def _deliver(self, event: SocketEvent) -> Response:
        token = connecting.set(event.connection if event.kind == "connect" else None)
        try:
            value = await self._handle(event)
            response = _accepted(event, value) if event.kind == "connect" else _done(value)
        except Exception as error:
            response = self._failed(event, error)
        finally:
            connecting.reset(token)
        if event.kind == "disconnect" or (event.kind == "connect" and response.status >= 300):
            await self._forget(event)
        return response

    async def _handle(self, event: SocketEvent) -> Any:
        trigger = self.trigger
        value = trigger.plan(event)
        if value is not None and hasattr(value, "__await__"):
            if trigger.is_async:
                return await value
            refuse_coroutine(trigger, value)
        return value

    def _failed(self, event: SocketEvent, error: Exception) -> Response:
        from portable.http.answers import problem

        if event.kind == "connect" and isinstance(error, HTTPError):
            return problem(error.status, error.detail, headers=error.headers, errors=error.errors)
        log_failure(self.trigger, f"the {event.kind} of connection {event.connection}", error)
        return problem(500, "The handler failed")

    async def _forget(self, event: SocketEvent) -> None:
        """Out of its groups. Where that fails, the next send to it or the time to live does it."""
        try:
            if self.is_async:
                await event.sockets.aforget(event.connection)
            else:
                event.sockets.forget(event.connection)
        except Exception as error:
            log_failure(self.trigger, f"taking connection {event.connection} out of its groups", error)

    def _plan(self, trigger: SocketTrigger) -> Callable[[Any], Any]:
        return event_call(trigger, True, self._middleware)[0]


def _accepted(event: SocketEvent, value: Any) -> Response:
    if value is False:
        raise HTTPError(403)
    if value is not None and value is not True:
        raise TypeError(f"a connect event is answered with None or False, or an HTTPError is raised; got {value!r}")
    chosen = event.subprotocol
    if chosen is None:
        return Response(None, 200)
    if chosen not in event.subprotocols:
        raise ValueError(f"subprotocol {chosen!r} is none of those the client offers: {event.subprotocols}")
    return Response(None, 200, {"sec-websocket-protocol": chosen})


_DONE = Response(None, 200)  # nobody changes it: codecs read it


def _done(value: Any) -> Response:
    if value is not None:
        raise TypeError(f"a websocket's handler returns None; event.send(…) is how it answers; got {value!r}")
    return _DONE
