"""HTTP requests under functions-framework: a Flask request on a WSGI environment.

https://cloud.google.com/run/docs/write-functions#http-functions, PEP 3333.

* The path is read from ``RAW_URI`` as gunicorn and Flask's own server give it, so ``/a%2Fb`` is one segment.
* WSGI joins request headers of one name with a comma before anybody sees them: ``headers.get_all`` has one value.
* The client is the last address of ``X-Forwarded-For``: Google's front end appends it, what stands before it the
  caller may have made up. Behind a load balancer of your own the last one is the load balancer.
"""

from __future__ import annotations

from portable.events import Headers, Query, Request

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from portable.events import Response

__all__ = ["HTTP", "FunctionsRequest"]


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


class FunctionsRequest(Request):
    """A request read from its WSGI environment as far as a handler looks."""

    __slots__ = ()
    _lazy = {
        **Request._lazy,
        "raw_path": _raw_path,
        "query": _query,
        "raw_query": lambda request: request.native.environ.get("QUERY_STRING") or "",
        "headers": _headers,
        "client": _client,
        "scheme": _scheme,
        "body": lambda request: request.native.get_data(),
    }

    def __init__(self, native: Any) -> None:
        self.native = native
        self.method = native.environ["REQUEST_METHOD"]
        self.root_path = ""


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
