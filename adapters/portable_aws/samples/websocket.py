"""Events of a WebSocket API."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

from portable.events import SocketEvent

__all__ = ["websocket_api"]

HOST = "abcdef1234.execute-api.us-east-1.amazonaws.com"
STAGE = "live"
AT = 1_774_771_200_000  # as portable.samples.neutral.SAMPLE_TIME


def websocket_api(event: SocketEvent) -> dict[str, Any]:
    """As Lambda gets it. Headers and query come with ``$connect``, and a few headers of its own with the last event."""
    kind = event.kind.upper()
    context: dict[str, Any] = {
        "routeKey": {"CONNECT": "$connect", "MESSAGE": "$default", "DISCONNECT": "$disconnect"}[kind],
        "eventType": kind,
        "extendedRequestId": "ABCDEFGHIJKLMNO=",
        "requestTime": "29/Mar/2026:08:00:00 +0000",
        "messageDirection": "IN",
        "stage": STAGE,
        "connectedAt": AT,
        "requestTimeEpoch": AT,
        "identity": {"userAgent": "python-websockets", "sourceIp": "203.0.113.7"},
        "requestId": "ABCDEFGHIJKLMNO=",
        "domainName": HOST,
        "connectionId": event.connection,
        "apiId": "abcdef1234",
    }
    native: dict[str, Any] = {"requestContext": context, "isBase64Encoded": False}
    if kind == "CONNECT":
        native |= _request(event)
        context["identity"]["sourceIp"] = event.client or context["identity"]["sourceIp"]
    elif kind == "MESSAGE":
        context["messageId"] = "ABCDEFGHIJKLMNO="
        text = isinstance(event.body, str)
        native["body"] = event.body if text else b64encode(bytes(event.body)).decode()  # type: ignore[arg-type]
        native["isBase64Encoded"] = not text
    else:
        context["disconnectStatusCode"] = event.code
        context["disconnectReason"] = event.reason
        native["headers"] = {"Host": HOST, "x-api-key": "", "X-Forwarded-For": "", "x-restapi": ""}
        native["multiValueHeaders"] = {name: [value] for name, value in native["headers"].items()}
    return native


def _request(event: SocketEvent) -> dict[str, Any]:
    headers: dict[str, list[str]] = {
        "Host": [HOST],
        "Sec-WebSocket-Key": ["dGhlIHNhbXBsZSBub25jZQ=="],
        "Sec-WebSocket-Version": ["13"],
    }
    for name, value in event.headers.items():
        headers.setdefault(name, []).append(value)
    query: dict[str, list[str]] = {}
    for name, value in event.query.items():
        query.setdefault(name, []).append(value)
    found: dict[str, Any] = {
        "headers": {name: values[-1] for name, values in headers.items()},
        "multiValueHeaders": headers,
    }
    if query:
        found["queryStringParameters"] = {name: values[-1] for name, values in query.items()}
        found["multiValueQueryStringParameters"] = query
    return found
