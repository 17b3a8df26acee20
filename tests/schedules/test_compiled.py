"""Each compiled form fires when the schedule is due, and then alone: held by evaluators that know no compiler.

The firings of a form are those of all its triggers, less what the entry drops. They are taken around two changes of
the zone's clock: 250 from shortly before each.
"""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise
from zoneinfo import ZoneInfo

import pytest

from portable.errors import ConfigError
from portable.manifest import TriggerRecord
from portable.schedules.due import Due, gate
from portable.schedules.expression import parse
from portable.triggers import ScheduleTrigger, Settings
from portable_aws.schedules import timers_of as aws_timers
from portable_azure.schedules import timers_of as azure_timers
from portable_gcp.schedules import timers_of as gcp_timers

EACH = 250
YEARS = timedelta(days=366 * 5)


def record(cron=None, timezone="UTC", every=None):
    return TriggerRecord("schedule", "app:f", "app.py:1", {"cron": cron, "every": every, "timezone": timezone})


def declared(trigger):
    options = trigger.options
    every = None if options["every"] is None else timedelta(seconds=options["every"])
    settings = Settings(function="f")
    return ScheduleTrigger(print, settings, cron=options["cron"], every=every, timezone=options["timezone"])


def kept(firings, timer, trigger):
    """What of a trigger's firings comes to the handler."""
    return filter(gate(declared(trigger), timer.drops), firings) if timer.drops else firings


def forms(evaluators, trigger, start):
    """The firings of each compiled form, after an instant."""
    of = {
        "scheduler": (
            aws_timers(trigger, "scheduler"),
            lambda one: evaluators.eventbridge(one.expression, one.timezone, start),
        ),
        "rule": (
            aws_timers(trigger, "eventbridge-rule"),
            lambda one: evaluators.eventbridge(one.expression, "UTC", start),
        ),
        "cloud scheduler": (gcp_timers(trigger), lambda one: evaluators.unix_cron(one.expression, one.timezone, start)),
        "timer": (azure_timers(trigger), lambda one: evaluators.ncrontab(one.expression, start)),
    }
    for name, (timers, evaluate) in of.items():
        assert len(timers) <= 2
        yield name, timers, evaluators.merge(*(kept(evaluate(timer), timer, trigger) for timer in timers))


def compare(evaluators, cron, timezone):
    trigger = record(cron, timezone)
    options = trigger.options
    for start in evaluators.starts(ZoneInfo(timezone)):
        until = start + YEARS
        due = evaluators.take(evaluators.posix(cron, timezone, start), EACH, until)
        ours = Due(cron, options["every"], timezone)
        assert evaluators.take(ours.after(start), EACH, until) == due, f"{cron} {timezone}: local"
        for name, timers, firings in forms(evaluators, trigger, start):
            expected = due
            if name == "scheduler" and parse(cron).running and timers[0].timezone != "UTC":
                # Lord Howe's half hour: said by a finding, see AWS's build.
                expected = [one for one in due if not one.astimezone(ZoneInfo(timezone)).fold]
            found = evaluators.take(firings, len(expected), until)
            assert found == expected, f"{cron} {timezone}: {name}, {timers}"


def generated(evaluators, seed, count):
    source, made = random.Random(seed), 0
    while made < count:
        cron, timezone = evaluators.make_expression(source), source.choice(evaluators.ZONES)
        try:
            parse(cron)
        except ConfigError:
            continue  # never due, or a step over everything beside another day
        made += 1
        yield cron, timezone


@pytest.mark.parametrize("seed", range(2))
def test_compiled_forms_fire_when_the_schedule_is_due(evaluators, seed):
    for cron, timezone in generated(evaluators, seed, 30):
        compare(evaluators, cron, timezone)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10, 30))
def test_a_thousand_compiled_schedules(evaluators, seed):
    for cron, timezone in generated(evaluators, seed, 50):
        compare(evaluators, cron, timezone)


@pytest.mark.parametrize("timezone", ["Europe/Paris", "America/Havana", "Australia/Lord_Howe", "Asia/Tokyo"])
@pytest.mark.parametrize(
    "cron", ["30 2 * * *", "*/15 0-3 * * 0", "0 0 13 * 5", "30 1 1-7,25-31 3,10 sun", "*/20 * * * *"]
)
def test_at_the_changes_of_clocks(evaluators, cron, timezone):
    compare(evaluators, cron, timezone)


@pytest.mark.parametrize(
    ("cron", "timezone"),
    [
        ("30 * * * *", "Australia/Lord_Howe"),
        ("0 1 28-31 10 1,sat,4,2", "Antarctica/Troll"),
        ("15 * 2 dec,mar,4,aug mon-fri", "Pacific/Chatham"),
        ("30 */4 1-7 5,mar mon-fri", "Pacific/Pago_Pago"),
    ],
)
def test_what_once_was_wrong(evaluators, cron, timezone):
    compare(evaluators, cron, timezone)


@pytest.mark.parametrize("minutes", [1, 5, 7, 15, 45, 60, 90, 100, 240, 300, 1440, 2880, 10080])
def test_intervals(evaluators, minutes):
    trigger = record(every=minutes * 60.0)
    start = datetime(2026, 3, 28, 23, 17, tzinfo=UTC)
    step = timedelta(minutes=minutes)
    for timers, evaluate in (
        (gcp_timers(trigger), lambda one: evaluators.unix_cron(one.expression, "UTC", start)),
        (azure_timers(trigger), lambda one: evaluators.ncrontab(one.expression, start)),
    ):
        [timer] = timers
        found = list(islice(kept(evaluate(timer), timer, trigger), 100))
        assert {after - before for before, after in pairwise(found)} == {step}
        assert start < found[0] <= start + step
        assert (found[0] - datetime(1970, 1, 1, tzinfo=UTC)) % step == timedelta(0)
    [rate] = aws_timers(trigger, "scheduler")
    value, unit = rate.expression.removeprefix("rate(").removesuffix(")").split()
    assert int(value) * {"minute": 1, "hour": 60, "day": 1440}[unit.rstrip("s")] == minutes


@pytest.mark.parametrize(
    ("cron", "timezone", "scheduler", "job", "timers"),
    [
        (
            "0 8 * * mon-fri",
            "UTC",
            ["cron(0 8 ? * 2-6 *) UTC"],
            "0 8 * * 1-5 UTC",
            ["0 0 8 * * 1-5"],
        ),
        (
            "*/15 8-18 1,15 * *",
            "Europe/Paris",
            ["cron(0/15 8-18 1,15 * ? *) Europe/Paris"],
            "*/15 8-18 1,15 * * Europe/Paris",
            ["0 */15 6-17 1,15 * * all"],
        ),
        (
            "0 9 13 * 5",
            "UTC",
            ["cron(0 9 13 * ? *) UTC", "cron(0 9 ? * 6 *) UTC overlap"],
            "0 9 13 * 5 UTC",
            [
                "0 0 9 13 * *",
                "0 0 9 1,2,3,4,5,6,7,8,9,10,11,12,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31 * 5",
            ],
        ),
        (
            "30 2 * * *",
            "Europe/Paris",
            ["cron(30 2 * * ? *) Europe/Paris"],
            "30 0,1 * * * UTC all",
            ["0 30 0,1 * * * all"],
        ),
        ("0 * * * *", "Europe/Paris", ["cron(0 * * * ? *) UTC"], "0 * * * * UTC", ["0 0 * * * *"]),
        ("0 8 * * 1", "Asia/Tokyo", ["cron(0 8 ? * 2 *) Asia/Tokyo"], "0 8 * * 1 Asia/Tokyo", ["0 0 23 * * 0"]),
        ("0 8 1 1 *", "Asia/Kolkata", ["cron(0 8 1 1 ? *) Asia/Kolkata"], "0 8 1 1 * Asia/Kolkata", ["0 30 2 1 1 *"]),
    ],
)
def test_what_is_written(cron, timezone, scheduler, job, timers):
    def written(found):
        return [" ".join(filter(None, (one.expression, one.timezone, one.drops))) for one in found]

    trigger = record(cron, timezone)
    assert written(aws_timers(trigger, "scheduler")) == scheduler
    assert written(gcp_timers(trigger)) == [job]
    assert written(azure_timers(trigger)) == timers


def test_the_longest_expression_fits_eventbridge():
    minutes = ",".join(str(one) for one in range(60) if one % 3)
    hours = ",".join(str(one) for one in range(24) if one % 3)
    days = ",".join(str(one) for one in range(1, 32) if one % 3)
    months = ",".join(str(one) for one in range(1, 13) if one % 3)
    [timer] = aws_timers(record(f"{minutes} {hours} {days} {months} *"), "scheduler")
    assert len(timer.expression) <= 256
    [timer] = aws_timers(record(f"{minutes} {hours} {days} {months} *", "Europe/Paris"), "eventbridge-rule")
    assert len(timer.expression) <= 256
