"""Schedules as Cloud Scheduler takes them: one job each.

https://cloud.google.com/scheduler/docs/configuring/cron-job-schedules: five fields in a time zone; a restricted day and
a restricted weekday are joined by OR. Where clocks change, jobs "may run or not run unexpectedly": an expression with a
time that is skipped or comes twice is therefore written in UTC, and the entry drops what is not due.
"""

from __future__ import annotations

from portable.build.schedules import Timer, between_changes, cover, cover_of_interval, cron_of, numbers, running_in_utc
from portable.manifest import TriggerRecord
from portable.schedules.expression import Cron

__all__ = ["timers_of"]


def timers_of(trigger: TriggerRecord) -> list[Timer]:
    """The job of a schedule."""
    cron, timezone = cron_of(trigger), trigger.options["timezone"]
    if cron is None:
        every, times = cover_of_interval(trigger.options["every"])
        return [Timer(_expression(every), "UTC", "" if times == 1 else "all")]
    same = running_in_utc(cron, timezone)
    if same is not None:
        return [Timer(_expression(same), "UTC")]
    if not between_changes(cron, timezone):
        return [Timer(_expression(cron), timezone)]
    covered = cover(cron, timezone)
    return [Timer(_expression(covered.cron, cron.either), "UTC", "" if covered.exact else "all")]


def _expression(cron: Cron, either: bool = False) -> str:
    """``either``: the expression that this one covers is due on its days and its weekdays."""
    # Whether a step over all days counts as a restriction is not said: a list does.
    step = None if cron.either else "*/{step}"
    days, weekdays = numbers(cron.days, 1, 31, step), numbers(cron.weekdays, 0, 6, step)
    if either and "*" in (days, weekdays):
        days = weekdays = "*"
    return (
        f"{numbers(cron.minutes, 0, 59)} {numbers(cron.hours, 0, 23)} {days} {numbers(cron.months, 1, 12)} {weekdays}"
    )
