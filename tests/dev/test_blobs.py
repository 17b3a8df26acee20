"""Blob events over failures and restarts."""

import asyncio
import sqlite3
import time
from datetime import UTC, datetime

import pytest

from portable.dev import blobs
from portable.dev.blobs import BlobDelivery
from portable.dev.delivery import Invocation, backoff
from portable.dev.state import State
from portable.serving.threads import Threads


class Change:
    def __init__(self, id, key="a", kind="created"):
        self.id, self.key, self.kind, self.size, self.etag = id, key, kind, 3, "e"
        self.time = datetime(2026, 5, 1, tzinfo=UTC)


class Function:
    name = "shout"

    def call(self, event):
        raise NotImplementedError

    call.is_async = False


class Desk:
    def __init__(self, state, error=None):
        self.state = state
        self.threads = Threads(4, "test")
        self.stopping = asyncio.Event()
        self.error = error
        self.events = []
        self.notes = []

    async def invoke(self, function, call, is_async, event):
        self.events.append(event)
        return Invocation(function, "id", None, self.error, 1.0)

    def note(self, invocation, subject, outcome):
        self.notes.append((subject, outcome))


@pytest.fixture
def state(tmp_path):
    state = State(tmp_path / "events.sqlite")
    yield state
    state.close()


def deliver(state, error=None, rounds=3):
    async def run():
        desk = Desk(state, error)
        delivery = BlobDelivery(desk, Function())
        for _ in range(rounds):
            delivery.wake()
            await delivery.find()
            await asyncio.sleep(0.05)
        return desk

    return asyncio.run(run())


def test_an_event_is_delivered_once(state, monkeypatch):
    monkeypatch.setattr(blobs, "_DUE", 0.01)
    state.add_blob_events("shout", "files", [Change(1), Change(2, "ü", "deleted")])
    state.add_blob_events("shout", "files", [Change(2, "ü", "deleted")])  # read from the log twice: noted once
    desk = deliver(state)
    # Events of several keys are delivered side by side, so in no order.
    assert sorted((event.kind, event.bucket, event.key, event.size, event.version) for event in desk.events) == [
        ("created", "files", "a", 3, "e"),
        ("deleted", "files", "ü", 3, "e"),
    ]
    assert {event.time for event in desk.events} == {datetime(2026, 5, 1, tzinfo=UTC)}
    assert state.waiting() == {}


def test_one_that_always_fails_is_parked_and_can_be_tried_again(state, monkeypatch):
    monkeypatch.setattr(blobs, "backoff", lambda attempt: 0.0)
    monkeypatch.setattr(blobs, "_DUE", 0.01)
    state.add_blob_events("shout", "files", [Change(1)])
    desk = deliver(state, ValueError("no"), rounds=8)
    assert [outcome for _, outcome in desk.notes] == ["retry in 0 s"] * 4 + ["parked"]
    assert desk.notes[4][0] == "created files/a, attempt 5"
    [task] = state.parked()
    assert (task.attempt, task.error, task.key) == (5, "ValueError: no", "a")
    assert deliver(state).events == []
    assert state.unpark(task.id + 1) == 0
    assert state.unpark(task.id) == 1
    assert deliver(state).notes == [("created files/a", "ok")]
    assert state.parked() == []


def test_an_attempt_that_ended_the_process_counts(state):
    state.add_blob_events("shout", "files", [Change(1)])
    [task] = state.due_blob_events("shout", time.time())
    state.begin_blob_event(task.id)
    [again] = state.due_blob_events("shout", time.time())
    assert again.attempt == 1


def test_waits_between_attempts_grow_to_a_minute():
    assert [backoff(attempt) for attempt in (1, 2, 3, 6, 7, 50, 1000)] == [1, 2, 4, 32, 60, 60, 60]


def test_a_parked_event_is_shown_and_tried_again(shared, until):
    connection = sqlite3.connect(shared.root / ".portable" / "dev" / "events.sqlite")
    with connection:
        connection.execute(
            "INSERT INTO blob_events (function, bucket, change, kind, key, time, attempt, parked, error) "
            "VALUES ('shout', 'files', 999999, 'created', 'in/parked.txt', 0, 5, 1, 'ValueError: <gone>')"
        )
    connection.close()
    shared.write("files", "in/parked.txt", "late")
    assert until(lambda: shared.blob("done", "in/parked.txt")) == "LATE"
    shared.http.delete("/_portable/buckets/done/blob", params={"key": "in/parked.txt"})
    page = shared.http.get("/_portable/").text
    assert "in/parked.txt" in page
    assert "ValueError: &lt;gone&gt;" in page
    [parked] = [one for one in shared.api("parked") if one["key"] == "in/parked.txt"]
    assert shared.call(f"parked/{parked['id']}/retry").json() == {"retried": 1}
    assert until(lambda: shared.blob("done", "in/parked.txt")) == "LATE"
    assert shared.call(f"parked/{parked['id']}/retry").status_code == 404


def test_a_function_that_is_gone_holds_no_changes_back(start, until, project):
    server = start()
    server.write("files", "in/first.txt", "x")
    until(lambda: server.blob("done", "in/first.txt"))
    server.edit('@app.on_blob(files, prefix="in/", suffix=".txt")\n', "")
    until(lambda: len(server.api("functions")) == 7)
    server.write("files", "in/meanwhile.txt", "x")
    index = project / ".portable" / "state" / "buckets" / "files" / "index.sqlite"

    def count(table):
        connection = sqlite3.connect(index)
        [found] = connection.execute(f"SELECT count(*) FROM {table}").fetchone()
        connection.close()
        return found

    until(lambda: count("watchers") == 0)
    assert count("changes") == 0
