"""From what a handler returned, or raised, to a Response whose body is str, bytes or None."""

from __future__ import annotations

from portable.errors import DeadlineExceededError, HTTPError
from portable.events import Response, current_context
from portable.jsontext import encode_text, loaded_encoder
from portable.signatures import MISSING, holds_model, return_annotation

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from portable.events import Request
    from portable.triggers import HTTPRoute

__all__ = ["answer", "answer_error", "as_response", "choose_shape", "problem"]

JSON = "application/json"
TEXT = "text/plain; charset=utf-8"
BYTES = "application/octet-stream"
_SENT_AS_IT_IS = (str, bytes, bytearray, memoryview)
_NO_CONTENT = (204, 205, 304)  # HTTP gives these no body
_TOKEN = frozenset("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz")  # RFC 9110; names are in lower case by now

# As RFC 9110 and its neighbours name them. `http.HTTPStatus` costs an import, and says it otherwise before Python 3.13.
TITLES = {
    400: "Bad Request",
    401: "Unauthorized",
    402: "Payment Required",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    406: "Not Acceptable",
    407: "Proxy Authentication Required",
    408: "Request Timeout",
    409: "Conflict",
    410: "Gone",
    411: "Length Required",
    412: "Precondition Failed",
    413: "Content Too Large",
    414: "URI Too Long",
    415: "Unsupported Media Type",
    416: "Range Not Satisfiable",
    417: "Expectation Failed",
    418: "I'm a Teapot",
    421: "Misdirected Request",
    422: "Unprocessable Content",
    423: "Locked",
    424: "Failed Dependency",
    425: "Too Early",
    426: "Upgrade Required",
    428: "Precondition Required",
    429: "Too Many Requests",
    431: "Request Header Fields Too Large",
    451: "Unavailable For Legal Reasons",
    500: "Internal Server Error",
    501: "Not Implemented",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Gateway Timeout",
    505: "HTTP Version Not Supported",
    506: "Variant Also Negotiates",
    507: "Insufficient Storage",
    508: "Loop Detected",
    510: "Not Extended",
    511: "Network Authentication Required",
}

_encode: Callable[[Any], str] = encode_text
_new = Response.__new__


def choose_encoder() -> None:
    """Use the fastest encoder the app has imported already. Called once its modules are loaded."""
    global _encode
    _encode = loaded_encoder()


def answer(route: HTTPRoute, value: Any) -> Response:
    """Encode a handler's value by its type: a model, dict or list as JSON, str as text, bytes as they are, None as 204.

    A Response of the handler's may be one it gives out again: it is not changed. Raises TypeError for a value JSON
    cannot hold, ValueError for a status or a header that is none, and for text UTF-8 cannot hold.
    """
    kind = value.__class__
    status = route.status or 200
    if route.shape is None:
        plain = kind is dict
    elif not (plain := kind is route.exact) and value is not None and not isinstance(value, Response):
        value = route.shape(value)
    if plain and status < 204:  # the commonest of all; what Response(…) does, in half the time
        made = _new(Response)
        made.body, made.status, made._headers, made.media_type = _encode(value), status, None, JSON
        return made
    if isinstance(value, Response):
        return _stream(route, value) if value.streamed else _complete(value)
    if value is None:
        return Response(None, route.status or 204)
    if status in _NO_CONTENT:
        return Response(None, status)
    if isinstance(value, _SENT_AS_IT_IS):
        body, media_type = _encode_body(value)
        return Response(body, status, None, media_type)
    return Response(_encode(value), status, None, JSON)


def choose_shape(route: HTTPRoute) -> Callable[[Any], Any] | None:
    """What makes a route's answers the model it declares; None where it declares none. Raises ConfigError."""
    model = route.response_model
    annotation = return_annotation(route.handler) if model is ... else model
    if annotation is MISSING or not holds_model(annotation):
        return None
    from portable.http.shapes import shape_of

    return shape_of(route)


def as_response(value: Any, status: int) -> Response:
    """A Response as it is sent: checked and encoded; any other value as the body of one with this status.

    Raises what :func:`answer` raises.
    """
    return _complete(value if isinstance(value, Response) else Response(value, status))


def _encode_body(value: Any) -> tuple[str | bytes, str]:
    kind = type(value)
    if kind is dict or kind is list:
        return _encode(value), JSON
    if isinstance(value, str):
        if not value.isascii():
            value.encode()  # half a surrogate pair is refused here, where it becomes a 500, not in the adapter
        return value, TEXT
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value), BYTES
    return _encode(value), JSON


def _complete(given: Response) -> Response:
    """``given`` with its body encoded and its media type said, checked to be one HTTP can carry."""
    body, status, media_type, headers = given.body, given.status, given.media_type, given._headers
    _check_head(given)
    if given.streamed:
        if not given.begun:  # type: ignore[attr-defined]
            given.drop()  # type: ignore[attr-defined]
            raise TypeError("a StreamResponse is the answer of a route declared with stream=True, and of nothing else")
        return given
    if status in _NO_CONTENT:
        body = None
    elif body is not None:
        body, usual = _encode_body(body)
        media_type = media_type or usual
    if body is given.body and media_type is given.media_type:
        return given
    complete = Response(body, status, None, media_type)
    complete._headers = headers
    return complete


def _stream(route: HTTPRoute, given: Any) -> Response:
    """``given``, a StreamResponse, ready to be read outside of the handler. Raises TypeError unless that is declared:
    what a target cannot stream is refused by its declaration, before it is deployed.
    """
    try:
        if not route.stream:
            raise TypeError(
                f"{route.method} {route.path} at {route.where[0]}:{route.where[1]} answered with a "
                f"{type(given).__name__}; declare it: @app.{route.method.lower()}({route.path!r}, stream=True)"
            )
        _check_head(given)
    except (TypeError, ValueError):
        given.drop()
        raise
    given.remember()
    response: Response = given.without_body() if given.status in _NO_CONTENT else given
    return response


def _check_head(given: Response) -> None:
    status, media_type, headers = given.status, given.media_type, given._headers
    if not isinstance(status, int) or not 200 <= status <= 599:
        raise ValueError(f"an answer's status is 200 to 599, got {status!r}")
    if media_type is not None:
        _check_header("content-type", media_type)
    if headers is not None:
        for name, text in headers._pairs:
            _check_header(name, text)


def _check_header(name: str, text: Any) -> None:
    """The one place where what would split or garble an answer's head is refused, for every cloud."""
    if not isinstance(text, str) or not text.isascii() or not text.isprintable():
        raise ValueError(f"header {name!r} cannot be {text!r}: it is a str of printable ASCII; encode what is more")
    if not name or not _TOKEN.issuperset(name):
        raise ValueError(f"{name!r} cannot be a header's name")


def problem(
    status: int,
    detail: str = "",
    *,
    headers: Any = None,
    errors: Any = (),
    **members: Any,
) -> Response:
    """An RFC 9457 ``application/problem+json`` answer."""
    document: dict[str, Any] = {"type": "about:blank", "title": TITLES.get(status, "Error"), "status": status}
    if detail:
        document["detail"] = detail
    if errors:
        document["errors"] = [dict(error) for error in errors]
    document.update(members)
    return Response(encode_text(document), status, headers, "application/problem+json")


def answer_error(request: Request, error: BaseException) -> Response:
    """An HTTPError as it says; anything else as a 500 with the request id, and the traceback in the log alone."""
    if isinstance(error, HTTPError):
        try:
            return _complete(problem(error.status, error.detail, headers=error.headers, errors=error.errors))
        except Exception as mistake:
            error = mistake
    from logging import getLogger

    context = current_context.get()
    request_id = context.request_id if context is not None else ""
    getLogger("portable").error(
        "%s %s failed, request %s", request.method, request.raw_path, request_id, exc_info=error
    )
    if isinstance(error, DeadlineExceededError):
        return problem(504, "The handler took too long", request_id=request_id)
    return problem(500, "The handler failed", request_id=request_id)


def without_body(response: Response) -> Response:
    """The same answer to a HEAD request: no body, and the length it would have had."""
    if response.streamed:
        streamed: Response = response.without_body()  # type: ignore[attr-defined]
        return streamed
    bare = Response(None, response.status, response.header_pairs())
    body = response.body
    if body is not None:
        size = len(body.encode() if isinstance(body, str) else body)
        bare.headers.setdefault("content-length", str(size))
    return bare
