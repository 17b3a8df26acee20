"""Requests that ask for another protocol: a websocket, or what is spoken to as HTTP/1.1 all the same.

https://www.rfc-editor.org/rfc/rfc9110#section-7.8: a server may ignore Upgrade. The parser does not: it takes the body
for the other protocol's first bytes, so a request that is not upgraded is read once more, without what asks for it.
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["is_websocket", "without_upgrade"]

_OF_UPGRADES = (b"upgrade", b"http2-settings")
Fields = Sequence[tuple[bytes, bytes]]


def is_websocket(method: str, headers: Fields) -> bool:
    """Whether a request asks to become a websocket, as RFC 6455 has it: a GET without a body."""
    if method != "GET":
        return False
    asked = False
    for name, value in headers:
        if name == b"upgrade":
            asked = value.lower() == b"websocket"
        elif name == b"transfer-encoding" or (name == b"content-length" and int(value) > 0):
            return False
    return asked


def without_upgrade(method: str, target: bytes, version: str, headers: Fields) -> bytes:
    """The head of a request that asks for nothing else any more."""
    lines = [b"%b %b HTTP/%b\r\n" % (method.encode("latin-1"), target, version.encode("latin-1"))]
    for name, value in headers:
        kept = value
        if name in _OF_UPGRADES:
            continue
        if name == b"connection":
            options = [one.strip() for one in value.split(b",")]
            kept = b", ".join(one for one in options if one.lower() not in _OF_UPGRADES)
            if not kept:
                continue
        lines.append(b"%b: %b\r\n" % (name, kept))
    return b"".join([*lines, b"\r\n"])
