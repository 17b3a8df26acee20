"""The shortest way to S3 for a small put or get: a request signed here, on a connection that is kept.

botocore decides all that can vary: host, path, region, credentials, certificates. It also does every call that does not
succeed here at the first attempt: any answer but a plain 200 or 206, and any trouble with a connection, is None, and
the caller asks botocore, which says what is wrong. So only calls that do no harm twice come here.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import socket
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from portable_aws._sdk import Client, Place

__all__ = ["Wire", "sign"]

IDLE_SECONDS = 5.0  # S3 closes what is idle a little longer, and a frozen function does not notice
_EMPTY = hashlib.sha256(b"").hexdigest()
_SAFE = "-_.~/"


class Wire:
    """Connections to one bucket. Safe under threads."""

    def __init__(self, client: Client, bucket: str) -> None:
        self._client = client
        self._bucket = bucket
        self._place: Place | None = None
        self._is_known = False
        self._idle: list[tuple[socket.socket, float]] = []
        self._pid = os.getpid()

    def get(self, key: str, span: str | None) -> bytes | None:
        """The blob, or the bytes of ``span``; None: ask botocore."""
        answer = self._call("GET", key, {} if span is None else {"range": span}, b"")
        return None if answer is None else answer[1]

    def put(self, key: str, data: bytes, headers: Mapping[str, str]) -> str | None:
        """The etag of what is now there; None: ask botocore."""
        answer = self._call("PUT", key, headers, data)
        return None if answer is None else _value(answer[0], b"etag").strip(b'"').decode() or None

    def close(self) -> None:
        """Close the connections. The next call opens them anew."""
        while self._idle:
            self._idle.pop()[0].close()

    def __del__(self) -> None:
        self.close()

    def _call(self, method: str, key: str, headers: Mapping[str, str], data: bytes) -> tuple[bytes, bytes] | None:
        if not self._is_known:
            self._place = self._client.place(self._bucket)
            self._is_known = True
        place = self._place
        if place is None:
            return None
        head = sign(place, method, place.path(key), headers, data)
        connection = None
        try:
            connection = self._take(place)
            connection.sendall(head + data if len(data) < 65536 else head)
            if len(data) >= 65536:
                connection.sendall(data)
            answer = _read(connection)
        except OSError:
            answer = None
        if answer is None or _value(answer[0], b"connection").lower() == b"close":
            if connection is not None:
                connection.close()
        else:
            self._idle.append((connection, time.monotonic()))  # type: ignore[arg-type]
        return answer

    def _take(self, place: Place) -> socket.socket:
        if self._pid != os.getpid():  # a forked child must not speak on its parent's connections
            self._idle, self._pid = [], os.getpid()
        least = time.monotonic() - IDLE_SECONDS
        while self._idle:
            try:
                connection, used = self._idle.pop()
            except IndexError:  # another thread was first
                break
            if used > least:
                return connection
            connection.close()
        made: socket.socket = place.connect()
        return made


def sign(place: Place, method: str, path: str, headers: Mapping[str, str], data: bytes) -> bytes:
    """The head of a request, signed by version 4: AmazonS3/latest/API/sig-v4-header-based-auth.html."""
    access, secret, token = place.credentials()
    now = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    digest = hashlib.sha256(data).hexdigest() if data else _EMPTY
    signed = {"host": place.host, "x-amz-content-sha256": digest, "x-amz-date": now}
    if token:
        signed["x-amz-security-token"] = token
    for name, value in headers.items():
        if name == "content-type" or name.startswith("x-amz-"):
            signed[name] = " ".join(value.split())
    names = ";".join(sorted(signed))
    lines = "".join([f"{name}:{signed[name]}\n" for name in sorted(signed)])
    request = f"{method}\n{path}\n\n{lines}\n{names}\n{digest}"
    scope = f"{now[:8]}/{place.region}/s3/aws4_request"
    text = f"AWS4-HMAC-SHA256\n{now}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
    signature = hmac.digest(place.signing_key(now[:8], secret), text.encode(), "sha256").hex()
    sent = {**signed, **headers}
    if method == "PUT":
        sent["content-length"] = str(len(data))
    rest = "".join([f"{name}: {value}\r\n" for name, value in sent.items()])
    authorization = f"AWS4-HMAC-SHA256 Credential={access}/{scope},SignedHeaders={names},Signature={signature}"
    return f"{method} {path} HTTP/1.1\r\n{rest}authorization: {authorization}\r\n\r\n".encode("latin-1")


def _read(connection: socket.socket) -> tuple[bytes, bytes] | None:
    """Head and body of a plain answer; None for any other, and then the connection is of no more use."""
    found = connection.recv(65536)
    while (end := found.find(b"\r\n\r\n")) < 0:
        more = connection.recv(65536)
        if not more or len(found) > 65536:
            return None
        found += more
    head = found[:end]
    if head[:12] not in (b"HTTP/1.1 200", b"HTTP/1.1 206") or _value(head, b"transfer-encoding"):
        return None
    length = _value(head, b"content-length")
    if not length.isdigit():
        return None
    parts = [found[end + 4 :]]
    left = int(length) - len(parts[0])
    while left > 0:
        more = connection.recv(min(left, 1 << 20))
        if not more:
            return None
        parts.append(more)
        left -= len(more)
    return None if left else (head, parts[0] if len(parts) == 1 else b"".join(parts))


def _value(head: bytes, name: bytes) -> bytes:
    start = head.lower().find(b"\r\n" + name + b":")
    if start < 0:
        return b""
    start += len(name) + 3
    end = head.find(b"\r\n", start)
    return head[start : len(head) if end < 0 else end].strip()
