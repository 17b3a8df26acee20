"""What the Functions host does for an app that streams: it passes a request on to the worker's own HTTP server.

An imitation, as all of the host here. The host is taken to keep the path and query as they came, and to say by
``X-Forwarded-Proto`` and ``Host`` how the caller spoke to it.
"""

from __future__ import annotations

import base64
import http.client
import time
from typing import Any

__all__ = ["connect", "send"]

_INVOCATION = "x-ms-invocation-id"
_LEFT_OUT = ("connection", "content-length", "host", "transfer-encoding")


def connect(address: str, limit: float) -> http.client.HTTPConnection:
    """A connection to the server, which may be about to listen. Raises OSError past ``limit`` (monotonic)."""
    host, _, port = address.removeprefix("http://").partition(":")
    while True:
        connection = http.client.HTTPConnection(host, int(port), timeout=max(0.001, limit - time.monotonic()))
        try:
            connection.connect()
        except ConnectionRefusedError:
            connection.close()
            if time.monotonic() > limit:
                raise
            time.sleep(0.01)
        else:
            return connection


def send(connection: http.client.HTTPConnection, request: dict[str, Any], invocation: str) -> None:
    """Send a request as the host was asked it (``RpcHttp``)."""
    scheme, _, rest = request["url"].partition("://")
    host, slash, path = rest.partition("/")
    body = base64.b64decode((request.get("body") or {}).get("bytes", ""))
    connection.putrequest(request["method"], slash + path or "/", skip_host=True, skip_accept_encoding=True)
    for name, value in request["headers"].items():
        if name.lower() not in _LEFT_OUT:
            connection.putheader(name, value.encode("utf-8"))
    connection.putheader("host", request["headers"].get("host", host))
    connection.putheader("x-forwarded-proto", scheme)
    connection.putheader(_INVOCATION, invocation)
    if body or request["method"] in ("POST", "PUT", "PATCH"):
        connection.putheader("content-length", str(len(body)))
    connection.endheaders(body or None)
