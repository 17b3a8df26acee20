"""A websocket client for tests, in the process of the app."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Any, Self

import msgspec

from portable.errors import NotFoundError, PortableError
from portable.events import Response, SocketEvent
from portable.jsontext import encode_text
from portable.live import connections

__all__ = ["SocketClosedError", "SocketPeer", "SocketRefusedError", "SocketSession"]

Pairs = Mapping[str, str] | Iterable[tuple[str, str]]


class SocketRefusedError(PortableError):
    """The handler refused the connect event.

    Attributes:
        status: of the HTTP answer. detail: what it says, "" when nothing.
    """

    def __init__(self, response: Response) -> None:
        self.status = response.status
        self.detail = ""
        if isinstance(response.body, str) and response.media_type == "application/problem+json":
            self.detail = msgspec.json.decode(response.body).get("detail", "")
        super().__init__(f"refused with {self.status} {self.detail}".rstrip())


class SocketClosedError(PortableError):
    """The connection is closed. ``code``: the close code, 1000 when the app closed it."""

    def __init__(self, code: int) -> None:
        self.code = code
        super().__init__(f"the connection is closed: {code}")


class SocketPeer:
    """The client's end of a connection this process holds: what the app sends waits here."""

    def __init__(self, connection: str) -> None:
        self.connection = connection
        self.closed: int | None = None
        self._inbox: SimpleQueue[str | bytes | int] = SimpleQueue()
        connections.add(connection, self)

    def send(self, data: str | bytes) -> None:
        """See ``portable.live.Peer``."""
        if self.closed is not None:
            raise NotFoundError("it is closed", resource="connection", key=self.connection)
        self._inbox.put(data)

    def close(self) -> None:
        """See ``portable.live.Peer``."""
        if self.closed is None:
            self.closed = 1000
            self._inbox.put(1000)

    def receive(self, timeout: float = 10.0) -> str | bytes:
        """The next message, within ``timeout`` seconds. Raises TimeoutError, SocketClosedError behind the last."""
        try:
            found = self._inbox.get(timeout=timeout) if self.closed is None else self._inbox.get_nowait()
        except Empty:
            if self.closed is not None:
                raise SocketClosedError(self.closed) from None
            raise TimeoutError(f"no message came within {timeout:g} s") from None
        if isinstance(found, int):
            raise SocketClosedError(found)
        return found

    def waiting(self) -> int:
        """How many messages wait to be received."""
        return self._inbox.qsize() - (self.closed is not None)

    def vanish(self) -> None:
        """Be gone: the next send finds out."""
        connections.remove(self.connection)


class SocketSession:
    """One connection. Made by ``TestClient.websocket``; as a context manager, it is closed at the end of the block.

    Attributes:
        connection: its id. subprotocol: the one the handler chose, or None.
    """

    def __init__(
        self,
        call: Callable[[SocketEvent], Response],
        binary: bool,
        *,
        query: Pairs = (),
        headers: Pairs = (),
        cookies: Mapping[str, str] | None = None,
        subprotocols: Iterable[str] = (),
    ) -> None:
        self._call = call
        self._binary = binary
        self._gone = False
        self.connection = connections.new_id()
        pairs = list(headers.items() if isinstance(headers, Mapping) else headers)
        if offered := ", ".join(subprotocols):
            pairs.append(("sec-websocket-protocol", offered))
        if cookies:
            pairs.append(("cookie", "; ".join(f"{name}={value}" for name, value in cookies.items())))
        event = SocketEvent("connect", self.connection, query=query, headers=pairs, client="127.0.0.1")
        response = call(event)
        if response.status >= 300:
            raise SocketRefusedError(response)
        self.subprotocol = response.headers.get("sec-websocket-protocol")
        self._peer = SocketPeer(self.connection)

    def send(self, data: Any) -> None:
        """Send a message, and wait until it is handled: str and bytes as they are, anything else as JSON.

        Raises SocketClosedError; TypeError for bytes to sockets that carry none; what the handler raised, where the
        client was asked to.
        """
        self._check_open()
        if not isinstance(data, (str, bytes)):
            data = encode_text(data)
        if isinstance(data, bytes) and not self._binary:
            raise TypeError("these sockets carry text: declare them with binary=True")
        self._call(SocketEvent("message", self.connection, data))
        if self._peer.closed is not None:
            self._end(self._peer.closed, "")

    def receive(self, timeout: float = 10.0) -> Any:
        """The next message the app sent: str or bytes. Waits ``timeout`` seconds at most.

        Raises TimeoutError when there is none, SocketClosedError behind the last.
        """
        try:
            return self._peer.receive(timeout)
        except SocketClosedError as closed:
            self._end(closed.code, "")
            raise

    def receive_json(self, timeout: float = 10.0) -> Any:
        """The next message, read as JSON. See :meth:`receive`."""
        return msgspec.json.decode(self.receive(timeout))

    def waiting(self) -> int:
        """How many messages wait to be received."""
        return self._peer.waiting()

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Close the connection; the handler gets its disconnect event. Once more does nothing."""
        self._end(code, reason)

    def vanish(self) -> None:
        """Be gone without a disconnect event, as when a network or a cloud loses it: the next send finds out."""
        self._gone = True
        self._peer.closed = 1006
        self._peer.vanish()

    def _end(self, code: int, reason: str) -> None:
        if not self._gone:
            self.vanish()
            self._peer.closed = code
            self._call(SocketEvent("disconnect", self.connection, code=code, reason=reason))

    def _check_open(self) -> None:
        if self._peer.closed is not None:
            self._end(self._peer.closed, "")
            raise SocketClosedError(self._peer.closed)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
