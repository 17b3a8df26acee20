"""The body of an answer over HTTP, piece by piece as it comes."""

from __future__ import annotations

import http.client
import time
from collections.abc import Iterator
from socket import socket

__all__ = ["Body"]

_MOST = 65536


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
