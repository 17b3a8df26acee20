"""Azure Web PubSub's events: CloudEvents in binary mode, posted to an HTTP trigger, and the validation before them.

https://learn.microsoft.com/azure/azure-web-pubsub/reference-cloud-events

A request is the service's own when it bears an HMAC of the connection's id by the access key. That says nothing of its
body, so the endpoint asks for a function key too, which is in the event handler's URL template.
"""

from __future__ import annotations

from portable.errors import ConfigError
from portable.events import Headers, Query, Response, SocketEvent

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from portable.events import Request

__all__ = ["WebPubSubTrigger"]

_CONNECT = "azure.webpubsub.sys.connect"
_CONNECTED = "azure.webpubsub.sys.connected"
_DISCONNECTED = "azure.webpubsub.sys.disconnected"
_USER = "azure.webpubsub.user."
_JSON = "application/json"


def _details(event: SocketEvent) -> dict[str, Any]:
    """The document that comes with a system event."""
    from portable.jsontext import load_text

    found = load_text(event.native.get_body() or b"{}")
    return found if isinstance(found, dict) else {}


def _pairs(found: Any) -> list[tuple[str, str]]:
    return [(name, value) for name, values in (found or {}).items() for value in values]


class _Event(SocketEvent):
    __slots__ = ()
    _lazy = {**SocketEvent._lazy, "reason": lambda event: _details(event).get("reason") or ""}


class _Connect(SocketEvent):
    """The service says nothing of the client's address."""

    __slots__ = ()
    _lazy = {
        **SocketEvent._lazy,
        "client": lambda event: None,
        "headers": lambda event: Headers(_pairs(_details(event).get("headers"))),
        "query": lambda event: Query(_pairs(_details(event).get("query"))),
        "subprotocols": lambda event: list(_details(event).get("subprotocols") or ()),
    }


class WebPubSubTrigger:
    """The events of one hub.

    Args:
        host: of the service, as it names itself when it asks whether it may send events here.
        key: the access key; the service signs with both of its two.
    """

    def __init__(self, host: str, key: str) -> None:
        self._host = host
        self._key = key.encode()

    @staticmethod
    def of_address(name: str, address: str, environment: Mapping[str, str]) -> WebPubSubTrigger:
        """The events of declared sockets. Raises ConfigError without the access key: events could not be trusted."""
        from portable_azure.sockets import key_of, parse_address

        endpoint, _ = parse_address(name, address)
        key = key_of(endpoint, environment)
        if key is None:
            raise ConfigError(
                f"sockets {name}: the access key of {endpoint} is not known, so no event of it can be told from a "
                "forged one; set WebPubSubConnectionString"
            )
        return WebPubSubTrigger(endpoint.partition("://")[2], key)

    def decode(self, request: Request) -> SocketEvent | Response:
        """The event, or the answer to a request that brings none to a handler."""
        if request.method == "OPTIONS":
            return self._validate(request)
        headers = request.headers
        connection, kind = headers.get("ce-connectionid", ""), headers.get("ce-type", "")
        if not connection or not self._is_signed(connection, headers.get("ce-signature", "")):
            from portable.http.answers import problem

            return problem(401, "This is no event of the service: ce-signature is not that of its access key")
        if kind == _CONNECTED:
            return Response(None, 204)
        try:
            made = self._event(request, kind)
        except ValueError as error:
            from portable.http.answers import problem

            return problem(400, f"{kind}: {error}")
        made.connection = connection
        made.native = request.native
        return made

    def _event(self, request: Request, kind: str) -> SocketEvent:
        if kind == _CONNECT:
            made: SocketEvent = _Connect.__new__(_Connect)
            made.kind = "connect"
            return made
        made = _Event.__new__(_Event)
        if kind == _DISCONNECTED:
            made.kind = "disconnect"
            return made
        if not kind.startswith(_USER):
            raise ValueError("no event of Web PubSub is of this type")
        made.kind = "message"
        is_text = (request.content_type or "").partition(";")[0] in ("text/plain", _JSON)
        made.body = request.body.decode() if is_text else request.body
        return made

    def encode(self, event: SocketEvent, response: Response) -> Response:
        """The answer: nothing, the chosen subprotocol, or a refusal. What fails later is no trouble of the client's."""
        if event.kind != "connect":
            return Response(None, 204)
        if response.status >= 300:
            return response
        chosen = response.headers.get("sec-websocket-protocol")
        if chosen is None:
            return Response(None, 204)
        from portable.jsontext import encode_text

        return Response(encode_text({"subprotocol": chosen}), 200, None, _JSON)

    def _validate(self, request: Request) -> Response:
        """CloudEvents' protection of others from being sent events: yes, to our own service alone."""
        asking = [origin.strip() for origin in request.headers.get("webhook-request-origin", "").split(",")]
        if self._host not in asking:
            from portable.http.answers import problem

            return problem(403, f"Events are taken from {self._host} alone")
        return Response(None, 200, {"webhook-allowed-origin": self._host})

    def _is_signed(self, connection: str, signatures: str) -> bool:
        from hmac import compare_digest, digest

        expected = f"sha256={digest(self._key, connection.encode(), 'sha256').hex()}"
        return any(compare_digest(one.strip().encode(), expected.encode()) for one in signatures.split(","))
