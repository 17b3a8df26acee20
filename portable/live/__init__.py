"""Websockets that this process holds open itself: in ``portable dev``, in tests, in a container."""

from __future__ import annotations

import os
from _thread import allocate_lock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    class Peer(Protocol):
        """The other end of an open connection. Both methods may be called from any thread."""

        def send(self, data: str | bytes) -> None:
            """Give it a message. Raises NotFoundError when it is closed, UnavailableError when it takes none."""

        def close(self) -> None:
            """Close it; once more is no error."""


__all__ = ["Connections", "connections"]


class Connections:
    """The open connections of a process, by id. Safe under threads.

    Attributes:
        instance: what every id of this process begins with, before the dot; its process id and what tells it from
            another process that had the same.
    """

    def __init__(self) -> None:
        self.instance = f"{os.getpid():x}-{os.urandom(6).hex()}"
        self._peers: dict[str, Peer] = {}
        self._lock = allocate_lock()

    def new_id(self) -> str:
        """The id of a connection that is about to be made; it cannot be guessed."""
        return f"{self.instance}.{os.urandom(12).hex()}"

    def add(self, connection: str, peer: Peer) -> None:
        """It is open."""
        with self._lock:
            self._peers[connection] = peer

    def remove(self, connection: str) -> None:
        """It is closed."""
        with self._lock:
            self._peers.pop(connection, None)

    def find(self, connection: str) -> Peer | None:
        """The other end of an open connection."""
        return self._peers.get(connection)

    def holds(self, connection: str) -> bool:
        """Whether an id is one of this process's, open or not."""
        return connection.startswith(f"{self.instance}.")


connections = Connections()
"""Those of this process."""
