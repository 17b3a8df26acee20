"""Native events and answers that are HTTP requests and responses, of targets whose functions are HTTP servers.

{"method": "POST", "path": "/", "headers": [["content-type", "text/plain"]], "body": "hello", "base64": False}
{"status": 200, "headers": [["content-type", "text/plain"]], "body": "hello", "base64": False}
"""

from __future__ import annotations

import base64
import json
from collections.abc import Container
from typing import Any

from portable.events import Response

__all__ = ["body_of", "error_of", "response_of", "with_body"]


def body_of(native: Any) -> bytes:
    """The bytes of a native event's or answer's body."""
    text = native.get("body") or ""
    return base64.b64decode(text) if native.get("base64") else text.encode()


def with_body(native: dict[str, Any], body: bytes) -> dict[str, Any]:
    """A native event or answer with these bytes as its body."""
    try:
        return {**native, "body": body.decode(), "base64": False}
    except UnicodeDecodeError:
        return {**native, "body": base64.b64encode(body).decode(), "base64": True}


def error_of(status: int, body: bytes) -> str:
    """The error that an answer to an event tells of."""
    try:
        detail = str(json.loads(body)["detail"])
    except (ValueError, KeyError, TypeError):
        detail = body.decode(errors="replace")
    return detail if status >= 500 else f"HTTPError: {status} {detail}"


def response_of(event: Any, answer: Any, body: bytes, of_the_server: Container[str]) -> Response:
    """A handler's answer, without the headers of whoever serves it."""
    headers = [(name.lower(), value) for name, value in answer["headers"] if name.lower() not in of_the_server]
    if getattr(event, "method", "") != "HEAD":
        headers = [pair for pair in headers if pair[0] != "content-length"]
    return Response(body or None, answer["status"], headers)
