"""Schedules as a CronJob takes them: five fields and a time zone.

https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/: a day and a weekday are joined by OR.
"""

from __future__ import annotations

from collections.abc import Iterator

from portable.build.schedules import between_changes, cover_of_interval, cron_of, numbers
from portable.build.target import Finding
from portable.errors import ConfigError
from portable.manifest import FunctionRecord, TriggerRecord
from portable.schedules.expression import Cron

__all__ = ["check_schedule", "cron_of_job"]


def check_schedule(function: FunctionRecord, trigger: TriggerRecord) -> Iterator[Finding]:
    """What a CronJob does otherwise."""
    cron = cron_of(trigger)
    if len(function.triggers) > 1:
        message = f"function {function.name}: {len(function.triggers)} schedules, and a CronJob has one"
        yield Finding("error", trigger.where, message, "a function for each")
    if cron is None:
        if cover_of_interval(trigger.options["every"])[1] != 1:
            message = f"function {function.name}: no CronJob is due every {trigger.options['every']:g} s exactly"
            yield Finding("error", trigger.where, message, "an interval that divides an hour or a day")
        return
    if between_changes(cron, trigger.options["timezone"]):
        message = (
            f"function {function.name}: where the clocks of {trigger.options['timezone']} change, a CronJob may leave "
            "out a time of this schedule or start it twice"
        )
        yield Finding("warning", trigger.where, message, "a time that no change skips or repeats, or timezone='UTC'")


def cron_of_job(function: FunctionRecord) -> tuple[str, str]:
    """Expression and time zone of a function's one schedule. Raises ConfigError where there are several."""
    if len(function.triggers) != 1:
        raise ConfigError(f"function {function.name} has {len(function.triggers)} schedules, and a CronJob has one")
    [trigger] = function.triggers
    cron = cron_of(trigger)
    if cron is not None:
        return _expression(cron), trigger.options["timezone"]
    every, _ = cover_of_interval(trigger.options["every"])
    return _expression(every), "Etc/UTC"


def _expression(cron: Cron) -> str:
    # A step over all days counts as no restriction there, and a list does: so it is written out where both restrict.
    step = None if cron.either else "*/{step}"
    days, weekdays = numbers(cron.days, 1, 31, step), numbers(cron.weekdays, 0, 6, step)
    minutes, hours, months = numbers(cron.minutes, 0, 59), numbers(cron.hours, 0, 23), numbers(cron.months, 1, 12)
    return f"{minutes} {hours} {days} {months} {weekdays}"
