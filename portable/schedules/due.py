"""The instants at which a schedule is due, by the rule in ``portable.schedules``.

Reads the time zone, so it is imported where instants are asked for: by ``portable dev``, by samples, and by an entry
whose cloud calls it more often than the schedule is due.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, tzinfo

from portable.errors import ConfigError
from portable.schedules.expression import Cron, parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from portable.triggers import ScheduleTrigger

__all__ = ["Due", "gate", "read_zone"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY = timedelta(days=1)
_MINUTE = timedelta(minutes=1)
_HOURS = timedelta(hours=3)
"""Longer than any hour can seem to last, and so than an expression of minutes can have nothing due."""
_HORIZON = 9 * 366
"""Days to look ahead and back: 29 February is eight years off at most."""


class Due:
    """One schedule.

    Args:
        cron: five POSIX fields; None for an interval. every: seconds, whole minutes. timezone: an IANA name.
        part: of an expression with a day and a weekday, what one of two triggers stands for: ``"day"``, or
            ``"weekday"``, which leaves out what the first is due for already. None is both.

    Raises ConfigError for an expression or a zone that does not exist.
    """

    def __init__(
        self, cron: str | None, every: float | None = None, timezone: str = "UTC", part: str | None = None
    ) -> None:
        self._every = None if every is None else timedelta(seconds=every)
        self._zone = read_zone(timezone)
        self._cron = None if cron is None else parse(cron)
        self._part = part

    def at(self, instant: datetime) -> bool:
        """Whether it is due at an aware instant, to the nearest minute."""
        instant = _minute(instant)
        cron = self._cron
        if cron is None:
            assert self._every is not None
            return not (instant - _EPOCH) % self._every
        local = instant.astimezone(self._zone)
        if local.minute not in cron.minutes:
            return False
        if cron.running:
            return True
        return not local.fold and local.hour in cron.hours and self._is_day(cron, local)

    def overlaps(self, instant: datetime) -> bool:
        """Whether the day of an aware instant is one of the days of the month, and so another trigger's.

        Of an expression with a day and a weekday, where the cloud's own trigger for the weekday asks.
        """
        return self._cron is not None and _minute(instant).astimezone(self._zone).day in self._cron.days

    def after(self, instant: datetime) -> Iterator[datetime]:
        """The instants after an aware one at which it is due, in UTC and in order."""
        if self._cron is None:
            assert self._every is not None
            due = _EPOCH + ((instant - _EPOCH) // self._every + 1) * self._every
            while True:
                yield due
                due += self._every
        if self._cron.running:
            yield from self._running(self._cron, instant)
        day = instant.astimezone(self._zone).date() - _DAY
        for _ in range(_HORIZON):
            for due in self._of_day(self._cron, day):
                if due > instant:
                    yield due
            day += _DAY

    def last(self, after: datetime, until: datetime) -> datetime | None:
        """The last instant after ``after``, not after ``until``, at which it was due, in UTC; None when it was not."""
        if self._cron is None:
            assert self._every is not None
            due = _EPOCH + (until - _EPOCH) // self._every * self._every
            return due if due > after else None
        if self._cron.running:
            found = None
            for due in self._running(self._cron, max(after, until - _HOURS)):
                if due > until:
                    return found
                found = due
        day = until.astimezone(self._zone).date() + _DAY
        least = after.astimezone(self._zone).date() - _DAY
        while day >= least:
            for due in reversed(list(self._of_day(self._cron, day))):
                if due <= until:
                    return due if due > after else None
            day -= _DAY
        return None

    def _is_day(self, cron: Cron, day: date) -> bool:
        weekday = day.isoweekday() % 7
        if self._part is None:
            return cron.is_day(day.month, day.day, weekday)
        on_day = day.day in cron.days
        return day.month in cron.months and (on_day if self._part == "day" else not on_day and weekday in cron.weekdays)

    def _of_day(self, cron: Cron, day: date) -> Iterator[datetime]:
        """What is due on a day of the zone, in UTC and in order."""
        if not self._is_day(cron, day):
            return
        for hour in cron.hours:
            for minute in cron.minutes:
                # Without fold: the first of two.
                due = datetime(day.year, day.month, day.day, hour, minute, tzinfo=self._zone).astimezone(UTC)
                back = due.astimezone(self._zone)
                if back.hour == hour and back.minute == minute:  # or else the clocks went past it
                    yield due

    def _running(self, cron: Cron, instant: datetime) -> Iterator[datetime]:
        """What is due after an instant, by the minutes of the hours that pass."""
        due = instant.astimezone(UTC).replace(second=0, microsecond=0)
        while True:
            due += _MINUTE
            if due.astimezone(self._zone).minute in cron.minutes:
                yield due


def gate(trigger: ScheduleTrigger, drops: str) -> Callable[[datetime], bool]:
    """Says of an aware instant whether the entry hands it to the handler.

    ``drops``: what the build said of the cloud's trigger, see ``portable.build.schedules.Timer``. Raises ConfigError
    for a word that is none of them.
    """
    if drops not in ("all", "day", "weekday", "overlap"):
        raise ConfigError(f"a trigger says {drops!r}, which this version does not know; deploy what it built")
    every = None if trigger.every is None else trigger.every.total_seconds()
    due = Due(trigger.cron, every, trigger.timezone, drops if drops in ("day", "weekday") else None)
    return due.at if drops != "overlap" else lambda instant: not due.overlaps(instant)


def read_zone(name: str) -> tzinfo:
    """The time zone of an IANA name. Raises ConfigError that says which name is near."""
    if name == "UTC":
        return UTC
    from zoneinfo import ZoneInfo, available_timezones

    try:
        return ZoneInfo(name)
    except (OSError, ValueError, KeyError, TypeError) as error:
        from difflib import get_close_matches

        known = sorted(available_timezones())
        close = get_close_matches(str(name), known, 1)
        advice = f"did you mean {close[0]!r}?" if close else "use an IANA name like Europe/Paris"
        if not known:
            advice = "this machine has no time zones at all: install the package tzdata"
        raise ConfigError(f"there is no time zone {name!r}; {advice}") from error


def _minute(instant: datetime) -> datetime:
    """The nearest whole minute, in UTC: a cloud may say when it called instead of when it was due."""
    return (instant.astimezone(UTC) + _MINUTE / 2).replace(second=0, microsecond=0)
