"""HTTP: ``azure.functions.HttpRequest`` and ``HttpResponse``.

What the Functions host does before and after, and no codec can undo: it decodes the path but for ``%2F`` and encodes it
again; it joins equal request headers with commas; it drops a body sent without a ``Content-Length``; it percent-encodes
the values of response cookies (so they are decoded when they come back). host.json sets the route prefix to "".
"""

from __future__ import annotations

from portable.events import Headers, Query, Request, Response
from portable_azure import _sdk

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["HTTPTrigger"]


def _read_client(request: Request) -> str | None:
    """The last address: App Service appends the caller's, with a port, to what the caller sent."""
    last = request.headers.get("x-forwarded-for", "").rpartition(",")[2].strip()
    if last.startswith("["):
        return last[1:].partition("]")[0] or None
    return (last.partition(":")[0] if last.count(":") == 1 else last) or None


def _read_query(request: Request) -> Query:
    """From the URL: the host's own ``params`` join equal names and leave empty ones out."""
    query = request.native.url.partition("?")[2]
    if not query:
        return Query()
    from urllib.parse import parse_qsl

    return Query(parse_qsl(query, keep_blank_values=True))


def _read_cookies(request: Request) -> dict[str, str]:
    cookies: dict[str, str] = Request._lazy["cookies"](request)
    if any("%" in value for value in cookies.values()):
        from urllib.parse import unquote

        return {name: unquote(value) for name, value in cookies.items()}
    return cookies


class AzureRequest(Request):
    """A request whose fields are read from the host's on first use."""

    __slots__ = ()
    encodes_cookies = True
    _lazy = {
        **Request._lazy,
        "body": lambda request: request.native.get_body(),
        "client": _read_client,
        "cookies": _read_cookies,
        "headers": lambda request: Headers(request.native.headers),
        "query": _read_query,
        "raw_query": lambda request: request.native.url.partition("?")[2],
    }

    def __init__(self, native: Any) -> None:
        scheme, separator, rest = native.url.partition("://")
        if not separator:
            raise ValueError(f"an HTTP trigger's request has a URL with a scheme, got {native.url!r}")
        host, slash, path = rest.partition("?")[0].partition("/")
        self.native = native
        self.method = native.method
        self.scheme = scheme
        self.host = host
        self.root_path = ""
        self.raw_path = slash + path or "/"


class HTTPTrigger:
    """``httpTrigger``."""

    @staticmethod
    def decode(native: Any) -> Request:
        """The host's request. Raises ValueError when it has no absolute URL."""
        return AzureRequest(native)

    @staticmethod
    def encode(response: Response) -> Any:
        """An ``HttpResponse``: equal headers joined with commas, ``Set-Cookie`` each on its own.

        Raises ValueError for a ``Set-Cookie`` that the worker's typed cookies cannot carry: it would be lost or cut.
        """
        pairs = response.header_pairs()
        headers: dict[str, str] = {}
        cookies = []
        for name, value in pairs:
            if name == "set-cookie":
                cookies.append(value)
            else:
                headers[name] = f"{headers[name]},{value}" if name in headers else value
        # The worker adds text/plain to an answer without a content type; an empty one the host leaves out.
        made = _sdk.http_response()(response.body, status_code=response.status, headers=headers, mimetype="")
        for cookie in cookies:
            _check_cookie(cookie)
            made.headers.add("Set-Cookie", cookie)
        return made


_ATTRIBUTES = frozenset(("expires", "max-age", "domain", "path", "secure", "httponly", "samesite"))


def _check_cookie(cookie: str) -> None:
    from http.cookies import SimpleCookie

    first, *attributes = cookie.split(";")
    name, _, value = first.strip().partition("=")
    read = SimpleCookie(cookie)
    unknown = [one.strip() for one in attributes if one.partition("=")[0].strip().lower() not in _ATTRIBUTES]
    if unknown:
        raise ValueError(f"the cookie {name!r} has attributes that the Azure worker cannot send: {', '.join(unknown)}")
    if list(read) != [name] or read[name].coded_value != value.strip():
        raise ValueError(f"the Azure worker cannot send the cookie {name!r}: encode its value first")
