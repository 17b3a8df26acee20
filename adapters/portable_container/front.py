"""Requests of the app's callers: to their function, within bounds, and its answer back.

``concurrency`` requests are handled at once, ``backlog`` more wait for their turn, and whoever comes then is told to
come again: 503 with ``Retry-After``.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Coroutine
from logging import getLogger
from sys import modules
from typing import TYPE_CHECKING, Any

from portable.errors import DeadlineExceededError
from portable.events import Context, Response, current_context
from portable.http.answers import answer_error, problem
from portable_container.control import PREFIX

if TYPE_CHECKING:
    from portable.serving.invocations import Invoker
    from portable_container.control import Control
    from portable_container.functions import Function, Functions
    from portable_container.protocol import Connection
    from portable_container.requests import ContainerRequest
    from portable_container.settings import Settings

__all__ = ["Front"]


class Front:
    """See the module. ``sockets`` takes websockets, where the app has some."""

    def __init__(self, functions: Functions, invoker: Invoker, control: Control, settings: Settings) -> None:
        self._functions = functions.by_name
        self._http = functions.http
        self._find = functions.http.routes.find if functions.http is not None else None
        self._invoker = invoker
        self._control = control
        self._most = settings.concurrency
        self._backlog = settings.backlog
        self._waiting: deque[tuple[ContainerRequest, Connection]] = deque()
        self._streams: Any = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._closing = False
        self.sockets: Any = None
        self.running = 0

    # --- what a connection calls

    def take(self, request: ContainerRequest, connection: Connection) -> None:
        """See ``portable_container.protocol.Front``."""
        if request.raw_path.startswith(PREFIX):
            self.begin_task(self._answer_control(request, connection))
        elif self.running < self._most:
            self._run(request, connection)
        elif len(self._waiting) < self._backlog:
            self._waiting.append((request, connection))
        else:
            busy = problem(503, "Too many requests are being handled", headers={"retry-after": "1"})
            connection.answer(busy, request)

    def upgrade(self, request: ContainerRequest, connection: Connection, rest: bytes) -> bool:
        """See ``portable_container.protocol.Front``."""
        return self.sockets is not None and bool(self.sockets.take(request, connection, rest))

    # --- calling

    def _run(self, request: ContainerRequest, connection: Connection) -> None:
        self.running += 1
        hit = None if self._find is None else self._find(request.method, request.raw_path)
        if hit is None:
            self._answer_unknown(request, connection)
            return
        function = self._functions[hit[0].function]
        exchange = _Exchange(self, request, connection, self._invoker.context_of(function))
        self._invoker.begin(function, exchange.context, self._http, hit[0].is_async, (request,), exchange.done)

    def _answer_unknown(self, request: ContainerRequest, connection: Connection) -> None:
        """What fits no route: the app's middleware may have its say."""
        if self._http is None:
            connection.answer(problem(404, "This process serves no HTTP function"), request)
            self.ended()
            return
        function: Function = next(one for one in self._functions.values() if one.kind == "http")
        exchange = _Exchange(self, request, connection, self._invoker.context_of(function))
        self._invoker.begin(function, exchange.context, self._http, True, (request,), exchange.done)

    def ended(self) -> None:
        """A request is answered: the next one that still has a caller begins."""
        self.running -= 1
        while self._waiting and self.running < self._most:
            request, connection = self._waiting.popleft()
            if not connection.lost:
                self._run(request, connection)

    def again(self, exchange: _Exchange, coroutine: Coroutine[Any, Any, Any]) -> None:
        """Run what a handler gave that was taken for a sync one: what it depends on is awaited."""
        function = self._functions.get(exchange.context.function)
        assert function is not None
        self._invoker.begin(function, exchange.context, lambda _: coroutine, True, (None,), exchange.done)

    # --- what takes longer

    def begin_task(self, work: Coroutine[Any, Any, None]) -> None:
        """Do something beside, which a stop waits for."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer_control(self, request: ContainerRequest, connection: Connection) -> None:
        connection.answer(await self._control.answer(request), request)

    async def stream(self, exchange: _Exchange, response: Any) -> None:
        """Send an answer while it is made."""
        if self._streams is None:
            from portable.serving.streaming import Streams

            self._streams = Streams(self._invoker.on_thread)
            if self._closing:
                self._streams.close()
        connection, request = exchange.connection, exchange.request
        sender = connection.sender(request)
        try:
            await self._streams.send(response, exchange.context, connection.receive, sender)
        except OSError:
            getLogger("portable").info("%s %s: the client left", request.method, request.raw_path)
        except ValueError:
            getLogger("portable").exception("%s %s: the answer cannot be sent", request.method, request.raw_path)
        finally:
            if sender.complete:
                connection.end(sender.keeps)
            elif not connection.lost:
                connection.transport.abort()  # its end must not look like one
            self.ended()
        await self.finish(exchange.context)

    async def finish(self, context: Context) -> None:
        """Do what an invocation left to be done after its answer."""
        from portable.http.background import take_tasks

        if (tasks := take_tasks(context)) is not None:
            await tasks.arun(self._invoker.on_thread)

    def close(self) -> None:
        """The server stops: event streams are broken off, whose readers connect anew."""
        self._closing = True
        if self._streams is not None:
            self._streams.close()

    async def drained(self) -> None:
        """Wait until nothing is in hand."""
        while self.running or self._waiting or self._tasks:  # noqa: ASYNC110 - a stop is rare, a request is not
            await asyncio.sleep(0.02)


class _Exchange:
    """One request, and what becomes of it."""

    __slots__ = ("_front", "connection", "context", "request")

    def __init__(self, front: Front, request: ContainerRequest, connection: Connection, context: Context) -> None:
        self._front = front
        self.request = request
        self.connection = connection
        self.context = context

    def done(self, value: Any, error: BaseException | None) -> None:
        """Answer."""
        front = self._front
        if error is not None:
            self.connection.answer(self._failed(error), self.request)
        elif isinstance(value, Response):
            if value.streamed:
                front.begin_task(front.stream(self, value))
                return
            self.connection.answer(value, self.request)
        else:
            front.again(self, value)
            return
        if "portable.http.background" in modules:
            front.begin_task(front.finish(self.context))
        front.ended()

    def _failed(self, error: BaseException) -> Response:
        request, context = self.request, self.context
        if isinstance(error, DeadlineExceededError):
            getLogger("portable").warning("%s %s: %s", request.method, request.raw_path, error)
            return problem(504, "The handler did not answer in time", request_id=context.request_id)
        if not isinstance(error, Exception):
            return problem(503, "The server is stopping", headers={"retry-after": "1"})
        token = current_context.set(context)
        try:
            return answer_error(request, error)
        finally:
            current_context.reset(token)
