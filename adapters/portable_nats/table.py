"""Tables on JetStream's key-value streams. The address names the bucket; an item is one value, its version a revision.

The server knows keys and no fields: a query of a partition names its keys, chooses among them here and fetches those
of the page, and a query of an index reads the whole table.
"""

from __future__ import annotations

from time import time

from portable.drivers.conditions import check_condition
from portable.drivers.table import Row, Rows, Schema, Write, decode_cursor, encode_cursor, name_key
from portable.drivers.tags import decode, encode
from portable.errors import UnavailableError, UnsupportedError
from portable.jsontext import encode_text, load_text
from portable.resources.updates import apply_update
from portable_nats._sdk import JetStreamError
from portable_nats.keys import part_of, read_place, token_of
from portable_nats.store import WRONG_REVISION, Store
from portable_nats.together import together
from portable_nats.twins import Twins

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from portable.drivers.table import Item, Key, Sort, TableQuery
    from portable.resources import Resource
    from portable_nats._sdk import Link, Server
    from portable_nats.store import Value

__all__ = ["TableCalls", "open_driver"]

ATTEMPTS = 100  # of a write that meets other writers of its key again and again
AT_ONCE = 64  # items that are fetched together
PAGE = 100  # rows where no limit was asked for


def open_driver(resource: Resource, environment: Mapping[str, str] | None, link: Link) -> Twins:
    """The driver of a declared table. Raises ConfigError without an address."""
    urls, bucket = read_place("table", resource.name, environment)
    calls = TableCalls(str(resource), link.server(urls), bucket, Schema(resource.options))
    return Twins(link, calls, name_of=_key_in)


def _key_in(first: Any) -> str | None:
    key = first.key if isinstance(first, Write) else first
    return name_key(key) if isinstance(key, tuple) else None


def _place(part: Any) -> Any:
    """How a part is ordered among its like: strings by their bytes, integers by value."""
    return part.encode() if isinstance(part, str) else part


def _holds(sort: Sort | None, value: Any) -> bool:
    if sort is None:
        return True
    have, low = _place(value), _place(sort.low)
    if sort.operator == "prefix":
        return bool(have.startswith(low))
    if sort.operator == "between":
        return bool(low <= have <= _place(sort.high))
    return bool(
        {
            "equals": have == low,
            "below": have < low,
            "at_most": have <= low,
            "above": have > low,
            "at_least": have >= low,
        }[sort.operator]
    )


class TableCalls:
    """One table, as coroutines. A write reads the item, decides, and replaces what it read, or begins anew."""

    def __init__(self, label: str, server: Server, bucket: str, schema: Schema) -> None:
        self.label = label
        self.server = server
        self._store = Store(server, bucket)
        self._schema = schema

    async def get(self, key: Key) -> Row | None:
        """See ``portable.drivers``."""
        return _row(await self._store.find(_tokens(key)))

    async def get_many(self, keys: Sequence[Key]) -> list[Row | None]:
        """See ``portable.drivers``. A call a key."""
        return await together(self.get, keys, AT_ONCE)

    async def write(self, write: Write) -> Row | None:
        """See ``portable.drivers``. After a lost answer it is sent again, and the server knows it."""
        for _ in range(ATTEMPTS):
            value = await self._store.find(_tokens(write.key))
            stored = _row(value)
            old = None if stored is None or self._schema.has_expired(stored.item, time()) else stored
            check_condition(write, old, self.label)
            try:
                return await self._replace(write, value, stored, old)
            except JetStreamError as error:
                if error.err_code not in WRONG_REVISION:
                    raise
        raise UnavailableError("too many others write this item", resource=self.label, key=name_key(write.key))

    async def _replace(self, write: Write, value: Value | None, stored: Row | None, old: Row | None) -> Row | None:
        revision = value.revision if value is not None else 0
        if write.kind == "delete":
            if stored is not None:
                await self._store.remove(_tokens(write.key), revision)
            return None
        item = write.item
        if write.kind == "update":
            assert old is not None
            item = apply_update(old.item, write, self.label, name_key(write.key))
        text = encode_text(encode(item)).encode()
        return Row(item, str(await self._store.put(_tokens(write.key), text, revision)))

    async def transact(self, writes: Sequence[Write]) -> None:  # noqa: ARG002 - none of them is done
        """Raises UnsupportedError: JetStream writes one value at a time."""
        raise UnsupportedError(
            "JetStream writes one value at a time, so there are no transactions", resource=self.label
        )

    async def query(self, query: TableQuery) -> Rows:
        """See ``portable.drivers``."""
        assert query.partition is not None
        if query.index is not None:
            return await self._query_index(query)
        if self._schema.sort is None:
            row = await self.get((query.partition,))
            _read_cursor(query, 1)
            return Rows([row] if row is not None and query.cursor is None else [], None)
        keys = [key async for key in self._keys(f"{token_of(query.partition)}.*") if _holds(query.sort, key[-1])]
        return await self._page(query, [((_place(key[-1]),), [key[-1]], key) for key in keys])

    async def scan(self, query: TableQuery) -> Rows:
        """See ``portable.drivers``. In order of the keys."""
        keys = [key async for key in self._keys(">")]
        return await self._page(query, [(tuple(map(_place, key)), list(key), key) for key in keys])

    async def _query_index(self, query: TableQuery) -> Rows:
        """Reads the whole table."""
        partition, sort = self._schema.fields_of(query.index)
        entries = []
        for row in await together(self.get, [key async for key in self._keys(">")], AT_ONCE):
            if row is None or row.item.get(partition) != query.partition or (sort is not None and sort not in row.item):
                continue
            value = None if sort is None else row.item[sort]
            if value is None or _holds(query.sort, value):
                key = self._schema.key_of(row.item)
                places = () if value is None else (_place(value),)
                values = [] if value is None else [value]
                entries.append(((*places, *map(_place, key)), [*values, *key], key))
        return await self._page(query, entries)

    async def _keys(self, pattern: str) -> Any:
        async for tokens in self._store.keys(pattern):
            yield tuple(part_of(token) for token in tokens.split("."))

    async def _page(self, query: TableQuery, entries: list[tuple[Any, list[Any], Key]]) -> Rows:
        """One page of entries: how each is ordered, what a cursor says of it, and its key."""
        length = len(entries[0][1]) if entries else None
        behind = _read_cursor(query, length)
        entries.sort(key=lambda entry: entry[0], reverse=query.reverse)
        if behind is not None:
            mark = tuple(map(_place, behind))
            entries = [entry for entry in entries if (entry[0] < mark if query.reverse else entry[0] > mark)]
        limit = query.limit or PAGE
        found = await self.get_many([key for _, _, key in entries[:limit]])
        rows = [row for row in found if row is not None]
        cursor = [query.partition, query.index, entries[limit - 1][1]] if len(entries) > limit else None
        return Rows(rows, None if cursor is None else encode_cursor(cursor))


def _read_cursor(query: TableQuery, length: int | None) -> list[Any] | None:
    """What a cursor continues behind. Raises ValueError for one of another query."""
    if query.cursor is None:
        return None
    partition, index, values = decode_cursor(query.cursor, 3)
    if (
        (partition, index) != (query.partition, query.index)
        or not isinstance(values, list)
        or not all(isinstance(one, (str, int)) for one in values)
        or (length is not None and len(values) != length)
    ):
        raise ValueError(f"{query.cursor!r} is a cursor of another query")
    return values


def _tokens(key: Key) -> str:
    return ".".join(map(token_of, key))


def _row(value: Value | None) -> Row | None:
    if value is None or value.data is None:
        return None
    item: Item = decode(load_text(value.data))
    return Row(item, str(value.revision))
