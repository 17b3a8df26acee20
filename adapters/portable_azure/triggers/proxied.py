"""HTTP of a Function App that streams: the Functions host passes requests on to the worker's own server.

The worker has it so for every HTTP trigger of an app that imports ``azurefunctions.extensions.http.fastapi``: its
requests are FastAPI's, and an answer is sent by whatever ASGI response the entry gives.

https://learn.microsoft.com/azure/azure-functions/functions-reference-python#http-streams
"""

from __future__ import annotations

from portable.resources import on_thread
from portable_azure import _sdk

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from typing import Any

    from portable.events import Response

    Message = dict[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]

__all__ = ["ProxiedRequest", "answer_of"]

_INVOCATION = "x-ms-invocation-id"  # how the host tells the worker which invocation a request belongs to


class ProxiedRequest:
    """A request of FastAPI's (``native``), its body read, with the names ``azure.functions.HttpRequest`` has."""

    __slots__ = ("_body", "headers", "method", "native", "url")

    def __init__(self, native: Any, body: bytes) -> None:
        self.native = native
        self._body = body
        self.method: str = native.method
        self.headers = _Pairs([pair for pair in native.headers.items() if pair[0] != _INVOCATION])
        scheme = native.headers.get("x-forwarded-proto", "").partition(",")[0].strip() or native.scope["scheme"]
        query = native.scope["query_string"].decode("latin-1")
        path = (native.scope.get("raw_path") or native.scope["path"].encode()).decode("latin-1")
        self.url = f"{scheme}://{native.headers.get('host', '')}{path}{'?' if query else ''}{query}"

    def get_body(self) -> bytes:
        """The body."""
        return self._body


class _Pairs(dict[str, str]):
    """Headers by name, and with repeated ones where they are asked for as pairs."""

    def __init__(self, pairs: list[tuple[str, str]]) -> None:
        super().__init__(pairs)
        self._pairs = pairs

    def items(self) -> Any:
        return self._pairs


def answer_of(response: Response) -> Any:
    """What the worker's server sends: the answer, its pieces as they are made where it is streamed."""

    async def send_answer(receive: Receive, send: Send) -> None:
        headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in response.header_pairs()]
        start = {"type": "http.response.start", "status": response.status, "headers": headers}
        if response.streamed:
            await _send_pieces(response, start, receive, send)
            return
        body = response.body.encode() if isinstance(response.body, str) else response.body or b""
        if response.status not in (204, 304) and not any(name == b"content-length" for name, _ in headers):
            headers.append((b"content-length", b"%d" % len(body)))
        await send(start)
        await send({"type": "http.response.body", "body": body})

    return _sdk.asgi_answer(send_answer)


async def _send_pieces(response: Any, start: Message, receive: Receive, send: Send) -> None:
    """Raises BrokenStreamError where the body failed: the server breaks the connection off."""
    from asyncio import FIRST_COMPLETED, ensure_future, wait

    from portable.http.pieces import AsyncPieces

    pieces = AsyncPieces(response, on_thread)
    gone = ensure_future(_disconnected(receive))
    try:
        await send(start)
        while True:
            piece = ensure_future(_next(pieces))
            await wait((piece, gone), return_when=FIRST_COMPLETED)
            if gone.done():
                piece.cancel()
                return
            body = piece.result()
            if body is None:
                break
            await send({"type": "http.response.body", "body": body, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
    finally:
        gone.cancel()
        await pieces.aclose()


async def _next(pieces: Any) -> bytes | None:
    return await anext(pieces, None)


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
