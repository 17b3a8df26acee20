"""Changes of tables in `portable dev`: in order, again after a failure, and over restarts."""

import asyncio
from types import SimpleNamespace

import pytest

from portable import App, Change, Table
from portable.dev import changes
from portable.dev.changes import ATTEMPTS, ChangeDelivery
from portable.dev.delivery import Invocation
from portable.dev.state import State
from portable.resources import use_platform
from portable.serving.threads import Threads
from portable.triggers import ChangeTrigger, Settings
from portable_local.platform import LocalPlatform


@pytest.fixture
def table(tmp_path):
    platform = LocalPlatform({"PORTABLE_LOCAL_STATE": str(tmp_path / "state")})
    with use_platform(platform):
        yield App("x").table("notes", key="id")
    platform.close()


@pytest.fixture
def state(tmp_path):
    state = State(tmp_path / "events.sqlite")
    yield state
    state.close()


def handle(change: Change) -> None: ...


class Desk:
    """Fails as often as ``failures`` says, by key."""

    def __init__(self, state, table, failures=None):
        self.state = state
        self.platform = None
        self.threads = Threads(4, "test")
        self.stopping = asyncio.Event()
        self.failures = dict(failures or {})
        self.seen = []
        self.notes = []
        record = SimpleNamespace(options=table.options)
        self.application = SimpleNamespace(
            manifest=SimpleNamespace(resource=lambda kind, name: record),
            driver=lambda platform, kind, name: table.driver(),
        )

    async def invoke(self, function, call, is_async, event):
        self.seen.append((event.kind, event.key, event.old, event.new))
        left = self.failures.get(event.key, 0)
        self.failures[event.key] = left - 1
        return Invocation(function, "id", None, RuntimeError("no") if left > 0 else None, 1.0)

    def note(self, invocation, subject, outcome):
        self.notes.append((subject, outcome))

    async def pause(self, seconds):
        await asyncio.sleep(0)


def deliver(state, table, work=None, failures=None, old=True):
    async def run():
        desk = Desk(state, table, failures)
        trigger = ChangeTrigger(table, handle, Settings(), old=old)
        function = SimpleNamespace(name="follow", triggers=[trigger], call=SimpleNamespace(is_async=False))
        delivery = ChangeDelivery(desk, function, "notes")
        delivery.prepare()
        if work is not None:
            work()
        while state.last_change("follow", "notes") < table.driver().last_change():
            await delivery.find()
        desk.stopping.set()
        await delivery.run()
        return desk

    return asyncio.run(asyncio.wait_for(run(), 20))


def write(table):
    def work():
        table.put({"id": "a", "n": 1})
        table.update("a", add={"n": 1})
        table.put({"id": "b"})
        table.delete("a")

    return work


def test_changes_come_in_order_and_once(state, table):
    table.put({"id": "before"})
    desk = deliver(state, table, write(table))
    assert desk.seen == [
        ("insert", "a", None, {"id": "a", "n": 1}),
        ("update", "a", {"id": "a", "n": 1}, {"id": "a", "n": 2}),
        ("insert", "b", None, {"id": "b"}),
        ("delete", "a", {"id": "a", "n": 2}, None),
    ]
    assert desk.notes[0] == ("insert notes/a", "ok")
    assert deliver(state, table).seen == []


def test_what_was_written_while_nobody_looked_is_delivered(state, table):
    deliver(state, table)
    table.put({"id": "meanwhile"})
    assert [key for _, key, _, _ in deliver(state, table).seen] == ["meanwhile"]


def test_deletions_are_for_those_who_asked(state, table):
    assert [kind for kind, _, _, _ in deliver(state, table, write(table), old=False).seen] == [
        "insert",
        "update",
        "insert",
    ]


def test_a_failure_holds_up_those_behind_it(state, table, monkeypatch):
    monkeypatch.setattr(changes, "backoff", lambda attempt: 0.0)
    desk = deliver(state, table, write(table), {"a": 2})
    assert [(kind, key) for kind, key, _, _ in desk.seen] == [
        *[("insert", "a")] * 3,
        ("update", "a"),
        ("insert", "b"),
        ("delete", "a"),
    ]
    assert desk.notes[:3] == [
        ("insert notes/a", "retry in 0 s"),
        ("insert notes/a, attempt 2", "retry in 0 s"),
        ("insert notes/a, attempt 3", "ok"),
    ]


def test_what_always_fails_is_given_up(state, table, monkeypatch):
    monkeypatch.setattr(changes, "backoff", lambda attempt: 0.0)
    desk = deliver(state, table, lambda: [table.put({"id": key}) for key in "ab"], {"a": 100})
    assert [key for _, key, _, _ in desk.seen] == ["a"] * ATTEMPTS + ["b"]
    assert desk.notes[ATTEMPTS - 1] == (f"insert notes/a, attempt {ATTEMPTS}", "given up")


def test_a_log_that_was_begun_anew(state, table, tmp_path):
    deliver(state, table, write(table))
    fresh = LocalPlatform({"PORTABLE_LOCAL_STATE": str(tmp_path / "fresh")})
    with use_platform(fresh):
        anew = Table("notes", key="id")
        assert [key for _, key, _, _ in deliver(state, anew, lambda: anew.put({"id": "new"})).seen] == ["new"]
    fresh.close()
