"""Queues in SQLite, one file each; several processes may send and receive at once."""

from __future__ import annotations

import json
import sqlite3
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Condition

from portable.drivers import Received, SendFailure
from portable.errors import UnsupportedError
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
    return LocalQueue(resource.name, folder, resource.options["max_attempts"], durability)


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
    body TEXT NOT NULL
);
CREATE INDEX messages_due ON messages (due);
CREATE TABLE dead_letters (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    message TEXT,
    attempt INTEGER NOT NULL,
    sent INTEGER NOT NULL,
    attributes TEXT,
    body TEXT NOT NULL
);
COMMIT;
"""
_SEND = "INSERT INTO messages (due, attempt, sent, attributes, body) VALUES (?, 0, ?, ?, ?)"
_CLAIM = """
UPDATE messages SET due = ?, attempt = attempt + 1
WHERE id IN (SELECT id FROM messages WHERE due <= ? ORDER BY due LIMIT ?)
RETURNING id, attempt, sent, attributes, body
"""
_DONE = "DELETE FROM messages WHERE id = ? AND attempt = ?"
_RETRY = "UPDATE messages SET due = ? WHERE id = ? AND attempt = ?"
_BURY = """
INSERT INTO dead_letters (message, attempt, sent, attributes, body)
SELECT CAST(id AS TEXT), min(attempt, ?), sent, attributes, body FROM messages WHERE id = ? AND attempt = ?
"""
_NEXT = "SELECT min(due) FROM messages"
_DEAD = "SELECT ifnull(message, 'copy-' || id), body, attributes, attempt, sent FROM dead_letters ORDER BY id LIMIT ?"

_REDRIVE = """
INSERT INTO messages (due, attempt, sent, attributes, body)
SELECT ?, 0, sent, attributes, body FROM dead_letters ORDER BY id
"""

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

    Delay, retry after a while and dead letters are kept here; groups and deduplication are refused. A lease that ended
    on the last attempt makes the message a dead letter when the queue is next received from. Order is by the time a
    message is due, which is no promise. Times are this machine's clock: setting it back prolongs leases and delays.

    Args:
        folder: where ``messages.sqlite`` is, or is made on first use. Without such a folder: NotFoundError then.
    """

    def __init__(self, name: str, folder: Path, max_attempts: int, durability: str = "normal") -> None:
        self._resource = f"queue {name}"
        self._max_attempts = max_attempts
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
        """One transaction."""
        if group is not None or dedup is not None:
            option = "group" if group is not None else "dedup"
            raise UnsupportedError(f"local queues take no {option}=", resource=self._resource)
        self._check(body)
        now = _now()
        due = now if delay is None else now + _micros(delay)
        try:
            connection = self._database.take()
            try:
                row = connection.execute(_SEND, (due, now, _encode(attributes), body)).lastrowid
            finally:
                self._database.give(connection)
        except (sqlite3.Error, OSError) as error:
            raise translate(error, self._resource) from error
        self._wake()
        return str(row)

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
                rows.append((now, now, None, body))
        if rows:
            try:
                with self._database.transaction() as connection:
                    connection.executemany(_SEND, rows)
            except (sqlite3.Error, OSError) as error:
                raise translate(error, self._resource) from error
            self._wake()
        return refused

    def _check(self, body: str) -> None:
        # A character takes four bytes at most, so what is short need not be encoded to be counted.
        if len(body) > LARGEST_BODY // 4 and len(body.encode()) > LARGEST_BODY:
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
                rows = connection.execute(_CLAIM, (now + _micros(lease), now, limit)).fetchall()
            finally:
                self._database.give(connection)
        except (sqlite3.Error, OSError) as error:
            raise translate(error, self._resource) from error
        rows.sort()  # RETURNING promises no order
        found = []
        for identity, attempt, sent, attributes, body in rows:
            if attempt > self._max_attempts:
                # Its last lease ended without a word. Should this process die here, the next claim comes to the same.
                self._bury(identity, attempt)
                continue
            decoded = json.loads(attributes) if attributes else None
            found.append(Received(str(identity), body, (identity, attempt), decoded, attempt, _instant(sent)))
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

    def _write(self, statement: str, values: tuple[Any, ...]) -> None:
        try:
            connection = self._database.take()
            try:
                connection.execute(statement, values)
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
            Received(message, body, None, json.loads(attributes) if attributes else None, attempt, _instant(sent))
            for message, body, attributes, attempt, sent in rows
        ]

    def redrive(self) -> int:
        """Move every dead letter back, for its attempts anew, in one transaction. Returns how many."""
        now = _now()
        try:
            with self._database.transaction() as connection:
                moved = connection.execute(_REDRIVE, (now,)).rowcount
                connection.execute("DELETE FROM dead_letters")
        except (sqlite3.Error, OSError) as error:
            raise translate(error, self._resource) from error
        self._wake()
        return moved

    # --- for whoever looks on

    def depth(self) -> int:
        """Messages that are not done: those that wait, are hidden for a while, or are in hand."""
        return self._count("SELECT count(*) FROM messages")

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
