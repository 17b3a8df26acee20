"""Changes of a table as the deliveries played here see them: by comparing two scans.

What was written and deleted between two looks is not seen, and two writes of one item are one change. Every change has
its old item, whatever the cloud: the function's own ``old=`` decides what its handler gets.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from portable.drivers.table import Row, Schema, TableDriver, TableQuery
from portable.events import Change

if TYPE_CHECKING:
    from portable.drivers.table import Item, Key

__all__ = ["TableWatch", "change_key", "rows_of"]


def change_key(key: Key) -> Any:
    """A key as a Change has it: a value, or a pair."""
    return key[0] if len(key) == 1 else key


def rows_of(driver: TableDriver) -> list[Row]:
    """Every row of a table."""
    rows: list[Row] = []
    cursor: str | None = None
    while True:
        page = driver.scan(TableQuery(cursor=cursor))
        rows += page.rows
        cursor = page.cursor
        if cursor is None:
            return rows


class TableWatch:
    """What a table held when it was last looked at. An item past its time to live counts as deleted."""

    def __init__(self, name: str, schema: Schema, driver: TableDriver) -> None:
        self.name = name
        self._schema = schema
        self._driver = driver
        self._known: dict[Key, tuple[str, Item]] = {}
        self.changes()

    def changes(self) -> list[Change[Any]]:
        """A change for each difference since the last look: insertions and updates, then deletions."""
        now = time.time()
        rows = [row for row in rows_of(self._driver) if not self._schema.has_expired(row.item, now)]
        known, self._known = self._known, {self._schema.key_of(row.item): (row.version, row.item) for row in rows}
        found: list[Change[Any]] = []
        for key, (version, item) in self._known.items():
            before = known.get(key)
            if before is None:
                found.append(Change("insert", self.name, change_key(key), None, item))
            elif before[0] != version:
                found.append(Change("update", self.name, change_key(key), before[1], item))
        gone = [key for key in known if key not in self._known]
        return found + [Change("delete", self.name, change_key(key), known[key][1]) for key in gone]
