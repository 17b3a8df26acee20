"""Answers as bytes of HTTP/1.1. How one is framed is the server's to say: what a handler says of it is not sent."""

from __future__ import annotations

from portable.events import Response
from portable.http.answers import TITLES

__all__ = ["encode", "head"]

_REASONS = {
    **TITLES,
    200: "OK",
    201: "Created",
    202: "Accepted",
    204: "No Content",
    206: "Partial Content",
    301: "Moved Permanently",
    302: "Found",
    303: "See Other",
    304: "Not Modified",
    307: "Temporary Redirect",
    308: "Permanent Redirect",
}
_FRAMING = frozenset({"connection", "content-length", "keep-alive", "transfer-encoding", "upgrade"})
"""What is said of one connection, and of how an answer lies in it. One that passes on another server's gives it too;
two framings in one answer are read differently: https://www.rfc-editor.org/rfc/rfc9110#section-7.6.1.
"""


def encode(response: Response, method: str, date: str, keeps: bool) -> tuple[bytes, bytes, bool]:
    """Head and body of an answer as they are sent, and whether the connection is kept after it.

    Raises ValueError for a header that is none.
    """
    content = response.body
    body: bytes = b"" if content is None else content.encode() if isinstance(content, str) else content
    pairs = response.header_pairs()
    status = response.status
    bare = status == 204 or status == 304
    for name, _ in pairs:
        if name in _FRAMING:
            pairs, keeps = _without_framing(pairs, keeps, length=status == 304 or method == "HEAD")
            break
    if bare or method == "HEAD":  # its answer says the length by itself, where it knows one
        body = b""
    else:
        pairs.append(("content-length", str(len(body))))
    if not keeps:
        pairs.append(("connection", "close"))
    return head(status, pairs, date), body, keeps


def _without_framing(pairs: list[tuple[str, str]], keeps: bool, *, length: bool) -> tuple[list[tuple[str, str]], bool]:
    """The headers that are the handler's to say; ``length``: that of a body which is not sent is one of them."""
    left = []
    for name, value in pairs:
        if name == "connection" and "close" in value.lower():
            keeps = False
        if name not in _FRAMING or (name == "content-length" and length):
            left.append((name, value))
    return left, keeps


def head(status: int, pairs: list[tuple[str, str]], date: str) -> bytes:
    """Status line and headers. Raises ValueError for a header with a line break, or one that is no latin-1."""
    lines = "".join([f"{name}: {value}\r\n" for name, value in pairs])
    if lines.count("\n") != len(pairs) or lines.count("\r") != len(pairs):
        raise ValueError("a header holds a line break")
    return f"HTTP/1.1 {status} {_REASONS.get(status, '')}\r\n{date}{lines}\r\n".encode("latin-1")
