"""When a schedule of the server is due, by the rule in ``portable.schedules``."""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache

from portable.schedules.due import Due, read_zone
from portable.triggers import ScheduleTrigger

__all__ = ["expression", "last_due", "next_due"]


def expression(trigger: ScheduleTrigger) -> str:
    """A schedule in words: ``0 8 * * * Europe/Paris``, ``every 1:00:00``."""
    return f"every {trigger.every}" if trigger.cron is None else f"{trigger.cron} {trigger.timezone}"


def next_due(trigger: ScheduleTrigger, after: datetime) -> datetime:
    """The first instant after ``after`` at which a schedule is due, in its time zone."""
    return next(_due(trigger).after(after)).astimezone(read_zone(trigger.timezone))


def last_due(trigger: ScheduleTrigger, after: datetime, until: datetime) -> datetime | None:
    """The last instant after ``after`` and not after ``until`` at which a schedule was due, in UTC; None when it was
    not.
    """
    return _due(trigger).last(after, until)


@lru_cache(maxsize=256)
def _due(trigger: ScheduleTrigger) -> Due:
    every = None if trigger.every is None else trigger.every.total_seconds()
    return Due(trigger.cron, every, trigger.timezone)
