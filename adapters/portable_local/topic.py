"""Topics in SQLite, one file each: a message is kept once, and a row says of each subscription how far it has it.

A publication and its copies for every subscription are one transaction, so a crash leaves all of them or none.
Several processes may publish and receive at once.
"""

from __future__ import annotations

import json
import sqlite3
from threading import Condition, Lock

from portable.drivers import SendFailure
from portable.errors import UnsupportedError
from portable.resources.filters import fits
from portable_local.database import Database
from portable_local.errors import translate
from portable_local.limits import LARGEST_BODY
from portable_local.subscription import BLOCKED, DELIVER, LocalSubscription, now

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path
    from typing import Any

    from portable.resources import Resource

__all__ = ["LocalTopic", "open_driver"]


def open_driver(resource: Resource, folder: Path, durability: str) -> LocalTopic:
    """The driver of a declared topic, in a folder of its own."""
    return LocalTopic(resource.name, folder, resource.options["max_attempts"], durability)


# See portable_local.subscription for what becomes of a delivery. A publication goes with the last delivery of it.
_SCHEMA = f"""
BEGIN;
CREATE TABLE publications (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    sent INTEGER NOT NULL,
    chain TEXT,
    attributes TEXT,
    body TEXT NOT NULL
);
CREATE TABLE subscriptions (id INTEGER PRIMARY KEY, name TEXT UNIQUE NOT NULL, filter TEXT, current INTEGER NOT NULL);
CREATE TABLE deliveries (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    subscription INTEGER NOT NULL,
    publication INTEGER NOT NULL,
    due INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    chain TEXT
);
CREATE INDEX deliveries_due ON deliveries (subscription, due);
CREATE INDEX deliveries_of ON deliveries (publication);
CREATE INDEX deliveries_chain ON deliveries (subscription, chain, id) WHERE chain IS NOT NULL;
CREATE TRIGGER publications_done AFTER DELETE ON deliveries
WHEN NOT EXISTS (SELECT 1 FROM deliveries WHERE publication = OLD.publication)
BEGIN
    DELETE FROM publications WHERE id = OLD.publication;
END;
CREATE TRIGGER deliveries_next AFTER DELETE ON deliveries WHEN OLD.chain IS NOT NULL
BEGIN
    UPDATE deliveries SET due = (SELECT sent FROM publications WHERE publications.id = publication)
    WHERE due = {BLOCKED} AND id = (
        SELECT min(id) FROM deliveries WHERE subscription = OLD.subscription AND chain = OLD.chain
    );
END;
CREATE TABLE dead_letters (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    subscription INTEGER NOT NULL,
    message TEXT,
    attempt INTEGER NOT NULL,
    sent INTEGER NOT NULL,
    chain TEXT,
    attributes TEXT,
    body TEXT NOT NULL
);
COMMIT;
"""  # noqa: S608 - a number of ours
_PUBLISH = "INSERT INTO publications (sent, chain, attributes, body) VALUES (?, ?, ?, ?)"
_DROP = "DELETE FROM publications WHERE id = ?"
_SUBSCRIBE = """
INSERT INTO subscriptions (name, filter, current) VALUES (?, ?, 1)
ON CONFLICT (name) DO UPDATE SET filter = excluded.filter, current = 1
"""


class LocalTopic:
    """See ``portable.drivers.TopicDriver``, and for what survives a crash ``portable_local.database``.

    Args:
        folder: where ``topic.sqlite`` is, or is made on first use. Without such a folder: NotFoundError then.
    """

    def __init__(self, name: str, folder: Path, max_attempts: int, durability: str = "normal") -> None:
        self._resource = f"topic {name}"
        self._max_attempts = max_attempts
        self._published = Condition()
        self._opening = Lock()
        self._open: dict[str, LocalSubscription] = {}
        self._database = Database(folder / "topic.sqlite", _SCHEMA, durability)

    def subscribe(self, filters: Mapping[str, Any]) -> None:
        """Make these the topic's subscriptions, each with its filter or None, in one transaction.

        One that is no longer named gets no new messages, and keeps those it has for when it is named again.
        """
        rows = [(name, None if wanted is None else json.dumps(wanted)) for name, wanted in filters.items()]
        try:
            with self._database.transaction() as connection:
                connection.execute("UPDATE subscriptions SET current = 0")
                connection.executemany(_SUBSCRIBE, rows)
        except (sqlite3.Error, OSError) as error:
            raise translate(error, self._resource) from error

    def publish(self, body: str, *, attributes: Mapping[str, str], group: str | None) -> str:
        """One transaction. The id is what every subscriber sees."""
        self._check(body)
        return self._publish([(body, attributes, group)])[0]

    def publish_many(self, bodies: Sequence[str]) -> list[SendFailure]:
        """One transaction for all that are not too large."""
        refused = []
        taken: list[tuple[str, Mapping[str, str], None]] = []
        for index, body in enumerate(bodies):
            try:
                self._check(body)
            except UnsupportedError as error:
                refused.append(SendFailure(index, error))
            else:
                taken.append((body, {}, None))
        if taken:
            self._publish(taken)
        return refused

    def _publish(self, messages: Iterable[tuple[str, Mapping[str, str], str | None]]) -> list[str]:
        ids = []
        sent = now()
        try:
            with self._database.transaction() as connection:
                filters = [
                    (identity, None if wanted is None else json.loads(wanted))
                    for identity, wanted in connection.execute("SELECT id, filter FROM subscriptions WHERE current")
                ]
                for body, attributes, group in messages:
                    kept = json.dumps(dict(attributes)) if attributes else None
                    row = connection.execute(_PUBLISH, (sent, group, kept, body)).lastrowid
                    takers = [one for one, wanted in filters if wanted is None or fits(wanted, attributes)]
                    connection.executemany(DELIVER, [(one, row, sent) for one in takers])
                    if not takers:
                        connection.execute(_DROP, (row,))
                    ids.append(str(row))
        except (sqlite3.Error, OSError) as error:
            raise translate(error, self._resource) from error
        with self._published:
            self._published.notify_all()
        return ids

    def _check(self, body: str) -> None:
        # A character takes four bytes at most, so what is short need not be encoded to be counted.
        if len(body) > LARGEST_BODY // 4 and len(body.encode()) > LARGEST_BODY:
            raise UnsupportedError(f"a body has at most {LARGEST_BODY} bytes", resource=self._resource)

    def subscription(self, name: str) -> LocalSubscription:
        """One subscription; used before ``subscribe`` named it, it raises NotFoundError."""
        with self._opening:
            if name not in self._open:
                self._open[name] = LocalSubscription(
                    self._database, self._resource, name, self._max_attempts, self._published
                )
            return self._open[name]

    def native(self) -> Path:
        """The SQLite file."""
        return self._database.path

    def close(self) -> None:
        """Close the connections; the topic can be used again."""
        self._database.close()
