"""Answers that Lambda streams: their status and headers first, and the pieces as they are made.

https://docs.aws.amazon.com/lambda/latest/dg/configuration-response-streaming.html
https://docs.aws.amazon.com/apigateway/latest/developerguide/response-transfer-mode-lambda.html

A function with one such route is called in this mode for all of them, so every answer goes this way.
"""

from __future__ import annotations

from portable.events import Response
from portable.invoke import run
from portable_aws.runtime_api import HTTPStream

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from portable.instance import Instance

__all__ = ["serve_streams"]


def serve_streams(instance: Instance, codec: Any) -> Callable[[Any], HTTPStream]:
    """What answers an event of ``codec``'s source, for this framework's own runtime loop."""
    call, decode, head = instance.call, codec.decode, codec.stream_head

    def serve(event: Any) -> HTTPStream:
        response = call(decode(event))
        if not isinstance(response, Response):
            response = run(response)
        if response.streamed:
            from portable.http.pieces import Pieces

            return HTTPStream(head(response), Pieces(response, run))
        return HTTPStream(head(response), _Whole(response.body))

    return serve


class _Whole:
    """The one piece of an answer that is there at once."""

    __slots__ = ("_body",)

    def __init__(self, body: str | bytes | None) -> None:
        self._body = body.encode() if isinstance(body, str) else body

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        body, self._body = self._body, None
        if not body:
            raise StopIteration
        return body

    def close(self) -> None:
        """Nothing is open."""
