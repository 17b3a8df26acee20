"""Buckets as folders: each blob a plain file anyone can look at, and an index in SQLite that says which one is current.

    uploads/index.sqlite             key → file, etag, size, content type, metadata
    uploads/blobs/in__cat~5f0c….png  the bytes, untouched
    uploads/unsure/                  notes of files that a process is about to add or remove

A write stores its bytes under a new name and then points the index at it in one transaction, in which ``if_absent`` and
``if_match`` are decided too. So data, content type and metadata change together, whole, across processes and crashes.
The file's name is only for people: a key never becomes a path.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import time
from datetime import UTC, datetime
from pathlib import Path

from portable.drivers import BlobInfo
from portable.errors import AlreadyExistsError, NotFoundError, PreconditionFailedError
from portable_local.database import Database
from portable_local.errors import translate

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from portable.resources import Resource

    Row = tuple[bytes, str, int, str, int, str, str | None]
    Rows = list[Row]
    Changes = list["BlobChange"]
    Names = list[str]

__all__ = ["BlobChange", "LocalBucket", "open_driver"]


def open_driver(resource: Resource, folder: Path, durability: str) -> LocalBucket:
    """The driver of a declared bucket, in a folder of its own."""
    return LocalBucket(resource.name, folder, durability)


# Keys are kept as bytes: SQLite compares those byte by byte, which is the order of a listing.
_SCHEMA = """
BEGIN;
CREATE TABLE blobs (
    key BLOB PRIMARY KEY,
    file TEXT NOT NULL,
    size INTEGER NOT NULL,
    etag TEXT NOT NULL,
    time INTEGER NOT NULL,
    content_type TEXT NOT NULL,
    metadata TEXT
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
_ROW = "SELECT key, file, size, etag, time, content_type, metadata FROM blobs"
_ONE = f"{_ROW} WHERE key = ?"
_PAGE = f"{_ROW} WHERE key >= ? AND key < ? ORDER BY key LIMIT ?"
_PUT = "INSERT OR REPLACE INTO blobs VALUES (?, ?, ?, ?, ?, ?, ?)"
_CHANGED = """
INSERT INTO changes (kind, key, size, etag, time) SELECT ?, ?, ?, ?, ? WHERE EXISTS (SELECT 1 FROM watchers)
"""
_ROWS = 500
_END = b"\xff"  # no UTF-8 begins with it
_SURE_AFTER = 3600.0
"""Seconds after which nobody is in the middle of a write any more."""
_SHOWN = 60
"""Characters of a key that its file's name shows."""


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


def _instant(micros: int) -> datetime:
    return datetime.fromtimestamp(micros / 1_000_000, UTC)


def _info(row: Row) -> BlobInfo:
    key, _, size, etag, written, content_type, metadata = row
    decoded = json.loads(metadata) if metadata else {}
    return BlobInfo(key.decode(), size, etag, _instant(written), content_type, decoded)


def _file_name(key: str, token: str) -> str:
    """A name that looks like the key and is safe on every system; ``token`` alone makes it one of a kind."""
    shown = "".join(c if c.isascii() and (c.isalnum() or c in "-_. ") else "_" for c in key.replace("/", "__"))
    stem, dot, ending = shown.rpartition(".")
    if not dot or not stem or not 0 < len(ending) <= 8 or not ending.isalnum():
        stem, ending = shown, ""
    return f"{stem[-_SHOWN:].lstrip('. ')}~{token}" + (f".{ending}" if ending else "")


def _after(prefix: bytes) -> bytes:
    """The least bytes that sort after everything that starts with ``prefix``, which is UTF-8."""
    return prefix[:-1] + bytes([prefix[-1] + 1]) if prefix else _END


class LocalBucket:
    """See ``portable.drivers.BucketDriver``, and for what survives a crash ``portable_local.database``.

    A blob's bytes are on the disk (fsync) before the index points at them, whatever the durability. Every write gives a
    new etag, also one of the same bytes. A listing sees each page as it is when it is asked for.

    Args:
        folder: holds the bucket, or will from its first use on. Without it: NotFoundError then.
    """

    def __init__(self, name: str, folder: Path, durability: str = "normal") -> None:
        self._resource = f"bucket {name}"
        self._folder = folder
        self._blobs = folder / "blobs"
        self._unsure = folder / "unsure"
        self._full = durability == "full"
        self._database = Database(folder / "index.sqlite", _SCHEMA, durability)
        self._is_tidy = False

    @contextlib.contextmanager
    def _opened(self, key: str | None = None) -> Iterator[Database]:
        """The index for a block; what SQLite and the file system raise in it is translated."""
        try:
            if not self._is_tidy:
                self._blobs.mkdir(exist_ok=True)
                self._unsure.mkdir(exist_ok=True)
                self._tidy()
                self._is_tidy = True
            yield self._database
        except (sqlite3.Error, OSError) as error:
            raise translate(error, self._resource, key) from error

    # --- writing

    def write(
        self,
        key: str,
        data: bytes,
        *,
        content_type: str | None,
        metadata: Mapping[str, str] | None,
        if_absent: bool,
        if_match: str | None,
    ) -> BlobInfo:
        """The bytes first, then one transaction; readers see the old blob until that one is done."""
        token = os.urandom(8).hex()
        file = _file_name(key, token)
        encoded = json.dumps(dict(metadata), ensure_ascii=False) if metadata else None
        name = key.encode()
        with self._opened(key) as database, self._unsure_of(name, file) as unsure:
            self._store(file, data)
            with database.transaction() as connection:
                known = connection.execute(_ONE, (name,)).fetchone()
                self._check(key, known, if_absent, if_match)
                if known is not None:
                    unsure(known[1])
                now = time.time_ns() // 1000
                row = (name, file, len(data), token, now, content_type or "application/octet-stream", encoded)
                connection.execute(_PUT, row)
                connection.execute(_CHANGED, ("created", name, len(data), token, now))
        return _info(row)

    def _check(self, key: str, known: Row | None, if_absent: bool, if_match: str | None) -> None:
        if if_absent and known is not None:
            raise AlreadyExistsError("the key exists", resource=self._resource, key=key)
        if if_match is not None and (known is None or known[3] != if_match):
            found = "there is no such blob" if known is None else f"its etag is {known[3]}"
            raise PreconditionFailedError(f"if_match={if_match!r}, but {found}", resource=self._resource, key=key)

    def _store(self, file: str, data: bytes) -> None:
        with (self._blobs / file).open("xb") as opened:
            opened.write(data)
            opened.flush()
            os.fsync(opened.fileno())
        if self._full and os.name == "posix":
            folder = os.open(self._blobs, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)

    def delete(self, key: str) -> None:
        """One transaction."""
        name = key.encode()
        with self._opened(key) as database, self._unsure_of(name) as unsure, database.transaction() as connection:
            known = connection.execute(_ONE, (name,)).fetchone()
            if known is not None:
                unsure(known[1])
                connection.execute("DELETE FROM blobs WHERE key = ?", (name,))
                connection.execute(_CHANGED, ("deleted", name, None, None, time.time_ns() // 1000))

    @contextlib.contextmanager
    def _unsure_of(self, name: bytes, *files: str) -> Iterator[Callable[[str], None]]:
        """A block after which some files of this key are no longer wanted, whether it succeeds, fails or is cut short.

        Each is noted before anything happens to it. After the block it is removed unless the index points at it; after
        a crash whoever opens the bucket later does that.
        """
        notes: list[Path] = []
        owner = os.urandom(4).hex()  # two writers may be unsure of one file

        def note(file: str) -> None:
            path = self._unsure / f"{owner}-{file}"
            path.write_bytes(name)
            notes.append(path)

        for file in files:
            note(file)
        try:
            yield note
        finally:
            for path in notes:
                self._settle(path, name)

    def _settle(self, note: Path, name: bytes) -> None:
        file = note.name.partition("-")[2]
        with self._database.connection() as connection:
            current = connection.execute(_ONE, (name,)).fetchone()
        try:
            if current is None or current[1] != file:
                (self._blobs / file).unlink(missing_ok=True)
            note.unlink(missing_ok=True)
        except PermissionError:
            if os.name != "nt":
                raise  # on Windows a reader has it open; it is settled when the bucket is opened again

    def _tidy(self) -> None:
        """Settle what crashes left, but for what another process may be doing at this moment."""
        sure = time.time() - _SURE_AFTER
        for entry in os.scandir(self._unsure):
            with contextlib.suppress(FileNotFoundError):
                if entry.stat().st_mtime < sure:
                    note = Path(entry.path)
                    # A note without its key was cut short itself: nothing had happened yet.
                    if name := note.read_bytes():
                        self._settle(note, name)
                    else:
                        note.unlink()

    # --- reading

    def read(self, key: str, start: int | None, end: int | None) -> bytes:
        """One file is read from its beginning to its end: no write can mix with it."""
        row = self._row(key)
        with self._opened(key):
            while True:
                try:
                    with (self._blobs / row[1]).open("rb") as opened:
                        if start:
                            opened.seek(start)
                        return opened.read(-1 if end is None else end - (start or 0))
                except FileNotFoundError:
                    # Overwritten since the index was read; unless it was not, and somebody removed the file by hand.
                    again = self._row(key)
                    if again[1] == row[1]:
                        raise
                    row = again

    def stat(self, key: str) -> BlobInfo:
        """From the index alone."""
        return _info(self._row(key))

    def _row(self, key: str) -> Row:
        with self._opened(key) as database, database.connection() as connection:
            row: Row | None = connection.execute(_ONE, (key.encode(),)).fetchone()
        if row is None:
            raise NotFoundError("there is no such blob", resource=self._resource, key=key)
        return row

    def list(self, prefix: str, delimiter: str | None) -> Iterator[BlobInfo]:
        """Pages of the index. A folded prefix is stepped over, however many blobs are behind it."""
        start, end = prefix.encode(), _after(prefix.encode())
        fold = delimiter.encode() if delimiter else None
        limit = _ROWS if fold is None else 16
        while rows := self._page(start, end, limit):
            for row in rows:
                at = -1 if fold is None else row[0].find(fold, len(prefix.encode()))
                if fold is not None and at >= 0:
                    folded = row[0][: at + len(fold)]
                    yield BlobInfo(folded.decode(), is_prefix=True)
                    start, limit = _after(folded), 16
                    break
                yield _info(row)
            else:
                if len(rows) < limit:
                    return
                start, limit = rows[-1][0] + b"\x00", _ROWS

    def _page(self, start: bytes, end: bytes, limit: int) -> Rows:
        with self._opened() as database, database.connection() as connection:
            return connection.execute(_PAGE, (start, end, limit)).fetchall()

    # --- changes, for whoever turns them into blob events

    def watch(self, watcher: str) -> None:
        """From now on keep every change until ``watcher`` has handled it. Its place survives restarts."""
        with self._opened() as database, database.transaction() as connection:
            [last] = connection.execute("SELECT ifnull(max(id), 0) FROM changes").fetchone()
            connection.execute("INSERT OR IGNORE INTO watchers VALUES (?, ?)", (watcher, last))

    def changes(self, watcher: str, limit: int = 100) -> Changes:
        """The oldest changes that ``watcher`` has not handled yet."""
        statement = """
            SELECT id, kind, key, size, etag, time FROM changes
            WHERE id > (SELECT position FROM watchers WHERE name = ?) ORDER BY id LIMIT ?
        """
        with self._opened() as database, database.connection() as connection:
            rows = connection.execute(statement, (watcher, limit)).fetchall()
        return [
            BlobChange(number, kind, key.decode(), size, etag, _instant(when))
            for number, kind, key, size, etag, when in rows
        ]

    def handled(self, watcher: str, change: int) -> None:
        """``watcher`` is done with every change up to the one with this id; what all are done with is removed."""
        with self._opened() as database, database.transaction() as connection:
            connection.execute("UPDATE watchers SET position = ? WHERE name = ?", (change, watcher))
            connection.execute("DELETE FROM changes WHERE id <= (SELECT min(position) FROM watchers)")

    def watchers(self) -> Names:
        """Who watches."""
        with self._opened() as database, database.connection() as connection:
            return [row[0] for row in connection.execute("SELECT name FROM watchers ORDER BY name")]

    def unwatch(self, watcher: str) -> None:
        """Keep no change for ``watcher`` any more; what nobody else waits for is removed."""
        with self._opened() as database, database.transaction() as connection:
            connection.execute("DELETE FROM watchers WHERE name = ?", (watcher,))
            connection.execute("DELETE FROM changes WHERE id <= ifnull((SELECT min(position) FROM watchers), id)")

    def native(self) -> Path:
        """The bucket's folder."""
        return self._folder

    def close(self) -> None:
        """Close the connections; the bucket can be used again."""
        self._database.close()
