"""Instants, at clock changes above all; and against two libraries where clocks do not change."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise

import pytest
from croniter import croniter
from cronsim import CronSim

from portable.errors import ConfigError
from portable.schedules.due import Due

SPRING = datetime(2026, 3, 28, 12, tzinfo=UTC)
AUTUMN = datetime(2026, 10, 24, 12, tzinfo=UTC)


def first(due, start, count):
    return [one.isoformat(timespec="minutes")[:16] for one in islice(due.after(start), count)]


@pytest.mark.parametrize(
    ("cron", "start", "expected"),
    [
        ("0 8 * * *", SPRING, ["2026-03-29T06:00", "2026-03-30T06:00"]),
        ("30 2 * * *", SPRING, ["2026-03-30T00:30"]),
        ("30 2 * * *", AUTUMN, ["2026-10-25T00:30", "2026-10-26T01:30"]),
        ("0 1-3 25 10 *", AUTUMN, ["2026-10-24T23:00", "2026-10-25T00:00", "2026-10-25T02:00", "2027-10-24T23:00"]),
        ("30 2 29 3 *", SPRING, ["2027-03-29T00:30"]),
        ("0 0 29 2 *", SPRING, ["2028-02-28T23:00", "2032-02-28T23:00"]),
    ],
)
def test_times_of_the_clock(cron, start, expected):
    assert first(Due(cron, timezone="Europe/Paris"), start, len(expected)) == expected


def test_minutes_alone_go_on_through_both_changes():
    due = Due("*/20 * * * *", timezone="Australia/Lord_Howe")
    start = datetime(2026, 4, 4, 14, 0, tzinfo=UTC)  # 01:00; at 02:00 the clock goes back by half an hour
    assert first(due, start, 6) == [
        f"2026-04-04T{time}" for time in ("14:20", "14:40", "15:10", "15:30", "15:50", "16:10")
    ]
    paris = Due("0 * * * *", timezone="Europe/Paris")
    assert first(paris, datetime(2026, 10, 24, 23, 30, tzinfo=UTC), 3) == [
        f"2026-10-25T0{hour}:00" for hour in range(3)
    ]


def test_an_interval_counts_from_the_epoch():
    due = Due(None, 5400)
    assert first(due, datetime(2026, 1, 1, 0, 0, tzinfo=UTC), 2) == ["2026-01-01T01:30", "2026-01-01T03:00"]
    assert due.at(datetime(2026, 1, 1, 1, 30, tzinfo=UTC))
    assert not due.at(datetime(2026, 1, 1, 2, 30, tzinfo=UTC))


@pytest.mark.parametrize("second", [-20, 0, 25])
def test_to_the_nearest_minute(second):
    due = Due("0 8 * * *", timezone="Europe/Paris")
    assert due.at(datetime(2026, 3, 30, 6, tzinfo=UTC) + timedelta(seconds=second))
    assert not due.at(datetime(2026, 3, 30, 7, tzinfo=UTC) + timedelta(seconds=second))


def test_the_second_of_two_equal_times_is_not_due():
    due = Due("30 2 * * *", timezone="Europe/Paris")
    assert due.at(datetime(2026, 10, 25, 0, 30, tzinfo=UTC))
    assert not due.at(datetime(2026, 10, 25, 1, 30, tzinfo=UTC))


def test_two_triggers_share_the_days_of_an_expression():
    whole, day, weekday = (Due("0 0 1-7 * 1", part=part) for part in (None, "day", "weekday"))
    start = datetime(2026, 1, 1, tzinfo=UTC)
    for hours in range(0, 24 * 90, 6):
        instant = start + timedelta(hours=hours)
        assert whole.at(instant) == (day.at(instant) or weekday.at(instant))
        assert not (day.at(instant) and weekday.at(instant))
        if instant.isoweekday() == 1 and instant.hour == 0:
            assert weekday.at(instant) != whole.overlaps(instant)


def test_last_is_the_inverse_of_after():
    start = datetime(2026, 10, 1, tzinfo=UTC)
    for due in (
        Due("*/7 2,3 * * 0", timezone="Europe/Paris"),
        Due("13 * * * *", timezone="Asia/Kolkata"),
        Due(None, 3600 * 5),
        Due("0 0 1 1 *", timezone="Pacific/Auckland"),
    ):
        found = list(islice(due.after(start), 40))
        for before, after in pairwise(found):
            assert due.last(start, after) == after
            assert due.last(start, after - timedelta(seconds=1)) == before
            assert due.last(after, after) is None


@pytest.mark.parametrize(
    ("zone", "message"), [("Europe/Pariss", "mean 'Europe/Paris'"), ("", "IANA"), (7, "no time zone 7")]
)
def test_a_zone_that_is_none(zone, message):
    with pytest.raises(ConfigError, match=message):
        Due("0 8 * * *", timezone=zone)


@pytest.mark.parametrize("cron", ["*/5,59 8-18/2 1,15 jan-jun 7", "0 0 31 * 5", "7 */5 * feb,nov sat-7", "0 12 29 2 *"])
def test_in_utc_two_libraries_agree(cron):
    start = datetime(2026, 2, 27, 3, 4, tzinfo=UTC)
    ours = list(islice(Due(cron).after(start), 300 if " 29 2 " not in cron else 3))
    other = croniter(cron, start)
    assert ours == list(islice(CronSim(cron, start), len(ours)))
    assert ours == [other.get_next(datetime) for _ in ours]
