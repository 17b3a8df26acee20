"""Websockets on Azure Web PubSub. The address is a hub, ``https://NAME.webpubsub.azure.com/hubs/HUB``.

The access key is taken from ``WebPubSubConnectionString`` where that is of the same service; else sends go by the
app's identity. https://learn.microsoft.com/rest/api/webpubsub/dataplane/web-pub-sub
"""

from __future__ import annotations

from threading import Lock

from portable.drivers import read_address
from portable.errors import ConfigError, NotFoundError, UnsupportedError
from portable_azure import _sdk
from portable_azure.errors import translate
from portable_azure.limits import SOCKET_BYTES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from portable.resources import Resource

__all__ = ["CONNECTION", "PubSubSockets", "key_of", "open_driver", "parse_address"]

CONNECTION = "WebPubSubConnectionString"
"""The setting with the service's connection string, as Microsoft's own extension for Functions calls it."""


def open_driver(resource: Resource, environment: Mapping[str, str]) -> PubSubSockets:
    """The driver of declared sockets. Raises ConfigError without an address, or for one of another form."""
    return PubSubSockets(resource.name, read_address("sockets", resource.name, environment), environment)


def parse_address(name: str, address: str) -> tuple[str, str]:
    """The service's endpoint and the hub. Raises ConfigError."""
    endpoint, found, hub = address.rstrip("/").partition("/hubs/")
    if not found or not hub or "/" in hub or not endpoint.startswith(("https://", "http://")):
        raise ConfigError(f"sockets {name}: the address is https://NAME.webpubsub.azure.com/hubs/HUB, not {address!r}")
    return endpoint, hub


def key_of(endpoint: str, environment: Mapping[str, str]) -> str | None:
    """The access key of a service, where the environment has it."""
    parts = dict(part.partition("=")[::2] for part in environment.get(CONNECTION, "").split(";"))
    given = parts.get("Endpoint", "").rstrip("/")
    if "Port" in parts:
        given = f"{given}:{parts['Port']}"
    return parts.get("AccessKey") or None if given == endpoint else None


class PubSubSockets:
    """See ``portable.drivers.SocketsDriver``. Each call is a request of its own, made once."""

    def __init__(self, name: str, address: str, environment: Mapping[str, str]) -> None:
        self._label = f"sockets {name}"
        self._endpoint, self._hub = parse_address(name, address)
        self._environment = environment
        self._making = Lock()
        self._client: Any = None

    def send(self, connection: str, data: str | bytes) -> None:
        """See ``portable.drivers``. Up to 1 MiB."""
        body = data.encode() if isinstance(data, str) else data
        if len(body) > SOCKET_BYTES:
            raise UnsupportedError(
                f"Web PubSub sends {SOCKET_BYTES} bytes at most, not {len(body)}", resource=self._label
            )
        kind = "text/plain" if isinstance(data, str) else "application/octet-stream"
        self._call("send_to_connection", connection, message=body, content_type=kind)

    def disconnect(self, connection: str) -> None:
        """See ``portable.drivers``."""
        try:
            self._call("close_connection", connection)
        except NotFoundError:
            return

    def native(self) -> Any:
        """The WebPubSubServiceClient of azure-messaging-webpubsubservice."""
        with self._making:
            if self._client is None:
                key = key_of(self._endpoint, self._environment)
                self._client = _sdk.pubsub_client(self._endpoint, self._hub, key)
            return self._client

    def close(self) -> None:
        """Close its connections. The next use makes new ones."""
        with self._making:
            client, self._client = self._client, None
        if client is not None:
            client.close()

    def _call(self, method: str, connection: str, **options: Any) -> None:
        client = self.native()
        if not connection:
            raise NotFoundError("a connection has an id", resource=self._label, key=connection)
        try:
            getattr(client, method)(connection, **options)
        except Exception as error:
            raise translate(error, self._label, connection) from error
