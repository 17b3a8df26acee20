"""Schedules as timer triggers take them: NCRONTAB in UTC.

https://learn.microsoft.com/azure/azure-functions/functions-bindings-timer#ncrontab-expressions: six fields, seconds
first, weekdays 0 to 6, a day and a weekday joined by AND (https://github.com/atifaziz/NCrontab/wiki/Crontab-Examples).
WEBSITE_TIME_ZONE has no effect on Linux in the Consumption and Flex plans, and elsewhere it is one zone for all timers
of an app. So a schedule in a zone is covered in UTC on every plan, and the entry drops what is not due.
"""

from __future__ import annotations

from portable.build.schedules import Timer, cover, cover_of_interval, cron_of, numbers
from portable.manifest import TriggerRecord
from portable.schedules.expression import Cron, is_never

__all__ = ["timers_of"]

_DAYS, _WEEKDAYS = tuple(range(1, 32)), tuple(range(7))


def timers_of(trigger: TriggerRecord) -> list[Timer]:
    """The timers of a schedule: one, or two where it has a day and a weekday.

    Of two, the second leaves out the days of the first: in its expression where that is exact, else in the entry.
    """
    cron = cron_of(trigger)
    if cron is None:
        every, times = cover_of_interval(trigger.options["every"])
        return [Timer(_expression(every, every.days, every.weekdays), drops="" if times == 1 else "all")]
    covered = cover(cron, trigger.options["timezone"])
    written, exact = covered.cron, covered.exact
    if not cron.either:
        return [Timer(_expression(written, written.days, written.weekdays), drops="" if exact else "all")]
    first = Timer(_expression(written, written.days, _WEEKDAYS), drops="" if exact else "day")
    others = tuple(day for day in _DAYS if day not in written.days) if exact else _DAYS
    if is_never(others, written.months):
        return [first]
    return [first, Timer(_expression(written, others, written.weekdays), drops="" if exact else "weekday")]


def _expression(cron: Cron, days: tuple[int, ...], weekdays: tuple[int, ...]) -> str:
    return " ".join(
        (
            "0",
            numbers(cron.minutes, 0, 59),
            numbers(cron.hours, 0, 23),
            numbers(days, 1, 31),
            numbers(cron.months, 1, 12),
            numbers(weekdays, 0, 6),
        )
    )
