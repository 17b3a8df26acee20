"""Blobs of Cloud Storage in pieces: read by ranges, and uploaded from parts."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Any, Self

__all__ = ["PartStream", "RangeChunks", "stored"]

RANGE_BYTES = 4 * 1024 * 1024


def stored(
    blob: Any, start: int | None, end: int | None, timeout: tuple[float, float], conditions: Mapping[str, int]
) -> bytes:
    """The bytes as stored, from ``start`` to ``end`` (exclusive), which is not ``start``."""
    try:
        data: bytes = blob.download_as_bytes(
            start=0 if start is None and end is not None else start,
            end=None if end is None else end - 1,
            raw_download=True,
            timeout=timeout,
            **conditions,
        )
    except Exception as error:
        if type(error).__name__ == "RequestRangeNotSatisfiable":  # it starts behind the last byte
            return b""
        raise
    return data


class RangeChunks:
    """The bytes from ``start`` to ``end``, fetched range by range."""

    def __init__(self, fetch: Callable[[int, int], bytes], start: int, end: int) -> None:
        self._fetch = fetch
        self._position = start
        self._end = end

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> bytes:
        if self._position >= self._end:
            raise StopIteration
        data = self._fetch(self._position, min(self._position + RANGE_BYTES, self._end))
        self._position += len(data)
        return data

    def close(self) -> None:
        """Nothing is held between two ranges."""


class PartStream:
    """Parts as the file that a resumable upload reads. It goes back only to what was sent last, to send it again."""

    def __init__(self, parts: Iterator[bytes]) -> None:
        self._parts = parts
        self._kept = b""
        self._start = 0
        self._position = 0

    def tell(self) -> int:
        return self._position

    def seek(self, position: int) -> int:
        if not self._start <= position <= self._start + len(self._kept):
            raise OSError(f"the stream is at {self._position} and cannot go to {position}")
        self._position = position
        return position

    def read(self, size: int) -> bytes:
        self._kept = self._kept[self._position - self._start :]
        self._start = self._position
        while len(self._kept) < size:
            part = next(self._parts, b"")
            if not part:
                break
            self._kept = self._kept + part if self._kept else part
        data = self._kept[:size]
        self._position += len(data)
        return data
