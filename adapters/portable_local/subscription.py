"""One subscription's deliveries, in the file of its topic."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import time
from datetime import UTC, datetime, timedelta

from portable.drivers import Received
from portable.errors import NotFoundError
from portable_local.errors import translate

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager
    from threading import Condition
    from typing import Any

    from portable_local.database import Database

__all__ = ["BLOCKED", "DELIVER", "LocalSubscription", "now"]

# Times are microseconds since the epoch. As in a queue, a claim moves `due` into the future, and (id, attempt) names
# one lease. Of a chain, which is a group of an ordered topic, all but the oldest delivery are due at the end of time:
# when it goes, a trigger lets the next one in. So a claim never looks at what it cannot have.
BLOCKED = 2**62

DELIVER = f"""
INSERT INTO deliveries (subscription, publication, attempt, chain, due)
SELECT ?1, id, 0, chain, CASE WHEN chain IS NOT NULL AND EXISTS (
    SELECT 1 FROM deliveries WHERE subscription = ?1 AND deliveries.chain = publications.chain
) THEN {BLOCKED} ELSE ?3 END FROM publications WHERE id = ?2
"""  # noqa: S608 - a number of ours
"""Deliver to a subscription a publication, at a time."""
_CLAIM = """
UPDATE deliveries SET due = ?, attempt = attempt + 1
WHERE id IN (SELECT id FROM deliveries WHERE subscription = ? AND due <= ? ORDER BY due LIMIT ?)
RETURNING id
"""
_READ = """
SELECT deliveries.id, deliveries.attempt, publications.id, sent, publications.chain, attributes, body
FROM deliveries JOIN publications ON publications.id = publication WHERE deliveries.id = ?
"""
_DONE = "DELETE FROM deliveries WHERE id = ? AND attempt = ?"
_RETRY = "UPDATE deliveries SET due = ? WHERE id = ? AND attempt = ?"
_EXTEND = "UPDATE deliveries SET due = ? WHERE id = ? AND attempt = ? AND due > ?"
_BURY = """
INSERT INTO dead_letters (subscription, message, attempt, sent, chain, attributes, body)
SELECT subscription, CAST(publication AS TEXT), min(attempt, ?), sent, publications.chain, attributes, body
FROM deliveries JOIN publications ON publications.id = publication WHERE deliveries.id = ? AND attempt = ?
"""
_COPY = "INSERT INTO dead_letters (subscription, attempt, sent, attributes, body) VALUES (?, 1, ?, ?, ?)"
_DEAD = """
SELECT ifnull(message, 'copy-' || id), body, attributes, attempt, sent, chain FROM dead_letters
WHERE subscription = ? ORDER BY id LIMIT ?
"""
_RISE = """
INSERT INTO publications (sent, chain, attributes, body)
SELECT sent, chain, attributes, body FROM dead_letters WHERE id = ?
"""

_POLL = 0.05
"""Seconds between two looks for what another process published; a publication of this process is seen at once."""


def now() -> int:
    """Microseconds since the epoch."""
    return time.time_ns() // 1000


def _micros(duration: timedelta) -> int:
    return duration // timedelta(microseconds=1)


def _instant(micros: int) -> datetime:
    return datetime.fromtimestamp(micros / 1_000_000, UTC)


class LocalSubscription:
    """See ``portable.drivers.SubscriptionDriver``. A lease that ended on the last attempt makes the message a dead
    letter when the subscription is next received from.
    """

    def __init__(self, database: Database, topic: str, name: str, max_attempts: int, published: Condition) -> None:
        self._database = database
        self._topic = topic
        self._name = name
        self._max_attempts = max_attempts
        self._published = published
        self._id = 0

    def _identity(self, connection: sqlite3.Connection) -> int:
        if not self._id:
            row = connection.execute("SELECT id FROM subscriptions WHERE name = ?", (self._name,)).fetchone()
            if row is None:
                raise NotFoundError(f"it has no subscription {self._name}", resource=self._topic)
            self._id = row[0]
        return self._id

    def _reading(self) -> AbstractContextManager[sqlite3.Connection]:
        return _translating(self._database.connection(), self._topic)

    def _writing(self) -> AbstractContextManager[sqlite3.Connection]:
        return _translating(self._database.transaction(), self._topic)

    # --- receiving

    def receive(self, limit: int, wait: timedelta, lease: timedelta) -> list[Received]:
        """What is due, earliest first; claims of several processes never overlap."""
        found = self._claim(limit, lease)
        end = time.monotonic() + wait.total_seconds()
        while not found and (left := end - time.monotonic()) > 0:
            with self._published:
                self._published.wait(min(left, _POLL))
            if self._has_due():
                found = self._claim(limit, lease)
        return found

    def _claim(self, limit: int, lease: timedelta) -> list[Received]:
        with self._writing() as connection:
            moment = now()
            values = (moment + _micros(lease), self._identity(connection), moment, limit)
            claimed = sorted(connection.execute(_CLAIM, values).fetchall())
            rows = [connection.execute(_READ, one).fetchone() for one in claimed]
            live = [row for row in rows if row[1] <= self._max_attempts]
            for row in rows:
                if row[1] > self._max_attempts:  # its last lease ended without a word
                    self._bury(connection, row[0], row[1])
        return [
            Received(
                str(message),
                body,
                (identity, attempt),
                json.loads(attributes) if attributes else None,
                attempt,
                _instant(sent),
                group,
            )
            for identity, attempt, message, sent, group, attributes, body in live
        ]

    def _has_due(self) -> bool:
        """Whether a claim might find something. It reads only, so those who wait do not stop those who write."""
        with self._reading() as connection:
            values = (self._identity(connection),)
            [due] = connection.execute("SELECT min(due) FROM deliveries WHERE subscription = ?", values).fetchone()
        return due is not None and due <= now()

    def acknowledge(self, received: Received) -> None:
        """Does nothing when the lease ended and somebody else has the message."""
        self.acknowledge_many([received])

    def acknowledge_many(self, batch: Sequence[Received]) -> None:
        """Like :meth:`acknowledge` for each, in one transaction."""
        with self._writing() as connection:
            connection.executemany(_DONE, [received.receipt for received in batch])
        self._wake()

    def retry(self, received: Received, after: timedelta | None) -> None:
        """After the last attempt the message becomes a dead letter at once."""
        identity, attempt = received.receipt
        with self._writing() as connection:
            if attempt >= self._max_attempts:
                self._bury(connection, identity, attempt)
            else:
                due = now() if after is None else now() + _micros(after)
                connection.execute(_RETRY, (due, identity, attempt))
        self._wake()

    def extend(self, received: Received, lease: timedelta) -> None:
        """Hide the message for ``lease`` from now on. Raises NotFoundError when the lease had ended."""
        with self._writing() as connection:
            moment = now()
            if not connection.execute(_EXTEND, (moment + _micros(lease), *received.receipt, moment)).rowcount:
                raise NotFoundError(f"the lease of message {received.id} has ended", resource=self._topic)

    def _wake(self) -> None:
        with self._published:
            self._published.notify_all()

    # --- dead letters

    def _bury(self, connection: sqlite3.Connection, identity: int, attempt: int) -> None:
        connection.execute(_BURY, (self._max_attempts, identity, attempt))
        connection.execute(_DONE, (identity, attempt))

    def dead_letter(self, body: str, attributes: Mapping[str, str]) -> None:
        """Put a copy among the dead letters."""
        kept = json.dumps(dict(attributes)) if attributes else None
        with self._writing() as connection:
            connection.execute(_COPY, (self._identity(connection), now(), kept, body))

    def dead_letters(self, limit: int) -> list[Received]:
        """The oldest first. Nothing is taken; ``receipt`` is None."""
        with self._reading() as connection:
            rows = connection.execute(_DEAD, (self._identity(connection), limit)).fetchall()
        return [
            Received(message, body, None, json.loads(kept) if kept else None, attempt, _instant(sent), group)
            for message, body, kept, attempt, sent, group in rows
        ]

    def redrive(self, limit: int | None = None) -> int:
        """Deliver dead letters to this subscription anew, in one transaction. Returns how many."""
        with self._writing() as connection:
            subscription, moment = self._identity(connection), now()
            query = "SELECT id FROM dead_letters WHERE subscription = ? ORDER BY id LIMIT ?"
            letters = connection.execute(query, (subscription, -1 if limit is None else limit)).fetchall()
            for letter in letters:
                publication = connection.execute(_RISE, letter).lastrowid
                connection.execute(DELIVER, (subscription, publication, moment))
            connection.executemany("DELETE FROM dead_letters WHERE id = ?", letters)
        self._wake()
        return len(letters)

    # --- for whoever looks on

    def depth(self) -> int:
        """Messages that are not done: those that wait, are hidden for a while, or are in hand."""
        return self._count("SELECT count(*) FROM deliveries WHERE subscription = ?")

    def dead_letter_count(self) -> int:
        """How many dead letters there are."""
        return self._count("SELECT count(*) FROM dead_letters WHERE subscription = ?")

    def _count(self, statement: str) -> int:
        with self._reading() as connection:
            [count] = connection.execute(statement, (self._identity(connection),)).fetchone()
        return int(count)

    def native(self) -> Any:
        """The SQLite file of the topic."""
        return self._database.path


@contextlib.contextmanager
def _translating(block: AbstractContextManager[sqlite3.Connection], resource: str) -> Iterator[sqlite3.Connection]:
    """A block whose SQLite and file errors come out as ours."""
    try:
        with block as connection:
            yield connection
    except (sqlite3.Error, OSError) as error:
        raise translate(error, resource) from error
