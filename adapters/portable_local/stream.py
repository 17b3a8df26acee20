"""Streams in SQLite, one file each: an ordered log in partitions. Several processes may send and read at once."""

from __future__ import annotations

import sqlite3
import time
from datetime import UTC, datetime
from zlib import crc32

from portable.drivers import SendFailure, StoredRecord
from portable.errors import UnsupportedError
from portable_local.database import Database
from portable_local.errors import translate
from portable_local.limits import LARGEST_BODY

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from portable.resources import Resource

__all__ = ["KEPT_SECONDS", "LocalStream", "open_driver"]


def open_driver(resource: Resource, folder: Path, durability: str) -> LocalStream:
    """The driver of a declared stream, in a folder of its own."""
    return LocalStream(resource.name, folder, resource.options["partitions"], durability)


# Times are microseconds since the epoch. One sequence numbers all partitions, so an offset grows in each of them; with
# AUTOINCREMENT none is used again, though the record be long gone.
_SCHEMA = """
BEGIN;
CREATE TABLE records (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    partition INTEGER NOT NULL,
    sent INTEGER NOT NULL,
    name TEXT,
    data BLOB NOT NULL
);
CREATE INDEX records_of ON records (partition, id);
CREATE INDEX records_sent ON records (sent);
COMMIT;
"""
_SEND = "INSERT INTO records (partition, sent, name, data) VALUES (?, ?, ?, ?)"
_READ = """
SELECT id, data, name, sent FROM records WHERE partition = ? AND id > ? ORDER BY id LIMIT ?
"""
_SINCE = """
SELECT id, data, name, sent FROM records WHERE partition = ? AND sent >= ? ORDER BY id LIMIT ?
"""
_SWEEP = "DELETE FROM records WHERE sent < ?"
_LAST = "SELECT ifnull(max(seq), 0) FROM sqlite_sequence WHERE name = 'records'"

KEPT_SECONDS = 24 * 3600
"""How long a record is kept: as long as Kinesis and Event Hubs keep it by default."""


class LocalStream:
    """See ``portable.drivers.StreamDriver``, and for what survives a crash ``portable_local.database``.

    A call of ``send_many`` is one transaction, and what is too old is removed in it. A key's partition is found by its
    CRC-32, so a declaration with other ``partitions`` moves keys.

    Args:
        folder: where ``stream.sqlite`` is, or is made on first use. Without such a folder: NotFoundError then.
    """

    def __init__(self, name: str, folder: Path, partitions: int, durability: str = "normal") -> None:
        self._resource = f"stream {name}"
        self._partitions = partitions
        self._database = Database(folder / "stream.sqlite", _SCHEMA, durability)

    def send_many(self, records: Sequence[tuple[str, bytes]]) -> list[SendFailure]:
        """One transaction for all that are not too large."""
        now = time.time()
        micros = int(now * 1_000_000)
        refused = []
        rows = []
        for index, (key, data) in enumerate(records):
            if len(data) > LARGEST_BODY:
                error = UnsupportedError(f"a record has at most {LARGEST_BODY} bytes", resource=self._resource, key=key)
                refused.append(SendFailure(index, error))
            else:
                rows.append((crc32(key.encode()) % self._partitions, micros, key, data))
        try:
            with self._database.transaction() as connection:
                connection.executemany(_SEND, rows)
                connection.execute(_SWEEP, (int((now - KEPT_SECONDS) * 1_000_000),))
        except (sqlite3.Error, OSError) as error:
            raise translate(error, self._resource) from error
        return refused

    def partitions(self) -> list[str]:
        """``"0"`` and on."""
        return [str(number) for number in range(self._partitions)]

    def read(self, partition: str, after: str | None, limit: int) -> list[StoredRecord]:
        """See ``portable.drivers``."""
        return self._records(partition, _READ, int(after or 0), limit)

    def read_since(self, partition: str, since: datetime, limit: int) -> list[StoredRecord]:
        """See ``portable.drivers``."""
        return self._records(partition, _SINCE, int(since.timestamp() * 1_000_000), limit)

    def _records(self, partition: str, statement: str, start: int, limit: int) -> list[StoredRecord]:
        try:
            with self._database.connection() as connection:
                rows = connection.execute(statement, (int(partition), start, limit)).fetchall()
        except (sqlite3.Error, OSError) as error:
            raise translate(error, self._resource) from error
        return [
            StoredRecord(partition, str(number), data, key, datetime.fromtimestamp(sent / 1_000_000, UTC))
            for number, data, key, sent in rows
        ]

    def last(self) -> int:
        """The offset of the latest record of any partition, 0 where there was none."""
        try:
            with self._database.connection() as connection:
                [number] = connection.execute(_LAST).fetchone()
        except (sqlite3.Error, OSError) as error:
            raise translate(error, self._resource) from error
        return int(number)

    def native(self) -> Path:
        """The SQLite file."""
        return self._database.path

    def close(self) -> None:
        """Close the connections; the stream can be used again."""
        self._database.close()
