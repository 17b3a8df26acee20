"""Direct invocation: an HTTP trigger that asks for a function key, with JSON in and out."""

from __future__ import annotations

from portable.errors import HTTPError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from portable.events import Response

__all__ = ["DirectTrigger"]


class DirectTrigger:
    """``httpTrigger`` with ``authLevel: function`` at ``POST /portable-invoke/<name>``."""

    @staticmethod
    def decode(native: Any) -> Any:
        """The payload; None for an empty body. Raises HTTPError 400 when it is not JSON."""
        body = native.get_body()
        if not body:
            return None
        from json import loads

        try:
            return loads(body)
        except ValueError as error:
            raise HTTPError(400, f"The payload is not JSON: {error}") from error

    @staticmethod
    def encode(value: Any) -> Response:
        """What the function returned, as JSON."""
        from portable.events import Response
        from portable.jsontext import encode_text

        return Response(encode_text(value), 200, None, "application/json")

    @staticmethod
    def encode_error(function: str, request_id: str, error: Exception) -> Response:
        """What it raised: an HTTPError as it says, else a 500 with type and text, for the caller holds a key."""
        from portable.http.answers import problem

        if isinstance(error, HTTPError):
            return problem(error.status, error.detail, headers=error.headers, errors=error.errors)
        from logging import getLogger

        getLogger("portable").error("%s failed, request %s", function, request_id, exc_info=error)
        return problem(500, f"{type(error).__name__}: {error}", request_id=request_id)
