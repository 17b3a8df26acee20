"""Websockets on this machine: those that this process holds open, or the one at an address, where there is one.

An address is ``http://127.0.0.1:PORT/TOKEN``, of a process that serves ``portable.run.emulators.gateways.held_here``:
``portable run`` and the tests of a built artifact play the gateway there.
"""

from __future__ import annotations

import os
import sys

from portable.drivers import address_variable
from portable.errors import ConfigError, NotFoundError, UnavailableError, UnsupportedError
from portable.live import Connections, connections

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from portable.resources import Resource

__all__ = ["LocalSockets", "open_driver"]

_SECONDS = 10


def open_driver(resource: Resource, environment: Mapping[str, str]) -> LocalSockets:
    """The driver of declared sockets. Raises ConfigError for an address that is not on this machine."""
    return LocalSockets(resource.name, environment.get(address_variable("sockets", resource.name)))


class LocalSockets:
    """See ``portable.drivers.SocketsDriver``."""

    def __init__(self, name: str, address: str | None = None) -> None:
        self._resource = f"sockets {name}"
        if address and not address.startswith("http://127.0.0.1:"):
            raise ConfigError(f"{self._resource}: its address is on this machine, http://127.0.0.1:PORT/TOKEN")
        self._address = (address or "").rstrip("/")

    def send(self, connection: str, data: str | bytes) -> None:
        """At once, or when the client has read what waits for it; 1,024 messages may wait."""
        peer = connections.find(connection)
        if peer is None and self._address:
            self._ask("POST", connection, data)
            return
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
        elif self._address:
            try:
                self._ask("DELETE", connection, b"")
            except NotFoundError:
                return

    def _ask(self, method: str, connection: str, data: str | bytes) -> None:
        from http.client import HTTPConnection, HTTPException
        from urllib.parse import quote, urlsplit

        url = urlsplit(self._address)
        text = isinstance(data, str)
        headers = {"Content-Type": "text/plain" if text else "application/octet-stream"}
        asked = HTTPConnection(url.netloc, timeout=_SECONDS)
        try:
            body = data.encode() if isinstance(data, str) else data
            asked.request(method, f"{url.path}/{quote(connection, safe='')}", body, headers)
            status = asked.getresponse().status
        except (OSError, HTTPException) as error:
            raise UnavailableError(f"{self._address}: {error}", resource=self._resource, key=connection) from error
        finally:
            asked.close()
        if status == 404:
            raise NotFoundError("the connection is gone", resource=self._resource, key=connection)
        if status >= 300:
            raise UnavailableError(f"the answer is {status}", resource=self._resource, key=connection)

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
