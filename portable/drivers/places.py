"""Where an item stands among others, as bytes: for stores that order one value, and know no partition and sort key.

A place is a digest of the partition, then the sort key in a form whose bytes are in its order, and in an index, where
several items may share both, a digest of the item's key. So every query of a table or an index is one range of places,
and an index over that one value serves it, forwards and backwards. A place has at most 1,100 bytes, unless keys are
full of NULs.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from portable.drivers.table import Key, Schema, TableQuery

__all__ = ["cursor_behind", "name_of", "places_of", "range_of"]

_INSIDE, _BEHIND = b"\x01", b"\x02"  # after a partition's digest: its items, and what comes after all of them
_END, _PAST = b"\x00\x01", b"\x00\x02"  # after a sort key, and what comes after all that begins with it and _END


def name_of(values: tuple[str | int, ...], limit: int) -> str:
    """A name for a key or a part of it, one to one, of at most ``limit`` (100 or more) characters.

    They are letters, digits, ``_``, ``-``, ``.`` and ``~``, the first is a letter, and the last no ``.``. A longer name
    is a digest (SHA-256) of the key.
    """
    from urllib.parse import quote

    words = []
    for value in values:
        text = quote(str(value), safe="").replace(".", "%2E").replace("~", "%7E").replace("%", "~")
        words.append(f"{'s' if isinstance(value, str) else 'i'}.{text}")
    name = ".".join(words)
    return name if len(name) <= limit else f"h.{_digest(name.encode()).hex()}"


def places_of(schema: Schema, key: Key, item: Mapping[str, Any]) -> tuple[bytes, dict[str, bytes]]:
    """The place of an item in its table, and by name in each index it is in."""
    identity = _digest(b"".join(_ordered(one) + _END for one in key))
    found = {}
    for name, (partition, sort) in schema.indexes.items():
        if partition in item and (sort is None or sort in item):
            place = _partition(item[partition]) + _INSIDE
            found[name] = place + (b"" if sort is None else _ordered(item[sort])) + _END + identity
    return _partition(key[0]) + _INSIDE + (b"" if len(key) == 1 else _ordered(key[1])) + _END, found


def range_of(query: TableQuery) -> tuple[bytes, bytes]:
    """The first place of what a query asks for, and the first behind it; a cursor narrows it."""
    low, high = b"", b"\xff" * 33
    if query.partition is not None:
        start = _partition(query.partition)
        low, high = start + _INSIDE, start + _BEHIND
    if query.sort is not None:
        low, high = _narrowed(query, low, high)
    if query.cursor is not None:
        place = _read_cursor(query.cursor, low, high)
        low, high = (low, place) if query.reverse else (place + b"\x00", high)
    return low, high


def _narrowed(query: TableQuery, low: bytes, high: bytes) -> tuple[bytes, bytes]:
    assert query.sort is not None
    start, operator = low, query.sort.operator
    value = start + _ordered(query.sort.low)
    if operator == "prefix":
        return value, value + b"\xff"  # no byte of UTF-8 is 255
    if operator in ("equals", "between", "at_least"):
        low = value + _END
    elif operator == "above":
        low = value + _PAST
    if operator in ("equals", "at_most"):
        high = value + _PAST
    elif operator == "below":
        high = value + _END
    elif operator == "between":
        assert query.sort.high is not None
        high = start + _ordered(query.sort.high) + _PAST
    return low, max(low, high)


def cursor_behind(place: bytes) -> str:
    """A cursor that continues a query behind a place."""
    from base64 import urlsafe_b64encode

    return urlsafe_b64encode(place).decode().rstrip("=")


def _read_cursor(cursor: str, low: bytes, high: bytes) -> bytes:
    from base64 import urlsafe_b64decode

    try:
        place = urlsafe_b64decode(cursor.encode() + b"=" * (-len(cursor) % 4))
    except ValueError as error:
        raise ValueError(f"{cursor!r} is no cursor of this table") from error
    if cursor_behind(place) != cursor or not low <= place < high:
        raise ValueError(f"{cursor!r} is no cursor of this query")
    return place


def _ordered(value: str | int) -> bytes:
    """Bytes in the order of strings' UTF-8, or of whole numbers of 64 bits; none holds ``_END`` or ``_PAST``."""
    raw = value.encode() if isinstance(value, str) else (value + 2**63).to_bytes(8, "big")
    return raw.replace(b"\x00", b"\x00\xff")


def _partition(value: str | int) -> bytes:
    return _digest((b"s" if isinstance(value, str) else b"i") + str(value).encode())


def _digest(data: bytes) -> bytes:
    from hashlib import sha256

    return sha256(data).digest()
