"""A websocket in front of a running artifact: what API Gateway or Web PubSub are in a cloud, or, where the
artifact holds its websockets itself, what a load balancer is.

The protocol is that of the package ``websockets``; the connections are those of this process, which the stand-ins for
the clouds' gateways send to. Their limits of time and size are not imitated.
"""

from __future__ import annotations

from collections.abc import Iterable
from http.server import BaseHTTPRequestHandler
from threading import Lock
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from portable.errors import NotFoundError
from portable.events import Response, SocketEvent
from portable.http.answers import problem
from portable.live import connections
from portable.manifest import Manifest
from portable.run.deployment import Deployment
from portable.run.tunnel import tunnel

if TYPE_CHECKING:
    from websockets.server import ServerProtocol

__all__ = ["begins_socket", "serve_socket"]

LONGEST_MESSAGE = 1 << 20  # as portable.live.asgi has it
NO_BYTES = 1003
_READ = 65_536


def begins_socket(handler: BaseHTTPRequestHandler, target: str, manifest: Manifest) -> bool:
    """Whether a request begins a websocket of the app's. Elsewhere such a request is one like any other."""
    if handler.command != "GET" or handler.headers.get("upgrade", "").lower() != "websocket":
        return False
    path = target.partition("?")[0]
    return any(function.kind == "socket" and path in function.asks("path") for function in manifest.functions)


def serve_socket(handler: BaseHTTPRequestHandler, target: str, deployment: Deployment) -> Response | None:
    """Serve one connection to its end; or give the answer that refuses it."""
    path, _, query = target.partition("?")
    holder = deployment.socket_holder(path)
    if holder is not None:
        return tunnel(handler, target, holder)
    call, binary = deployment.socket(path)
    try:
        from websockets.server import ServerProtocol
    except ImportError:
        return problem(501, "portable run needs websockets for this: pip install 'portable-functions[dev]'")
    connection = connections.new_id()
    response = call(
        SocketEvent(
            "connect",
            connection,
            query=parse_qsl(query, keep_blank_values=True),
            headers=handler.headers.items(),
            client=str(handler.client_address[0]),
        )
    )
    if response.status >= 300:
        return response
    chosen: Any = response.headers.get("sec-websocket-protocol")
    protocol = ServerProtocol(select_subprotocol=lambda _, offered: chosen, max_size=LONGEST_MESSAGE)
    peer = _Peer(connection, handler, protocol)
    try:
        if not peer.accept():
            return None
        connections.add(connection, peer)
        for message in peer.messages():
            if isinstance(message, str) or binary:
                call(SocketEvent("message", connection, message))
            else:
                peer.end(NO_BYTES)
    finally:
        connections.remove(connection)
        code, reason = protocol.close_code or 1006, protocol.close_reason or ""
        call(SocketEvent("disconnect", connection, code=code, reason=reason))
    return None


class _Peer:
    """The client. Several threads may send; one reads."""

    def __init__(self, connection: str, handler: BaseHTTPRequestHandler, protocol: ServerProtocol) -> None:
        self._connection = connection
        self._handler = handler
        self._socket = handler.connection
        self._protocol = protocol
        self._lock = Lock()

    def accept(self) -> bool:
        """Answer the request. Whether it was one of the protocol; if not, the answer says what is wrong with it."""
        from websockets.http11 import Request
        from websockets.protocol import State

        handler = self._handler
        handler.close_connection = True
        lines = ["GET / HTTP/1.1", *(f"{name}: {value}" for name, value in handler.headers.items()), "", ""]
        with self._lock:
            self._protocol.receive_data("\r\n".join(lines).encode("latin-1"))  # once more: http.server has read it
            for asked in self._protocol.events_received():
                if isinstance(asked, Request):
                    self._protocol.send_response(self._protocol.accept(asked))
            self._flush()
            opened: bool = self._protocol.state is State.OPEN
        self._socket.settimeout(None)
        return opened

    def send(self, data: str | bytes) -> None:
        """See ``portable.live.Peer``."""
        from websockets.exceptions import InvalidState

        with self._lock:
            try:
                if isinstance(data, str):
                    self._protocol.send_text(data.encode())
                else:
                    self._protocol.send_binary(data)
                self._flush()
            except (InvalidState, OSError) as error:
                raise NotFoundError("it is closed", resource="connection", key=self._connection) from error

    def close(self) -> None:
        """See ``portable.live.Peer``."""
        self.end(1000)

    def end(self, code: int) -> None:
        """Begin to close."""
        from websockets.exceptions import InvalidState

        with self._lock:
            try:
                self._protocol.send_close(code)
                self._flush()
            except (InvalidState, OSError):
                return

    def messages(self) -> Iterable[str | bytes]:
        """Whole messages, until the connection is closed."""
        from websockets.frames import Frame, Opcode

        parts: list[bytes] = []
        is_text = False
        while True:
            for frame in self._receive():
                if not isinstance(frame, Frame) or frame.opcode not in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
                    continue
                if frame.opcode is not Opcode.CONT:
                    is_text = frame.opcode is Opcode.TEXT
                parts.append(bytes(frame.data))
                if frame.fin:
                    whole, parts = b"".join(parts), []
                    yield whole.decode(errors="replace") if is_text else whole
            if self._is_over():
                return

    def _receive(self) -> list[Any]:
        try:
            data = self._socket.recv(_READ)
        except OSError:
            data = b""
        with self._lock:
            if data:
                self._protocol.receive_data(data)
            else:
                self._protocol.receive_eof()
            self._flush()
            return list(self._protocol.events_received())

    def _is_over(self) -> bool:
        from websockets.protocol import State

        with self._lock:
            return self._protocol.state in (State.CLOSED, State.CLOSING) and self._protocol.close_expected()

    def _flush(self) -> None:
        for data in self._protocol.data_to_send():
            if data:
                self._socket.sendall(data)
