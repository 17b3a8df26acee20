"""Queries of a local table as SQL. A page begins behind the key its cursor names, so its cost does not grow."""

from __future__ import annotations

from portable.drivers.table import decode_cursor, encode_cursor
from portable_local.table_rows import to_column

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from portable.drivers.table import Sort, TableQuery

__all__ = ["PAGE", "cursor_behind", "of_partition", "of_table"]

PAGE = 100
"""Rows of a page where no limit was asked for."""

_COMPARISONS = {"equals": "=", "below": "<", "at_most": "<=", "above": ">", "at_least": ">="}

_SCAN = "SELECT version, item, partition, sort FROM items WHERE {} ORDER BY partition, sort LIMIT ?"
_BY_KEY = "SELECT version, item, sort FROM items WHERE {} ORDER BY sort {} LIMIT ?"
_BY_INDEX = """
SELECT version, item, value, item_partition, item_sort
FROM entries JOIN items ON items.partition = item_partition AND items.sort = item_sort
WHERE {} ORDER BY value {order}, item_partition {order}, item_sort {order} LIMIT ?
"""


def of_table(query: TableQuery) -> tuple[str, list[Any]]:
    """Statement and values of a scan; the last value, of LIMIT, is left to the caller."""
    if query.cursor is None:
        return _SCAN.format("true"), []
    return _SCAN.format("(partition, sort) > (?, ?)"), _read_cursor(query, 2)


def of_partition(query: TableQuery) -> tuple[str, list[Any]]:
    """Likewise of a query. Raises ValueError for a cursor of another one."""
    assert query.partition is not None
    direction = "DESC" if query.reverse else "ASC"
    behind = "<" if query.reverse else ">"
    values: list[Any] = [to_column(query.partition)]
    if query.index is None:
        where, sort = ["partition = ?"], "sort"
        template, key = _BY_KEY.replace("{} LIMIT", f"{direction} LIMIT"), "(sort)"
    else:
        where, sort = ["entries.partition = ?", "entries.name = ?"], "value"
        values.append(query.index)
        template, key = _BY_INDEX.replace("{order}", direction), "(value, item_partition, item_sort)"
    if query.sort is not None:
        condition, bounds = _condition(query.sort, sort)
        where.append(condition)
        values += bounds
    if query.cursor is not None:
        bounds = _read_cursor(query, 1 if query.index is None else 3)
        where.append(f"{key} {behind} ({', '.join('?' * len(bounds))})")
        values += bounds
    return template.format(" AND ".join(where)), values


def _condition(sort: Sort, column: str) -> tuple[str, list[Any]]:
    low = to_column(sort.low)
    if sort.operator == "between":
        assert sort.high is not None
        return f"{column} BETWEEN ? AND ?", [low, to_column(sort.high)]
    if sort.operator == "prefix":
        assert isinstance(low, bytes)
        # No byte of UTF-8 is 255, so the last one has a successor.
        return f"{column} >= ? AND {column} < ?", [low, low[:-1] + bytes([low[-1] + 1])]
    return f"{column} {_COMPARISONS[sort.operator]} ?", [low]


def cursor_behind(columns: tuple[Any, ...], query: TableQuery) -> str:
    """A cursor that names the row it continues behind, and the query it belongs to."""
    values = [column.decode() if isinstance(column, bytes) else column for column in columns]
    return encode_cursor([query.partition, query.index, *values])


def _read_cursor(query: TableQuery, length: int) -> list[Any]:
    assert query.cursor is not None
    partition, index, *values = decode_cursor(query.cursor, length + 2)
    if (partition, index) != (query.partition, query.index) or not all(isinstance(one, (str, int)) for one in values):
        raise ValueError(f"{query.cursor!r} is a cursor of another query")
    return [to_column(value) for value in values]
