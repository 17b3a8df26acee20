"""Changes of tables, from a table's own log of them, in the order they were made: at least once, over restarts too.

The state holds the number of the last change that is dealt with. A function that fails gets the same change again
after 1 s, 2 s, 4 s …, and nothing behind it meanwhile, as a cloud's stream has it; after ``ATTEMPTS`` the change is
given up and the next one follows. The log keeps a change for a day.
"""

from __future__ import annotations

import asyncio
import contextlib
from datetime import UTC, datetime
from typing import Any

from portable.dev.application import DevFunction
from portable.dev.delivery import Desk, Part, backoff
from portable.drivers.table import Schema
from portable.events import Change
from portable.run.changes import change_key
from portable.triggers import ChangeTrigger

__all__ = ["ATTEMPTS", "ChangeDelivery"]

ATTEMPTS = 5
"""Attempts before a change is given up."""

_LOOK = 0.05
"""Seconds between two looks at a table's log."""

_AT_ONCE = 100
"""Changes read from the log at a time."""


class ChangeDelivery(Part):
    """Hands one function the changes of one table, one after the other."""

    def __init__(self, desk: Desk, function: DevFunction, table: str) -> None:
        super().__init__(desk)
        self._function = function
        self._table = table
        self._schema = Schema(desk.application.manifest.resource("table", table).options)
        self._driver: Any = desk.application.driver(desk.platform, "table", table)
        self._idle = asyncio.Event()
        self._idle.set()
        self._wanted = [
            trigger
            for trigger in function.triggers
            if isinstance(trigger, ChangeTrigger) and trigger.table.name == table
        ]

    def prepare(self) -> None:
        """A function that is new begins with the changes from now on. Blocks."""
        self.desk.state.begin_changes(self._function.name, self._table, self._driver.last_change())

    async def find(self) -> None:
        """See ``Part.find``."""
        if not self._idle.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._idle.wait(), _LOOK)
            return
        changes = await self.desk.threads.run(self._read)
        if not changes:
            await self.desk.pause(_LOOK)
            return
        await self.free()
        self._idle.clear()
        self.begin(self._deliver(changes))

    def _read(self) -> list[Any]:
        position = self.desk.state.last_change(self._function.name, self._table)
        found: list[Any] = self._driver.changes(position, _AT_ONCE)
        return found

    async def _deliver(self, changes: list[Any]) -> None:
        desk = self.desk
        try:
            for stored in changes:
                if desk.stopping.is_set():
                    return
                wanted = any(trigger.wants(stored.kind) for trigger in self._wanted)
                if wanted and not await self._attempt(self._change(stored)):
                    return
                await desk.threads.run(desk.state.end_change, self._function.name, self._table, stored.number)
        finally:
            self._idle.set()

    def _change(self, stored: Any) -> Change[Any]:
        key = change_key(self._schema.key_of(stored.new if stored.new is not None else stored.old))
        when = datetime.fromtimestamp(stored.time / 1_000_000, UTC)
        return Change(stored.kind, self._table, key, stored.old, stored.new, when, stored)

    async def _attempt(self, change: Change[Any]) -> bool:
        """Whether the change is dealt with: done, or given up. False when the server stops before."""
        desk, function = self.desk, self._function
        subject = f"{change.kind} {change.table}/{change.key}"
        for attempt in range(1, ATTEMPTS + 1):
            invocation = await desk.invoke(function, function.call, function.call.is_async, change)
            named = subject + (f", attempt {attempt}" if attempt > 1 else "")
            if invocation.error is None:
                desk.note(invocation, named, "ok")
                return True
            last = attempt == ATTEMPTS
            wait = backoff(attempt)
            desk.note(invocation, named, "given up" if last else f"retry in {wait:g} s")
            if not last:
                await desk.pause(wait)
                if desk.stopping.is_set():
                    return False
        return True
