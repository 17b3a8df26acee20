"""Websockets on this machine: those that this very process holds open."""

from __future__ import annotations

import os
import sys

from portable.errors import NotFoundError, UnsupportedError
from portable.live import Connections, connections

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portable.resources import Resource

__all__ = ["LocalSockets", "open_driver"]


def open_driver(resource: Resource) -> LocalSockets:
    """The driver of declared sockets."""
    return LocalSockets(resource.name)


class LocalSockets:
    """See ``portable.drivers.SocketsDriver``."""

    def __init__(self, name: str) -> None:
        self._resource = f"sockets {name}"

    def send(self, connection: str, data: str | bytes) -> None:
        """At once, or when the client has read what waits for it; 1,024 messages may wait."""
        peer = connections.find(connection)
        if peer is None:
            if _is_elsewhere(connection):
                raise UnsupportedError(
                    "another process of this machine holds it open (`portable dev`?); send from there",
                    resource=self._resource,
                    key=connection,
                )
            raise NotFoundError("the connection is gone", resource=self._resource, key=connection)
        peer.send(data)

    def disconnect(self, connection: str) -> None:
        """Closed with 1000."""
        peer = connections.find(connection)
        if peer is not None:
            peer.close()

    def native(self) -> Connections:
        """The open connections of this process."""
        return connections

    def close(self) -> None:
        """Nothing is open but what a server holds."""


def _is_elsewhere(connection: str) -> bool:
    """Whether the process that made this id still runs. Windows cannot be asked without harm: there it may."""
    owner, _, _ = connection.partition("-")
    try:
        process = int(owner, 16)
    except ValueError:
        return False
    if connections.holds(connection) or process == os.getpid():
        return False
    if sys.platform == "win32":
        return True
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True
