"""Schedules as EventBridge Scheduler takes them, and EventBridge rules.

https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html: ``cron(minutes hours day-of-month month
day-of-week year)`` in a time zone, where one of the two days is ``?`` and Sunday is 1; ``rate(value unit)``. When the
clocks go forward, a time that does not exist is skipped; when they go back, a time that comes twice runs once.
https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-scheduled-rule-pattern.html: the same in UTC.

An expression with a day and a weekday is two schedules. Both fire on a day that is both; the input of the second says
so, and the entry leaves that day to the first.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from itertools import pairwise

from portable.build.schedules import Drops, Timer, cover, cron_of, numbers, running_in_utc
from portable.manifest import TriggerRecord
from portable.schedules.expression import Cron
from portable_aws import limits

__all__ = ["timers_of"]

_DAYS, _WEEKDAYS = tuple(range(1, 32)), tuple(range(7))
_UNITS = ((1440, "day"), (60, "hour"), (1, "minute"))


def timers_of(trigger: TriggerRecord, source: str) -> list[Timer]:
    """The schedules of EventBridge Scheduler, or the rules, for one schedule."""
    cron, timezone = cron_of(trigger), trigger.options["timezone"]
    if cron is None:
        return [Timer(_rate(trigger.options["every"]))]
    exact, zone = True, timezone
    if source == "eventbridge-rule":
        covered = cover(cron, timezone)
        written, exact, zone = covered.cron, covered.exact, ""
    elif (same := running_in_utc(cron, timezone)) is not None:
        written, zone = same, "UTC"
    else:
        written = cron
    if not cron.either:
        return [_timer(_expression(written, written.days, written.weekdays), zone, "" if exact else "all", source)]
    return [
        _timer(_expression(written, written.days, _WEEKDAYS), zone, "" if exact else "day", source),
        _timer(_expression(written, _DAYS, written.weekdays), zone, "overlap" if exact else "weekday", source),
    ]


def _timer(expression: str, timezone: str, drops: Drops, source: str) -> Timer:
    return Timer(expression, timezone, drops, _input(drops, source) if drops else "")


def _input(drops: Drops, source: str) -> str:
    """The default event, as far as it is read here, with what the entry has to know.

    For a rule it is the template of an input transformer whose paths are ``{"time": "$.time"}``.
    """
    rule = source == "eventbridge-rule"
    event = {
        "detail-type": "Scheduled Event",
        "source": "aws.events" if rule else "aws.scheduler",
        "time": "<time>" if rule else "<aws.scheduler.scheduled-time>",
        "portable": drops,
    }
    text = json.dumps(event)
    # A template's placeholder for a text stands without quotes.
    return text.replace('"<time>"', "<time>")


def _rate(seconds: float) -> str:
    minutes = int(seconds) // 60
    size, unit = next((size, unit) for size, unit in _UNITS if minutes % size == 0)
    value = minutes // size
    return f"rate({value} {unit}{'' if value == 1 else 's'})"


def _expression(cron: Cron, days: tuple[int, ...], weekdays: tuple[int, ...]) -> str:
    """One of the two days is everything; it is written ``?``."""
    fields = [
        (cron.minutes, 0, 59),
        (cron.hours, 0, 23),
        (days, 1, 31),
        (cron.months, 1, 12),
        (tuple(day + 1 for day in weekdays), 1, 7),
    ]
    everything = 4 if len(weekdays) == 7 else 2
    expression = _written(_plain, fields, everything)
    # Two of three numbers in ranges are the most there can be, and they fit.
    return expression if len(expression) <= limits.SCHEDULE_CHARACTERS else _written(_short, fields, everything)


def _written(write: Callable[..., str], fields: Sequence[tuple[tuple[int, ...], int, int]], everything: int) -> str:
    texts = [write(*field) for field in fields]
    texts[everything] = "?"
    return f"cron({' '.join(texts)} *)"


def _plain(values: tuple[int, ...], least: int, most: int) -> str:
    return numbers(values, least, most, "{start}/{step}" if most > 7 else None)


def _short(values: tuple[int, ...], least: int, most: int) -> str:
    """A list of ranges."""
    if len(values) == most - least + 1:
        return "*"
    starts = [values[0], *(after for before, after in pairwise(values) if after > before + 1)]
    ends = [*(before for before, after in pairwise(values) if after > before + 1), values[-1]]
    return ",".join(f"{a}" if a == b else f"{a}-{b}" for a, b in zip(starts, ends, strict=True))
