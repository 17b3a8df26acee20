"""How a local table is kept: its file's schema, and items and keys as columns."""

from __future__ import annotations

from portable.drivers.tags import decode, encode
from portable.jsontext import encode_text, load_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal

    from portable.drivers.table import Item

__all__ = ["SCHEMA", "StoredChange", "decode_item", "encode_item", "to_column"]

# Keys are BLOBs of UTF-8, which SQLite compares byte by byte, or INTEGERs. Times are microseconds since the epoch, but
# `ends`, seconds. The version of an item is the number of its last change, which AUTOINCREMENT never gives again.
SCHEMA = """
BEGIN;
CREATE TABLE declaration (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE items (
    partition NOT NULL,
    sort NOT NULL,
    version INTEGER NOT NULL,
    ends INTEGER,
    item TEXT NOT NULL,
    PRIMARY KEY (partition, sort)
) WITHOUT ROWID;
CREATE INDEX items_ends ON items (ends) WHERE ends IS NOT NULL;
CREATE TABLE entries (
    name TEXT NOT NULL,
    partition NOT NULL,
    value NOT NULL,
    item_partition NOT NULL,
    item_sort NOT NULL,
    PRIMARY KEY (name, partition, value, item_partition, item_sort)
) WITHOUT ROWID;
CREATE INDEX entries_item ON entries (item_partition, item_sort);
CREATE TABLE changes (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    time INTEGER NOT NULL,
    kind TEXT NOT NULL,
    old TEXT,
    new TEXT
);
CREATE INDEX changes_time ON changes (time);
COMMIT;
"""


class StoredChange:
    """One write as it is kept. ``time`` is microseconds since the epoch; ``number`` grows with every change."""

    __slots__ = ("kind", "new", "number", "old", "time")

    def __init__(
        self,
        number: int,
        time: int,
        kind: Literal["insert", "update", "delete"],
        old: Item | None,
        new: Item | None,
    ) -> None:
        self.number = number
        self.time = time
        self.kind: Literal["insert", "update", "delete"] = kind
        self.old = old
        self.new = new


def to_column(value: str | int) -> bytes | int:
    """A key as SQLite orders it."""
    return value.encode() if isinstance(value, str) else value


def encode_item(item: Item) -> str:
    """An item as text, one to one."""
    return encode_text(encode(item))


def decode_item(text: str) -> Item:
    """The item that was encoded."""
    item: Item = decode(load_text(text))
    return item
