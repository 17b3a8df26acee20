"""When a schedule is due.

A cron expression is read in its time zone by cronsim, which does as Debian's cron at a change of the clocks: what is
due in the hour that is skipped runs at its end, once; what is due in the hour that comes twice runs the first time
only, unless the minute or the hour is a wildcard or a step, which go on through both. An interval counts from the
epoch, so ``every=timedelta(hours=1)`` is due on the hour, whenever the server was started.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from portable.errors import ConfigError
from portable.triggers import ScheduleTrigger

__all__ = ["check_schedule", "expression", "last_due", "next_due"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def expression(trigger: ScheduleTrigger) -> str:
    """A schedule in words: ``0 8 * * * Europe/Paris``, ``every 1:00:00``."""
    return f"every {trigger.every}" if trigger.cron is None else f"{trigger.cron} {trigger.timezone}"


def check_schedule(trigger: ScheduleTrigger, where: str) -> None:
    """Raise ConfigError naming the place of a cron expression that is never due; the rest is checked with the app."""
    if trigger.cron is None:
        return
    try:
        next(CronSim(trigger.cron, datetime.now(_zone(trigger))))
    except (CronSimError, StopIteration) as error:
        raise ConfigError(f"cron {trigger.cron!r} at {where}: it is never due") from error


def next_due(trigger: ScheduleTrigger, after: datetime) -> datetime:
    """The first instant after ``after`` at which a schedule is due, in its time zone."""
    if trigger.every is not None:
        return _EPOCH + ((after - _EPOCH) // trigger.every + 1) * trigger.every
    return next(CronSim(trigger.cron or "", after.astimezone(_zone(trigger))))


def last_due(trigger: ScheduleTrigger, after: datetime, until: datetime) -> datetime | None:
    """The last instant after ``after`` and not after ``until`` at which a schedule was due; None when it was not."""
    if trigger.every is not None:
        due = _EPOCH + (until - _EPOCH) // trigger.every * trigger.every
    else:
        # The search backwards is exclusive, and cron counts in minutes.
        start = until.astimezone(_zone(trigger)) + timedelta(minutes=1)
        candidates = CronSim(trigger.cron or "", start, reverse=True)
        due = next(candidates)
        while due > until:
            due = next(candidates)
    return due if due > after else None


def _zone(trigger: ScheduleTrigger) -> ZoneInfo:
    return ZoneInfo(trigger.timezone)
