"""Several writes of one table, all or none."""

from __future__ import annotations

from portable.generics import Generic, T

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from types import TracebackType
    from typing import Any, Self

    from portable.drivers.table import Key, Write
    from portable.resources.table import Table

__all__ = ["Transaction"]

OPERATIONS = 100  # DynamoDB, TransactWriteItems; Cosmos DB, transactional batch


class Transaction(Generic[T]):
    """Collects writes, and makes them all at once, or none, when its ``with`` (or ``async with``) block ends.

        with accounts.transaction() as change:
            change.update("ann", add={"balance": -10}, if_match=entry.version)
            change.update("bob", add={"balance": 10})

    Nothing is sent before, and nothing at all when the block raises. At the end it raises, for the first operation that
    cannot be, what that operation alone would raise, naming its key; and UnavailableError when it met another write:
    then nothing was done, and the whole block can be run again. At most 100 operations, one an item. A cloud may want
    all of them in one partition: see ``portable check``.
    """

    __slots__ = ("_keys", "_table", "_writes")

    def __init__(self, table: Table[T]) -> None:
        self._table = table
        self._writes: list[Write] = []
        self._keys: set[Key] = set()

    def put(self, item: T, *, if_absent: bool = False, if_match: str | None = None) -> None:
        """See :meth:`Table.put`."""
        self._add(self._table._put(item, if_absent=if_absent, if_match=if_match))

    def update(
        self,
        key: str | int,
        sort: str | int | None = None,
        *,
        set: Mapping[str, Any] | None = None,
        add: Mapping[str, Any] | None = None,
        remove: Iterable[str] = (),
        if_match: str | None = None,
    ) -> None:
        """See :meth:`Table.update`."""
        self._add(self._table._update(key, sort, set, add, remove, if_match))

    def delete(self, key: str | int, sort: str | int | None = None, *, if_match: str | None = None) -> None:
        """See :meth:`Table.delete`."""
        self._add(self._table._delete(key, sort, if_match))

    def check(
        self, key: str | int, sort: str | int | None = None, *, exists: bool = True, if_match: str | None = None
    ) -> None:
        """Go on only if the item is there (or is not, with ``exists=False``; or has a version), without writing it.

        Else the transaction raises PreconditionFailedError.
        """
        from portable.drivers.table import Write

        if if_match is not None and not exists:
            raise ValueError(f"{self._table}: an item that is not there has no version to match")
        self._add(Write("check", self._table._items.key(key, sort), exists=exists, if_match=if_match))

    def _add(self, write: Write) -> None:
        if write.key in self._keys:
            raise ValueError(f"{self._table}: two operations of one transaction are on the item {write.key}")
        if len(self._writes) == OPERATIONS:
            raise ValueError(f"{self._table}: a transaction has at most {OPERATIONS} operations")
        self._keys.add(write.key)
        self._writes.append(write)

    def _take(self) -> list[Write]:
        writes, self._writes = self._writes, []
        self._keys.clear()
        return writes

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        writes = self._take()
        if kind is None and writes:
            self._table.driver().transact(writes)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        writes = self._take()
        if kind is None and writes:
            await self._table._await("transact", writes)
