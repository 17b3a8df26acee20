"""What the deliveries have to remember over a restart, in ``.portable/dev/events.sqlite``."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock
from typing import Any

import msgspec

from portable.events import BlobEvent

__all__ = ["BlobTask", "State"]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS in_hand (queue TEXT, id TEXT, receipt TEXT, PRIMARY KEY (queue, id));
CREATE TABLE IF NOT EXISTS blob_events (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    function TEXT NOT NULL,
    bucket TEXT NOT NULL,
    change INTEGER NOT NULL,
    kind TEXT NOT NULL,
    key TEXT NOT NULL,
    size INTEGER,
    version TEXT,
    time REAL NOT NULL,
    attempt INTEGER NOT NULL DEFAULT 0,
    due REAL NOT NULL DEFAULT 0,
    parked INTEGER NOT NULL DEFAULT 0,
    error TEXT NOT NULL DEFAULT '',
    UNIQUE (function, bucket, change, time)
);
CREATE TABLE IF NOT EXISTS schedules (name TEXT PRIMARY KEY, expression TEXT NOT NULL, since REAL NOT NULL);
CREATE TABLE IF NOT EXISTS changes (function TEXT, source TEXT, last INTEGER, PRIMARY KEY (function, source));
CREATE TABLE IF NOT EXISTS ticks (schedule TEXT, due REAL, PRIMARY KEY (schedule, due));
"""
_TASK = "SELECT id, function, bucket, kind, key, size, version, time, attempt, due, parked, error FROM blob_events"


class BlobTask(msgspec.Struct):
    """A blob event on its way to a function. ``time`` and ``due``: seconds since the epoch; ``attempt``: those begun.

    ``parked``: 1 when it was given up after the last attempt, kept until somebody asks for another.
    """

    id: int
    function: str
    bucket: str
    kind: str
    key: str
    size: int | None
    version: str | None
    time: float
    attempt: int
    due: float
    parked: int
    error: str

    def event(self) -> BlobEvent:
        """What the function receives."""
        when = datetime.fromtimestamp(self.time, UTC)
        return BlobEvent(self.kind, self.bucket, self.key, self.size, self.version, when)  # type: ignore[arg-type]


class State:
    """See the module. Safe under threads. What it wrote survives the end of the process, however it ends."""

    def __init__(self, path: Path) -> None:
        self._lock = Lock()
        self._connection = sqlite3.connect(path, timeout=30, isolation_level=None, check_same_thread=False)
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = NORMAL")
        self._connection.executescript(_SCHEMA)

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise

    def _rows(self, statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        with self._lock:
            return self._connection.execute(statement, values).fetchall()

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

    # --- messages in hand: what a worker that is killed would keep hidden until their leases end

    def take(self, queue: str, batch: Sequence[tuple[str, Any]]) -> None:
        """Note messages as ``(id, receipt)``; a receipt is JSON values."""
        with self._transaction() as connection:
            connection.executemany(
                "INSERT OR REPLACE INTO in_hand VALUES (?, ?, ?)",
                [(queue, identity, json.dumps(receipt)) for identity, receipt in batch],
            )

    def let_go(self, queue: str, ids: Sequence[str]) -> None:
        """Forget messages whose outcome is known to the queue."""
        with self._transaction() as connection:
            connection.executemany("DELETE FROM in_hand WHERE queue = ? AND id = ?", [(queue, one) for one in ids])

    def in_hand(self, queue: str) -> list[tuple[str, Any]]:
        """What a worker before this one had when it ended."""
        rows = self._rows("SELECT id, receipt FROM in_hand WHERE queue = ?", (queue,))
        return [(identity, json.loads(receipt)) for identity, receipt in rows]

    # --- blob events

    def add_blob_events(self, function: str, bucket: str, changes: Sequence[Any]) -> None:
        """Note changes of a bucket for a function; one that is noted already stays as it is."""
        with self._transaction() as connection:
            connection.executemany(
                "INSERT OR IGNORE INTO blob_events (function, bucket, change, kind, key, size, version, time) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                [
                    (function, bucket, one.id, one.kind, one.key, one.size, one.etag, one.time.timestamp())
                    for one in changes
                ],
            )

    def due_blob_events(self, function: str, now: float) -> list[BlobTask]:
        """What waits for a function and is due, oldest first."""
        rows = self._rows(
            f"{_TASK} WHERE function = ? AND NOT parked AND due <= ? ORDER BY id LIMIT 100", (function, now)
        )
        return [_task(row) for row in rows]

    def parked(self) -> list[BlobTask]:
        """What was given up."""
        return [_task(row) for row in self._rows(f"{_TASK} WHERE parked ORDER BY id")]

    def waiting(self) -> dict[str, int]:
        """How many events wait, by function."""
        return dict(self._rows("SELECT function, count(*) FROM blob_events WHERE NOT parked GROUP BY function"))

    def begin_blob_event(self, task: int) -> None:
        """Count an attempt before it is made: one that ends the process counts too."""
        with self._transaction() as connection:
            connection.execute("UPDATE blob_events SET attempt = attempt + 1 WHERE id = ?", (task,))

    def end_blob_event(self, task: int) -> None:
        """It is done."""
        with self._transaction() as connection:
            connection.execute("DELETE FROM blob_events WHERE id = ?", (task,))

    def retry_blob_event(self, task: int, due: float, error: str, park: bool) -> None:
        """It failed: again at ``due``, or not until somebody asks."""
        with self._transaction() as connection:
            connection.execute(
                "UPDATE blob_events SET due = ?, error = ?, parked = ? WHERE id = ?", (due, error, park, task)
            )

    def unpark(self, task: int | None = None) -> int:
        """Deliver what was given up once more, from its first attempt: one, or all. Returns how many."""
        with self._transaction() as connection:
            return connection.execute(
                "UPDATE blob_events SET parked = 0, attempt = 0, due = 0 WHERE parked AND ? IN (id, -1)",
                (-1 if task is None else task,),
            ).rowcount

    # --- changes of tables

    def begin_changes(self, function: str, table: str, last: int, first: int | None = None) -> None:
        """A function listens to a table or stream: from its latest change, ``last``, or ``first`` on, unless it did
        before.
        """
        with self._transaction() as connection:
            begin = last if first is None else first
            connection.execute("INSERT OR IGNORE INTO changes VALUES (?, ?, ?)", (function, table, begin))
            # A log that was begun anew, its folder deleted, counts from the start again.
            connection.execute(
                "UPDATE changes SET last = min(last, ?) WHERE function = ? AND source = ?", (last, function, table)
            )

    def last_change(self, function: str, table: str) -> int:
        """The number of the last change that is dealt with."""
        [[last]] = self._rows("SELECT last FROM changes WHERE function = ? AND source = ?", (function, table))
        return int(last)

    def end_change(self, function: str, table: str, number: int) -> None:
        """A change is dealt with."""
        with self._transaction() as connection:
            connection.execute(
                "UPDATE changes SET last = ? WHERE function = ? AND source = ?", (number, function, table)
            )

    # --- schedules

    def since(self, schedule: str, expression: str, now: float) -> float:
        """The instant up to which a schedule is dealt with: now, when it is new or says something else than before."""
        with self._transaction() as connection:
            row = connection.execute(
                "SELECT since FROM schedules WHERE name = ? AND expression = ?", (schedule, expression)
            ).fetchone()
            if row is not None:
                return float(row[0])
            connection.execute("INSERT OR REPLACE INTO schedules VALUES (?, ?, ?)", (schedule, expression, now))
            connection.execute("DELETE FROM ticks WHERE schedule = ?", (schedule,))
        return now

    def begin_tick(self, schedule: str, due: float) -> None:
        """Note that a tick is being delivered, before it is; the schedule is dealt with up to it."""
        with self._transaction() as connection:
            connection.execute("INSERT OR IGNORE INTO ticks VALUES (?, ?)", (schedule, due))
            connection.execute("UPDATE schedules SET since = max(since, ?) WHERE name = ?", (due, schedule))

    def end_tick(self, schedule: str, due: float) -> None:
        """The handler ended, well or not."""
        with self._transaction() as connection:
            connection.execute("DELETE FROM ticks WHERE schedule = ? AND due = ?", (schedule, due))

    def unfinished_ticks(self, schedule: str) -> list[float]:
        """What was being delivered when a worker before this one was killed."""
        return [row[0] for row in self._rows("SELECT due FROM ticks WHERE schedule = ? ORDER BY due", (schedule,))]


def _task(row: tuple[Any, ...]) -> BlobTask:
    return BlobTask(*row)
