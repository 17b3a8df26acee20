"""The ASGI application uvicorn runs: this server's own pages below ``/_portable/``, the app everywhere else.

The app's part does without a web framework: the request as it was sent goes to the app's HTTP function, as a cloud's
entry gives it. FastAPI serves the pages, and is imported when the first of them is asked for.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, MutableMapping
from logging import getLogger
from typing import Any, Protocol
from urllib.parse import parse_qsl

from portable.dev.application import CONTROL, SIGNED, Application, DevFunction
from portable.dev.guard import refusal
from portable.dev.journal import Entry, Journal
from portable.errors import DeadlineExceededError
from portable.events import Context, Headers, Query, Request, Response
from portable.http.answers import answer_error, problem
from portable.http.background import take_tasks
from portable.http.streams import StreamResponse
from portable.serving.invocations import Invoker

__all__ = ["LARGEST_BODY", "Front", "LocalRequest"]

LARGEST_BODY = 100 * 1024 * 1024
"""Bytes of a request's body, beyond which it is refused here: what Azure takes, the most of the three clouds."""

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_CONTROL = CONTROL.encode()
_BELOW = f"{CONTROL}/".encode()
_SIGNED = f"{SIGNED}/".encode()


def _read_headers(request: Request) -> Headers:
    return Headers((name.decode("latin-1"), value.decode("latin-1")) for name, value in request.native["headers"])


def _read_query(request: Request) -> Query:
    return Query(parse_qsl(request.native["query_string"].decode("latin-1"), keep_blank_values=True))


class LocalRequest(Request):
    """A request of uvicorn's. ``native`` is the ASGI scope."""

    __slots__ = ()
    _lazy = {
        **Request._lazy,
        "headers": _read_headers,
        "query": _read_query,
        "raw_query": lambda request: request.native["query_string"].decode("latin-1"),
        "client": lambda request: request.native["client"][0] if request.native.get("client") else None,
        "scheme": lambda request: request.native["scheme"],
    }

    def __init__(self, scope: Scope, body: bytes) -> None:
        self.native = scope
        self.method = scope["method"]
        self.raw_path = scope["raw_path"].decode("latin-1")
        self.root_path = ""
        self.body = body


class Failures(Protocol):
    """Where the log notes what a handler raised, by request id."""

    def take(self, request_id: str) -> str:
        """In one line; "" when nothing was noted."""


class Front:
    """See the module.

    Args:
        application: None when the app does not import; then ``failure`` says why, and everything is answered 503.
        open_control: makes the application of the pages; called once, when it is first needed.
    """

    def __init__(
        self,
        application: Application | None,
        failure: str,
        invoker: Invoker | None,
        journal: Journal,
        failures: Failures,
        open_control: Callable[[], Awaitable[Any]],
    ) -> None:
        self._application = application
        self._failure = failure
        self._invoker = invoker
        self._journal = journal
        self._failures = failures
        self._open_control = open_control
        self._find = application.http.routes.find if application else None
        self._documents = _documents(application)
        self.sockets: Any = None  # serves websockets, where the app has some
        self.closing = False  # each connection ends with the answer it waits for
        self._streams: Any = None  # sends what is streamed, where something is

    def close(self) -> None:
        """The server stops."""
        self.closing = True
        if self._streams is not None:
            self._streams.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await self.sockets.serve(scope, receive, send)
            return
        raw_path: bytes = scope["raw_path"]
        if raw_path.startswith(_BELOW) or raw_path == _CONTROL or raw_path in self._documents:
            await self._answer_page(scope, receive, send)
            return
        begun = time.perf_counter()
        body = await _read_body(receive)
        if body is None:
            return  # the client went away
        request = LocalRequest(scope, body)
        function = "http"
        context: Context | None = None
        if len(body) > LARGEST_BODY:
            response = problem(413, f"A body has at most {LARGEST_BODY} bytes here")
        elif self._application is None or self._invoker is None:
            response = problem(503, f"The app does not start: {self._failure}")
        else:
            hit = self._find(request.method, request.raw_path) if self._find else None
            if hit is None:
                response = self._application.http(request)  # type: ignore[assignment]
            else:
                function = hit[0].function
                response, context = await self._call(self._application, function, hit[0].is_async, request)
        if isinstance(response, StreamResponse) and context is not None:
            status = await self._stream(response, context, receive, send)
        else:
            status = await _send(response, request, send, self.closing)
        request_id = "" if context is None else context.request_id
        self._journal.add(
            Entry(
                time.time(),
                function,
                f"{request.method:<7}{request.raw_path}",
                str(status),
                (time.perf_counter() - begun) * 1000,
                request_id,
                self._failures.take(request_id) if status >= 500 else "",
            )
        )
        if context is not None and self._invoker is not None and (tasks := take_tasks(context)) is not None:
            await tasks.arun(self._invoker.on_thread)

    async def _stream(self, response: StreamResponse, context: Context, receive: Receive, send: Send) -> int:
        assert self._invoker is not None
        if self._streams is None:
            from portable.serving.streaming import Streams

            self._streams = Streams(self._invoker.on_thread)
            if self.closing:
                self._streams.close()
        await self._streams.send(response, context, receive, send)
        return response.status

    async def _call(
        self, application: Application, name: str, is_async: bool, request: Request
    ) -> tuple[Response, Context]:
        assert self._invoker is not None
        function: DevFunction = application.functions[name]
        context = self._invoker.context_of(function)
        try:
            response = await self._invoker.invoke(function, context, application.http, is_async, request)
        except DeadlineExceededError as error:
            getLogger("portable").warning("%s %s: %s", request.method, request.raw_path, error)
            return problem(
                504, f"The handler did not answer within {function.timeout:g} s", request_id=context.request_id
            ), context
        except Exception as error:
            return with_context(context, answer_error, request, error), context
        return response, context

    async def _answer_page(self, scope: Scope, receive: Receive, send: Send) -> None:
        why = "" if scope["raw_path"].startswith(_SIGNED) else refusal(scope)
        if why:
            await _send(problem(403, why), LocalRequest(scope, b""), send)
            return
        control = await self._open_control()
        await control(scope, receive, send)


def _documents(application: Application | None) -> frozenset[bytes]:
    """Where the app's OpenAPI document and its page are, besides ``/_portable/docs``: not where the app answers."""
    paths = ("/docs", "/openapi.json")
    if application is None:
        return frozenset()
    routes = application.http.routes
    return frozenset(path.encode() for path in paths if not routes.methods(path) and routes.find("GET", path) is None)


def with_context(context: Any, function: Callable[..., Any], *args: Any) -> Any:
    """Call a function with an invocation's context in force."""
    from portable.events import current_context

    token = current_context.set(context)
    try:
        return function(*args)
    finally:
        current_context.reset(token)


async def _read_body(receive: Receive) -> bytes | None:
    """The whole body, or as much of it as shows that it is too large; None when the client went away."""
    message = await receive()
    if message["type"] != "http.request":
        return None
    body: bytes = message.get("body", b"")
    if not message.get("more_body"):
        return body
    parts, size = [body], len(body)
    while message.get("more_body"):
        message = await receive()
        if message["type"] != "http.request":
            return None
        part = message.get("body", b"")
        size += len(part)
        if size <= LARGEST_BODY:
            parts.append(part)
        elif parts:
            parts = []
    return b"".join(parts) if size <= LARGEST_BODY else bytes(LARGEST_BODY + 1)


async def _send(response: Response, request: Request, send: Send, closing: bool = False) -> int:
    """Send an answer and return its status: 500 when the answer itself cannot be sent."""
    try:
        start, body = _encode(response, request.method)
        if closing:
            start["headers"].append((b"connection", b"close"))
        await send(start)
    except (TypeError, ValueError, RuntimeError):
        getLogger("portable").exception("%s %s: the answer cannot be sent", request.method, request.raw_path)
        response = problem(500, "The handler's answer cannot be sent")
        start, body = _encode(response, request.method)
        await send(start)
    await send({"type": "http.response.body", "body": body})
    return response.status


def _encode(response: Response, method: str) -> tuple[dict[str, Any], bytes]:
    content = response.body
    body: bytes = b"" if content is None else content.encode() if isinstance(content, str) else content
    pairs = response.header_pairs()
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in pairs]
    if response.status >= 200 and response.status not in (204, 304) and method != "HEAD":
        headers.append((b"content-length", b"%d" % len(body)))
        if len(pairs) != len(headers) - 1 or any(name == "content-length" for name, _ in pairs):
            headers = [pair for pair in headers[:-1] if pair[0] != b"content-length"] + headers[-1:]
    return {"type": "http.response.start", "status": response.status, "headers": headers}, body
