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
from pathlib import Path

from portable.drivers import BlobInfo, DeleteFailure
from portable.errors import AlreadyExistsError, NotFoundError, PreconditionFailedError, UnavailableError
from portable_local.blobs import (
    CHANGED,
    ONE,
    PAGE,
    PUT,
    SCHEMA,
    BlobChange,
    FileChunks,
    after,
    file_name,
    info_of,
    instant_of,
)
from portable_local.database import Database
from portable_local.errors import translate
from portable_local.signing import check_url, signed_url

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from datetime import timedelta
    from typing import BinaryIO

    from portable.drivers import SignedURL
    from portable.resources import Resource
    from portable_local.blobs import Row

    Rows = list[Row]
    Changes = list[BlobChange]
    Names = list[str]
    Failures = list[DeleteFailure]

__all__ = ["LocalBucket", "open_driver"]


def open_driver(resource: Resource, folder: Path, durability: str) -> LocalBucket:
    """The driver of a declared bucket, in a folder of its own."""
    return LocalBucket(resource.name, folder, durability)


_ROWS = 500
_SURE_AFTER = 3600.0
"""Seconds after which nobody is in the middle of a write any more."""


class LocalBucket:
    """See ``portable.drivers.BucketDriver``, and for what survives a crash ``portable_local.database``.

    A blob's bytes are on the disk (fsync) before the index points at them, whatever the durability. Every write gives a
    new etag, also one of the same bytes. A listing sees each page as it is when it is asked for.

    Args:
        folder: holds the bucket, or will from its first use on. Without it: NotFoundError then.
    """

    def __init__(self, name: str, folder: Path, durability: str = "normal") -> None:
        self._name = name
        self._resource = f"bucket {name}"
        self._folder = folder
        self._blobs = folder / "blobs"
        self._unsure = folder / "unsure"
        self._full = durability == "full"
        self._database = Database(folder / "index.sqlite", SCHEMA, durability)
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
        cache_control: str | None = None,
    ) -> BlobInfo:
        """As ``write_parts``."""
        return self.write_parts(
            key,
            iter((data,)),
            content_type=content_type,
            metadata=metadata,
            if_absent=if_absent,
            if_match=if_match,
            cache_control=cache_control,
        )

    def write_parts(
        self,
        key: str,
        parts: Iterator[bytes],
        *,
        content_type: str | None,
        metadata: Mapping[str, str] | None,
        if_absent: bool,
        if_match: str | None,
        cache_control: str | None = None,
    ) -> BlobInfo:
        """The bytes first, then one transaction; readers see the old blob until that one is done."""
        encoded = json.dumps(dict(metadata), ensure_ascii=False) if metadata else None
        known = (content_type or "application/octet-stream", encoded, cache_control)
        return self._write(key, parts, known, if_absent, if_match)

    def _write(
        self,
        key: str,
        parts: Iterable[bytes],
        known: tuple[str, str | None, str | None],
        if_absent: bool = False,
        if_match: str | None = None,
    ) -> BlobInfo:
        token = os.urandom(8).hex()
        file = file_name(key, token)
        name = key.encode()
        with self._opened(key) as database, self._unsure_of(name, file) as unsure:
            size = self._store(file, parts, unsure)
            with database.transaction() as connection:
                found = connection.execute(ONE, (name,)).fetchone()
                self._check(key, found, if_absent, if_match)
                if not (self._blobs / file).exists():
                    raise UnavailableError("the write took too long", resource=self._resource, key=key)
                if found is not None:
                    unsure(found[1])
                now = time.time_ns() // 1000
                row = (name, file, size, token, now, *known)
                connection.execute(PUT, row)
                connection.execute(CHANGED, ("created", name, size, token, now))
        return info_of(row)

    def _check(self, key: str, known: Row | None, if_absent: bool, if_match: str | None) -> None:
        if if_absent and known is not None:
            raise AlreadyExistsError("the key exists", resource=self._resource, key=key)
        if if_match is not None and (known is None or known[3] != if_match):
            found = "there is no such blob" if known is None else f"its etag is {known[3]}"
            raise PreconditionFailedError(f"if_match={if_match!r}, but {found}", resource=self._resource, key=key)

    def _store(self, file: str, parts: Iterable[bytes], unsure: Callable[[str], None]) -> int:
        size = 0
        with (self._blobs / file).open("xb") as opened:
            for number, part in enumerate(parts):
                if number:
                    unsure(file)  # noted anew, so that nobody takes a slow write for one that was cut short
                opened.write(part)
                size += len(part)
            opened.flush()
            os.fsync(opened.fileno())
        if self._full and os.name == "posix":
            folder = os.open(self._blobs, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        return size

    def copy(self, source: str, target: str, to: LocalBucket) -> BlobInfo:
        """The file is copied by the system, and becomes the target as a write does."""
        row, opened = self._open(source, None)
        with opened, to._opened(target):
            return to._write(target, FileChunks(opened, None), row[5:])

    def delete(self, key: str) -> None:
        """One transaction."""
        self._delete(key, (key,))

    def delete_many(self, keys: Sequence[str]) -> Failures:
        """One transaction: all or none."""
        self._delete(None, keys)
        return []

    def _delete(self, named: str | None, keys: Sequence[str]) -> None:
        with self._opened(named) as database, contextlib.ExitStack() as stack, database.transaction() as connection:
            for key in keys:
                name = key.encode()
                known = connection.execute(ONE, (name,)).fetchone()
                if known is not None:
                    stack.enter_context(self._unsure_of(name))(known[1])
                    connection.execute("DELETE FROM blobs WHERE key = ?", (name,))
                    connection.execute(CHANGED, ("deleted", name, None, None, time.time_ns() // 1000))

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
            if path not in notes:
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
            current = connection.execute(ONE, (name,)).fetchone()
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

    def read(
        self,
        key: str,
        start: int | None,
        end: int | None,
        if_match: str | None = None,
        if_none_match: str | None = None,
    ) -> bytes | None:
        """One file is read from its beginning to its end: no write can mix with it."""
        if if_none_match is not None and self._row(key)[3] == if_none_match:
            return None  # and no later write has this etag
        opened = self._open(key, if_match)[1]
        with self._opened(key), opened:
            if start:
                opened.seek(start)
            return opened.read(-1 if end is None else end - (start or 0))

    def open(self, key: str, start: int | None, end: int | None, if_match: str | None) -> tuple[BlobInfo, FileChunks]:
        """The open file: what is written or deleted later does not touch it."""
        row, opened = self._open(key, if_match)
        if start:
            opened.seek(start)
        return info_of(row), FileChunks(opened, None if end is None else end - (start or 0))

    def _open(self, key: str, if_match: str | None) -> tuple[Row, BinaryIO]:
        row = self._row(key)
        while True:
            if if_match is not None:
                self._check(key, row, False, if_match)
            with self._opened(key):
                try:
                    return row, (self._blobs / row[1]).open("rb")
                except FileNotFoundError:
                    # Overwritten since the index was read; unless it was not, and somebody removed the file by hand.
                    again = self._row(key)
                    if again[1] == row[1]:
                        raise
                    row = again

    def stat(self, key: str) -> BlobInfo:
        """From the index alone."""
        return info_of(self._row(key))

    def _row(self, key: str) -> Row:
        with self._opened(key) as database, database.connection() as connection:
            row: Row | None = connection.execute(ONE, (key.encode(),)).fetchone()
        if row is None:
            raise NotFoundError("there is no such blob", resource=self._resource, key=key)
        return row

    def list(self, prefix: str, delimiter: str | None) -> Iterator[BlobInfo]:
        """Pages of the index. A folded prefix is stepped over, however many blobs are behind it."""
        start, end = prefix.encode(), after(prefix.encode())
        fold = delimiter.encode() if delimiter else None
        limit = _ROWS if fold is None else 16
        while rows := self._page(start, end, limit):
            for row in rows:
                at = -1 if fold is None else row[0].find(fold, len(prefix.encode()))
                if fold is not None and at >= 0:
                    folded = row[0][: at + len(fold)]
                    yield BlobInfo(folded.decode(), is_prefix=True)
                    start, limit = after(folded), 16
                    break
                yield info_of(row)
            else:
                if len(rows) < limit:
                    return
                start, limit = rows[-1][0] + b"\x00", _ROWS

    def _page(self, start: bytes, end: bytes, limit: int) -> Rows:
        with self._opened() as database, database.connection() as connection:
            return connection.execute(PAGE, (start, end, limit)).fetchall()

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
            BlobChange(number, kind, key.decode(), size, etag, instant_of(when))
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

    def url(self, key: str, method: str, expires: timedelta, content_type: str | None) -> SignedURL:
        """See ``portable_local.signing``."""
        with self._opened(key):
            return signed_url(self._folder, self._name, key, method, expires, content_type)

    def check_url(self, query: Mapping[str, str], method: str, headers: Mapping[str, str]) -> str:
        """The key a request with a URL of :meth:`url` is for. Raises PermissionDeniedError for any other request."""
        with self._opened():
            return check_url(self._folder, self._name, query, method, headers)

    def native(self) -> Path:
        """The bucket's folder."""
        return self._folder

    def close(self) -> None:
        """Close the connections; the bucket can be used again."""
        self._database.close()
