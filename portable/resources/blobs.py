"""Blobs as streams: what a bucket is given to write, cut into parts, and what it hands out to read from."""

from __future__ import annotations

import io

from portable.drivers.bucket import PART_BYTES
from portable.errors import UnavailableError
from portable.resources import on_thread

TYPE_CHECKING = False
if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator
    from typing import Any, Self

    from portable.drivers import BlobInfo, BucketDriver, Chunks

    Opened = tuple[BlobInfo, Chunks]

__all__ = ["AsyncBlobReader", "BlobReader", "FromLoop", "Parts", "awrite_stream", "pieces_of", "write_stream"]

BUFFER_BYTES = 64 * 1024
LINES_BYTES = 256 * 1024  # an async reader takes lines from its thread in lots of this size
ATTEMPTS = 3


def pieces_of(bucket: str, data: Any) -> Iterable[Any] | None:
    """The pieces of a binary file or an iterable; None for what is neither."""
    read = getattr(data, "read", None)
    if read is not None:
        return iter(lambda: read(PART_BYTES), b"")
    if hasattr(data, "__iter__"):
        pieces: Iterable[Any] = data
        return pieces
    if hasattr(data, "__aiter__"):
        raise TypeError(f"bucket {bucket}: an async iterator is written with awrite")
    return None


class Parts:
    """Pieces of any size as parts of PART_BYTES, the last one smaller. Holds two parts at most, and a piece.

    Attributes:
        error: what the source raised, so that it is told from what the driver did.
    """

    def __init__(self, bucket: str, pieces: Iterable[Any]) -> None:
        self._bucket = bucket
        self._pieces = iter(pieces)
        self._rest = memoryview(b"")
        self._ahead: list[bytes] = []
        self.error: BaseException | None = None

    def only(self) -> bytes | None:
        """All there is, where that is one part at most. It looks ahead: to be asked once, and first."""
        self._ahead = [self._take()]
        if len(self._ahead[0]) == PART_BYTES and (second := self._take()):
            self._ahead.append(second)
            return None
        return self._ahead.pop()

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        part = self._ahead.pop(0) if self._ahead else self._take()
        if not part:
            raise StopIteration
        return part

    def _take(self) -> bytes:
        """The next part, ``b""`` at the end."""
        size, some = len(self._rest), [self._rest]
        self._rest = memoryview(b"")
        while size < PART_BYTES:
            piece = self._pull()
            if piece is None:
                break
            size += len(piece)
            some.append(piece)
        if size > PART_BYTES:
            last = some.pop()
            room = len(last) - (size - PART_BYTES)
            some.append(last[:room])
            self._rest = last[room:]
        return b"".join(some)

    def _pull(self) -> memoryview | None:
        try:
            piece = next(self._pieces, None)
            if piece is None:
                return None
            if not isinstance(piece, (bytes, bytearray, memoryview)):
                raise TypeError(
                    f"bucket {self._bucket}: data is bytes, str, a binary file or an iterator of bytes, and this one "
                    f"gave {type(piece).__name__}"
                )
        except BaseException as error:
            self.error = error
            raise
        return memoryview(bytes(piece))  # a copy, unless it is bytes: its owner may change it


def write_stream(driver: BucketDriver, bucket: str, key: str, pieces: Iterable[Any], options: Any) -> BlobInfo:
    """Write pieces, in one call where they make one part. What their source raises passes through as it is."""
    parts = Parts(bucket, pieces)
    try:
        whole = parts.only()
        if whole is not None:
            return driver.write(key, whole, **options)
        return driver.write_parts(key, parts, **options)
    except BaseException as error:
        if parts.error is not None and parts.error is not error:
            raise parts.error from None  # whatever the driver made of it
        raise


class _Raw(io.RawIOBase):
    """The bytes of one version of a blob. A connection that breaks is opened again where it broke."""

    def __init__(self, reopen: Callable[[int, str | None], Opened], start: int) -> None:
        self._reopen = reopen
        self._position = start
        self.info, self._chunks = reopen(start, None)
        self._chunk = memoryview(b"")
        self._left = ATTEMPTS - 1

    def readable(self) -> bool:
        return True

    def readinto(self, target: Any) -> int:
        while not self._chunk:
            try:
                self._chunk = memoryview(next(self._chunks))
            except StopIteration:
                return 0
            except UnavailableError:
                if self._left == 0:
                    raise
                self._left -= 1
                self._chunks.close()
                self._chunks = self._reopen(self._position, self.info.etag)[1]
        view = memoryview(target).cast("B")
        size = min(len(view), len(self._chunk))
        view[:size] = self._chunk[:size]
        self._chunk = self._chunk[size:]
        self._position += size
        return size

    def close(self) -> None:
        if not self.closed:
            self._chunk = memoryview(b"")
            self._chunks.close()
        super().close()


class BlobReader(io.BufferedReader):
    """A blob as a binary file to read from: ``read(n)``, ``readline``, iteration by lines, ``with``. It cannot seek.

    Everything read is of one version of the blob, also while it is overwritten.

    Attributes:
        info: key, etag, content type … of that version; ``size`` is the whole blob's.
    """

    def __init__(self, reopen: Callable[[int, str | None], Opened], start: int) -> None:
        raw = _Raw(reopen, start)
        self.info = raw.info
        super().__init__(raw, BUFFER_BYTES)


class AsyncBlobReader:
    """``async with bucket.aopen(key) as blob:``, then ``await blob.read(n)`` or ``async for line in blob``.

    As :class:`BlobReader`, which it reads on a thread.
    """

    def __init__(self, open_reader: Callable[[], BlobReader]) -> None:
        self._open = open_reader
        self._reader: BlobReader | None = None

    async def __aenter__(self) -> Self:
        self._reader = await on_thread(self._open)
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    def _opened(self) -> BlobReader:
        if self._reader is None:
            raise ValueError("the blob is not open: async with bucket.aopen(key) as blob")
        return self._reader

    @property
    def info(self) -> BlobInfo:
        """Key, etag, content type … of the version that is read."""
        return self._opened().info

    async def read(self, size: int = -1) -> bytes:
        """The next ``size`` bytes, fewer at the end, or all that is left."""
        data: bytes = await on_thread(self._opened().read, size)
        return data

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while lines := await on_thread(self._opened().readlines, LINES_BYTES):
            for line in lines:
                yield line

    async def close(self) -> None:
        """Close it. Leaving the ``async with`` does."""
        if self._reader is not None:
            await on_thread(self._reader.close)


class FromLoop:
    """An async iterable's pieces, for a thread that is not the loop's."""

    def __init__(self, source: AsyncIterable[bytes], loop: AbstractEventLoop) -> None:
        self._source = aiter(source)
        self._loop = loop
        self.is_over = False  # set when nobody waits for the write any more

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        import asyncio

        async def pull() -> bytes | None:
            return await anext(self._source, None)

        if self.is_over:
            raise asyncio.CancelledError
        piece = asyncio.run_coroutine_threadsafe(pull(), self._loop).result()
        if piece is None:
            raise StopIteration
        return piece


async def awrite_stream(driver: BucketDriver, bucket: str, key: str, source: Any, options: Any) -> BlobInfo:
    """``write_stream`` of an async iterable. When the caller is cancelled the write is given up at its next piece."""
    import asyncio

    pieces = FromLoop(source, asyncio.get_running_loop())
    try:
        written: BlobInfo = await on_thread(write_stream, driver, bucket, key, pieces, options)
    finally:
        pieces.is_over = True
    return written
