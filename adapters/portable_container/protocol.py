"""One HTTP/1.1 connection: llhttp reads it, through httptools; what is slow, too large or malformed is ended here.

A connection is always in one phase, and each phase has a time to be over by. One request of a connection is answered at
a time; what is pipelined behind it waits, and no more is read meanwhile.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import MutableMapping
from typing import TYPE_CHECKING, Any, Protocol

import httptools

from portable.events import Response
from portable.http.answers import TITLES, problem
from portable_container.requests import ContainerRequest, Raw

if TYPE_CHECKING:
    from portable_container.settings import Settings

__all__ = ["LARGEST_HEAD", "MOST_HEADERS", "Connection", "Shared"]

LARGEST_HEAD = 64 * 1024
"""Bytes of a request line and its headers, of which one more read may come on top."""

MOST_HEADERS = 200
LINGER = 2.0
"""Seconds a refused client may go on sending, so that it gets to read why; a socket closed on unread bytes resets."""

_PIPELINED = 32
_NEVER = float("inf")
_REASONS = {
    **TITLES,
    200: "OK",
    201: "Created",
    202: "Accepted",
    204: "No Content",
    206: "Partial Content",
    301: "Moved Permanently",
    302: "Found",
    303: "See Other",
    304: "Not Modified",
    307: "Temporary Redirect",
    308: "Permanent Redirect",
}


class Front(Protocol):
    """What answers requests: by ``answer`` or ``begin_stream`` of the connection, at once or later."""

    def take(self, request: ContainerRequest, connection: Connection) -> None:
        """Answer a request. Never raises."""

    def upgrade(self, request: ContainerRequest, connection: Connection, rest: bytes) -> bool:
        """Take a request to become a websocket, with what came behind it; False leaves it to ``take``."""


class Shared:
    """What every connection of a server knows.

    Attributes:
        date: the header line. draining: no connection is kept alive any more.
    """

    def __init__(self, settings: Settings, front: Front) -> None:
        self.settings = settings
        self.front = front
        self.loop = asyncio.get_running_loop()
        self.connections: set[Connection] = set()
        self.date = ""
        self.draining = False

    def connect(self) -> Connection:
        """A protocol for a new connection."""
        return Connection(self)


class Connection(asyncio.Protocol):
    """See the module. ``due``: loop time by which the phase is over."""

    __slots__ = (
        "_answering",
        "_body",
        "_bytes",
        "_closing",
        "_head",
        "_headers",
        "_keeps",
        "_parser",
        "_peer",
        "_pipelined",
        "_request",
        "_shared",
        "_size",
        "_url",
        "_writable",
        "due",
        "gone",
        "transport",
    )

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._parser: Any = httptools.HttpRequestParser(self)
        self._pipelined: deque[ContainerRequest] = deque()
        self._answering = False  # a request is in hand
        self._head = True  # the next bytes are of a request line or headers
        self._closing = False
        self._bytes = 0  # of the head under way
        self._writable: asyncio.Future[None] | None = None
        self.gone: asyncio.Future[None] | None = None
        self._request: ContainerRequest | None = None
        self._peer: str | None = None
        self.transport: Any = None
        self.due = _NEVER

    # --- what the event loop calls

    def connection_made(self, transport: Any) -> None:
        """Count it in, or say that there are too many."""
        shared = self._shared
        self.transport = transport
        peer = transport.get_extra_info("peername")
        self._peer = peer[0] if peer else None
        if len(shared.connections) >= shared.settings.connections:
            shared.connections.add(self)
            self.refuse(problem(503, "Too many connections", headers={"retry-after": "1"}))
            return
        shared.connections.add(self)
        self.due = shared.loop.time() + shared.settings.header_seconds

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """The client is gone: whoever streams to it is told."""
        self._shared.connections.discard(self)
        self._closing = True
        self._parser = None  # they hold each other
        self._pipelined.clear()
        for waiting in (self._writable, self.gone):
            if waiting is not None and not waiting.done():
                waiting.set_result(None)

    def data_received(self, data: bytes) -> None:
        """Read on."""
        if self._closing:  # the rest of what was refused
            return
        if self._head:
            if not self._bytes and not self._answering:
                self.due = self._shared.loop.time() + self._shared.settings.header_seconds
            self._bytes += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._upgrade(bytes(data[upgrade.args[0] :]))
            return
        except httptools.HttpParserError:
            self.refuse(problem(400, "This is no HTTP request"))
            return
        if self._head and self._bytes > LARGEST_HEAD:
            self.refuse(problem(431, f"A request's head has at most {LARGEST_HEAD} bytes"))

    def eof_received(self) -> None:
        """Half a connection is none: who sends no more is taken for gone."""

    def pause_writing(self) -> None:
        """The client reads more slowly than it is written to."""
        if self._writable is None or self._writable.done():
            self._writable = self._shared.loop.create_future()
        self.due = self._shared.loop.time() + self._shared.settings.write_seconds
        self.transport.pause_reading()

    def resume_writing(self) -> None:
        """It has caught up."""
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)
        self._writable = None
        if self._answering:
            self.due = _NEVER
        else:
            self._go_on()

    # --- what the parser calls

    def on_message_begin(self) -> None:
        """A request begins."""
        self._bytes = self._bytes or 1  # it may stand behind another in what was read
        self._url = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._body: list[bytes] = []
        self._size = 0

    def on_url(self, url: bytes) -> None:
        """The request's target, or a part of it."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header."""
        self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """Refuse at once what would be refused later."""
        if self._closing:
            return
        shared, parser = self._shared, self._parser
        self._head = False
        self._keeps = parser.should_keep_alive() and parser.get_http_version() == "1.1"
        hosts, length, expects = 0, 0, False
        for name, value in self._headers:
            if name == b"host":
                hosts += 1
            elif name == b"content-length":
                length = int(value)  # llhttp has looked at it
            elif name == b"expect":
                expects = value.lower() == b"100-continue"
        if hosts != 1 and (hosts or parser.get_http_version() == "1.1"):
            self.refuse(problem(400, "A request has one Host"))
        elif len(self._headers) > MOST_HEADERS:
            self.refuse(problem(431, f"A request has at most {MOST_HEADERS} headers"))
        elif length > shared.settings.max_body:
            self._refuse_body()
        else:
            if not self._answering:
                self.due = shared.loop.time() + shared.settings.body_seconds
            if expects and not self._answering:
                self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        self._size += len(body)
        if self._size > self._shared.settings.max_body:
            self._refuse_body()
        elif not self._closing:
            self._body.append(body)

    def on_message_complete(self) -> None:
        """A whole request is there."""
        self._head = True
        self._bytes = 0
        if self._closing:
            return
        body = self._body
        whole = body[0] if len(body) == 1 else b"".join(body)
        raw = Raw(self._url, self._headers, self._peer, self._shared.settings.proxies, keeps=self._keeps)
        request = ContainerRequest(raw, self._parser.get_method().decode("latin-1"), whole)
        self._body = []
        if self._parser.should_upgrade():  # feed_data says so next
            self._request = request
            return
        if self._answering:
            self._pipelined.append(request)
            if len(self._pipelined) == 1:
                self.transport.pause_reading()
            if len(self._pipelined) > _PIPELINED:
                self.transport.abort()
            return
        self._begin(request)

    # --- answering

    def _begin(self, request: ContainerRequest) -> None:
        self._answering = True
        self.due = _NEVER
        self._shared.front.take(request, self)

    def _upgrade(self, rest: bytes) -> None:
        request, self._request = self._request, None
        if request is None:  # CONNECT, or an upgrade behind a request that was refused
            self.refuse(problem(400, "This is no HTTP request"))
            return
        request.native.keeps = False  # what follows is in the other protocol, which nobody here speaks
        if self._answering:
            self._pipelined.append(request)
        elif not self._shared.front.upgrade(request, self, rest):
            self._begin(request)

    def hand_over(self) -> Any:
        """The transport, which another protocol takes from here on."""
        self._shared.connections.discard(self)
        self._parser = None
        self._closing = True
        return self.transport

    @property
    def lost(self) -> bool:
        """Whether nobody is there to be answered."""
        return self._closing

    def answer(self, response: Response, request: ContainerRequest) -> None:
        """Write an answer, and go on with the next request. One that cannot be written is a 500."""
        if self._closing:
            return
        keeps = request.native.keeps and not self._shared.draining
        try:
            data = encode(response, request.method, self._shared.date, keeps)
        except ValueError:
            from logging import getLogger

            getLogger("portable").exception("%s %s: the answer cannot be sent", request.method, request.raw_path)
            data = encode(problem(500, "The handler's answer cannot be sent"), request.method, self._shared.date, keeps)
        self.transport.write(data)
        self.end(keeps)

    def end(self, keeps: bool) -> None:
        """An answer is written; ``keeps``: another request may follow."""
        self._answering = False
        if self._closing:
            return
        if not keeps:
            self._closing = True
            self.due = self._shared.loop.time() + self._shared.settings.write_seconds
            self.transport.close()
            return
        if self._writable is None or self._writable.done():
            self._go_on()

    def _go_on(self) -> None:
        if self._closing:
            return
        if self._pipelined:
            self._answering = True
            self._shared.loop.call_soon(self._begin_next)
            return
        settings = self._shared.settings
        # What came while the answer was made has its time from here on.
        phase = settings.idle_seconds if self._head and not self._bytes else settings.header_seconds
        self.due = self._shared.loop.time() + (phase if self._head else settings.body_seconds)
        self.transport.resume_reading()

    def _begin_next(self) -> None:
        if not self._closing and self._pipelined:
            request = self._pipelined.popleft()
            self._begin(request)

    def refuse(self, response: Response) -> None:
        """Answer what is no request to be served, and close once the client has had time to read that."""
        if self._closing:
            return
        self._closing = True
        if self._answering:  # the answer before it is not written yet: there is no way to say it
            self.transport.abort()
            return
        self.transport.write(encode(response, "GET", self._shared.date, False))
        self.due = self._shared.loop.time() + LINGER
        if self.transport.can_write_eof():
            self.transport.write_eof()

    def _refuse_body(self) -> None:
        self.refuse(problem(413, f"A body has at most {self._shared.settings.max_body} bytes here"))

    def expire(self) -> None:
        """The phase took too long."""
        stuck = self._writable is not None and not self._writable.done()
        if self._closing or self._answering or stuck:
            self.transport.abort()
            return
        if self._head and not self._bytes:  # nothing was asked
            self._closing = True
            self.transport.close()
            return
        self.refuse(problem(408, "The request took too long to arrive"))

    def drain(self) -> None:
        """The server is stopping: a connection without a request ends now, any other with its answer."""
        if not self._answering and self._head and not self._bytes and not self._closing:
            self._closing = True
            self.transport.close()

    # --- streamed answers

    async def receive(self) -> MutableMapping[str, Any]:
        """ASGI's ``receive`` of a streamed answer: the body was read, what is left to hear is that the client left."""
        if self.gone is None:
            self.gone = self._shared.loop.create_future()
        if not self._closing:
            await asyncio.shield(self.gone)
        return {"type": "http.disconnect"}

    def sender(self, request: ContainerRequest) -> Sender:
        """ASGI's ``send`` of a streamed answer."""
        return Sender(self, request, self._shared)

    async def written(self) -> None:
        """Wait until the client reads again. Raises OSError when it is gone."""
        if self._writable is not None and not self._closing:
            await asyncio.shield(self._writable)
        if self._closing:
            raise OSError("the client is gone")


class Sender:
    """Writes a streamed answer: in chunks, or up to the connection's end to a client of HTTP/1.0.

    Attributes:
        complete: whether its end is written. keeps: whether another request may follow.
    """

    def __init__(self, connection: Connection, request: ContainerRequest, shared: Shared) -> None:
        self._connection = connection
        self._shared = shared
        self._bare = request.method == "HEAD"
        self.keeps = request.native.keeps and not shared.draining
        self._chunked = self.keeps or request.native.keeps
        self.complete = False

    async def __call__(self, message: MutableMapping[str, Any]) -> None:
        """Send a part. Raises OSError when the client is gone."""
        if self._connection.lost:
            raise OSError("the client is gone")
        write = self._connection.transport.write
        if message["type"] == "http.response.start":
            write(self._start(message))
            return
        body = message.get("body") or b""
        if body and not self._bare:
            write(b"%x\r\n%b\r\n" % (len(body), body) if self._chunked else body)
        if not message.get("more_body"):
            if self._chunked and not self._bare:
                write(b"0\r\n\r\n")
            self.complete = True
        await self._connection.written()

    def _start(self, message: MutableMapping[str, Any]) -> bytes:
        pairs = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in message["headers"]]
        if message["status"] in (204, 304):
            self._bare = True
        if self._chunked and not self._bare:
            pairs.append(("transfer-encoding", "chunked"))
        if any(name == "connection" and value == "close" for name, value in pairs):
            self.keeps = False
        elif not self.keeps:
            pairs.append(("connection", "close"))
        return head(message["status"], pairs, self._shared.date)


def encode(response: Response, method: str, date: str, keeps: bool) -> bytes:
    """An answer as it is sent. Raises ValueError for a header that is none."""
    content = response.body
    body: bytes = b"" if content is None else content.encode() if isinstance(content, str) else content
    pairs = response.header_pairs()
    status = response.status
    if method == "HEAD":  # its answer says the length by itself, where it knows one
        body = b""
    elif status >= 200 and status != 204 and status != 304:
        if any(name == "content-length" for name, _ in pairs):
            pairs = [pair for pair in pairs if pair[0] != "content-length"]
        pairs.append(("content-length", str(len(body))))
    else:
        body = b""
    if not keeps:
        pairs.append(("connection", "close"))
    return head(status, pairs, date) + body


def head(status: int, pairs: list[tuple[str, str]], date: str) -> bytes:
    """Status line and headers. Raises ValueError for a header with a line break, or one that is no latin-1."""
    lines = "".join([f"{name}: {value}\r\n" for name, value in pairs])
    if lines.count("\n") != len(pairs) or lines.count("\r") != len(pairs):
        raise ValueError("a header holds a line break")
    return f"HTTP/1.1 {status} {_REASONS.get(status, '')}\r\n{date}{lines}\r\n".encode("latin-1")
