"""POSIX cron and intervals as Azure's NCRONTAB: six fields, seconds first, weekdays 0 to 6.

https://learn.microsoft.com/azure/azure-functions/functions-bindings-timer#ncrontab-expressions
"""

from __future__ import annotations

import re

__all__ = ["ncrontab_of_cron", "ncrontab_of_interval"]

_FIELDS = (("minute", 0, 59), ("hour", 0, 23), ("day of the month", 1, 31), ("month", 1, 12), ("weekday", 0, 7))
_MONTH_NAMES = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_WEEKDAY_NAMES = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_MONTHS = {name: n for n, name in enumerate(_MONTH_NAMES, 1)}
_WEEKDAYS = {name: n for n, name in enumerate(_WEEKDAY_NAMES)}
_PART = re.compile(r"(?:\*|(\d+)(?:-(\d+))?)(?:/(\d+))?")


def ncrontab_of_cron(cron: str) -> str:
    """The same instants, for five POSIX fields. Raises ValueError for what NCRONTAB cannot say."""
    fields = [_numbers(text, *field) for text, field in zip(cron.lower().split(), _FIELDS, strict=True)]
    day, weekday = fields[2], fields[4]
    if not day.startswith("*") and not weekday.startswith("*"):
        raise ValueError(
            "a day of the month and a weekday together mean either of them in POSIX, and both at once on Azure"
        )
    fields[4] = ",".join(_without_seven(part) for part in weekday.split(","))
    return " ".join(["0", *fields])


def ncrontab_of_interval(seconds: float) -> str:
    """An expression that is due every so many seconds. Raises ValueError where none is evenly spaced."""
    minutes, rest = divmod(int(seconds), 60)
    if not rest and minutes:
        if minutes < 60 and 60 % minutes == 0:
            return f"0 */{minutes} * * * *"
        if minutes % 60 == 0 and minutes < 1440 and 24 % (minutes // 60) == 0:
            return f"0 0 */{minutes // 60} * * *"
        if minutes == 1440:
            return "0 0 0 * * *"
    raise ValueError(
        "an interval on Azure is a whole part of an hour or a day (1, 2, 5, 15, 30 minutes; 1, 6, 24 hours)"
    )


def _numbers(text: str, name: str, least: int, most: int) -> str:
    names = {"month": _MONTHS, "weekday": _WEEKDAYS}.get(name, {})
    text = re.sub(r"[a-z]+", lambda match: str(names.get(match.group(), match.group())), text)
    for part in text.split(","):
        match = _PART.fullmatch(part)
        if match is None:
            raise ValueError(f"{part!r} is no {name} that Azure knows")
        first, last, step = (None if one is None else int(one) for one in match.groups())
        bounds = [one for one in (first, last) if one is not None]
        if any(not least <= one <= most for one in bounds) or step == 0 or bounds != sorted(bounds):
            raise ValueError(f"{part!r} is no {name}: {least} to {most}")
        if step is not None and first is not None and last is None:
            raise ValueError(f"{part!r} has a step and no range; write {first}-{most}/{step}")
    return text


def _without_seven(part: str) -> str:
    """Sunday is 0 on Azure, and never 7: a range up to 7 is written out."""
    if "7" not in part.partition("/")[0]:
        return part
    whole, _, step = part.partition("/")
    first, _, last = whole.partition("-")
    days = range(int(first), int(last or first) + 1, int(step or 1))
    return ",".join(str(day % 7) for day in days)
