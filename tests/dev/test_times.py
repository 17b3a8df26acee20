"""When schedules are due, the hours that come twice or never among them."""

from datetime import UTC, datetime, timedelta

import pytest

from portable.dev.times import expression, last_due, next_due
from portable.triggers import ScheduleTrigger, Settings


def schedule(cron=None, every=None, timezone="Europe/Paris"):
    return ScheduleTrigger(lambda tick: None, Settings(function="x"), cron=cron, every=every, timezone=timezone)


def dues(trigger, start, count):
    found = []
    for _ in range(count):
        start = next_due(trigger, start)
        found.append(start.astimezone(UTC).isoformat(timespec="minutes").removesuffix("+00:00"))
    return found


@pytest.mark.parametrize(
    ("cron", "start", "expected"),
    [
        ("0 8 * * *", "2026-03-28T12:00", ["2026-03-29T06:00", "2026-03-30T06:00"]),
        # 02:30 does not exist on 29 March: it does not run that day.
        ("30 2 * * *", "2026-03-28T12:00", ["2026-03-30T00:30", "2026-03-31T00:30"]),
        # 02:30 comes twice on 25 October: it runs the first time only.
        ("30 2 * * *", "2026-10-24T12:00", ["2026-10-25T00:30", "2026-10-26T01:30"]),
        ("*/30 0-4 * * *", "2026-10-25T00:00", ["2026-10-25T00:30", "2026-10-25T02:00", "2026-10-25T02:30"]),
        # What says how often an hour goes on through both.
        ("*/30 * * * *", "2026-10-25T00:00", ["2026-10-25T00:30", "2026-10-25T01:00", "2026-10-25T01:30"]),
        ("*/30 * * * *", "2026-03-29T00:30", ["2026-03-29T01:00", "2026-03-29T01:30"]),
        ("0 0 31 * *", "2026-04-01T00:00", ["2026-05-30T22:00", "2026-07-30T22:00"]),
        ("0 9 * * 1-5", "2026-05-01T12:00", ["2026-05-04T07:00", "2026-05-05T07:00"]),
    ],
)
def test_the_next_instants_of_a_cron(cron, start, expected):
    assert dues(schedule(cron), datetime.fromisoformat(f"{start}+00:00"), len(expected)) == expected


def test_an_interval_counts_from_the_epoch():
    trigger = schedule(every=timedelta(hours=2))
    assert dues(trigger, datetime(2026, 3, 29, 0, 30, tzinfo=UTC), 2) == ["2026-03-29T02:00", "2026-03-29T04:00"]
    assert dues(trigger, datetime(2026, 3, 29, 2, 0, tzinfo=UTC), 1) == ["2026-03-29T04:00"]


@pytest.mark.parametrize("trigger", [schedule("0 * * * *"), schedule(every=timedelta(hours=1))])
def test_the_last_instant_that_was_missed(trigger):
    start = datetime(2026, 10, 24, 20, 30, tzinfo=UTC)

    def missed(until):
        found = last_due(trigger, start, until)
        return None if found is None else found.astimezone(UTC)

    assert missed(start) is None
    assert missed(start + timedelta(minutes=29, seconds=59)) is None
    assert missed(start + timedelta(minutes=30)) == datetime(2026, 10, 24, 21, tzinfo=UTC)
    assert missed(start + timedelta(hours=4)) == datetime(2026, 10, 25, 0, tzinfo=UTC)
    assert last_due(trigger, datetime(2026, 10, 24, 21, tzinfo=UTC), start + timedelta(minutes=40)) is None


def test_in_words():
    assert expression(schedule("0 8 * * *")) == "0 8 * * * Europe/Paris"
    assert expression(schedule(every=timedelta(minutes=90))) == "every 1:30:00"
