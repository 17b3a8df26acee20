"""Who reads which partition of a stream, and how far: kept in a table, so that instances share partitions out.

A partition has an item, whose owner writes it at every beat and after every batch, each time only if nobody else has
written it since. An item that its owner has not written for a lease's time, as whoever looks sees it by a clock of its
own, is anybody's. Every instance says in an item of its own that it is there; each takes its fair part, and lets go of
what is more. An item is ``{"group": "FUNCTION/STREAM", "name": PARTITION, "owner", "after", "attempt", "over"}``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from threading import Lock
from time import monotonic
from typing import Any

from portable.drivers.table import Row, TableQuery
from portable.errors import AlreadyExistsError, PreconditionFailedError
from portable.resources.table import Table

__all__ = ["NAME", "Held", "LostError", "Positions"]

NAME = "portable-positions"
"""Of the table. Its partition key is ``group``, its sort key ``name``."""

_BEGAN = "@began"  # when a function that begins with the latest records was first here
_REMEMBERED = 20  # leases after which one that said nothing is forgotten


class LostError(Exception):
    """Another instance has the partition."""


class Held:
    """A partition that this instance reads. Safe under threads; what it calls blocks.

    Attributes:
        after: offset of the last record that is dealt with, or ``@`` and the instant from which on; "" for the oldest.
        attempt: of what is behind it. alone: the next record is to be handed over alone, for its last reader died.
        surplus: to be let go of. lost: another instance has it.
    """

    def __init__(self, table: Table[dict[str, Any]], item: dict[str, Any], version: str, *, alone: bool) -> None:
        self._table = table
        self._item = item
        self._version = version
        self._lock = Lock()
        self.partition: str = item["name"]
        self.after: str = item["after"]
        self.attempt: int = item["attempt"]
        self.alone = alone
        self.surplus = False
        self.lost = False
        self.written = monotonic()

    def write(self, **changes: Any) -> None:
        """Say that it is still held, and what has changed. Raises LostError, and what the table raises."""
        with self._lock:
            if self.lost:
                raise LostError
            item = {**self._item, **changes}
            began = monotonic()
            try:
                self._version = self._table.put(item, if_match=self._version)
            except PreconditionFailedError as error:
                self.lost = True
                raise LostError from error
            self._item, self.written = item, began
            self.after, self.attempt = item["after"], item["attempt"]

    def release(self, **changes: Any) -> None:
        """Let go of it. Raises what :meth:`write` does."""
        self.write(owner="", **changes)
        self.lost = True


class Positions:
    """The partitions of one stream that one function reads. Not safe under threads; what it calls blocks.

    Args:
        owner: this instance, as no other is called. lease: seconds. start: ``latest`` or ``trim``.
    """

    def __init__(self, function: str, stream: str, owner: str, lease: float, start: str) -> None:
        self._table: Table[dict[str, Any]] = Table(NAME, key="group", sort="name")
        self._group = f"{function}/{stream}"
        self._owner = owner
        self._lease = lease
        self._start = start
        self._seen: dict[str, tuple[str, float]] = {}
        self.held: dict[str, Held] = {}

    def open(self) -> None:
        """Raises ConfigError where the table has no address."""
        self._table.driver()

    def share(self, partitions: Sequence[str], parents: Mapping[str, Sequence[str]]) -> list[Held]:
        """Say that this instance is there, hold on to what it has, and take its part of what is free.

        ``parents``: partitions that come before others are read. Returns those that are new. Raises what a table does.
        """
        self._table.put(self._new(f"@{self._owner}", owner=self._owner))
        rows = self._rows()
        for held in list(self.held.values()):
            if not held.lost and monotonic() - held.written > self._lease / 5:
                try:
                    held.write()
                except LostError:
                    continue
        self.held = {name: held for name, held in self.held.items() if not held.lost}
        over = {name for name in partitions if name in rows and rows[name].item["over"]}
        ready = [name for name in partitions if name not in over and over.issuperset(parents.get(name, ()))]
        fair = -(-len(ready) // (1 + self._others(rows)))
        taken: list[Held] = []
        for name in ready:
            if len(self.held) < fair and name not in self.held and (one := self._take(name, rows)) is not None:
                self.held[name] = one
                taken.append(one)
        for number, held in enumerate(self.held.values()):
            if number >= fair or held.partition not in ready:  # the stream has forgotten it
                held.surplus = True
        return taken

    def leave(self) -> None:
        """This instance is gone. Raises what a table does."""
        self._table.delete(self._group, f"@{self._owner}")

    def _rows(self) -> dict[str, Row]:
        found: dict[str, Row] = {}
        cursor = None
        while True:
            page = self._table.driver().query(TableQuery(self._group, cursor=cursor))
            found |= {str(row.item["name"]): row for row in page.rows}
            cursor = page.cursor
            if cursor is None:
                break
        now = monotonic()
        for name, row in found.items():
            if self._seen.get(name, ("", 0.0))[0] != row.version:
                self._seen[name] = (row.version, now)
        self._seen = {name: seen for name, seen in self._seen.items() if name in found}
        return found

    def _silent(self, name: str) -> float:
        """Seconds that an item has not been written for, as far as this instance has seen."""
        return monotonic() - self._seen[name][1]

    def _others(self, rows: Mapping[str, Row]) -> int:
        """How many other instances are there."""
        count = 0
        for name in rows:
            if not name.startswith("@") or name in (_BEGAN, f"@{self._owner}"):
                continue
            if self._silent(name) < self._lease:
                count += 1
            elif self._silent(name) > self._lease * _REMEMBERED:
                self._table.delete(self._group, name)
        return count

    def _take(self, name: str, rows: Mapping[str, Row]) -> Held | None:
        row = rows.get(name)
        died = False
        try:
            if row is None:
                item = self._new(name, owner=self._owner, after=self._beginning(rows))
                return Held(self._table, item, self._table.put(item, if_absent=True), alone=False)
            if row.item["owner"] not in ("", self._owner):
                if self._silent(name) < self._lease:
                    return None
                died = True  # perhaps of what it had in hand, which is an attempt
            attempt = int(row.item["attempt"]) + died
            item = self._new(name, owner=self._owner, after=row.item["after"], attempt=attempt)
            return Held(self._table, item, self._table.put(item, if_match=row.version), alone=died)
        except (AlreadyExistsError, PreconditionFailedError):  # another was faster
            return None

    def _beginning(self, rows: Mapping[str, Row]) -> str:
        """Where one begins that nobody has read: partitions that are made later hold nothing from before."""
        if self._start == "trim":
            return ""
        if _BEGAN in rows:
            return str(rows[_BEGAN].item["after"])
        began = f"@{datetime.now(UTC).isoformat()}"
        try:
            self._table.put(self._new(_BEGAN, after=began), if_absent=True)
        except AlreadyExistsError:
            entry = self._table.get(self._group, _BEGAN)
            return str(entry["after"]) if entry is not None else began
        return began

    def _new(self, name: str, *, owner: str = "", after: str = "", attempt: int = 1) -> dict[str, Any]:
        fields = {"owner": owner, "after": after, "attempt": attempt, "over": False}
        return {"group": self._group, "name": name, **fields}
