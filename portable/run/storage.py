"""What an app's buckets, queues and tables hold, read and emptied through the drivers of whichever cloud."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import msgspec

from portable.drivers import Platform, Received, SubscriptionDriver
from portable.drivers.table import Row, Schema, TableDriver, TableQuery, Write, name_key
from portable.errors import NotFoundError, UnsupportedError
from portable.manifest import Manifest
from portable.run.delivery import open_resource, receiver

__all__ = ["Blob", "Contents", "QueueContents", "Storage"]

_NOW = timedelta(0)
_LOOK = timedelta(seconds=30)
_DEAD = 1000


class Blob(msgspec.Struct, frozen=True):
    """One blob. ``sha256`` is in hexadecimal."""

    size: int
    sha256: str
    content_type: str | None
    metadata: dict[str, str]


class QueueContents(msgspec.Struct):
    """Bodies as sent, sorted: no cloud promises an order."""

    left: list[str]
    dead_letters: list[str]


class Contents(msgspec.Struct):
    """Each bucket's blobs by key, each queue's messages (``topic/function`` are those of a subscription), and each
    table's items by key, as text.
    """

    buckets: dict[str, dict[str, Blob]] = {}
    queues: dict[str, QueueContents] = {}
    tables: dict[str, dict[str, str]] = {}


class Storage:
    """The buckets, queues and tables of a manifest."""

    def __init__(self, manifest: Manifest, platform: Platform) -> None:
        self._buckets = {one.name: open_resource(platform, one) for one in manifest.of_kind("bucket")}
        self._queues: dict[str, SubscriptionDriver] = {
            one.name: open_resource(platform, one) for one in manifest.of_kind("queue")
        }
        self._queues |= {
            f"{one.name}/{function}": receiver(platform, one, function)
            for one in manifest.of_kind("topic")
            for function in manifest.subscriptions(one.name)
        }
        self._tables: dict[str, tuple[Schema, TableDriver]] = {
            one.name: (Schema(one.options), open_resource(platform, one)) for one in manifest.of_kind("table")
        }
        self._forgotten: set[str] = set()

    def contents(self) -> Contents:
        """What is there now. Messages that wait are taken and given back, which counts as an attempt."""
        buckets = {name: self._blobs(driver) for name, driver in self._buckets.items()}
        queues = {}
        for name, driver in self._queues.items():
            left = _take(driver, _LOOK)
            queues[name] = QueueContents(sorted(one.body for one in left), sorted(self.dead_letters(name)))
            for one in left:
                driver.retry(one, None)
        tables = {
            name: {name_key(schema.key_of(row.item)): _show(row.item) for row in _rows(driver)}
            for name, (schema, driver) in self._tables.items()
        }
        return Contents(buckets, queues, tables)

    def dead_letters(self, queue: str) -> list[str]:
        """Bodies of a queue's dead letters; none where the queue can have none."""
        return [one.body for one in self._dead(queue) if f"{queue}/{one.id}" not in self._forgotten]

    def clear(self) -> None:
        """Delete every blob and item, take every message. Dead letters, which can only be looked at, are forgotten."""
        for schema, driver in self._tables.values():
            for row in list(_rows(driver)):
                driver.write(Write("delete", schema.key_of(row.item)))
        for bucket in self._buckets.values():
            for key in [info.key for info in bucket.list("", None)]:
                bucket.delete(key)
        for name, queue in self._queues.items():
            for one in _take(queue, _LOOK):
                queue.acknowledge(one)
            self._forgotten |= {f"{name}/{one.id}" for one in self._dead(name)}

    def _dead(self, queue: str) -> list[Received]:
        try:
            return self._queues[queue].dead_letters(_DEAD)
        except UnsupportedError:
            return []

    @staticmethod
    def _blobs(driver: Any) -> dict[str, Blob]:
        found = {}
        for row in driver.list("", None):
            try:
                info = driver.stat(row.key)
                data = driver.read(row.key, None, None)
            except NotFoundError:  # deleted since it was listed
                continue
            digest = hashlib.sha256(data).hexdigest()
            found[row.key] = Blob(len(data), digest, info.content_type, dict(info.metadata or {}))
        return found


def _rows(driver: TableDriver) -> Iterator[Row]:
    query = TableQuery()
    while True:
        page = driver.scan(query)
        yield from page.rows
        if page.cursor is None:
            return
        query = TableQuery(cursor=page.cursor)


def _show(value: Any) -> str:
    """A stored value as text, the same for equal values: a driver may give a number in any of its types."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name}: {_show(one)}" for name, one in sorted(value.items())) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_show, value)) + "]"
    if isinstance(value, (set, frozenset)):
        return "{" + ", ".join(sorted(map(_show, value))) + "}"
    if isinstance(value, (int, float, Decimal)) and not isinstance(value, bool):
        return format(Decimal(repr(value) if isinstance(value, float) else value).normalize(), "f")
    return repr(value)


def _take(queue: SubscriptionDriver, lease: timedelta) -> list[Received]:
    taken: list[Received] = []
    while batch := queue.receive(10, _NOW, lease):
        taken += batch
    return taken
