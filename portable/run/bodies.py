"""A request as it is over HTTP, and the body of its answer, piece by piece as it comes."""

from __future__ import annotations

import http.client
import time
from collections.abc import Iterable, Iterator
from socket import socket
from typing import Any

from portable.run.processes import LOOPBACK

__all__ = ["Body", "exchange"]

_MOST = 65536
_CONNECT = 10.0  # seconds a started process may take to take a connection


class Body:
    """Pieces of an answer's body, as its sender sent them; the connection is closed at the end and by ``close``.

    Raises OSError (TimeoutError past ``limit``, on the monotonic clock) and HTTPException where the answer broke off.
    """

    def __init__(
        self, connection: http.client.HTTPConnection, sock: socket, answer: http.client.HTTPResponse, limit: float
    ) -> None:
        self._connection = connection
        self._socket = sock
        self._answer = answer
        self._limit = limit

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        try:
            piece = b"" if self._answer.isclosed() else self._read()
        except BaseException:
            self.close()
            raise
        if not piece:
            self.close()
            raise StopIteration
        return piece

    def _read(self) -> bytes:
        self._socket.settimeout(max(0.001, self._limit - time.monotonic()))
        return self._answer.read1(_MOST)

    def close(self) -> None:
        """Hang up."""
        self._answer.close()
        self._connection.close()


def exchange(
    port: int, method: str, path: str, headers: Iterable[tuple[str, str]], body: bytes, limit: float
) -> tuple[dict[str, Any], Body]:
    """One request with its target and headers as they are: ``status`` and ``headers`` of its answer, and its body.

    ``limit``: on the monotonic clock. Raises OSError and HTTPException, and so does reading the body.
    """
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=_CONNECT)
    try:
        connection.connect()
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        names = set()
        for name, value in headers:
            lowered = name.lower()
            if lowered not in ("content-length", "transfer-encoding", "connection"):
                connection.putheader(name, value.encode("utf-8"))
                names.add(lowered)
        if "host" not in names:
            connection.putheader("host", f"{LOOPBACK}:{port}")
        if body or method in ("POST", "PUT", "PATCH"):
            connection.putheader("content-length", str(len(body)))
        connection.endheaders(body or None)
        assert connection.sock is not None
        connection.sock.settimeout(max(0.001, limit - time.monotonic()))
        sock = connection.sock  # a connection that is to close gives it to the answer
        answer = connection.getresponse()
    except BaseException:
        connection.close()
        raise
    found = [[name.lower(), value] for name, value in answer.getheaders()]
    return {"status": answer.status, "headers": found}, Body(connection, sock, answer, limit)
