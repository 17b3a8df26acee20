"""Queues in SQLite, one file each; several processes may send and receive at once."""

from __future__ import annotations

import json
import sqlite3
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Condition

from portable.drivers import Received, SendFailure
from portable.errors import NotFoundError, UnsupportedError
from portable_local.database import Database
from portable_local.errors import translate
from portable_local.limits import LARGEST_BODY

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from portable.resources import Resource

__all__ = ["LocalQueue", "open_driver"]


def open_driver(resource: Resource, folder: Path, durability: str) -> LocalQueue:
    """The driver of a declared queue, in a folder of its own."""
    return LocalQueue(resource.name, folder, durability=durability, **resource.options)


# Times are microseconds since the epoch. A message is claimed by moving `due` into the future, so the claims that come
# after it start behind it in the index: their cost does not grow with the backlog. `attempt` grows with every claim,
# which makes (id, attempt) the name of one lease.
_SCHEMA = """
BEGIN;
CREATE TABLE messages (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    due INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    sent INTEGER NOT NULL,
    attributes TEXT,
    body TEXT NOT NULL,
    ordering TEXT
);
CREATE INDEX messages_due ON messages (due);
CREATE INDEX messages_ordering ON messages (ordering, id) WHERE ordering IS NOT NULL;
CREATE TABLE sent_once (dedup TEXT PRIMARY KEY, message INTEGER NOT NULL, until INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE dead_letters (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    message TEXT,
    attempt INTEGER NOT NULL,
    sent INTEGER NOT NULL,
    attributes TEXT,
    body TEXT NOT NULL,
    ordering TEXT
);
COMMIT;
"""
_SEND = "INSERT INTO messages (due, attempt, sent, attributes, body, ordering) VALUES (?, 0, ?, ?, ?, ?)"
_CLAIM = """
UPDATE messages SET due = ?, attempt = attempt + 1
WHERE id IN (SELECT id FROM messages WHERE due <= ? ORDER BY due LIMIT ?)
RETURNING id, attempt, sent, attributes, body, ordering
"""
# Of a group, only the message that nothing is before: what is leased, delayed or waits for a retry holds up the rest.
_CLAIM_IN_ORDER = """
UPDATE messages SET due = ?, attempt = attempt + 1
WHERE id IN (
    SELECT id FROM messages AS one WHERE due <= ? AND (ordering IS NULL OR NOT EXISTS (
        SELECT 1 FROM messages AS before WHERE before.ordering = one.ordering AND before.id < one.id
    )) ORDER BY due LIMIT ?
)
RETURNING id, attempt, sent, attributes, body, ordering
"""
_FORGET = "DELETE FROM sent_once WHERE until <= ?"
_KNOWN = "SELECT message FROM sent_once WHERE dedup = ?"
_REMEMBER = "INSERT INTO sent_once (dedup, message, until) VALUES (?, ?, ?)"
_DONE = "DELETE FROM messages WHERE id = ? AND attempt = ?"
_RETRY = "UPDATE messages SET due = ? WHERE id = ? AND attempt = ?"
_BURY = """
INSERT INTO dead_letters (message, attempt, sent, attributes, body, ordering)
SELECT CAST(id AS TEXT), min(attempt, ?), sent, attributes, body, ordering FROM messages WHERE id = ? AND attempt = ?
"""
_NEXT = "SELECT min(due) FROM messages"
_DEAD = """
SELECT ifnull(message, 'copy-' || id), body, attributes, attempt, sent, ordering FROM dead_letters ORDER BY id LIMIT ?
"""

_REDRIVE = """
INSERT INTO messages (due, attempt, sent, attributes, body, ordering)
SELECT ?, 0, sent, attributes, body, ordering FROM dead_letters ORDER BY id LIMIT ?
"""
_REDRIVEN = "DELETE FROM dead_letters WHERE id IN (SELECT id FROM dead_letters ORDER BY id LIMIT ?)"

REMEMBERED = timedelta(minutes=5)
"""How long a deduplication id is known: as long as SQS knows it."""

_POLL = 0.05
"""Seconds between two looks for what another process sent; a send of this process is seen at once."""


def _now() -> int:
    return time.time_ns() // 1000


def _micros(duration: timedelta) -> int:
    return duration // timedelta(microseconds=1)


def _instant(micros: int) -> datetime:
    return datetime.fromtimestamp(micros / 1_000_000, UTC)


def _encode(attributes: Mapping[str, str]) -> str | None:
    return json.dumps(dict(attributes), ensure_ascii=False) if attributes else None


class LocalQueue:
    """See ``portable.drivers.QueueDriver``, and for what survives a crash ``portable_local.database``.

    Delay, retry after a while, groups, deduplication and dead letters are kept here. A lease that ended on the last
    attempt makes the message a dead letter when the queue is next received from. Order, but for that of a group, is by
    the time a message is due, which is no promise. Of a group one message is leased at a time. Times are this machine's
    clock: setting it back prolongs leases and delays.

    Args:
        folder: where ``messages.sqlite`` is, or is made on first use. Without such a folder: NotFoundError then.
    """

    def __init__(
        self,
        name: str,
        folder: Path,
        max_attempts: int,
        durability: str = "normal",
        *,
        ordered: bool = False,
        dedup: bool = False,  # noqa: ARG002 - every queue can
        large: str | None = None,  # noqa: ARG002 - the portable type's
        retry: object = None,  # noqa: ARG002 - of the function that handles it
    ) -> None:
        self._resource = f"queue {name}"
        self._max_attempts = max_attempts
        self._claim_statement = _CLAIM_IN_ORDER if ordered else _CLAIM
        self._sent = Condition()
        self._database = Database(folder / "messages.sqlite", _SCHEMA, durability)

    # --- sending

    def send(
        self,
        body: str,
        *,
        attributes: Mapping[str, str],
        delay: timedelta | None,
        group: str | None,
        dedup: str | None,
    ) -> str:
        """One transaction. A deduplication id is known for five minutes."""
        self._check(body)
        now = _now()
        row = (now if delay is None else now + _micros(delay), now, _encode(attributes), body, group)
        try:
            if dedup is None:
                connection = self._database.take()
                try:
                    identity = connection.execute(_SEND, row).lastrowid
                finally:
                    self._database.give(connection)
            else:
                identity = self._send_once(row, dedup)
        except (sqlite3.Error, OSError) as error:
            raise translate(error, self._resource) from error
        self._wake()
        return str(identity)

    def _send_once(self, row: tuple[Any, ...], dedup: str) -> int:
        now = row[1]
        with self._database.transaction() as connection:
            connection.execute(_FORGET, (now,))
            known = connection.execute(_KNOWN, (dedup,)).fetchone()
            if known is not None:
                return int(known[0])
            identity = connection.execute(_SEND, row).lastrowid
            connection.execute(_REMEMBER, (dedup, identity, now + _micros(REMEMBERED)))
        return int(identity or 0)

    def send_many(self, bodies: Sequence[str]) -> list[SendFailure]:
        """One transaction for all that are not too large."""
        now = _now()
        refused = []
        rows = []
        for index, body in enumerate(bodies):
            try:
                self._check(body)
            except UnsupportedError as error:
                refused.append(SendFailure(index, error))
            else:
                rows.append((now, now, None, body, None))
        if rows:
            try:
                with self._database.transaction() as connection:
                    connection.executemany(_SEND, rows)
            except (sqlite3.Error, OSError) as error:
                raise translate(error, self._resource) from error
            self._wake()
        return refused

    def fits(self, body: str, attributes: Mapping[str, str]) -> bool:  # noqa: ARG002 - room is left for them
        """Nearly a gigabyte does."""
        # A character takes four bytes at most, so what is short need not be encoded to be counted.
        return len(body) <= LARGEST_BODY // 4 or len(body.encode()) <= LARGEST_BODY

    def _check(self, body: str) -> None:
        if not self.fits(body, {}):
            raise UnsupportedError(f"a body has at most {LARGEST_BODY} bytes", resource=self._resource)

    def _wake(self) -> None:
        with self._sent:
            self._sent.notify_all()

    # --- receiving

    def receive(self, limit: int, wait: timedelta, lease: timedelta) -> list[Received]:
        """What is due, earliest first; claims of several processes never overlap."""
        found = self._claim(limit, lease)
        if found or not wait:
            return found
        end = time.monotonic() + wait.total_seconds()
        while not found and (left := end - time.monotonic()) > 0:
            self._pause(left)
            if self._has_due():
                found = self._claim(limit, lease)
        return found

    def _claim(self, limit: int, lease: timedelta) -> list[Received]:
        now = _now()
        try:
            connection = self._database.take()
            try:
                rows = connection.execute(self._claim_statement, (now + _micros(lease), now, limit)).fetchall()
            finally:
                self._database.give(connection)
        except (sqlite3.Error, OSError) as error:
            raise translate(error, self._resource) from error
        rows.sort()  # RETURNING promises no order
        found = []
        for identity, attempt, sent, attributes, body, group in rows:
            if attempt > self._max_attempts:
                # Its last lease ended without a word. Should this process die here, the next claim comes to the same.
                self._bury(identity, attempt)
                continue
            decoded = json.loads(attributes) if attributes else None
            found.append(Received(str(identity), body, (identity, attempt), decoded, attempt, _instant(sent), group))
        return found

    def _has_due(self) -> bool:
        """Whether a claim would find something. It reads only, so those who wait do not stop those who write."""
        try:
            with self._database.connection() as connection:
                [due] = connection.execute(_NEXT).fetchone()
        except (sqlite3.Error, OSError) as error:
            raise translate(error, self._resource) from error
        return due is not None and due <= _now()

    def _pause(self, most: float) -> None:
        with self._sent:
            self._sent.wait(min(most, _POLL))

    def acknowledge(self, received: Received) -> None:
        """Does nothing when the lease ended and somebody else has the message."""
        self._write(_DONE, received.receipt)

    def acknowledge_many(self, batch: Sequence[Received]) -> None:
        """Like :meth:`acknowledge` for each, in one transaction."""
        try:
            with self._database.transaction() as connection:
                connection.executemany(_DONE, [received.receipt for received in batch])
        except (sqlite3.Error, OSError) as error:
            raise translate(error, self._resource) from error

    def retry(self, received: Received, after: timedelta | None) -> None:
        """After the last attempt the message becomes a dead letter at once."""
        identity, attempt = received.receipt
        if attempt >= self._max_attempts:
            self._bury(identity, attempt)
            return
        due = _now() if after is None else _now() + _micros(after)
        self._write(_RETRY, (due, identity, attempt))
        self._wake()

    def extend(self, received: Received, lease: timedelta) -> None:
        """NotFoundError when somebody else has the message by now, or it is done."""
        identity, attempt = received.receipt
        if not self._write(_RETRY, (_now() + _micros(lease), identity, attempt)):
            raise NotFoundError("the lease of the message has ended", resource=self._resource, key=received.id)

    def _write(self, statement: str, values: tuple[Any, ...]) -> int:
        try:
            connection = self._database.take()
            try:
                return connection.execute(statement, values).rowcount
            finally:
                self._database.give(connection)
        except (sqlite3.Error, OSError) as error:
            raise translate(error, self._resource) from error

    # --- dead letters

    def _bury(self, identity: int, attempt: int) -> None:
        try:
            with self._database.transaction() as connection:
                connection.execute(_BURY, (self._max_attempts, identity, attempt))
                connection.execute(_DONE, (identity, attempt))
        except (sqlite3.Error, OSError) as error:
            raise translate(error, self._resource) from error

    def dead_letter(self, body: str, attributes: Mapping[str, str]) -> None:
        """Put a copy among the dead letters."""
        self._check(body)
        statement = "INSERT INTO dead_letters (attempt, sent, attributes, body) VALUES (1, ?, ?, ?)"
        self._write(statement, (_now(), _encode(attributes), body))

    def dead_letters(self, limit: int) -> list[Received]:
        """The oldest first. Nothing is taken; ``receipt`` is None."""
        try:
            with self._database.connection() as connection:
                rows = connection.execute(_DEAD, (limit,)).fetchall()
        except (sqlite3.Error, OSError) as error:
            raise translate(error, self._resource) from error
        return [
            Received(
                message, body, None, json.loads(attributes) if attributes else None, attempt, _instant(sent), group
            )
            for message, body, attributes, attempt, sent, group in rows
        ]

    def redrive(self, limit: int | None = None) -> int:
        """Move dead letters back, the oldest first, in one transaction. Returns how many."""
        now = _now()
        most = -1 if limit is None else limit
        try:
            with self._database.transaction() as connection:
                moved = connection.execute(_REDRIVE, (now, most)).rowcount
                connection.execute(_REDRIVEN, (most,))
        except (sqlite3.Error, OSError) as error:
            raise translate(error, self._resource) from error
        self._wake()
        return moved

    # --- for whoever looks on

    def depth(self) -> int:
        """Messages that are not done: those that wait, are hidden for a while, or are in hand."""
        return self._count("SELECT count(*) FROM messages")

    def purge(self) -> None:
        """One transaction; what is leased is dropped too."""
        self._write("DELETE FROM messages", ())

    def dead_letter_count(self) -> int:
        """How many dead letters there are."""
        return self._count("SELECT count(*) FROM dead_letters")

    def _count(self, statement: str) -> int:
        try:
            with self._database.connection() as connection:
                [count] = connection.execute(statement).fetchone()
        except (sqlite3.Error, OSError) as error:
            raise translate(error, self._resource) from error
        return int(count)

    def native(self) -> Path:
        """The SQLite file."""
        return self._database.path

    def close(self) -> None:
        """Close the connections; the queue can be used again."""
        self._database.close()
