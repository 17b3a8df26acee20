"""HTTP requests under functions-framework: a Flask request on a WSGI environment.

https://cloud.google.com/run/docs/write-functions#http-functions, PEP 3333.

* The path is read from ``RAW_URI`` as gunicorn and Flask's own server give it, so ``/a%2Fb`` is one segment.
* WSGI joins request headers of one name with a comma before anybody sees them: ``headers.get_all`` has one value.
* The client is the last address of ``X-Forwarded-For``: Google's front end appends it, what stands before it the
  caller may have made up. Behind a load balancer of your own the last one is the load balancer.
"""

from __future__ import annotations

from portable.errors import HTTPError
from portable.events import Headers, Query, Request

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from portable.events import Response

__all__ = ["HTTP", "FunctionsRequest"]

PIECE_BYTES = 64 * 1024


def _raw_path(request: FunctionsRequest) -> str:
    environ = request.native.environ
    target: str = environ.get("RAW_URI") or environ.get("REQUEST_URI") or ""
    if target:
        path = target.partition("?")[0].partition("#")[0]
        if not path.startswith("/"):  # absolute form, RFC 9112 3.2.2: http://host/path
            path = "/" + path.partition("://")[2].partition("/")[2]
        return path
    from urllib.parse import quote

    return quote(environ.get("PATH_INFO", "/").encode("latin-1"), safe="/:@!$&'()*+,;=~-._") or "/"


def _query(request: FunctionsRequest) -> Query:
    text = request.native.environ.get("QUERY_STRING")
    if not text:
        return Query()
    from urllib.parse import parse_qsl

    return Query(parse_qsl(text, keep_blank_values=True))


def _headers(request: FunctionsRequest) -> Headers:
    pairs = []
    for name, value in request.native.environ.items():
        if name.startswith("HTTP_"):
            pairs.append((name[5:].replace("_", "-"), value))
        elif name in ("CONTENT_TYPE", "CONTENT_LENGTH") and value:
            pairs.append((name.replace("_", "-"), value))
    return Headers(pairs)


def _client(request: FunctionsRequest) -> str | None:
    environ = request.native.environ
    forwarded = environ.get("HTTP_X_FORWARDED_FOR", "").rpartition(",")[2].strip()
    return forwarded or environ.get("REMOTE_ADDR") or None


def _scheme(request: FunctionsRequest) -> str:
    environ = request.native.environ
    scheme: str = environ.get("HTTP_X_FORWARDED_PROTO", "").partition(",")[0].strip() or environ["wsgi.url_scheme"]
    return scheme


def _body(request: FunctionsRequest) -> bytes:
    if request._form is not None:
        raise RuntimeError(
            "the body was read as a multipart form, of which nothing is kept; take request.body before it"
        )
    body: bytes = request.native.get_data()
    return body


def _received(read: Callable[[int], bytes], size: int) -> bytes:
    """Up to ``size`` bytes. Raises HTTPError 400 where the caller is gone before the end, which werkzeug says so."""
    try:
        return read(size)
    except Exception as error:
        if getattr(error, "code", None) != 400:
            raise
        raise HTTPError(400, "The body is cut off") from error


class FunctionsRequest(Request):
    """A request read from its WSGI environment as far as a handler looks."""

    __slots__ = ("_too_long",)
    _too_long: int  # bytes of a body that was given up
    _lazy = {
        **Request._lazy,
        "raw_path": _raw_path,
        "query": _query,
        "raw_query": lambda request: request.native.environ.get("QUERY_STRING") or "",
        "headers": _headers,
        "client": _client,
        "scheme": _scheme,
        "_too_long": lambda request: 0,
        "body": _body,
    }

    def __init__(self, native: Any) -> None:
        self.native = native
        self.method = native.environ["REQUEST_METHOD"]
        self.root_path = ""

    def _pieces(self) -> Iterator[bytes]:
        """The body as it arrives, unless it was read before."""
        held = self._held_body()
        if held is not None:
            yield held
            return
        read = self.native.stream.read
        while piece := _received(read, PIECE_BYTES):
            yield piece

    def _size(self, most: int) -> int:
        """By what the request says; one that does not say it is read as far as ``most``."""
        said = self.native.environ.get("CONTENT_LENGTH") or ""
        if said.isdigit():
            return int(said)
        if self._too_long:
            return self._too_long
        held = self._held_body()
        if held is None:
            read, pieces, size = self.native.stream.read, [], 0
            while size <= most and (piece := _received(read, most + 1 - size)):
                pieces.append(piece)
                size += len(piece)
            held = b"".join(pieces)
            if size <= most:
                self.body = held
            else:
                self._too_long = size
        return len(held)

    def _held_body(self) -> bytes | None:
        """What was read before; None where nothing was, and nothing is read for it."""
        try:
            body: bytes = vars(Request)["body"].__get__(self)
        except AttributeError:
            return None
        return body


class HTTP:
    """Public, or behind Cloud Run's IAM check where a route says ``auth="cloud"``."""

    signature = "http"
    guarded = False

    @staticmethod
    def decode(native: Any) -> Request:
        """A request from Flask's."""
        return FunctionsRequest(native)

    @staticmethod
    def encode(response: Response) -> Response:
        """Nothing is translated but by the server."""
        return response
