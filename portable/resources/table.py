"""Tables: items by key."""

from __future__ import annotations

from time import time

from portable.generics import Generic, T
from portable.resources import Resource, declared_at
from portable.resources.items import Items
from portable.resources.pages import Entry, Page
from portable.resources.table_options import read_options

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Mapping
    from typing import Any, overload

    from portable.drivers.table import Key, Row, Rows, Sort, TableDriver, TableQuery, Write
    from portable.events import Change
    from portable.resources.transaction import Transaction

    Indexes = Mapping[str, str | tuple[str, str]]
    OneKey = str | int | tuple[str | int, str | int]

__all__ = ["Table"]


class Table(Resource, Generic[T]):
    """Items of type ``T`` by a key, or by a partition key and a sort key.

    ``T`` is a msgspec Struct, dataclass, TypedDict or pydantic model; left out, items are dicts. Every method that does
    I/O has an async twin with the prefix ``a``. A write is atomic. Reads see every write made before them, but for
    queries of an index, which may lag behind on AWS. Errors are those of ``portable.errors`` and name the table and the
    key: AlreadyExistsError, PreconditionFailedError, NotFoundError, PermissionDeniedError, UnavailableError.

    Values are None, bool, int, float, str, bytes, lists, dicts, Decimal where the type has one, and as a field itself a
    set of str, of bytes, or of int and Decimal. Numbers keep their value exactly, or are refused with a ValueError: at
    most 38 significant digits, 1E-130 to 9.99E+125 in size, no NaN. Trailing zeros of a Decimal are not kept. In a
    table without a type whole numbers are read as int and others as float. An empty set is not stored, nor is None in a
    field of an index or of the time to live; a type with such a field gets it back all the same.

    Args:
        name: see ``portable.resources.check_name``. type: of the items.
        key: the field that is the partition key. sort: the field that is the sort key. Both are str or int (64 bits) as
            ``type`` says, and str without one; a str has 1 to 1,024 bytes in UTF-8.
        indexes: partition field, or pair of partition field and sort field, by the name of the index.
        ttl: a field with an aware datetime, or an int of seconds since the epoch. After it the item is no longer read,
            and is removed at some time. It is kept in whole seconds, rounded up.
    """

    __slots__ = ("_items", "_schema", "type")
    kind = "table"

    if TYPE_CHECKING:

        @overload
        def __init__(
            self: Table[dict[str, Any]],
            name: str,
            *,
            key: str,
            sort: str | None = None,
            indexes: Indexes | None = None,
            ttl: str | None = None,
            _depth: int = 0,
        ) -> None: ...
        @overload
        def __init__(
            self,
            name: str,
            type: type[T],
            *,
            key: str,
            sort: str | None = None,
            indexes: Indexes | None = None,
            ttl: str | None = None,
            _depth: int = 0,
        ) -> None: ...

    def __init__(
        self,
        name: str,
        type: Any = None,
        *,
        key: str,
        sort: str | None = None,
        indexes: Indexes | None = None,
        ttl: str | None = None,
        _depth: int = 0,
    ) -> None:
        from portable.drivers.table import Schema

        label = f"table {name!r}"
        options = read_options(label, type, key, sort, indexes or {}, ttl)
        super().__init__(name, options, declared_at(_depth + 1))
        self.type = type
        self._schema = Schema(options)
        self._items = Items(f"table {name}", type, self._schema)

    @staticmethod
    def of_options(name: str, options: Mapping[str, Any]) -> Table[dict[str, Any]]:
        """A table as a manifest has it, its items as dicts: their type is the app's alone."""
        from portable.drivers.table import Schema

        table: Table[dict[str, Any]] = Table.__new__(Table)
        Resource.__init__(table, name, dict(options), ("", 0))
        table.type = None
        table._schema = Schema(options)
        table._items = Items(f"table {name}", None, table._schema)
        return table

    if TYPE_CHECKING:

        def driver(self) -> TableDriver: ...

    def same_as(self, other: Resource) -> bool:
        """Whether both declare the same table with the same options and type."""
        return super().same_as(other) and isinstance(other, Table) and self.type == other.type

    @property
    def key_types(self) -> tuple[tuple[str, str], ...]:
        """Name and type (``"str"`` or ``"int"``) of the key's one or two fields."""
        fields = (self._schema.key, self._schema.sort)
        return tuple((field, self._schema.fields[field]) for field in fields if field is not None)

    # --- read

    def get(self, key: str | int, sort: str | int | None = None) -> T | None:
        """The item with this key (and sort key, where the table has one), or None."""
        found = self.entry(key, sort)
        return None if found is None else found.item

    async def aget(self, key: str | int, sort: str | int | None = None) -> T | None:
        """See :meth:`get`."""
        found = await self.aentry(key, sort)
        return None if found is None else found.item

    def entry(self, key: str | int, sort: str | int | None = None) -> Entry[T] | None:
        """The item and its version, for an ``if_match``; or None."""
        return self._entry(self.driver().get(self._items.key(key, sort)))

    async def aentry(self, key: str | int, sort: str | int | None = None) -> Entry[T] | None:
        """See :meth:`entry`."""
        return self._entry(await self._await("get", self._items.key(key, sort)))

    def get_many(self, keys: Iterable[OneKey]) -> list[T | None]:
        """Each item or None, in the order of ``keys``: values, or pairs where there is a sort key. Any number of them,
        read in as few calls as the cloud allows, so not all at one moment.
        """
        wanted = [self._items.key_of_one(key) for key in keys]
        return self._in_order(wanted, self.driver().get_many(list(dict.fromkeys(wanted))) if wanted else [])

    async def aget_many(self, keys: Iterable[OneKey]) -> list[T | None]:
        """See :meth:`get_many`."""
        wanted = [self._items.key_of_one(key) for key in keys]
        return self._in_order(wanted, await self._await("get_many", list(dict.fromkeys(wanted))) if wanted else [])

    def _in_order(self, wanted: list[Key], rows: list[Row | None]) -> list[T | None]:
        found = dict(zip(dict.fromkeys(wanted), rows, strict=True))
        entries = [self._entry(found[key]) for key in wanted]
        return [None if entry is None else entry.item for entry in entries]

    def _entry(self, row: Row | None) -> Entry[T] | None:
        if row is None or self._schema.has_expired(row.item, time()):
            return None
        return Entry(self._items.decode(row.item), row.version)

    # --- write

    def put(self, item: T, *, if_absent: bool = False, if_match: str | None = None) -> str:
        """Store the item whole, in place of the one with its key. Returns its new version.

        ``if_absent``: only where there is none, else AlreadyExistsError. ``if_match``: only in place of this version
        (see :meth:`entry`), else PreconditionFailedError. Raises ValueError or TypeError for what cannot be stored.
        """
        row = self.driver().write(self._put(item, if_absent=if_absent, if_match=if_match))
        assert row is not None
        return row.version

    async def aput(self, item: T, *, if_absent: bool = False, if_match: str | None = None) -> str:
        """See :meth:`put`."""
        row = await self._await("write", self._put(item, if_absent=if_absent, if_match=if_match))
        version: str = row.version
        return version

    def update(
        self,
        key: str | int,
        sort: str | int | None = None,
        *,
        set: Mapping[str, Any] | None = None,
        add: Mapping[str, Any] | None = None,
        remove: Iterable[str] = (),
        if_match: str | None = None,
    ) -> T:
        """Change fields of an item that is there, all at once, and return the new item. Raises NotFoundError.

        Args:
            set: new values by field. remove: fields to take away.
            add: by field, a number to add exactly (a missing field counts as 0), or a set whose members to add.
            if_match: only where the item has this version, else PreconditionFailedError.

        A field is named once, and none is part of the key. Two updates at once are both done.
        """
        row = self.driver().write(self._update(key, sort, set, add, remove, if_match))
        assert row is not None
        item: T = self._items.decode(row.item)
        return item

    async def aupdate(
        self,
        key: str | int,
        sort: str | int | None = None,
        *,
        set: Mapping[str, Any] | None = None,
        add: Mapping[str, Any] | None = None,
        remove: Iterable[str] = (),
        if_match: str | None = None,
    ) -> T:
        """See :meth:`update`."""
        row = await self._await("write", self._update(key, sort, set, add, remove, if_match))
        item: T = self._items.decode(row.item)
        return item

    def delete(self, key: str | int, sort: str | int | None = None, *, if_match: str | None = None) -> None:
        """Remove the item; one that is not there is no error, but with ``if_match``: PreconditionFailedError."""
        self.driver().write(self._delete(key, sort, if_match))

    async def adelete(self, key: str | int, sort: str | int | None = None, *, if_match: str | None = None) -> None:
        """See :meth:`delete`."""
        await self._await("write", self._delete(key, sort, if_match))

    def transaction(self) -> Transaction[T]:
        """``with table.transaction() as change:`` makes several writes, all or none. See :class:`Transaction`."""
        from portable.resources.transaction import Transaction

        return Transaction(self)

    def _put(self, item: T, *, if_absent: bool, if_match: str | None) -> Write:
        from portable.drivers.table import Write

        if if_absent and if_match is not None:
            raise ValueError(f"{self}: give if_absent or if_match, not both")
        encoded = self._items.encode(item)
        return Write("put", self._schema.key_of(encoded), item=encoded, if_absent=if_absent, if_match=if_match)

    def _update(
        self,
        key: str | int,
        sort: str | int | None,
        values: Mapping[str, Any] | None,
        add: Mapping[str, Any] | None,
        remove: Iterable[str],
        if_match: str | None,
    ) -> Write:
        from portable.drivers.table import Write

        checked = self._items.key(key, sort)
        taken = self._items.check_names(remove)
        named = [*(values or ()), *(add or ()), *taken]
        for name in named:
            if name in (self._schema.key, self._schema.sort):
                raise ValueError(f"{self}: {name!r} is part of the key, which an update does not change")
        if not named or len(set(named)) < len(named):
            raise ValueError(f"{self}: an update names at least one field, and each once; got {named}")
        encoded, left_out = self._items.encode_fields(values or {})
        added = self._items.encode_added(add or {})
        return Write("update", checked, set=encoded, add=added, remove=[*taken, *left_out], if_match=if_match)

    def _delete(self, key: str | int, sort: str | int | None, if_match: str | None) -> Write:
        from portable.drivers.table import Write

        return Write("delete", self._items.key(key, sort), if_match=if_match)

    # --- changes

    def decode_change(self, change: Change[Any], *, old: bool) -> Change[T]:
        """A change whose items are as the driver gives them, as a handler takes it; ``old``: with the item before.

        Raises ValueError for an item that does not fit the table's type.
        """
        from portable.events import Change

        made: Change[T] = Change(change.kind, self.name, change.key, None, None, change.time, change.native)
        if change.new is not None:
            made.new = self._items.decode(change.new)
        if old and change.old is not None:
            made.old = self._items.decode(change.old)
        return made

    # --- many items

    def query(
        self,
        partition: str | int,
        *,
        sort: Sort | None = None,
        index: str | None = None,
        limit: int | None = None,
        cursor: str | None = None,
        reverse: bool = False,
    ) -> Page[T]:
        """The items of a partition in order of their sort keys: strings by their bytes in UTF-8, ints by value.

        Args:
            sort: a condition on the sort key: ``Sort.between("a", "b")``, ``Sort.prefix("2024-")`` …
            index: a declared index to ask instead of the table: then partition and sort key are its fields, and items
                that lack one of them are not found. limit: items at most. cursor: of an earlier page of this query.
            reverse: from the greatest sort key down.

        See :class:`Page`. Raises ValueError for an unknown index and for a cursor that is none of this query.
        """
        query = self._query(partition, sort, index, limit, cursor, reverse=reverse)
        return self._drive(self._pages("query", query))

    async def aquery(
        self,
        partition: str | int,
        *,
        sort: Sort | None = None,
        index: str | None = None,
        limit: int | None = None,
        cursor: str | None = None,
        reverse: bool = False,
    ) -> Page[T]:
        """See :meth:`query`: ``async for item in await table.aquery("a"):``."""
        query = self._query(partition, sort, index, limit, cursor, reverse=reverse)
        return await self._adrive(self._pages("query", query))

    def scan(self, *, limit: int | None = None, cursor: str | None = None) -> Page[T]:
        """Every item, in no order to rely on. See :class:`Page`. It reads, and costs, the whole table."""
        return self._drive(self._pages("scan", self._query(None, None, None, limit, cursor)))

    async def ascan(self, *, limit: int | None = None, cursor: str | None = None) -> Page[T]:
        """See :meth:`scan`."""
        return await self._adrive(self._pages("scan", self._query(None, None, None, limit, cursor)))

    def _query(
        self,
        partition: str | int | None,
        sort: Sort | None,
        index: str | None,
        limit: int | None,
        cursor: str | None,
        *,
        reverse: bool = False,
    ) -> TableQuery:
        from portable.drivers.table import TableQuery

        if index is not None and index not in self._schema.indexes:
            raise ValueError(f"{self} has no index {index!r}; it has {', '.join(self._schema.indexes) or 'none'}")
        if limit is not None and (type(limit) is not int or limit < 1):
            raise ValueError(f"{self}: limit is a whole number above 0, got {limit!r}")
        if cursor is not None and not isinstance(cursor, str):
            raise TypeError(f"{self}: a cursor is a str, got {cursor!r}")
        field, sort_field = self._schema.fields_of(index)
        checked = None if partition is None else self._items.key_value(field, partition)
        if sort is not None:
            sort = self._sort(sort, sort_field, index)
        return TableQuery(checked, index, sort, limit, cursor, reverse=reverse)

    def _sort(self, sort: Sort, field: str | None, index: str | None) -> Sort:
        from portable.drivers.table import Sort

        if not isinstance(sort, Sort):
            raise TypeError(f"{self}: sort is a condition such as Sort.at_least(…), got {sort!r}")
        if field is None:
            raise ValueError(f"{self}: {'it' if index is None else f'its index {index}'} has no sort key")
        if sort.operator == "prefix" and self._schema.fields[field] != "str":
            raise TypeError(f"{self}: {field!r} is an int, which has no prefix")
        low = self._items.key_value(field, sort.low)
        high = None if sort.high is None else self._items.key_value(field, sort.high)
        return Sort(sort.operator, low, high)

    def _pages(self, method: str, query: TableQuery) -> Generator[tuple[str, TableQuery], Rows, Page[T]]:
        """One page: asks its driver (sync or async) again until there is a full one, or the end."""
        from portable.drivers.table import TableQuery

        limit = query.limit
        found: list[T] = []

        def behind(cursor: str | None, wanted: int | None) -> TableQuery:
            return TableQuery(query.partition, query.index, query.sort, wanted, cursor, reverse=query.reverse)

        asked = query
        while True:
            rows = yield method, asked
            now = time()
            found += [self._items.decode(r.item) for r in rows.rows if not self._schema.has_expired(r.item, now)]
            if rows.cursor is None or limit is None or len(found) == limit:
                break
            asked = behind(rows.cursor, limit - len(found))
        if limit is not None:
            return Page(found, rows.cursor)
        return Page(
            found,
            rows.cursor,
            lambda cursor: self._drive(self._pages(method, behind(cursor, None))),
            lambda cursor: self._adrive(self._pages(method, behind(cursor, None))),
        )

    def _drive(self, steps: Generator[tuple[str, TableQuery], Rows, Page[T]]) -> Page[T]:
        try:
            method, query = next(steps)
            while True:
                method, query = steps.send(getattr(self.driver(), method)(query))
        except StopIteration as end:
            page: Page[T] = end.value
            return page

    async def _adrive(self, steps: Generator[tuple[str, TableQuery], Rows, Page[T]]) -> Page[T]:
        try:
            method, query = next(steps)
            while True:
                method, query = steps.send(await self._await(method, query))
        except StopIteration as end:
            page: Page[T] = end.value
            return page
