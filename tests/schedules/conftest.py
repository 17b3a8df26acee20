"""Evaluators of schedules that share nothing with the compiler.

For POSIX, and for Cloud Scheduler's unix-cron, there are libraries: cronsim and croniter, which know nothing of zones
here. For EventBridge's cron and for NCRONTAB there is none for Python: these two are written from the vendors'
documentation.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from itertools import islice, pairwise
from types import SimpleNamespace
from zoneinfo import ZoneInfo

import pytest
from croniter import croniter
from cronsim import CronSim

YEARS = timedelta(days=366 * 9)

ZONES = (
    "UTC",
    "Europe/Paris",
    "America/New_York",
    "America/St_Johns",
    "America/Santiago",  # changes at midnight, as the next two
    "America/Havana",
    "Asia/Beirut",
    "Africa/Cairo",
    "Africa/Casablanca",  # changes around Ramadan
    "Antarctica/Troll",  # by two hours
    "Australia/Lord_Howe",  # by half an hour
    "Pacific/Chatham",  # 12:45 and 13:45 ahead
    "Asia/Kolkata",
    "Asia/Kathmandu",
    "Asia/Tokyo",
    "Pacific/Kiritimati",
    "Pacific/Pago_Pago",
)


# --- clocks


def to_instants(walls: Iterator[datetime], zone: ZoneInfo) -> Iterator[datetime]:
    """Times on a clock as instants: the first of two, none for one that is skipped."""
    for wall in walls:
        instant = wall.replace(tzinfo=zone, fold=0).astimezone(UTC)
        if instant.astimezone(zone).replace(tzinfo=None) == wall:
            yield instant


@lru_cache
def starts(zone: ZoneInfo) -> list[datetime]:
    """Shortly before each of two changes of a zone's clock; any two instants where it has none."""
    hours = [datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=n) for n in range(366 * 24)]
    found = [a for a, b in pairwise(hours) if a.astimezone(zone).utcoffset() != b.astimezone(zone).utcoffset()]
    found = found or [hours[2000], hours[6000]]
    return [instant - timedelta(hours=2) for instant in found[:2]]


def wall_before(instant: datetime, zone: ZoneInfo) -> datetime:
    """Where to begin on the clock, so that nothing after the instant is missed."""
    return instant.astimezone(zone).replace(tzinfo=None) - timedelta(hours=4)


# --- POSIX, by cronsim


def posix(cron: str, timezone: str, start: datetime) -> Iterator[datetime]:
    zone = ZoneInfo(timezone)
    if cron.split()[1:] == ["*"] * 4:
        # Each minute that passes; cronsim itself misses one where a clock changes by half an hour.
        minutes, due = CronSim(cron, start).minutes, start.replace(second=0)
        while True:
            due += timedelta(minutes=1)
            if due.astimezone(zone).minute in minutes:
                yield due
    yield from (due for due in to_instants(CronSim(cron, wall_before(start, zone)), zone) if due > start)


# --- Cloud Scheduler, by croniter: unix-cron on the clock of the job's zone


def unix_cron(expression: str, timezone: str, start: datetime) -> Iterator[datetime]:
    zone = ZoneInfo(timezone)
    walls = croniter(expression, wall_before(start, zone), max_years_between_matches=9).all_next(datetime)
    yield from (due for due in to_instants(walls, zone) if due > start)


# --- what is written from documentation


def _values(text: str, least: int, most: int) -> set[int]:
    """A field of numbers: ``*``, ``a``, ``a-b``, ``*/n``, ``a/n``, ``a-b/n``, and lists of them."""
    found: set[int] = set()
    for part in text.split(","):
        span, _, step = part.partition("/")
        low, _, high = span.partition("-")
        first = least if span == "*" else int(low)
        last = most if span == "*" or (step and not high) else int(high or low)
        assert least <= first <= last <= most, text
        found |= set(range(first, last + 1, int(step or 1)))
    return found


def _days(start: date) -> Iterator[date]:
    for day in range(YEARS.days):
        yield start + timedelta(days=day)


def _walls(minutes, hours, is_day, start: datetime) -> Iterator[datetime]:
    for day in _days(start.date()):
        if is_day(day):
            for hour in sorted(hours):
                for minute in sorted(minutes):
                    yield datetime.combine(day, time(hour, minute))


def eventbridge(expression: str, timezone: str, start: datetime) -> Iterator[datetime]:
    """https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html

    Six fields with a year; one of the two days is ``?``; weekdays 1 to 7, Sunday first; a slash steps from its first
    number on. In spring what falls on no time is skipped, in autumn it runs once: which of the two times that is, the
    page does not say; here it is the first.
    """
    assert len(expression) <= 256
    name, _, rest = expression.partition("(")
    assert name == "cron"
    assert rest.endswith(")")
    minute, hour, day, month, weekday, year = rest[:-1].split()
    assert (day == "?") != (weekday == "?"), expression
    assert year == "*"
    minutes, hours, months = _values(minute, 0, 59), _values(hour, 0, 23), _values(month, 1, 12)
    days = None if day == "?" else _values(day, 1, 31)
    weekdays = None if weekday == "?" else _values(weekday, 1, 7)

    def is_day(one: date) -> bool:
        if one.month not in months:
            return False
        return one.day in days if days is not None else one.isoweekday() % 7 + 1 in weekdays

    zone = ZoneInfo(timezone)
    walls = _walls(minutes, hours, is_day, wall_before(start, zone))
    yield from (due for due in to_instants(walls, zone) if due > start)


def ncrontab(expression: str, start: datetime) -> Iterator[datetime]:
    """https://learn.microsoft.com/azure/azure-functions/functions-bindings-timer#ncrontab-expressions

    Six fields, seconds first; weekdays 0 to 6, Sunday first; all have to match, the two days as well
    (https://github.com/atifaziz/NCrontab/wiki/Crontab-Examples). In UTC.
    """
    second, minute, hour, day, month, weekday = expression.split()
    assert second == "0"
    days, months, weekdays = _values(day, 1, 31), _values(month, 1, 12), _values(weekday, 0, 6)

    def is_day(one: date) -> bool:
        return one.month in months and one.day in days and one.isoweekday() % 7 in weekdays

    walls = _walls(_values(minute, 0, 59), _values(hour, 0, 23), is_day, start.replace(tzinfo=None))
    yield from (due for wall in walls if (due := wall.replace(tzinfo=UTC)) > start)


# --- expressions


def _field(random: random.Random, least: int, most: int, names=()) -> str:
    def one() -> str:
        value = random.randint(least, most)
        return random.choice([str(value), names[value - least]]) if names and value - least < len(names) else str(value)

    shape = random.random()
    if shape < 0.45:
        return one()
    if shape < 0.6:
        return ",".join(one() for _ in range(random.randint(2, 4)))
    low, high = sorted(random.sample(range(least, most + 1), 2))
    if shape < 0.8:
        return f"{low}-{high}"
    if shape < 0.95:
        return f"{low}-{high}/{random.randint(1, 7)}"
    return f"{low},{high}-{most}"


MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")


def make_expression(random: random.Random) -> str:
    """Any five fields, more of them by night, when clocks change."""
    steps = random.choice([2, 3, 5, 7, 10, 15, 20, 30])
    minute = random.choice([_field(random, 0, 59), _field(random, 0, 59), f"*/{steps}", "0", "30", "*"])
    hour = random.choice(
        [_field(random, 0, 23), _field(random, 0, 3), _field(random, 0, 3), "*", f"*/{steps % 12 + 1}"]
    )
    day, month, weekday = "*", "*", "*"
    kind = random.random()
    if kind < 0.5:
        day = random.choice([_field(random, 1, 31), "1", "28-31", "1-7"])
    if kind > 0.35:
        weekday = random.choice([_field(random, 0, 7, WEEKDAYS), "mon-fri", "sun", "0,6"])
    if (day == "*" and weekday == "*") or random.random() < 0.05:
        day = "*/3" if weekday == "*" else day
    if random.random() < 0.25:
        month = _field(random, 1, 12, MONTHS)
    if random.random() < 0.1:
        day = month = weekday = "*"
        hour = random.choice(["*", hour])
    return " ".join((minute, hour, day, month, weekday))


@pytest.fixture
def evaluators():
    return SimpleNamespace(
        ZONES=ZONES,
        eventbridge=eventbridge,
        make_expression=make_expression,
        merge=lambda *firings: heapq.merge(*firings),
        ncrontab=ncrontab,
        posix=posix,
        starts=starts,
        take=lambda firings, count, until: list(_until(islice(firings, count), until)),
        unix_cron=unix_cron,
    )


def _until(firings: Iterator[datetime], until: datetime) -> Iterator[datetime]:
    for one in firings:
        if one > until:
            return
        yield one
