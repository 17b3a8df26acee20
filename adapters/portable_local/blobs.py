"""How a local bucket is kept: the tables of its index, its rows, the names of its files, and their bytes in pieces."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from portable.drivers import BlobInfo

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import BinaryIO, Self

    Row = tuple[bytes, str, int, str, int, str, str | None, str | None]

__all__ = [
    "CHANGED",
    "ONE",
    "PAGE",
    "PUT",
    "SCHEMA",
    "BlobChange",
    "FileChunks",
    "after",
    "file_name",
    "info_of",
    "instant_of",
]

# Keys are kept as bytes: SQLite compares those byte by byte, which is the order of a listing.
SCHEMA = """
BEGIN;
CREATE TABLE blobs (
    key BLOB PRIMARY KEY,
    file TEXT NOT NULL,
    size INTEGER NOT NULL,
    etag TEXT NOT NULL,
    time INTEGER NOT NULL,
    content_type TEXT NOT NULL,
    metadata TEXT,
    cache_control TEXT
) WITHOUT ROWID;
CREATE TABLE changes (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL,
    key BLOB NOT NULL,
    size INTEGER,
    etag TEXT,
    time INTEGER NOT NULL
);
CREATE TABLE watchers (name TEXT PRIMARY KEY, position INTEGER NOT NULL);
COMMIT;
"""
_ROW = "SELECT key, file, size, etag, time, content_type, metadata, cache_control FROM blobs"
ONE = f"{_ROW} WHERE key = ?"
PAGE = f"{_ROW} WHERE key >= ? AND key < ? ORDER BY key LIMIT ?"
PUT = "INSERT OR REPLACE INTO blobs VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
CHANGED = """
INSERT INTO changes (kind, key, size, etag, time) SELECT ?, ?, ?, ?, ? WHERE EXISTS (SELECT 1 FROM watchers)
"""
_END = b"\xff"  # no UTF-8 begins with it
_SHOWN = 60
"""Characters of a key that its file's name shows."""
_CHUNK = 256 * 1024


class BlobChange:
    """A write or a deletion. ``id`` grows in the order they happened; a deletion has no ``size`` and no ``etag``."""

    __slots__ = ("etag", "id", "key", "kind", "size", "time")

    def __init__(self, id: int, kind: str, key: str, size: int | None, etag: str | None, time: datetime) -> None:
        self.id = id
        self.kind = kind
        self.key = key
        self.size = size
        self.etag = etag
        self.time = time


def instant_of(micros: int) -> datetime:
    """The time a row or a change bears."""
    return datetime.fromtimestamp(micros / 1_000_000, UTC)


def info_of(row: Row) -> BlobInfo:
    """What a row of the index says of its blob."""
    key, _, size, etag, written, content_type, metadata, cache_control = row
    decoded = json.loads(metadata) if metadata else {}
    return BlobInfo(key.decode(), size, etag, instant_of(written), content_type, decoded, cache_control)


def file_name(key: str, token: str) -> str:
    """A name that looks like the key and is safe on every system; ``token`` alone makes it one of a kind."""
    shown = "".join(c if c.isascii() and (c.isalnum() or c in "-_. ") else "_" for c in key.replace("/", "__"))
    stem, dot, ending = shown.rpartition(".")
    if not dot or not stem or not 0 < len(ending) <= 8 or not ending.isalnum():
        stem, ending = shown, ""
    return f"{stem[-_SHOWN:].lstrip('. ')}~{token}" + (f".{ending}" if ending else "")


def after(prefix: bytes) -> bytes:
    """The least bytes that sort after everything that starts with ``prefix``, which is UTF-8."""
    return prefix[:-1] + bytes([prefix[-1] + 1]) if prefix else _END


class FileChunks:
    """The bytes of an open file from where it stands."""

    def __init__(self, file: BinaryIO, left: int | None) -> None:
        self._file = file
        self._left = left

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> bytes:
        data = self._file.read(_CHUNK if self._left is None else min(_CHUNK, self._left))
        if not data:
            raise StopIteration
        if self._left is not None:
            self._left -= len(data)
        return data

    def close(self) -> None:
        self._file.close()
