"""Answers in gzip, for callers that take it."""

from __future__ import annotations

from portable.errors import ConfigError
from portable.events import Headers
from portable.http.copies import add_vary, bytes_of, copied

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from portable.events import Request, Response

__all__ = ["GZIP_FRAME", "GZip"]

GZIP_FRAME = 31
"""For zlib: a window of 32 KiB in gzip's frame, whose time is 0, so that equal bodies give equal bytes."""


_KINDS = (
    "application/javascript",
    "application/json",
    "application/wasm",
    "application/x-ndjson",
    "application/xml",
    "application/yaml",
    "font/otf",
    "font/ttf",
    "image/bmp",
    "image/svg+xml",
    "image/vnd.microsoft.icon",
    "text/*",
)


class GZip:
    """Compress answers: ``app.middleware(GZip())``.

    An answer is compressed when the caller takes gzip (RFC 9110, 12.5.3, q-values and all), it is of ``minimum`` bytes
    at least and of a type that gains by it, it is not encoded already, and ``Cache-Control`` does not forbid it
    (``no-transform``). Its strong ETag becomes a weak one, and it says ``Vary: Accept-Encoding``, compressed or not. A
    streamed answer is compressed piece by piece, whatever its length; server-sent events are not.

    An answer that holds a secret beside what the caller sent (a token in a page that repeats a search) can be guessed
    from its compressed length: send it with ``Cache-Control: no-transform``.

    Args:
        minimum: bytes. level: 1, quick, to 9, small.
        media_types: ``text/*`` means all of text; ``+json`` and ``+xml`` are like JSON and XML.
    """

    __slots__ = ("_exact", "_level", "_minimum", "_prefixes")

    def __init__(self, minimum: int = 1000, *, level: int = 6, media_types: Iterable[str] = _KINDS) -> None:
        if type(minimum) is not int or minimum < 0:
            raise ConfigError(f"GZip: minimum is bytes, got {minimum!r}")
        if type(level) is not int or not 1 <= level <= 9:
            raise ConfigError(f"GZip: level is 1 to 9, got {level!r}")
        kinds = [kind.lower() for kind in media_types]
        self._minimum = minimum
        self._level = level
        self._exact = frozenset(kind for kind in kinds if not kind.endswith("/*"))
        self._prefixes = tuple(kind[:-1] for kind in kinds if kind.endswith("/*"))

    def after(self, request: Request, response: Response) -> Response:
        """The answer, compressed where that is right."""
        if response.status == 304:
            return self._unchanged(request, response)
        if response.status == 206 or response.body is None or not self._gains(response):
            return response
        headers = response._headers
        if headers is not None and (
            "content-encoding" in headers or "no-transform" in headers.get("cache-control", "").lower()
        ):
            return response
        body = bytes_of(response) or b""
        if len(body) < self._minimum and not response.streamed:
            return response
        response = copied(response)
        headers = response.headers
        add_vary(headers, "Accept-Encoding")
        if not takes_gzip(request.headers.get("accept-encoding")):
            return response
        if response.streamed:
            return self._streamed(response)
        from zlib import DEFLATED, compressobj

        deflate = compressobj(self._level, DEFLATED, GZIP_FRAME)
        response.body = deflate.compress(body) + deflate.flush()
        headers["content-encoding"] = "gzip"
        if "accept-ranges" in headers:
            headers["accept-ranges"] = "none"  # parts are of the answer as it was
        if "content-length" in headers:
            headers["content-length"] = str(len(response.body))
        _weaken(headers)
        return response

    def _streamed(self, response: Any) -> Response:
        """The same answer, whose body is compressed as it is made."""
        from portable.http.compressed_streams import compressed

        response.body = compressed(response.body, response.piece, self._level)
        response._headers = Headers(pair for pair in response.headers.items() if pair[0] != "content-length")
        response.headers["content-encoding"] = "gzip"
        _weaken(response.headers)
        made: Response = response
        return made

    def _gains(self, response: Response) -> bool:
        sent = response.media_type
        if response._headers is not None:
            sent = response._headers.get("content-type", sent or "")
        kind = (sent or "").partition(";")[0].strip().lower()
        if kind == "text/event-stream":
            return False
        if kind in self._exact or (self._prefixes and kind.startswith(self._prefixes)):
            return True
        for ending, like in (("+json", "application/json"), ("+xml", "application/xml")):
            if kind.endswith(ending) and like in self._exact:
                return True
        return False

    def _unchanged(self, request: Request, response: Response) -> Response:
        """A 304 says of the cached answer what the caller has: the weak tag, when that is what it asked with."""
        tag = response.headers.get("etag", "")
        weak = f"W/{tag}"
        if tag.startswith('"') and weak in request.headers.get("if-none-match", ""):
            response = copied(response)
            response.headers["etag"] = weak
            add_vary(response.headers, "Accept-Encoding")
        return response


def _weaken(headers: Headers) -> None:
    tag = headers.get("etag", "")
    if tag.startswith('"'):
        headers["etag"] = f"W/{tag}"


def takes_gzip(accepted: str | None) -> bool:
    """Whether ``Accept-Encoding`` takes gzip, and not rather no encoding at all."""
    if accepted is None:
        return False
    qualities: dict[str, float] = {}
    for part in accepted.lower().split(","):
        coding, *parameters = part.split(";")
        qualities[coding.strip()] = _quality(parameters)
    gzip = qualities.get("gzip", qualities.get("x-gzip", qualities.get("*", 0.0)))
    return gzip > 0 and gzip >= qualities.get("identity", 0.0)


def _quality(parameters: list[str]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                quality = float(value)
            except ValueError:
                return 0.0
            return quality if 0 <= quality <= 1 else 0.0
    return 1.0
