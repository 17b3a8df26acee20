"""One HTTP/1.1 connection: what is read from it is answered in turn, and what is slow or refused is ended here.

A connection is always in one phase, and each phase has a time to be over by. One request of a connection is answered at
a time; what is pipelined behind it waits, and no more is read meanwhile.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import MutableMapping
from typing import TYPE_CHECKING, Any, Protocol

from portable.events import Response
from portable.http.answers import problem
from portable_container.encoding import encode
from portable_container.reading import Arrivals, Reader, too_many
from portable_container.sending import Sender

if TYPE_CHECKING:
    from portable_container.requests import ContainerRequest
    from portable_container.settings import Settings

__all__ = ["SPARE", "Connection", "Shared"]

LINGER = 2.0
"""Seconds a refused client may go on sending, so that it gets to read why; a socket closed on unread bytes resets."""

SPARE = 32
"""Connections beyond the most there may be: over them whoever looks after the process can still ask it."""

_PIPELINED = 32
_JOINED = 64 * 1024
_NEVER = float("inf")


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
        self.arrivals = Arrivals(settings.arriving)

    def connect(self) -> Connection:
        """A protocol for a new connection."""
        return Connection(self)


class Connection(asyncio.Protocol):
    """See the module. ``due``: loop time by which the phase is over."""

    __slots__ = (
        "_answering",
        "_asked",
        "_closing",
        "_pipelined",
        "_reader",
        "_refusal",
        "_shared",
        "_spare",
        "_unsent",
        "_writable",
        "due",
        "gone",
        "transport",
    )
    _reader: Reader

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._pipelined: deque[ContainerRequest] = deque()
        self._answering = False  # a request is in hand
        self._asked = False  # the body under way comes once it is asked for
        self._closing = False
        self._refusal: Response | None = None  # of what came behind a request in hand
        self._spare = False
        self._unsent: int | None = None  # when the client was last looked at
        self._writable: asyncio.Future[None] | None = None
        self.gone: asyncio.Future[None] | None = None
        self.transport: Any = None
        self.due = _NEVER

    # --- what the event loop calls

    def connection_made(self, transport: Any) -> None:
        """Count it in, or say that there are too many."""
        shared = self._shared
        self.transport = transport
        peer = transport.get_extra_info("peername")
        beyond = len(shared.connections) - shared.settings.connections
        self._spare = beyond >= 0
        address = peer[0] if peer else None
        self._reader = Reader(shared.settings, shared.arrivals, self, address, spare=self._spare)
        shared.connections.add(self)
        if beyond >= SPARE:
            self.refuse(too_many("connections"))
            return
        seconds = shared.settings.header_seconds
        self.due = shared.loop.time() + (min(1.0, seconds) if self._spare else seconds)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """The client is gone: whoever streams to it is told."""
        self._shared.connections.discard(self)
        self._closing = True
        self._reader.close()
        self._pipelined.clear()
        for waiting in (self._writable, self.gone):
            if waiting is not None and not waiting.done():
                waiting.set_result(None)

    def data_received(self, data: bytes) -> None:
        """Read on."""
        reader = self._reader
        if reader.stopped:  # the rest of what was refused
            return
        if reader.head and not reader.begun and not self._answering and not self._spare:
            self.due = self._shared.loop.time() + self._shared.settings.header_seconds
        reader.feed(data)

    def eof_received(self) -> None:
        """Half a connection is none: who sends no more is taken for gone."""

    def pause_writing(self) -> None:
        """The client reads more slowly than it is written to."""
        if self._writable is None or self._writable.done():
            self._writable = self._shared.loop.create_future()
        self._await_client()
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

    def _await_client(self) -> None:
        """What is written is to be taken: it is looked at soon, once the socket has what it holds by itself."""
        self._unsent = None
        self.due = self._shared.loop.time() + min(1.0, self._shared.settings.write_seconds / 2)

    # --- what the reader calls

    def take(self, request: ContainerRequest) -> None:
        """See ``portable_container.reading.Taker``."""
        self._asked = False
        if not self._answering:
            self._begin(request)
            return
        self._pipelined.append(request)
        if len(self._pipelined) == 1:
            self.transport.pause_reading()
        if len(self._pipelined) > _PIPELINED:
            self._abort()

    def upgrade(self, request: ContainerRequest, rest: bytes) -> bool:
        """See ``portable_container.reading.Taker``: one behind another is taken for any other request."""
        return not self._answering and not self._pipelined and self._shared.front.upgrade(request, self, rest)

    def await_body(self, *, asked: bool) -> None:
        """See ``portable_container.reading.Taker``."""
        self._asked = asked
        if not self._answering:
            self.due = self._shared.loop.time() + self._shared.settings.body_seconds
            self._ask()

    def _ask(self) -> None:
        if self._asked:
            self._asked = False
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    # --- answering

    def _begin(self, request: ContainerRequest) -> None:
        self._answering = True
        self.due = _NEVER
        self._shared.front.take(request, self)

    def hand_over(self) -> Any:
        """The transport, which another protocol takes from here on."""
        self._shared.connections.discard(self)
        self._reader.close()
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
            start, body, keeps = encode(response, request.method, self._shared.date, keeps)
        except ValueError:
            from logging import getLogger

            getLogger("portable").exception("%s %s: the answer cannot be sent", request.method, request.raw_path)
            failed = problem(500, "The handler's answer cannot be sent")
            start, body, keeps = encode(failed, request.method, self._shared.date, keeps)
        if len(body) < _JOINED:
            self.transport.write(start + body)
        else:
            self.transport.writelines((start, body))
        self.end(keeps)

    def end(self, keeps: bool) -> None:
        """An answer is written; ``keeps``: another request may follow."""
        self._answering = False
        if self._closing:
            return
        if not keeps:
            self._closing = True
            self._await_client()
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
        if self._refusal is not None:
            refusal, self._refusal = self._refusal, None
            self.refuse(refusal)
            self.transport.resume_reading()  # and what comes is dropped
            return
        settings, reader = self._shared.settings, self._reader
        # What came while the answer was made has its time from here on.
        phase = settings.header_seconds if reader.begun else settings.idle_seconds
        self.due = self._shared.loop.time() + (phase if reader.head else settings.body_seconds)
        self._ask()
        self.transport.resume_reading()

    def _begin_next(self) -> None:
        if not self._closing and self._pipelined:
            request = self._pipelined.popleft()
            self._begin(request)

    def refuse(self, response: Response) -> None:
        """Answer what is no request to be served, and close once the client has had time to read that."""
        if self._closing or self._refusal is not None:
            return
        self._reader.stop()
        if self._answering or self._pipelined:  # said when what is before it is answered
            self._refusal = response
            self.transport.pause_reading()
            return
        self._closing = True
        start, body, _ = encode(response, "GET", self._shared.date, False)
        self.transport.write(start + body)
        self.due = self._shared.loop.time() + LINGER
        if self.transport.can_write_eof():
            self.transport.write_eof()

    def expire(self) -> None:
        """The phase took too long."""
        stuck = self._writable is not None and not self._writable.done()
        if self._closing or self._answering or stuck:
            self._expire_unread()
        elif self._spare:
            self.refuse(too_many("connections"))
        elif self._reader.head and not self._reader.begun:  # nothing was asked
            self._closing = True
            self.transport.close()
        else:
            self.refuse(problem(408, "The request took too long to arrive"))

    def _expire_unread(self) -> None:
        """Hang up on who has taken nothing of what is written since it was looked at; who reads slowly, reads."""
        unsent = self.transport.get_write_buffer_size()
        if unsent and (self._unsent is None or unsent < self._unsent):
            self._unsent = unsent
            self.due = self._shared.loop.time() + self._shared.settings.write_seconds
        else:
            self._abort()

    def _abort(self) -> None:
        self._closing = True
        self._reader.stop()
        self.transport.abort()

    def drain(self) -> None:
        """The server is stopping: a connection without a request ends now, any other with its answer."""
        if not self._answering and self._reader.head and not self._reader.begun and not self._closing:
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
        raw, bare = request.native, request.method == "HEAD"
        keeps = raw.keeps and not self._shared.draining
        return Sender(self, self._shared.date, bare=bare, chunked=raw.modern, keeps=keeps)

    async def written(self) -> None:
        """Wait until the client reads again. Raises OSError when it is gone."""
        if self._writable is not None and not self._closing:
            await asyncio.shield(self._writable)
        if self._closing:
            raise OSError("the client is gone")
