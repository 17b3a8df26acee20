"""Sending an answer while it is made, as ASGI servers take it: its reader holds it back, and its end closes it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, MutableMapping
from logging import getLogger
from typing import Any

from portable.errors import DeadlineExceededError
from portable.events import Context
from portable.http.pieces import AsyncPieces, BrokenStreamError
from portable.http.streams import EventStream, StreamResponse

__all__ = ["Streams"]

_GRACE = 0.25
"""Seconds past the deadline until which a body may end by itself, as async ones and those that step do."""

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
OnThread = Callable[..., Awaitable[Any]]


class Streams:
    """The answers that are being sent. ``on_thread`` calls what may block."""

    def __init__(self, on_thread: OnThread) -> None:
        self._on_thread = on_thread
        self._events: set[asyncio.Event] = set()
        self._closing = False

    def close(self) -> None:
        """The server stops: event streams are broken off, whose readers connect anew; others may come to their end."""
        self._closing = True
        for ended in self._events:
            ended.set()

    async def send(self, response: StreamResponse, context: Context, receive: Receive, send: Send) -> None:
        """Send head and pieces, until the end, an error, the deadline, or until the reader goes away.

        An answer that broke off is left without its end, upon which the server closes the connection.
        """
        pieces = AsyncPieces(response, self._on_thread)
        over = asyncio.Event()
        if isinstance(response, EventStream):
            self._events.add(over)
        gone = asyncio.ensure_future(_wait_for_end(receive, over, self._closing))
        try:
            await send(_head(response, self._closing))
            if await self._pump(pieces, gone, send, context):
                await send({"type": "http.response.body", "body": b""})
        except BrokenStreamError:
            return  # it is logged
        except DeadlineExceededError as error:
            getLogger("portable").error("%s, request %s: %s", context.function, context.request_id, error)  # noqa: TRY400 - where this server gave it up says nothing
        finally:
            self._events.discard(over)
            gone.cancel()
            await pieces.aclose()

    async def _pump(self, pieces: AsyncPieces, gone: asyncio.Future[None], send: Send, context: Context) -> bool:
        """Whether the end was reached. Raises DeadlineExceededError where a body lets nothing be heard of it."""
        while True:
            piece = asyncio.ensure_future(_next(pieces))
            left = None if context.deadline_at is None else max(0.0, context.deadline_at + _GRACE - time.time())
            try:
                await asyncio.wait((piece, gone), timeout=left, return_when=asyncio.FIRST_COMPLETED)
            finally:
                ready = piece.done()
                if not ready:
                    piece.cancel()
            if gone.done():
                if ready:
                    piece.exception()  # looked at: nobody reads it any more
                return False
            if not ready:
                raise DeadlineExceededError("the answer was not complete at the function's deadline")
            body = piece.result()
            if body is None:
                return True
            await send({"type": "http.response.body", "body": body, "more_body": True})


async def _next(pieces: AsyncPieces) -> bytes | None:
    return await anext(pieces, None)


async def _wait_for_end(receive: Receive, over: asyncio.Event, closing: bool) -> None:
    """Return when the reader is gone or the server stops."""
    if closing:
        return
    waiting = asyncio.ensure_future(over.wait())
    reading = asyncio.ensure_future(_disconnected(receive))
    try:
        await asyncio.wait((waiting, reading), return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiting.cancel()
        reading.cancel()


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _head(response: StreamResponse, closing: bool) -> Message:
    headers = [
        (name.encode("latin-1"), value.encode("latin-1"))
        for name, value in response.header_pairs()
        if name not in ("content-length", "transfer-encoding") or response.bare
    ]
    if closing:
        headers.append((b"connection", b"close"))
    return {"type": "http.response.start", "status": response.status, "headers": headers}
