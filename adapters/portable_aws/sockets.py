"""Websockets on API Gateway. The address is where its connections are managed,
``https://API.execute-api.REGION.amazonaws.com/STAGE``.

https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-how-to-call-websocket-api-connections.html
"""

from __future__ import annotations

from portable.drivers import read_address
from portable.errors import ConfigError, NotFoundError, UnsupportedError
from portable_aws._sdk import Client
from portable_aws.errors import translate
from portable_aws.limits import SOCKET_BYTES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from portable.resources import Resource

__all__ = ["GatewaySockets", "open_driver"]


def open_driver(resource: Resource, environment: Mapping[str, str] | None) -> GatewaySockets:
    """The driver of declared sockets. Raises ConfigError without an address."""
    return GatewaySockets(resource.name, environment)


class GatewaySockets:
    """See ``portable.drivers.SocketsDriver``. Each call is a signed request of its own."""

    def __init__(self, name: str, environment: Mapping[str, str] | None) -> None:
        self._label = f"sockets {name}"
        address = read_address("sockets", name, environment)
        if not address.startswith(("https://", "http://")):
            raise ConfigError(
                f"{self._label}: the address {address!r} is no URL; it is https://API.execute-api.REGION.amazonaws.com"
                "/STAGE, without @connections"
            )
        url = address.rstrip("/")
        self._client = Client("apigatewaymanagementapi", environment, _region_of(url), endpoint=url)

    def send(self, connection: str, data: str | bytes) -> None:
        """See ``portable.drivers``. API Gateway sends it as a text frame, up to 128 KiB."""
        if not isinstance(data, str):
            raise UnsupportedError("API Gateway carries text alone; put bytes in base64", resource=self._label)
        body = data.encode()
        if len(body) > SOCKET_BYTES:
            raise UnsupportedError(
                f"API Gateway sends {SOCKET_BYTES} bytes at most, not {len(body)}", resource=self._label
            )
        self._call("post_to_connection", connection, Data=body)

    def disconnect(self, connection: str) -> None:
        """See ``portable.drivers``."""
        try:
            self._call("delete_connection", connection)
        except NotFoundError:
            return

    def native(self) -> Any:
        """Botocore's client of ``apigatewaymanagementapi``."""
        return self._client.get()

    def close(self) -> None:
        """Close its connections."""
        self._client.close()

    def _call(self, method: str, connection: str, **options: Any) -> None:
        try:
            getattr(self._client.get(), method)(ConnectionId=connection, **options)
        except Exception as error:
            raise translate(error, self._label, connection) from error


def _region_of(url: str) -> str | None:
    """``eu-west-1`` of ``https://abc.execute-api.eu-west-1.amazonaws.com/live``."""
    parts = url.partition("//")[2].partition("/")[0].split(".")
    return parts[2] if len(parts) > 3 and parts[1] == "execute-api" else None
