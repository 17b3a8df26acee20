"""Websockets of the app: real connections, held by this process and gone with it, at a reload too."""

from __future__ import annotations

import time
from logging import getLogger

from portable.dev.application import Application, DevFunction
from portable.dev.journal import Entry, Journal
from portable.dev.logs import FailureNotes
from portable.errors import DeadlineExceededError
from portable.events import Context, Response, SocketEvent
from portable.http.answers import problem
from portable.live.asgi import Receive, Scope, Send, refuse, serve_socket
from portable.serving.invocations import Invoker

__all__ = ["Sockets"]


class Sockets:
    """What serves the connections of one app."""

    def __init__(self, application: Application, invoker: Invoker, journal: Journal, failures: FailureNotes) -> None:
        self._application = application
        self._invoker = invoker
        self._journal = journal
        self._failures = failures

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection to its end. A path without a websocket is a 404."""
        function = self._application.socket(scope["path"])
        if function is None:
            await receive()
            await refuse(scope, send, problem(404, "No websocket is here"))
            return
        served = function
        sockets = self._application.manifest.resource("sockets", function.record.asks("sockets")[0])

        async def call(event: SocketEvent) -> Response:
            return await self._call(served, event)

        await serve_socket(scope, receive, send, call, binary=sockets.options["binary"])

    async def _call(self, function: DevFunction, event: SocketEvent) -> Response:
        begun = time.perf_counter()
        context = self._invoker.context_of(function)
        try:
            is_async = function.call.is_async
            response: Response = await self._invoker.invoke(function, context, function.call, is_async, event)
        except DeadlineExceededError as error:
            getLogger("portable").warning("%s, %s: %s", function.name, event.kind, error)
            response = problem(504, f"The handler did not answer within {function.timeout:g} s")
        except Exception:
            getLogger("portable").exception("%s failed on the %s of a websocket", function.name, event.kind)
            response = problem(500, "The handler failed")
        self._note(function, event, response, context, (time.perf_counter() - begun) * 1000)
        return response

    def _note(
        self, function: DevFunction, event: SocketEvent, response: Response, context: Context, took: float
    ) -> None:
        subject = f"{event.kind:<10} {event.path}"
        refused = event.kind == "connect" and response.status >= 300
        outcome = str(response.status) if refused or response.status >= 500 else "ok"
        failure = self._failures.take(context.request_id) if response.status >= 500 else ""
        entry = Entry(time.time(), function.name, subject, outcome, took, context.request_id, failure)
        self._journal.add(entry)
