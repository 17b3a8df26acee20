"""The tables the suite works on. A driver's fixture makes each of ``TABLES``, empty."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec

from portable.resources.table import Table

__all__ = ["DOCUMENTS", "MISSING", "PEOPLE", "POINTS", "TABLES", "Person", "Point"]


class Address(msgspec.Struct):
    """A part of an item."""

    street: str
    lines: list[str] = []


class Person(msgspec.Struct):
    """An item with a field of every type."""

    id: str
    email: str | None = None
    team: str | None = None
    joined: int = 0
    age: int = 0
    balance: Decimal = Decimal(0)
    score: float = 0.0
    active: bool = False
    note: str | None = None
    photo: bytes = b""
    tags: set[str] = msgspec.field(default_factory=set)
    numbers: set[int] = msgspec.field(default_factory=set)
    address: Address | None = None
    born: datetime | None = None
    ends: datetime | None = None


class Point(msgspec.Struct):
    """An item of numbers, by a partition and a sort key that are ints."""

    line: int
    at: int
    place: str | None = None


PEOPLE: Table[Person] = Table(
    "people", Person, key="id", indexes={"by-email": "email", "by-team": ("team", "joined")}, ttl="ends"
)
DOCUMENTS: Table[dict[str, Any]] = Table("documents", key="folder", sort="name")
POINTS: Table[Point] = Table("points", Point, key="line", sort="at", indexes={"by-place": ("place", "at")})
MISSING: Table[dict[str, Any]] = Table("missing", key="id")
"""Has an address, and nothing is there."""

TABLES: tuple[Table[Any], ...] = (PEOPLE, DOCUMENTS, POINTS)
