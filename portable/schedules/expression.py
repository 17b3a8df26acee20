"""A cron expression, read. Nothing here imports anything: an entry reads one when it has to drop what is not due."""

from __future__ import annotations

from portable.errors import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Cron", "is_never", "parse"]

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_FIELDS: tuple[tuple[str, int, int, tuple[str, ...]], ...] = (
    ("minute", 0, 59, ()),
    ("hour", 0, 23, ()),
    ("day", 1, 31, ()),
    ("month", 1, 12, _MONTHS),
    ("weekday", 0, 7, _WEEKDAYS),
)
_LONGEST = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_QUARTZ = ("?", "L", "W", "LW")


class Cron:
    """The numbers each field of an expression stands for, sorted. Sunday is 0.

    Attributes:
        text: as it was written, with single spaces.
        either: both the day of the month and the weekday are restricted, and a day that fits one of them is due.
        running: nothing but the minute is restricted.
    """

    __slots__ = ("days", "either", "hours", "minutes", "months", "running", "text", "weekdays")

    def __init__(
        self,
        text: str,
        minutes: tuple[int, ...],
        hours: tuple[int, ...],
        days: tuple[int, ...],
        months: tuple[int, ...],
        weekdays: tuple[int, ...],
    ) -> None:
        self.text = text
        self.minutes = minutes
        self.hours = hours
        self.days = days
        self.months = months
        self.weekdays = weekdays
        self.either = len(days) < 31 and len(weekdays) < 7
        everyday = len(days) == 31 and len(weekdays) == 7 and len(months) == 12
        self.running = everyday and len(hours) == 24

    def is_day(self, month: int, day: int, weekday: int) -> bool:
        """Whether something is due on a day. ``weekday``: 0 is Sunday."""
        if month not in self.months:
            return False
        if self.either:
            return day in self.days or weekday in self.weekdays
        return day in self.days and weekday in self.weekdays


def parse(text: str) -> Cron:
    """Read a cron expression. Raises ConfigError that names the field, the character, and what to write instead."""
    fields = text.split()
    if len(fields) != 5:
        raise ConfigError(f"cron has five fields (minute hour day month weekday), got {text!r}{_other(fields)}")
    start, found = 0, []
    for field, (name, least, most, names) in zip(fields, _FIELDS, strict=True):
        start = text.index(field, start)
        found.append(_Field(text, start, name, least, most, names).read(field))
        start += len(field)
    minutes, hours, days, months, weekdays = found
    weekdays = {day % 7 for day in weekdays}
    if fields[2] != "*" and fields[4] != "*":
        _check_both(text, fields[2], fields[4])
        # A day that fits either is due: where one is all of them, so is every day.
        if len(days) == 31 or len(weekdays) == 7:
            days, weekdays = set(range(1, 32)), set(range(7))
    elif is_never(days, months):
        raise ConfigError(f"cron {text!r} is never due: no such month has a day {min(days)}")
    sets = (minutes, hours, days, months, weekdays)
    return Cron(" ".join(fields), *(tuple(sorted(one)) for one in sets))


def is_never(days: Iterable[int], months: Iterable[int]) -> bool:
    """Whether none of these months ever has one of these days."""
    return min(days) > max(_LONGEST[month - 1] for month in months)


def _other(fields: list[str]) -> str:
    if fields and fields[0].startswith("@"):
        return "; @daily is 0 0 * * *, @hourly is 0 * * * *, @weekly is 0 0 * * 0, @monthly is 0 0 1 * *"
    if len(fields) in (6, 7):
        return "; there is no field for seconds, and none for the year"
    return ""


def _check_both(text: str, day: str, weekday: str) -> None:
    """Refuse what cron's implementations read in two ways: a step over everything, and a restricted other field."""
    for field, name, every in ((day, "day", "1-31"), (weekday, "weekday", "0-6")):
        if field.startswith("*"):
            step = field.partition("/")[2]
            raise ConfigError(
                f"cron {text!r}: with both a day and a weekday, {field!r} as {name} means both at once to some crons "
                f"and either of them to others; write {every}/{step} for either"
            )


class _Field:
    """One field of an expression, at its place in it."""

    def __init__(self, text: str, start: int, name: str, least: int, most: int, names: tuple[str, ...]) -> None:
        self.text, self.start, self.name = text, start, name
        self.least, self.most, self.names = least, most, names
        self.alone = True

    def read(self, field: str) -> set[int]:
        found: set[int] = set()
        place = 0
        self.alone = "," not in field
        for part in field.split(","):
            found |= self._part(part, place)
            place += len(part) + 1
        return found

    def _part(self, part: str, place: int) -> set[int]:
        span, stepped, step = part.partition("/")
        if stepped and not (_is_number(step) and int(step) > 0):
            raise self._wrong(part, place, "a step is a whole number above 0")
        if span == "*":
            if not self.alone and not stepped:
                raise self._wrong(part, place, "everything is in it already; write it alone")
            first, last = self.least, self.most
            if self.name == "weekday":
                last = 6  # Sunday once, so that a step counts days
        else:
            low, ranged, high = span.partition("-")
            first = self._number(low, part, place)
            last = self._number(high, part, place) if ranged else first
            if first > last:
                sunday = "; at its end, Sunday is 7" if self.name == "weekday" and last == 0 else ""
                raise self._wrong(part, place, f"the range ends before it begins{sunday}")
            if stepped and not ranged:
                raise self._wrong(part, place, f"a step needs a range: write {low}-{self.most}/{step}")
        return set(range(first, last + 1, int(step or 1)))

    def _number(self, text: str, part: str, place: int) -> int:
        if text.lower() in self.names:
            return self.names.index(text.lower()) + self.least
        if _is_number(text) and self.least <= int(text) <= self.most:
            return int(text)
        also = f", or {', '.join(self.names)}" if self.names else ""
        why = f"there are {self.least} to {self.most}{also}"
        rest = text.upper().strip("0123456789")
        if rest in _QUARTZ or rest.endswith("#"):
            why = f"POSIX has no {rest}: {why}"
        raise self._wrong(part, place, why)

    def _wrong(self, part: str, place: int, why: str) -> ConfigError:
        character = self.start + place + 1
        return ConfigError(f"cron {self.text!r}, character {character}: {part!r} is no {self.name}; {why}")


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit()
