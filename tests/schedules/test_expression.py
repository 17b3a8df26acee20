"""The dialect: what is read, and what is refused with its place and a way out."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from cronsim import CronSim
from hypothesis import given
from hypothesis import strategies as st

from portable.errors import ConfigError
from portable.schedules.expression import parse

ALL = {"minutes": 60, "hours": 24, "days": 31, "months": 12, "weekdays": 7}


def restricted(text):
    cron = parse(text)
    return {name: list(getattr(cron, name)) for name, size in ALL.items() if len(getattr(cron, name)) < size}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("* * * * *", {}),
        ("0 8 * * *", {"minutes": [0], "hours": [8]}),
        ("*/20,59 8-18/5 * * *", {"minutes": [0, 20, 40, 59], "hours": [8, 13, 18]}),
        ("0 0 1,15 jan-MAR,dec *", {"minutes": [0], "hours": [0], "days": [1, 15], "months": [1, 2, 3, 12]}),
        ("0 0 * * Mon-fri", {"minutes": [0], "hours": [0], "weekdays": [1, 2, 3, 4, 5]}),
        ("0 0 * * 5-7", {"minutes": [0], "hours": [0], "weekdays": [0, 5, 6]}),
        ("0 0 * * 0,7", {"minutes": [0], "hours": [0], "weekdays": [0]}),
        ("0 0 * * */2", {"minutes": [0], "hours": [0], "weekdays": [0, 2, 4, 6]}),
        ("0 0 */10 * *", {"minutes": [0], "hours": [0], "days": [1, 11, 21, 31]}),
        ("  7   3\t* * * ", {"minutes": [7], "hours": [3]}),
        # Any day fits one of the two.
        ("0 0 1-31 * 1", {"minutes": [0], "hours": [0]}),
        ("0 0 13 * 0-7", {"minutes": [0], "hours": [0]}),
    ],
)
def test_what_is_read(text, expected):
    assert restricted(text) == expected


def test_both_days_restricted_is_either_of_them():
    assert parse("0 0 13 * 5").either
    assert not any(parse(text).either for text in ("0 0 13 * *", "0 0 * * 5", "0 0 1-31 * 5"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0 25 * * *", "character 3: '25' is no hour; there are 0 to 23"),
        ("0 8,12,30 * * *", "character 8: '30' is no hour"),
        ("60 8 * * *", "character 1: '60' is no minute; there are 0 to 59"),
        ("0 0 0 * *", "character 5: '0' is no day; there are 1 to 31"),
        ("0 0 * 13 *", "character 7: '13' is no month; there are 1 to 12, or jan, feb"),
        ("0 0 * * mon-xyz", "character 9: 'mon-xyz' is no weekday; there are 0 to 7, or sun, mon"),
        ("*/0 * * * *", "a step is a whole number above 0"),
        ("*/ * * * *", "a step is a whole number above 0"),
        ("0 18-8 * * *", "the range ends before it begins"),
        ("0 0 * * fri-sun", "at its end, Sunday is 7"),
        ("5/15 * * * *", "a step needs a range: write 5-59/15"),
        ("*,5 * * * *", "write it alone"),
        ("0 0 L * *", "POSIX has no L"),
        ("0 0 ? * 1", "POSIX has no ?"),
        ("0 0 * * 1#2", "POSIX has no #"),
        ("0 0 15W * *", "POSIX has no W"),
        ("-1 0 * * *", "is no minute"),
        ("٣ 0 * * *", "is no minute"),
        ("0 0 1,,2 * *", "character 7: '' is no day"),
        ("0 0 30 2 *", "is never due: no such month has a day 30"),
        ("0 0 31 4,6,9,11 *", "is never due"),
        ("0 0 */2 * 1", "write 1-31/2 for either"),
        ("0 0 1 * */2", "write 0-6/2 for either"),
        ("@daily", "@daily is 0 0 * * *"),
        ("0 0 8 * * *", "no field for seconds"),
        ("0 8 * *", "cron has five fields"),
        ("", "cron has five fields"),
    ],
)
def test_what_is_refused(text, message):
    with pytest.raises(ConfigError) as caught:
        parse(text)
    assert message in str(caught.value)
    assert repr(text) in str(caught.value)


@pytest.mark.parametrize("text", ["0 0 29 2 *", "0 0 31 1,4 *", "0 0 30 2 1"])
def test_what_is_seldom_due_is_let_through(text):
    parse(text)
    assert next(CronSim(text, datetime(2026, 1, 1, tzinfo=UTC)))


@given(st.text("0123456789*/,-?LW#@ monsujfrday\t", max_size=30) | st.text(max_size=12))
def test_anything_else_is_a_config_error(text):
    try:
        cron = parse(text)
    except ConfigError:
        return
    for name, size in ALL.items():
        values = getattr(cron, name)
        assert values == tuple(sorted(set(values)))
        assert 0 < len(values) <= size
