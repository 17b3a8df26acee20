"""A websocket of an ASGI server, and the events its handler gets."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import parse_qsl

from portable.errors import NotFoundError, UnavailableError
from portable.events import Response, SocketEvent
from portable.live import connections

__all__ = ["LONGEST_MESSAGE", "refuse", "serve_socket"]

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Call = Callable[[SocketEvent], Awaitable[Response]]

LONGEST_MESSAGE = 1 << 20
"""Bytes of one message, beyond which a server of ours closes the connection (1009): what Azure takes, the most of the
clouds."""

WAITING = 1024
"""Messages that wait for a client that reads too slowly, beyond which no more are taken for it."""

NO_BYTES = 1003


class _Peer:
    """The client of one connection: a queue that a task sends from."""

    def __init__(self, connection: str, send: Send) -> None:
        self._connection = connection
        self._send = send
        self._loop = asyncio.get_running_loop()
        self._waiting: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.closed = False

    def send(self, data: str | bytes) -> None:
        """See ``portable.live.Peer``."""
        if self.closed:
            raise NotFoundError("it is closed", resource="connection", key=self._connection)
        if self._waiting.qsize() >= WAITING:
            raise UnavailableError(
                f"{WAITING} messages wait for a client that does not read", resource="connection", key=self._connection
            )
        self._put({"type": "websocket.send", "text" if isinstance(data, str) else "bytes": data})

    def close(self, code: int = 1000) -> None:
        """See ``portable.live.Peer``."""
        if not self.closed:
            self._put({"type": "websocket.close", "code": code})

    def _put(self, message: dict[str, Any]) -> None:
        try:
            self._loop.call_soon_threadsafe(self._waiting.put_nowait, message)
        except RuntimeError as error:  # the loop is closed: the server has ended
            raise NotFoundError("it is closed", resource="connection", key=self._connection) from error

    async def run(self) -> None:
        """Send what is given, in order, until the connection is closed."""
        while not self.closed:
            message = await self._waiting.get()
            try:
                await self._send(message)
            except (OSError, RuntimeError):  # the client went away meanwhile
                self.closed = True
            if message["type"] == "websocket.close":
                self.closed = True


async def serve_socket(scope: Scope, receive: Receive, send: Send, call: Call, *, binary: bool) -> None:
    """Serve one connection from its request to its end. Its messages are handled one after the other.

    Args:
        call: answers an event as ``portable.invoke.sockets.SocketFunction`` does; it raises nothing.
        binary: whether messages of bytes are taken; else the connection is closed with 1003, as API Gateway does.
    """
    if (await receive())["type"] != "websocket.connect":
        return
    connection = connections.new_id()
    response = await call(_connect_event(scope, connection))
    if response.status >= 300:
        await refuse(scope, send, response)
        return
    peer = _Peer(connection, send)
    chosen = response.headers.get("sec-websocket-protocol")
    await send({"type": "websocket.accept", "subprotocol": chosen})
    connections.add(connection, peer)
    sending = asyncio.get_running_loop().create_task(peer.run())
    code, reason = 1006, ""
    try:
        code, reason = await _receive_all(receive, connection, peer, call, scope, binary)
    finally:
        peer.closed = True
        connections.remove(connection)
        sending.cancel()
        gone = SocketEvent("disconnect", connection, code=code, reason=reason, native=scope)
        # Also when the server stops, and cancels this: the event is handled before the task ends.
        await asyncio.shield(asyncio.ensure_future(call(gone)))


async def _receive_all(
    receive: Receive, connection: str, peer: _Peer, call: Call, scope: Scope, binary: bool
) -> tuple[int, str]:
    """Hand over messages until the end, and say how it ended: code and reason."""
    while True:
        message = await receive()
        if message["type"] == "websocket.disconnect":
            return message.get("code") or 1005, message.get("reason") or ""
        text = message.get("text")
        if text is None and not binary:
            peer.close(NO_BYTES)
            continue
        body = message["bytes"] if text is None else text
        await call(SocketEvent("message", connection, body, native=scope))


def _connect_event(scope: Scope, connection: str) -> SocketEvent:
    return SocketEvent(
        "connect",
        connection,
        query=parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True),
        headers=[(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]],
        client=scope["client"][0] if scope.get("client") else None,
        native=scope,
    )


async def refuse(scope: Scope, send: Send, response: Response) -> None:
    """Answer a request to connect with an HTTP answer instead; where the server cannot, with its 403."""
    if "websocket.http.response" not in (scope.get("extensions") or {}):
        await send({"type": "websocket.close", "code": 1008})
        return
    body = response.body
    data = b"" if body is None else body.encode() if isinstance(body, str) else bytes(body)
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in response.header_pairs()]
    headers.append((b"content-length", str(len(data)).encode()))
    await send({"type": "websocket.http.response.start", "status": response.status, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": data})
