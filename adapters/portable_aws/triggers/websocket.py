"""Websockets: API Gateway WebSocket APIs with a Lambda proxy integration for ``$connect``, ``$default`` and
``$disconnect``.

https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-api-mapping-template-reference.html
https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-api-route-keys-connect-disconnect.html
"""

from __future__ import annotations

from portable.events import Headers, Query, SocketEvent
from portable_aws.triggers import malformed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from portable.events import Response

__all__ = ["WebSocketAPI"]

KINDS = {"CONNECT": "connect", "MESSAGE": "message", "DISCONNECT": "disconnect"}


def _pairs(event: dict[str, Any], single: str, multi: str) -> list[tuple[str, str]]:
    many = event.get(multi)
    if many:
        return [(name, value) for name, values in many.items() for value in values or ()]
    return [(name, value) for name, value in (event.get(single) or {}).items() if value is not None]


def _body(event: SocketEvent) -> str:
    native = event.native
    body: str = native.get("body") or ""
    if native.get("isBase64Encoded"):
        from binascii import a2b_base64

        return a2b_base64(body).decode()
    return body


class _Event(SocketEvent):
    __slots__ = ()
    _lazy = {
        **SocketEvent._lazy,
        "body": _body,
        "code": lambda event: event.native["requestContext"].get("disconnectStatusCode"),
        "reason": lambda event: event.native["requestContext"].get("disconnectReason") or "",
    }


class _Connect(_Event):
    """What is known of the client; API Gateway decodes the query."""

    __slots__ = ()
    _lazy = {
        **_Event._lazy,
        "client": lambda event: (event.native["requestContext"].get("identity") or {}).get("sourceIp"),
        "headers": lambda event: Headers(_pairs(event.native, "headers", "multiValueHeaders")),
        "query": lambda event: Query(_pairs(event.native, "queryStringParameters", "multiValueQueryStringParameters")),
    }


class WebSocketAPI:
    """A WebSocket API: all messages come to ``$default``, for none of its routes has a name."""

    source = "websocket-api"

    @staticmethod
    def decode(event: dict[str, Any]) -> SocketEvent:
        """The event. Raises ValueError naming what is missing."""
        try:
            context = event["requestContext"]
            kind = KINDS[context["eventType"]]
            kept = _Connect if kind == "connect" else _Event
            found = kept.__new__(kept)
            found.native = event
            found.kind = kind  # type: ignore[assignment]
            found.connection = context["connectionId"]
        except (KeyError, TypeError) as error:
            raise malformed("websocket-api", "an event of a WebSocket API", error, event) from error
        return found

    @staticmethod
    def encode(response: Response) -> dict[str, Any]:
        """The answer. On ``$connect`` another status than 2xx refuses; of other routes it says what is counted."""
        body = response.body
        if body is None and response._headers is None:
            return {"statusCode": response.status}
        answer: dict[str, Any] = {"statusCode": response.status}
        if headers := dict(response.header_pairs()):
            answer["headers"] = headers
        if body:
            answer["body"] = body if isinstance(body, str) else bytes(body).decode()
        return answer
