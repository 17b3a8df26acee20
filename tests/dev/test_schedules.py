"""Schedules over restarts, with a clock of the test's."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from portable.dev.delivery import Invocation
from portable.dev.schedules import ScheduleDelivery
from portable.dev.state import State
from portable.serving.threads import Threads
from portable.triggers import ScheduleTrigger, Settings

NINE = datetime(2026, 5, 1, 9, 0, tzinfo=UTC)


class Function:
    name = "report"

    def __init__(self, trigger):
        self.triggers = [trigger]

    def of_trigger(self, trigger):
        return trigger.handler


class Desk:
    """What a delivery needs of its desk: it notes ticks instead of calling."""

    def __init__(self, state, held=None):
        self.state = state
        self.threads = Threads(4, "test")
        self.stopping = asyncio.Event()
        self.ticks = []
        self.pauses = []
        self.held = held

    async def invoke(self, function, call, is_async, tick):
        self.ticks.append(tick.scheduled_at)
        if self.held is not None:
            await self.held.wait()
        return Invocation(function, "id", None, None, 1.0)

    def note(self, invocation, subject, outcome):
        pass

    async def pause(self, seconds):
        self.pauses.append(seconds)


@pytest.fixture
def state(tmp_path):
    state = State(tmp_path / "events.sqlite")
    yield state
    state.close()


def run(state, *instants, cron="0 * * * *", killed=False):
    """The ticks of a server that looks at its schedule at these instants, and is then stopped or killed."""

    async def look():
        trigger = ScheduleTrigger(lambda tick: None, Settings(function="report"), cron=cron)
        clock = iter(instants)
        now = [instants[0]]
        desk = Desk(state, asyncio.Event() if killed else None)
        delivery = ScheduleDelivery(desk, Function(trigger), trigger, lambda: now[0])
        delivery.recover()
        for now[0] in clock:
            await delivery.find()
            await asyncio.sleep(0.05)
        return desk

    return asyncio.run(look())


def test_a_new_schedule_begins_now(state):
    desk = run(state, NINE + timedelta(minutes=10))
    assert desk.ticks == []
    assert desk.pauses == [20.0]  # it looks again, for the clock may be set
    assert run(state, NINE + timedelta(minutes=59, seconds=55)).pauses == [5.0]


def test_each_tick_once(state):
    minutes = [timedelta(minutes=m) for m in (50, 60, 61, 119, 120, 120)]
    desk = run(state, *(NINE + one for one in minutes))
    assert desk.ticks == [NINE + timedelta(hours=1), NINE + timedelta(hours=2)]


def test_a_restart_neither_forgets_nor_doubles(state):
    assert run(state, NINE - timedelta(minutes=1), NINE).ticks == [NINE]
    assert run(state, NINE + timedelta(seconds=1)).ticks == []
    late = run(state, NINE + timedelta(hours=3, minutes=5), NINE + timedelta(hours=3, minutes=6))
    assert late.ticks == [NINE + timedelta(hours=3)]  # the last that was missed, once
    assert run(state, NINE + timedelta(hours=3, minutes=7)).ticks == []


def test_a_tick_that_was_in_hand_at_a_kill_comes_again(state):
    assert run(state, NINE - timedelta(minutes=1), NINE, killed=True).ticks == [NINE]
    assert run(state, NINE + timedelta(minutes=1)).ticks == [NINE]
    assert run(state, NINE + timedelta(minutes=2)).ticks == []


def test_another_expression_begins_anew(state):
    assert run(state, NINE - timedelta(minutes=1), NINE).ticks == [NINE]
    assert run(state, NINE + timedelta(hours=3), cron="30 * * * *").ticks == []
