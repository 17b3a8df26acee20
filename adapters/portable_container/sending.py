"""An answer that is sent while it is made."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Protocol

from portable_container.encoding import head

__all__ = ["Sender"]


class Line(Protocol):
    """The connection it goes over."""

    transport: Any

    @property
    def lost(self) -> bool:
        """Whether nobody is there to be answered."""

    @property
    def written(self) -> Callable[[], Awaitable[None]]:
        """Waits until the client reads again. Raises OSError when it is gone."""


class Sender:
    """Writes a streamed answer: in chunks, or up to the connection's end to a client of HTTP/1.0.

    Args:
        date: the header line. bare: there is to be no body. chunked: the client speaks HTTP/1.1.
        keeps: the connection goes on.

    Attributes:
        complete: whether its end is written. keeps: whether another request may follow.
    """

    def __init__(self, connection: Line, date: str, *, bare: bool, chunked: bool, keeps: bool) -> None:
        self._connection = connection
        self._date = date
        self._bare = bare
        self._chunked = chunked
        self.keeps = keeps
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
        if any(name == "connection" and "close" in value.lower() for name, value in pairs):
            self.keeps = False
        pairs = [pair for pair in pairs if pair[0] not in ("connection", "keep-alive", "upgrade")]
        if not self._bare:
            pairs = [pair for pair in pairs if pair[0] not in ("content-length", "transfer-encoding")]
            if self._chunked:
                pairs.append(("transfer-encoding", "chunked"))
        if not self.keeps:
            pairs.append(("connection", "close"))
        return head(message["status"], pairs, self._date)
