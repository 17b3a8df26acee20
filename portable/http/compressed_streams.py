"""A body in gzip while it is made: each piece can be read as soon as it is sent."""

from __future__ import annotations

from zlib import DEFLATED, Z_SYNC_FLUSH, compressobj

from portable.http.compression import GZIP_FRAME

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from typing import Any

__all__ = ["compressed"]


def compressed(body: Any, encode: Callable[[Any], bytes], level: int) -> Any:
    """A body like ``body``, sync or async; closing it closes that, begun or not. ``encode`` makes bytes of a piece."""
    return _AsyncBody(body, encode, level) if hasattr(body, "__aiter__") else _Body(body, encode, level)


class _Deflate:
    def __init__(self, body: Any, encode: Callable[[Any], bytes], level: int) -> None:
        self._body = body
        self._encode = encode
        self._deflate = compressobj(level, DEFLATED, GZIP_FRAME)
        self._pieces: Any = None
        self._ended = False

    def _one(self, piece: Any) -> bytes:
        return self._deflate.compress(self._encode(piece)) + self._deflate.flush(Z_SYNC_FLUSH)

    def _to_close(self) -> list[Any]:
        """The iterator, once there is one, and what gave it."""
        return [self._body] if self._pieces is None or self._pieces is self._body else [self._pieces, self._body]

    def _last(self) -> bytes:
        self._ended = True
        return self._deflate.flush()


class _Body(_Deflate):
    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        if self._ended:
            raise StopIteration
        if self._pieces is None:
            self._pieces = iter(self._body)
        for piece in self._pieces:
            return self._one(piece)
        return self._last()

    def close(self) -> None:
        for one in self._to_close():
            close = getattr(one, "close", None)
            if close is not None:
                close()


class _AsyncBody(_Deflate):
    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if self._ended:
            raise StopAsyncIteration
        if self._pieces is None:
            self._pieces = aiter(self._body)
        async for piece in self._pieces:
            return self._one(piece)
        return self._last()

    async def aclose(self) -> None:
        for one in self._to_close():
            close = getattr(one, "aclose", None)
            if close is not None:
                await close()
