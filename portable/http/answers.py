"""From what a handler returned, or raised, to a Response whose body is str, bytes or None."""

from __future__ import annotations

from portable.errors import HTTPError
from portable.events import Response, current_context
from portable.jsontext import encode_text, loaded_encoder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from portable.events import Request
    from portable.triggers import HTTPRoute

__all__ = ["answer", "answer_error", "problem"]

JSON = "application/json"
TEXT = "text/plain; charset=utf-8"
BYTES = "application/octet-stream"
_NO_CONTENT = (204, 205, 304)

# As RFC 9110 names them and Python does from 3.13 on: an answer must not change with the interpreter.
_RENAMED = {413: "Content Too Large", 414: "URI Too Long", 416: "Range Not Satisfiable", 422: "Unprocessable Content"}

_encode: Callable[[Any], str] = encode_text


def choose_encoder() -> None:
    """Use the fastest encoder the app has imported already. Called once its modules are loaded."""
    global _encode
    _encode = loaded_encoder()


def answer(route: HTTPRoute, value: Any) -> Response:
    """Encode a handler's value by its type: a model, dict or list as JSON, str as text, bytes as they are, None as 204.

    Raises TypeError for a value JSON cannot hold.
    """
    if type(value) is dict:
        return Response(_encode(value), route.status or 200, None, JSON)
    if isinstance(value, Response):
        body = value.body
        if body is None or isinstance(body, (str, bytes)):
            if value.media_type is None and body is not None:
                value.media_type = TEXT if isinstance(body, str) else BYTES
        elif isinstance(body, (bytearray, memoryview)):
            value.body = bytes(body)
            value.media_type = value.media_type or BYTES
        else:
            value.body = _encode(body)
            value.media_type = value.media_type or JSON
        return value
    status = route.status or 200
    if value is None:
        return Response(None, route.status or 204)
    if isinstance(value, str):
        return Response(value, status, None, TEXT)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return Response(bytes(value), status, None, BYTES)
    return Response(_encode(value), status, None, JSON)


def problem(
    status: int,
    detail: str = "",
    *,
    headers: Any = None,
    errors: Any = (),
    **members: Any,
) -> Response:
    """An RFC 9457 ``application/problem+json`` answer."""
    from http import HTTPStatus

    try:
        title = _RENAMED.get(status) or HTTPStatus(status).phrase
    except ValueError:
        title = "Error"
    document: dict[str, Any] = {"type": "about:blank", "title": title, "status": status}
    if detail:
        document["detail"] = detail
    if errors:
        document["errors"] = [dict(error) for error in errors]
    document.update(members)
    return Response(encode_text(document), status, headers, "application/problem+json")


def answer_error(request: Request, error: BaseException) -> Response:
    """An HTTPError as it says; anything else as a 500 with the request id, and the traceback in the log alone."""
    if isinstance(error, HTTPError):
        return problem(error.status, error.detail, headers=error.headers, errors=error.errors)
    from logging import getLogger

    context = current_context.get()
    request_id = context.request_id if context is not None else ""
    getLogger("portable").error(
        "%s %s failed, request %s", request.method, request.raw_path, request_id, exc_info=error
    )
    return problem(500, "The handler failed", request_id=request_id)


def without_body(response: Response) -> Response:
    """The same answer to a HEAD request: no body, and the length it would have had."""
    if response.body is not None:
        size = len(response.body.encode() if isinstance(response.body, str) else response.body)
        response.headers.setdefault("content-length", str(size))
    if response.media_type is not None:
        response.headers.setdefault("content-type", response.media_type)
    response.body = None
    return response
