"""Schedules as clouds write them: what the adapters' compilers share, and what is said of a schedule on every target.

A cloud that knows the zone, and says what it does when the clocks change, gets the expression as it is. One that does
not gets a *cover* in UTC: an expression that is due at least when the schedule is, at each offset the zone has. The
entry then drops what is due there and not on the clock of the zone; see ``portable.schedules.due``. The decision
depends on the instant alone, so nothing is kept anywhere, and no instant is served twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from itertools import pairwise
from typing import Any, Literal

import msgspec

from portable.build.target import BuildTarget, Finding
from portable.manifest import FunctionRecord, Manifest, TriggerRecord
from portable.schedules.due import Due, read_zone
from portable.schedules.expression import Cron, parse

__all__ = [
    "ClockChange",
    "Cover",
    "Drops",
    "Timer",
    "between_changes",
    "check_clock_changes",
    "check_timers",
    "clock_changes",
    "cover",
    "cover_of_interval",
    "cron_of",
    "firing",
    "needs_zones",
    "numbers",
    "offsets",
    "running_in_utc",
    "schedules_of",
    "timers_by_function",
    "timers_of",
]

_FROM, _UNTIL = datetime(2025, 1, 1, tzinfo=UTC), datetime(2038, 1, 1, tzinfo=UTC)
"""Where offsets are looked for: fixed, so that equal sources give equal artifacts. What a government decides later
comes with newer time zone data and the next build."""

Drops = Literal["", "all", "day", "weekday", "overlap"]
"""What an entry does with a trigger, see :class:`Timer`; done by ``portable.schedules.due.gate``."""


class Timer(msgspec.Struct, frozen=True, omit_defaults=True):
    """One trigger of a function's schedule, in a cloud's own words.

    Attributes:
        expression: as the cloud takes it. timezone: where it is read; "" where the cloud has UTC only.
        drops: what the entry does with it. "": every firing is the handler's. "all": those that the schedule is not
            due at are dropped. "day", "weekday": likewise, of the two triggers of one expression. "overlap": those on
            a day that the other trigger has too.
        input: what the trigger has to hand to the function, where not its default.
    """

    expression: str
    timezone: str = ""
    drops: Drops = ""
    input: str = ""


class ClockChange(msgspec.Struct, frozen=True):
    """Minutes on a zone's clock that are skipped, or come twice: from ``start`` to before ``end``, without a zone."""

    repeated: bool
    start: datetime
    end: datetime


class Cover(msgspec.Struct, frozen=True):
    """An expression in UTC. ``exact``: it is due when the schedule is, and at no other time."""

    cron: Cron
    exact: bool


def cron_of(trigger: TriggerRecord) -> Cron | None:
    """The expression of a schedule; None for an interval."""
    text = trigger.options["cron"]
    return None if text is None else parse(text)


@lru_cache(maxsize=64)
def _shifts(timezone: str) -> tuple[tuple[datetime, timedelta, timedelta], ...]:
    """The instants at which a zone's offset changes, with those before and after."""
    zone, found = read_zone(timezone), []
    days = (_FROM + timedelta(days=day) for day in range((_UNTIL - _FROM).days))
    for low, high in pairwise(days):
        before, after = _offset(low, zone), _offset(high, zone)
        if before == after:
            continue
        while high - low > timedelta(minutes=1):
            middle = low + timedelta(minutes=(high - low) // timedelta(minutes=2))
            low, high = (middle, high) if _offset(middle, zone) == before else (low, middle)
        found.append((high, before, after))
    return tuple(found)


def _offset(instant: datetime, zone: tzinfo) -> timedelta:
    offset = instant.astimezone(zone).utcoffset()
    assert offset is not None
    return offset


def offsets(timezone: str) -> tuple[int, ...]:
    """The minutes a zone is ahead of UTC, over the year."""
    first = _offset(_FROM, read_zone(timezone))
    found = {first, *(after for _, _, after in _shifts(timezone))}
    return tuple(sorted(offset // timedelta(minutes=1) for offset in found))


def clock_changes(timezone: str) -> Iterator[ClockChange]:
    """The changes of a zone's clock, in order."""
    for instant, before, after in _shifts(timezone):
        old, new = (instant + before).replace(tzinfo=None), (instant + after).replace(tzinfo=None)
        yield ClockChange(new < old, min(old, new), max(old, new))


def between_changes(cron: Cron, timezone: str, changes: Sequence[ClockChange] | None = None) -> list[ClockChange]:
    """The changes that skip or repeat a time of this expression; of ``changes`` when given."""
    found = []
    for change in clock_changes(timezone) if changes is None else changes:
        time = change.start
        while time < change.end:
            is_time = time.minute in cron.minutes and time.hour in cron.hours
            if is_time and cron.is_day(time.month, time.day, time.isoweekday() % 7):
                found.append(change)
                break
            time += timedelta(minutes=1)
    return found


def running_in_utc(cron: Cron, timezone: str) -> Cron | None:
    """An expression of minutes alone as it is in UTC; None where the zone's offsets differ in minutes."""
    shifts = {offset % 60 for offset in offsets(timezone)}
    if not cron.running or len(shifts) > 1:
        return None
    (shift,) = shifts
    minutes = tuple(sorted({(minute - shift) % 60 for minute in cron.minutes}))
    return Cron(cron.text, minutes, cron.hours, cron.days, cron.months, cron.weekdays)


def cover(cron: Cron, timezone: str) -> Cover:
    """The least expression in UTC that is due whenever the schedule is, at every offset of its zone.

    Minutes, hours, days, months and weekdays are each the union of what they are at one offset. A day that moves over
    the end of a month takes all the days a month may end on.
    """
    if cron.running and (same := running_in_utc(cron, timezone)) is not None:
        return Cover(same, exact=True)
    times, moves = set[tuple[int, int]](), set[int]()
    zone_offsets = offsets(timezone)
    for offset in zone_offsets:
        for hour in cron.hours:
            for minute in cron.minutes:
                move, rest = divmod(hour * 60 + minute - offset, 1440)
                moves.add(move)
                times.add(divmod(rest, 60))
    hours, minutes = {hour for hour, _ in times}, {minute for _, minute in times}
    days, months = _moved_days(cron, moves)
    weekdays = {(weekday + move) % 7 for weekday in cron.weekdays for move in moves}
    fields = [tuple(sorted(one)) for one in (minutes, hours, days, months, weekdays)]
    any_date = len(cron.days) == 31 and len(cron.months) == 12
    any_day = any_date and len(cron.weekdays) == 7
    # At one offset it moves as a whole, unless the days of some of its times move and those of others do not.
    whole = moves == {0} or any_day or (any_date and len(moves) == 1)
    exact = len(zone_offsets) == 1 and whole and len(times) == len(hours) * len(minutes)
    return Cover(Cron(cron.text, *fields), exact)


def _moved_days(cron: Cron, moves: set[int]) -> tuple[set[int], set[int]]:
    """Days and months of a date that moves by these days: a day before the 1st is any that a month may end on."""
    days, months = set[int](), set(cron.months)
    for move in moves:
        for day in cron.days:
            if move < 0 and day == 1:
                days |= {28, 29, 30, 31}
            elif move > 0 and day >= 28:
                days |= {1, *range(day + 1, 32)[:1]}
            else:
                days.add(day + move)
        # A weekday may be any date.
        if move < 0 and (cron.either or 1 in cron.days):
            months |= {(month - 2) % 12 + 1 for month in cron.months}
        elif move > 0 and (cron.either or cron.days[-1] >= 28):
            months |= {month % 12 + 1 for month in cron.months}
    return days, months


def cover_of_interval(seconds: float) -> tuple[Cron, int]:
    """An expression in UTC that is due at the multiples of an interval since the epoch; and how often it is due for one
    of them: 1 where it is due then and at no other time.
    """
    asked = int(seconds) // 60
    spaced = [minutes for minutes in range(1, 61) if 60 % minutes == 0]
    spaced += [hours * 60 for hours in range(2, 25) if 24 % hours == 0]
    fitting = max(minutes for minutes in spaced if asked % minutes == 0)
    minute, hour = f"*/{fitting}", "*"
    if fitting >= 60:
        minute, hour = "0", f"*/{fitting // 60}" if fitting < 1440 else "0"
    return parse(f"{minute} {hour} * * *"), asked // fitting


def numbers(values: Sequence[int], least: int, most: int, step: str | None = "*/{step}") -> str:
    """The numbers of a field: ``*``, ``a-b``, a step from the least (from any, where ``step`` has a ``{start}``; none
    where it is None), or a list.
    """
    first, last = values[0], values[-1]
    if len(values) == most - least + 1:
        return "*"
    gaps = {after - before for before, after in pairwise(values)}
    if len(values) > 2 and len(gaps) == 1:
        (gap,) = gaps
        if gap == 1:
            return f"{first}-{last}"
        if step and last + gap > most and (first == least or "{start}" in step):
            return step.format(start=first, step=gap)
    return ",".join(map(str, values))


def check_clock_changes(manifest: Manifest, now: datetime | None = None) -> Iterator[Finding]:
    """What the next changes of the clocks skip or repeat, for each schedule they do: the same on every target."""
    today = (now or datetime.now(UTC)).replace(tzinfo=None)
    for _, trigger in schedules_of(manifest):
        cron, timezone = cron_of(trigger), trigger.options["timezone"]
        if cron is None or cron.running or timezone == "UTC":
            continue
        coming = [change for change in clock_changes(timezone) if change.end > today][:2]
        for change in between_changes(cron, timezone, coming):
            span = f"{change.start:%H:%M} to {change.end:%H:%M} on {change.start:%Y-%m-%d}"
            if change.repeated:
                says = "comes twice; what is due then runs the first time"
            else:
                says = "is skipped; what is due then does not run that day"
            message = f"cron {cron.text!r}: in {timezone}, {span} {says}"
            yield Finding("info", trigger.where, message, "another hour, or UTC, has no such day")


def schedules_of(manifest: Manifest) -> Iterator[tuple[FunctionRecord, TriggerRecord]]:
    """Every schedule, with its function."""
    for function in manifest.functions:
        for trigger in function.triggers:
            if trigger.kind == "schedule":
                yield function, trigger


def check_timers(trigger: TriggerRecord, timers: Sequence[Timer], why: str) -> Iterator[Finding]:
    """What a schedule costs where it becomes more than one trigger, or one that is due too often. ``why``: its cloud's
    reason for the latter.
    """
    cron, every = trigger.options["cron"], trigger.options["every"]
    text = f"every {timedelta(seconds=every)}" if cron is None else f"cron {cron!r}"
    written = " and ".join(repr(timer.expression) for timer in timers)
    if any(timer.drops in ("all", "day", "weekday") for timer in timers):
        zone = "" if cron is None else f" in {trigger.options['timezone']}"
        message = f"{text}{zone}: {why}; it becomes {written} in UTC, and the entry drops what is not due"
        yield Finding("warning", trigger.where, message, "what is dropped costs an invocation that does nothing")
    elif len(timers) > 1:
        message = f"{text} is due on its days and its weekdays: it becomes {written}; a day that is both counts once"
        yield Finding("info", trigger.where, message)


def timers_by_function(
    manifest: Manifest, timers_of: Callable[[TriggerRecord], Sequence[Timer]]
) -> dict[str, Sequence[Timer]]:
    """The triggers of each function with a schedule."""
    return {function.name: timers_of(trigger) for function, trigger in schedules_of(manifest)}


def firing(trigger: TriggerRecord, timers: Sequence[Timer], instant: datetime) -> int:
    """Which of a schedule's triggers, by its position, hands an aware instant to the handler."""
    options = trigger.options
    if len(timers) < 2:
        return 0
    return int(Due(options["cron"], options["every"], options["timezone"], "weekday").at(instant))


def timers_of(manifest: Manifest, target: BuildTarget, settings: Mapping[str, Any]) -> Mapping[str, Sequence[Timer]]:
    """The triggers that a target has for each schedule, by function; empty where it has none of its own."""
    method = getattr(target, "timers", None)
    return {} if method is None else method(manifest, settings)


def needs_zones(manifest: Manifest, timers: Mapping[str, Sequence[Timer]]) -> bool:
    """Whether an entry reads a time zone."""
    zoned = [function.name for function, trigger in schedules_of(manifest) if trigger.options["timezone"] != "UTC"]
    return any(timer.drops for name in zoned for timer in timers[name])
