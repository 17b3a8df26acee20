"""Cross-origin requests, as https://fetch.spec.whatwg.org/#http-cors-protocol has them."""

from __future__ import annotations

from portable.errors import ConfigError
from portable.events import Response
from portable.http.answers import problem
from portable.http.copies import add_vary, copied

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import timedelta

    from portable.events import Request

__all__ = ["CORS"]

_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
_SAFE_HEADERS = ("accept", "accept-language", "content-language", "content-type")


class CORS:
    """Which pages of other origins a browser lets use this app: ``app.middleware(CORS(["https://shop.example"]))``.

    A preflight is answered here: 204, or a 403 that says what is not allowed. Any other request goes to its handler
    whatever its origin, as it would without a browser; only the page that may not read the answer does not get it.

    Args:
        origins: ``https://shop.example``, scheme and port as the browser sends them; ``"*"`` for all.
        origin_regex: an expression that a whole origin may match instead.
        methods: that a preflight allows; ``"*"`` for all.
        headers: of requests, that a preflight allows besides those always safe; ``"*"`` for all.
        expose: headers of answers that a page may read.
        credentials: whether cookies and ``Authorization`` may come along. Not with ``"*"``: every page could act as
            its visitor.
        max_age: how long a browser keeps a preflight's answer.
        private_network: whether pages of the public internet may reach this app on a private address.

    Raises ConfigError for an origin that is none, an expression that does not compile, and credentials for all.
    """

    __slots__ = ("_all", "_allowed", "_answer", "_headers", "_matches", "_methods", "_preflight", "_private")

    def __init__(
        self,
        origins: Iterable[str] | str = (),
        *,
        origin_regex: str | None = None,
        methods: Iterable[str] | str = _METHODS,
        headers: Iterable[str] | str = (),
        expose: Iterable[str] = (),
        credentials: bool = False,
        max_age: timedelta | None = None,
        private_network: bool = False,
    ) -> None:
        chosen = (origins,) if isinstance(origins, str) else tuple(origins)
        self._all = "*" in chosen
        self._allowed = frozenset(_check_origin(origin) for origin in chosen)
        if not chosen and origin_regex is None:
            raise ConfigError("CORS needs origins: CORS(['https://shop.example']), or CORS('*') for all")
        if self._all and credentials:
            raise ConfigError(
                "CORS('*', credentials=True) would let every page act as its visitor, and browsers refuse it; "
                "name the origins"
            )
        self._matches = None if origin_regex is None else _compile(origin_regex)
        self._methods = None if "*" in methods else frozenset((methods,) if isinstance(methods, str) else methods)
        wanted = (headers,) if isinstance(headers, str) else tuple(headers)
        self._headers = None if "*" in wanted else frozenset((*_SAFE_HEADERS, *(name.lower() for name in wanted)))
        self._private = private_network
        common = [("access-control-allow-credentials", "true")] if credentials else []
        exposed = ", ".join(expose)
        self._answer = [*common, ("access-control-expose-headers", exposed)] if exposed else common
        age = 600 if max_age is None else int(max_age.total_seconds())
        self._preflight = [*common, ("access-control-max-age", str(age))]

    def before(self, request: Request) -> Response | None:
        """The answer to a preflight."""
        if request.method != "OPTIONS":
            return None
        method = request.headers.get("access-control-request-method")
        origin = request.headers.get("origin")
        if method is None or origin is None:
            return None
        refused = self._refused(request, origin, method)
        vary = "Access-Control-Request-Method, Access-Control-Request-Headers"
        if not self._all:
            vary = f"Origin, {vary}"
        if refused:
            return problem(403, f"CORS: {refused} is not allowed here", headers={"vary": vary})
        asked = request.headers.get("access-control-request-headers")
        pairs = [("access-control-allow-origin", "*" if self._all else origin), *self._preflight]
        allowed = method if self._methods is None else ", ".join(sorted(self._methods))
        pairs.append(("access-control-allow-methods", allowed))
        if asked or self._headers is not None:
            pairs.append(("access-control-allow-headers", asked or ", ".join(sorted(self._headers or ()))))
        if self._private and request.headers.get("access-control-request-private-network") == "true":
            pairs.append(("access-control-allow-private-network", "true"))
        return Response(None, 204, [*pairs, ("vary", vary)])

    def after(self, request: Request, response: Response) -> Response:
        """The answer with what lets the page read it."""
        response = copied(response)
        headers = response.headers
        # What depends on the origin says so, and what does not is the same without one: a cache may hold the answer.
        if self._all:
            headers["access-control-allow-origin"] = "*"
        else:
            add_vary(headers, "Origin")
            origin = request.headers.get("origin")
            if origin is None or not self._allows(origin):
                return response
            headers["access-control-allow-origin"] = origin
        for name, value in self._answer:
            headers[name] = value
        return response

    def _allows(self, origin: str) -> bool:
        if self._all or origin in self._allowed:
            return True
        return self._matches is not None and self._matches(origin) is not None

    def _refused(self, request: Request, origin: str, method: str) -> str:
        """What a preflight asks that is not allowed; "" when all is."""
        if not self._allows(origin):
            return f"origin {origin[:200]}"
        if self._methods is not None and method not in self._methods:
            return f"method {method[:40]}"
        if self._headers is not None:
            for name in request.headers.get("access-control-request-headers", "").split(","):
                if name.strip() and name.strip().lower() not in self._headers:
                    return f"header {name.strip()[:80]}"
        if not self._private and request.headers.get("access-control-request-private-network") == "true":
            return "a private network"
        return ""


def _check_origin(origin: str) -> str:
    scheme, separator, host = origin.partition("://")
    if origin in ("*", "null") or (scheme and separator and host and "/" not in host and "*" not in host):
        return origin
    raise ConfigError(f"CORS: an origin is like 'https://shop.example:8443', got {origin!r}; for many, origin_regex=")


def _compile(expression: str) -> Callable[[str], object]:
    import re

    try:
        return re.compile(expression).fullmatch
    except re.error as error:
        raise ConfigError(f"CORS: origin_regex {expression!r} does not compile: {error}") from error
