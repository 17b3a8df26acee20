"""Tables in SQLite, one file each; several processes may read and write at once."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

from portable.drivers.conditions import check_condition
from portable.drivers.table import Row, Rows, Schema, name_key
from portable.errors import ConfigError, UnsupportedError
from portable.resources.updates import apply_update
from portable_local import table_query
from portable_local.database import Database
from portable_local.errors import translate
from portable_local.limits import LARGEST_ITEM
from portable_local.table_rows import SCHEMA, StoredChange, decode_item, encode_item, to_column

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, TypeVar

    from portable.drivers.table import Item, Key, TableQuery, Write
    from portable.resources import Resource

    R = TypeVar("R")

__all__ = ["LocalTable", "open_driver"]


def open_driver(resource: Resource, folder: Path, durability: str) -> LocalTable:
    """The driver of a declared table, in a folder of its own."""
    return LocalTable(resource.name, folder, Schema(resource.options), durability)


_GET = "SELECT version, item FROM items WHERE partition = ? AND sort = ?"
_PUT = "INSERT OR REPLACE INTO items (partition, sort, version, ends, item) VALUES (?, ?, ?, ?, ?)"
_DELETE = "DELETE FROM items WHERE partition = ? AND sort = ?"
_LOG = "INSERT INTO changes (time, kind, old, new) VALUES (?, ?, ?, ?)"
_UNINDEX = "DELETE FROM entries WHERE item_partition = ? AND item_sort = ?"
_INDEX = "INSERT INTO entries (name, partition, value, item_partition, item_sort) VALUES (?, ?, ?, ?, ?)"

KEPT_SECONDS = 24 * 3600
"""How long a change is kept for those who follow the changes: as DynamoDB keeps its stream."""
_SWEEP = 64
"""Every so many changes, what is too old is removed: expired items, and changes nobody will ask for."""


class LocalTable:
    """See ``portable.drivers.TableDriver``, and for what survives a crash ``portable_local.database``.

    A write, and a transaction of any number of partitions, is one transaction of SQLite. Reads of an index are as
    consistent as all others. Every write is kept among the changes for a day.

    Args:
        folder: where ``items.sqlite`` is, or is made on first use. Without such a folder: NotFoundError then.
    """

    def __init__(self, name: str, folder: Path, schema: Schema, durability: str = "normal") -> None:
        self._resource = f"table {name}"
        self._schema = schema
        self._database = Database(folder / "items.sqlite", SCHEMA, durability)
        self._prepared = False

    def _run(self, work: Callable[[sqlite3.Connection], R], key: Key | None = None, *, writes: bool = False) -> R:
        """What ``work`` gives, its errors translated."""
        named = None if key is None else name_key(key)
        try:
            if not self._prepared:
                self._prepare()
            with self._database.transaction() if writes else self._database.connection() as connection:
                return work(connection)
        except (sqlite3.Error, OSError) as error:
            raise translate(error, self._resource, named) from error

    def _prepare(self) -> None:
        """Bring the file in line with the declaration: an index that is new is filled."""
        key = repr((self._schema.key, self._schema.sort))
        indexes = repr(sorted(self._schema.indexes.items()))
        with self._database.connection() as connection:
            known = dict(connection.execute("SELECT name, value FROM declaration"))
        if known != {"key": key, "indexes": indexes}:
            if known.get("key", key) != key:
                raise ConfigError(
                    f"{self._resource} was made with the key {known['key']} and is declared with {key}: "
                    f"remove {self._database.path.parent} to begin anew"
                )
            with self._database.transaction() as connection:
                connection.execute("DELETE FROM entries")
                for [text] in connection.execute("SELECT item FROM items").fetchall():
                    item = decode_item(text)
                    self._index(connection, item, self._columns(self._schema.key_of(item)))
                rows = [("key", key), ("indexes", indexes)]
                connection.executemany("INSERT OR REPLACE INTO declaration VALUES (?, ?)", rows)
        self._prepared = True

    @staticmethod
    def _columns(key: Key) -> tuple[bytes | int, bytes | int]:
        return to_column(key[0]), to_column(key[1]) if len(key) == 2 else b""

    # --- reading

    def get(self, key: Key) -> Row | None:
        """See ``portable.drivers``."""
        return self._run(lambda connection: self._find(connection, key), key)

    def get_many(self, keys: Sequence[Key]) -> list[Row | None]:
        """See ``portable.drivers``. All at one moment."""

        def read(connection: sqlite3.Connection) -> list[Row | None]:
            connection.execute("BEGIN")
            try:
                return [self._find(connection, key) for key in keys]
            finally:
                connection.execute("COMMIT")

        return self._run(read)

    def _find(self, connection: sqlite3.Connection, key: Key) -> Row | None:
        found = connection.execute(_GET, self._columns(key)).fetchone()
        return None if found is None else Row(decode_item(found[1]), str(found[0]))

    def query(self, query: TableQuery) -> Rows:
        """See ``portable.drivers``."""
        statement, values = table_query.of_partition(query)
        return self._page(statement, values, query)

    def scan(self, query: TableQuery) -> Rows:
        """In order of the keys."""
        statement, values = table_query.of_table(query)
        return self._page(statement, values, query)

    def _page(self, statement: str, values: list[Any], query: TableQuery) -> Rows:
        limit = query.limit or table_query.PAGE
        found = self._run(lambda connection: connection.execute(statement, (*values, limit + 1)).fetchall())
        rows = [Row(decode_item(item), str(version)) for version, item, *_ in found[:limit]]
        cursor = table_query.cursor_behind(found[limit - 1][2:], query) if len(found) > limit else None
        return Rows(rows, cursor)

    # --- writing

    def write(self, write: Write) -> Row | None:
        """See ``portable.drivers``."""
        return self._run(lambda connection: self._do(connection, write), write.key, writes=True)

    def transact(self, writes: Sequence[Write]) -> None:
        """See ``portable.drivers``."""

        def work(connection: sqlite3.Connection) -> None:
            for write in writes:
                self._do(connection, write)

        self._run(work, writes=True)

    def _do(self, connection: sqlite3.Connection, write: Write) -> Row | None:
        stored = self._find(connection, write.key)
        old = None if stored is None or self._schema.has_expired(stored.item, time.time()) else stored
        check_condition(write, old, self._resource)
        if write.kind == "check":
            return None
        if write.kind == "delete":
            if stored is not None:
                self._remove(connection, write.key, stored.item)
            return None
        item = write.item
        if write.kind == "update":
            assert old is not None
            item = apply_update(old.item, write, self._resource, name_key(write.key))
        return self._store(connection, write.key, item, old)

    def _store(self, connection: sqlite3.Connection, key: Key, item: Item, old: Row | None) -> Row:
        text = encode_item(item)
        if len(text) * 4 > LARGEST_ITEM and len(text.encode()) > LARGEST_ITEM:
            raise UnsupportedError(
                f"an item has at most {LARGEST_ITEM} bytes, this has {len(text.encode())}",
                resource=self._resource,
                key=name_key(key),
            )
        before = None if old is None else encode_item(old.item)
        version = self._log(connection, "insert" if old is None else "update", before, text)
        columns = self._columns(key)
        ends = None if self._schema.ttl is None else item.get(self._schema.ttl)
        connection.execute(_PUT, (*columns, version, ends, text))
        self._index(connection, item, columns)
        return Row(item, str(version))

    def _remove(self, connection: sqlite3.Connection, key: Key, item: Item) -> None:
        columns = self._columns(key)
        connection.execute(_DELETE, columns)
        connection.execute(_UNINDEX, columns)
        self._log(connection, "delete", encode_item(item), None)

    def _index(self, connection: sqlite3.Connection, item: Item, columns: tuple[bytes | int, bytes | int]) -> None:
        if not self._schema.indexes:
            return
        connection.execute(_UNINDEX, columns)
        for name, (partition, sort) in self._schema.indexes.items():
            if partition in item and (sort is None or sort in item):
                value = b"" if sort is None else to_column(item[sort])
                connection.execute(_INDEX, (name, to_column(item[partition]), value, *columns))

    def _log(self, connection: sqlite3.Connection, kind: str, old: str | None, new: str | None) -> int:
        """Keep a change. Its number is the item's version: it grows, and is never used again."""
        now = time.time()
        number = connection.execute(_LOG, (int(now * 1_000_000), kind, old, new)).lastrowid
        assert number is not None
        if number % _SWEEP == 0:
            self._sweep(connection, now)
        return number

    def _sweep(self, connection: sqlite3.Connection, now: float) -> None:
        connection.execute("DELETE FROM changes WHERE time < ?", (int((now - KEPT_SECONDS) * 1_000_000),))
        expired = connection.execute("SELECT item FROM items WHERE ends <= ? LIMIT ?", (int(now), _SWEEP)).fetchall()
        for [text] in expired:
            item = decode_item(text)
            columns = self._columns(self._schema.key_of(item))
            connection.execute(_DELETE, columns)
            connection.execute(_UNINDEX, columns)
            connection.execute(_LOG, (int(now * 1_000_000), "delete", text, None))

    # --- for whoever follows the changes

    def changes(self, after: int, limit: int) -> list[StoredChange]:
        """What was written behind the change with this number, oldest first; of the last day at least."""
        statement = "SELECT id, time, kind, old, new FROM changes WHERE id > ? ORDER BY id LIMIT ?"
        rows = self._run(lambda connection: connection.execute(statement, (after, limit)).fetchall())
        return [
            StoredChange(number, moment, kind, old and decode_item(old), new and decode_item(new))
            for number, moment, kind, old, new in rows
        ]

    def last_change(self) -> int:
        """The number of the latest change, 0 where there was none."""
        statement = "SELECT ifnull(max(seq), 0) FROM sqlite_sequence WHERE name = 'changes'"
        return int(self._run(lambda connection: connection.execute(statement).fetchone())[0])

    def native(self) -> Path:
        """The SQLite file."""
        return self._database.path

    def close(self) -> None:
        """Close the connections; the table can be used again."""
        self._database.close()
