"""What both bridges share: a request as a server hands it to an application, and the answer it gives."""

from __future__ import annotations

from portable.events import Response

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from portable.events import Request

__all__ = ["head_of", "make_response", "sent_headers", "server_of"]

_HOP_BY_HOP = ("connection", "keep-alive", "transfer-encoding")
_REPLACED = ("content-length", "transfer-encoding")  # the body is whole here, however it came


def sent_headers(request: Request) -> list[tuple[str, str]]:
    """The request's headers, with the host and the length of the body whoever left them out."""
    given = request.headers
    pairs = [pair for pair in given.items() if pair[0] not in _REPLACED]
    if request.encodes_cookies:
        pairs = [(name, _decode_cookies(value) if name == "cookie" else value) for name, value in pairs]
    if "host" not in given and request.host:
        pairs.insert(0, ("host", request.host))
    if request.body or "content-length" in given:
        pairs.append(("content-length", str(len(request.body))))
    return pairs


def _decode_cookies(line: str) -> str:
    """The cookies with the values that were set; one that could not be written in this line stays as it came."""
    from urllib.parse import unquote

    parts = []
    for part in line.split(";"):
        name, equals, value = part.strip().partition("=")
        decoded = unquote(value)
        safe = decoded.isascii() and decoded.isprintable() and ";" not in decoded and "," not in decoded
        parts.append(name + equals + (decoded if safe else value))
    return "; ".join(parts)


def server_of(request: Request) -> tuple[str, int]:
    """Name and port as the caller wrote them; the scheme's own port where none was written."""
    name, _, port = request.host.rpartition(":")
    if not name or not port.isdigit() or port.endswith("]"):
        name, port = request.host, ""
    if not port:
        forwarded = request.headers.get("x-forwarded-port", "")
        port = forwarded if forwarded.isdigit() else "80" if request.scheme == "http" else "443"
    return name.strip("[]") or "localhost", int(port)


def head_of(
    request: Request, headers: Iterable[tuple[str, str]], size: int | None
) -> tuple[str | None, list[tuple[str, str]]]:
    """The content type, and the other headers of an answer of so many bytes; None: not known yet.

    Raises RuntimeError where the application says another length: some clouds would cut or break that answer.
    """
    media_type = None
    kept = []
    for name, value in headers:
        folded = name.lower()
        if folded == "content-type" and media_type is None:
            media_type = value
        elif folded == "content-length":
            if size is not None and request.method != "HEAD" and value.strip() != str(size):
                raise RuntimeError(f"the mounted application sent {size} bytes under a content-length of {value}")
            kept.append((folded, value))
        elif folded not in _HOP_BY_HOP:
            kept.append((folded, value))
    return media_type, kept


def make_response(request: Request, status: int, headers: Iterable[tuple[str, str]], body: bytes) -> Response:
    """An application's whole answer. Raises RuntimeError for one that contradicts itself."""
    media_type, kept = head_of(request, headers, None if status in (204, 205, 304) else len(body))
    return Response(body or None, status, kept, media_type)
