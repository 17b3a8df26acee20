"""Schedules: each tick delivered once, over restarts too.

The state holds the instant up to which a schedule is dealt with. What was due while no server ran is delivered once
when one starts, however many times it was due: the last of them, with its own instant. A tick during which the server
was killed is delivered again. A handler that raises is not called again before the next tick.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from portable.dev.application import DevFunction
from portable.dev.delivery import Desk, Invocation, Part
from portable.dev.times import expression, last_due, next_due
from portable.events import Tick
from portable.triggers import ScheduleTrigger

__all__ = ["ScheduleDelivery", "schedule_name"]

_LOOK = 20.0
"""Seconds a wait lasts at most: the clock may be set, and the machine may sleep."""


def schedule_name(function: DevFunction, trigger: ScheduleTrigger) -> str:
    """What a schedule is called in the state and on the pages: its function, and which of several it is."""
    position = function.triggers.index(trigger)
    return function.name if position == 0 else f"{function.name}.{position + 1}"


def _now() -> datetime:
    return datetime.now(UTC)


class ScheduleDelivery(Part):
    """One schedule. ``clock`` gives the aware instant it is."""

    def __init__(
        self,
        desk: Desk,
        function: DevFunction,
        trigger: ScheduleTrigger,
        clock: Callable[[], datetime] = _now,
    ) -> None:
        super().__init__(desk)
        self.function = function
        self.trigger = trigger
        self._call = function.of_trigger(trigger)
        self._clock = clock
        self.name = schedule_name(function, trigger)
        self._since = clock()
        self._unfinished: list[float] = []

    def recover(self) -> None:
        """Learn what is dealt with, and what was in hand. Blocks."""
        state = self.desk.state
        known = state.since(self.name, expression(self.trigger), self._clock().timestamp())
        self._since = datetime.fromtimestamp(known, UTC)
        self._unfinished = state.unfinished_ticks(self.name)

    @property
    def next(self) -> datetime:
        """When it is due next."""
        return next_due(self.trigger, max(self._since, self._clock()))

    async def find(self) -> None:
        """See ``Part.find``."""
        for due in self._unfinished:
            await self.free()
            self.begin(self._deliver(datetime.fromtimestamp(due, UTC)))
        self._unfinished = []
        now = self._clock()
        missed = last_due(self.trigger, self._since, now)
        if missed is not None:
            await self.free()
            self._since = missed
            self.begin(self._deliver(missed))
            return
        wait = (next_due(self.trigger, now) - now).total_seconds()
        await self.desk.pause(min(max(wait, 0.001), _LOOK))

    async def _deliver(self, due: datetime) -> None:
        desk = self.desk
        await desk.threads.run(desk.state.begin_tick, self.name, due.timestamp())
        await self.fire(due)
        await desk.threads.run(desk.state.end_tick, self.name, due.timestamp())

    async def fire(self, due: datetime) -> Invocation:
        """Call the handler with a tick, now, whatever the schedule says."""
        invocation = await self.desk.invoke(self.function, self._call, self.trigger.is_async, Tick(due))
        self.desk.note(invocation, f"tick {due.isoformat(timespec='seconds')}", "failed" if invocation.error else "ok")
        return invocation
