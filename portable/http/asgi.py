"""The bridge to an ASGI application, as in https://asgi.readthedocs.io/en/stable/specs/www.html and …/lifespan.html.

The answer is handed over when the application's call has ended: what a framework does after its answer (Starlette's
background tasks) is done by then, on every target alike, for some freeze an instance once it has answered.
"""

from __future__ import annotations

from asyncio import FIRST_COMPLETED, Event, Future, create_task, get_running_loop, wait
from logging import getLogger
from urllib.parse import unquote

from portable.http.mounted import head_of, make_response, sent_headers, server_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from asyncio import Task
    from collections.abc import AsyncIterator
    from typing import Any

    from portable.events import Request, Response

    Message = dict[str, Any]

__all__ = ["Lifespan", "call", "make_scope", "stream"]

_CHUNK = 1024 * 1024  # bytes of a body in one message: an upload that is spooled to disk is never in memory twice
_VERSIONS = {"version": "3.0", "spec_version": "2.4"}


def make_scope(request: Request, prefix: str, state: dict[str, Any] | None) -> dict[str, Any]:
    """The scope of a request for an application mounted below ``prefix``.

    ``root_path`` is what stands before the application's own paths: a stage of the cloud's, and the prefix. ``path``
    starts with it, as the specification has it. ``portable.request`` holds our own request, whose ``native`` is the
    cloud's event.
    """
    raw_path = request.raw_path
    root = unquote(request.root_path) if request.root_path else ""
    scope: dict[str, Any] = {
        "type": "http",
        "asgi": _VERSIONS,
        "http_version": "1.1",
        "method": request.method,
        "scheme": request.scheme,
        "path": root + (unquote(raw_path) if "%" in raw_path else raw_path),
        "raw_path": (request.root_path + raw_path).encode("latin-1", "replace"),
        "query_string": request.raw_query.encode("latin-1", "replace"),
        "root_path": root + prefix,
        "headers": _encode(sent_headers(request)),
        "client": None if request.client is None else (request.client, 0),
        "server": server_of(request),
        "extensions": {},
        "portable.request": request,
    }
    if state is not None:
        scope["state"] = state.copy()
    return scope


def _encode(pairs: list[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
    try:
        return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in pairs]
    except UnicodeEncodeError:  # a cloud that read the headers as UTF-8
        return [(name.encode(), value.encode()) for name, value in pairs]


async def call(application: Any, scope: dict[str, Any], request: Request) -> Response:
    """The application's answer, whole. Raises what it raised before it had answered, RuntimeError for no answer."""
    exchange = Exchange(request.body)
    try:
        await application(scope, exchange.receive, exchange.send)
    except Exception as error:
        if not exchange.complete:
            raise
        _log_late(request, error)
    finally:
        exchange.end()
    exchange.check()
    return make_response(request, exchange.status, exchange.headers, b"".join(exchange.pieces))


def _log_late(request: Request, error: BaseException) -> None:
    getLogger("portable").error("%s %s failed after its answer", request.method, request.raw_path, exc_info=error)


class Exchange:
    """One request and its answer. ``pieces`` gathers the body."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._read: int | None = 0
        self._gone: Event | None = None
        self.ended = False
        self.status = 0
        self.headers: list[tuple[str, str]] = []
        self.pieces: list[bytes] = []
        self.complete = False

    async def receive(self) -> Message:
        """The body, in messages of a bounded size; then ``http.disconnect`` once the answer is complete."""
        if self._read is not None:
            begin, end = self._read, self._read + _CHUNK
            more = end < len(self._body)
            self._read = end if more else None
            body = self._body if len(self._body) <= _CHUNK else self._body[begin:end]
            return {"type": "http.request", "body": body, "more_body": more}
        if not (self.complete or self.ended):
            if self._gone is None:
                self._gone = Event()
            await self._gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        """Take a message. Raises RuntimeError for one that has no place here."""
        kind = message["type"]
        if kind == "http.response.start" and not self.status:
            given = message.get("headers") or ()
            self.headers = [(bytes(name).decode("latin-1"), bytes(value).decode("latin-1")) for name, value in given]
            self.status = int(message["status"])
            self.started()
        elif kind == "http.response.body" and self.status and not self.complete:
            piece = message.get("body") or b""
            if piece:
                await self.take(bytes(piece))
            if not message.get("more_body"):
                self.complete = True
                self.end()
        else:
            when = "after its answer" if self.complete else "in its answer" if self.status else "before its answer"
            raise RuntimeError(f"the mounted application sent {kind!r} {when}")

    def started(self) -> None:
        """The head of the answer is there."""

    async def take(self, piece: bytes) -> None:
        """Take a piece of the body."""
        self.pieces.append(piece)

    def end(self) -> None:
        """The caller has what it gets: whoever waits for another message is told so."""
        self.ended = True
        if self._gone is not None:
            self._gone.set()

    def check(self) -> None:
        """Raise RuntimeError unless the answer is complete."""
        if not self.complete:
            raise RuntimeError(f"the mounted application returned {'within' if self.status else 'without'} an answer")


async def stream(application: Any, scope: dict[str, Any], request: Request) -> Response:
    """The application's answer as soon as its head is there. Raises as :func:`call` does until then."""
    from portable.http.streams import StreamResponse

    exchange = _Streamed(request.body)
    task = exchange.task = create_task(_run(application, scope, exchange, request))
    try:
        await wait((task, exchange.head), return_when=FIRST_COMPLETED)
        if not exchange.head.done():
            await task
            exchange.check()
        media_type, headers = head_of(request, exchange.headers, None)
    except BaseException:
        task.cancel()
        raise
    return StreamResponse(exchange, exchange.status, headers, media_type)


async def _run(application: Any, scope: dict[str, Any], exchange: _Streamed, request: Request) -> None:
    try:
        await application(scope, exchange.receive, exchange.send)
    except Exception as error:
        if not exchange.complete:
            raise
        _log_late(request, error)
    finally:
        exchange.end()


class _Streamed(Exchange):
    """An exchange that is iterated piece by piece: the application waits until the one before is taken."""

    def __init__(self, body: bytes) -> None:
        super().__init__(body)
        self.head: Future[None] = get_running_loop().create_future()
        self.task: Task[None] | None = None  # the application's call
        self._filled = Event()
        self._emptied = Event()

    def started(self) -> None:
        self.head.set_result(None)

    async def take(self, piece: bytes) -> None:
        while self.pieces:
            self._emptied.clear()
            await self._emptied.wait()
        if self.ended:
            raise OSError("the caller is gone")
        self.pieces.append(piece)
        self._filled.set()

    def end(self) -> None:
        super().end()
        self._filled.set()
        self._emptied.set()

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        """The next piece. Raises what the application raised, RuntimeError where it stopped within its answer."""
        while not self.pieces and not self.ended:
            self._filled.clear()
            await self._filled.wait()
        if self.pieces:
            piece = self.pieces.pop()
            self._emptied.set()
            return piece
        if self.task is not None:
            task, self.task = self.task, None
            await task
            self.check()
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """The caller is gone: tell the application, and end its call."""
        self.pieces.clear()
        self.end()
        task, self.task = self.task, None
        if task is not None:
            task.cancel()
            await wait((task,))


class Lifespan:
    """An application's start and end. ``state`` is what it put there; each request gets a copy.

    The application's call goes on between :meth:`start` and :meth:`stop`, on the loop that requests run on.
    """

    def __init__(self, application: Any, where: str) -> None:
        self.state: dict[str, Any] = {}
        self._application = application
        self._where = where
        self._asked = False
        self._failure: str | None = None
        self._task: Task[None] | None = None

    async def start(self) -> None:
        """Start it. An application that ends or raises before it looks at what it gets knows no lifespans, which is
        fine. Raises RuntimeError for one that fails to start.
        """
        loop = get_running_loop()
        self._ready: Future[None] = loop.create_future()
        self._stopping = Event()
        self._stopped = Event()
        self._task = loop.create_task(self._run())
        await self._ready

    async def stop(self) -> None:
        """End it, and wait for that. Raises nothing the application raised."""
        if self._task is None or self._task.done():
            return
        self._stopping.set()
        stopped = create_task(self._stopped.wait())
        await wait((stopped, self._task), return_when=FIRST_COMPLETED)
        stopped.cancel()
        if not self._task.done():
            self._task.cancel()
        await wait((self._task,))

    async def _run(self) -> None:
        scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": self.state}
        failure: Exception | None = None
        try:
            await self._application(scope, self._receive, self._send)
        except Exception as error:
            failure = error
        finally:
            self._settle(failure)

    def _settle(self, failure: Exception | None) -> None:
        """What the end of the application's call means."""
        if self._ready.done():
            if failure is not None:
                getLogger("portable").error("%s: the application's lifespan failed", self._where, exc_info=failure)
        elif self._failure is None and (failure is None or not self._asked):
            getLogger("portable").debug("%s: the application knows no lifespans", self._where)
            self._ready.set_result(None)
        else:
            said = self._failure or f"{type(failure).__name__}: {failure}"
            problem = RuntimeError(
                f"{self._where}: the application failed to start: {said.strip()}\n"
                "mount it with lifespan=False if it needs no start"
            )
            problem.__cause__ = failure
            self._ready.set_exception(problem)

    async def _receive(self) -> Message:
        if not self._asked:
            self._asked = True
            return {"type": "lifespan.startup"}
        await self._stopping.wait()
        return {"type": "lifespan.shutdown"}

    async def _send(self, message: Message) -> None:
        kind = message["type"]
        if kind == "lifespan.startup.complete" and not self._ready.done():
            self._ready.set_result(None)
        elif kind == "lifespan.startup.failed" and not self._ready.done():
            self._failure = message.get("message") or "it does not say why"
        elif kind == "lifespan.shutdown.complete" and self._stopping.is_set():
            self._stopped.set()
        elif kind == "lifespan.shutdown.failed" and self._ready.done():
            getLogger("portable").error(
                "%s: the application failed to stop: %s", self._where, message.get("message", "")
            )
            self._stopped.set()
        else:
            raise RuntimeError(f"the mounted application sent {kind!r}, which has no place here")
