"""Streams in `portable dev`: each partition in order, again after a failure, and over restarts."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from portable import App, Stream, StreamRecord
from portable.dev.delivery import Invocation
from portable.dev.state import State
from portable.dev.streams import StreamDelivery, stream_parts
from portable.invoke import make_function
from portable.resources import use_platform
from portable.serving.threads import Threads
from portable_local.platform import LocalPlatform

from .conftest import DevServer, make_project, run_dev


class Follower:
    """An app with one stream, and what its handler saw."""

    def __init__(self, **options: Any) -> None:
        self.app = App("follower")
        self.clicks: Stream[Any] = self.app.stream("followed", partitions=2)
        self.seen: list[tuple[Any, int | None]] = []
        self.failures: dict[Any, int] = {}
        self.app.on_stream(self.clicks, function="follow", **options)(self.follow)

    def follow(self, record: StreamRecord[Any]) -> None:
        self.seen.append((record.body, record.attempt))
        left = self.failures.get(record.body, 0)
        self.failures[record.body] = left - 1
        if left > 0:
            raise OSError("no")


class Desk:
    """What deliveries work with, without a server."""

    def __init__(self, state: State, follower: Follower) -> None:
        self.state = state
        self.platform = None
        self.threads = Threads(4, "test")
        self.stopping = asyncio.Event()
        self.notes: list[tuple[str, str]] = []
        self.pauses: list[float] = []
        triggers = follower.app.functions()["follow"]
        function = SimpleNamespace(name="follow", triggers=triggers, call=make_function(triggers))
        self.application = SimpleNamespace(
            triggers=lambda kind: [(function, trigger) for trigger in triggers],
            driver=lambda platform, kind, name: follower.clicks.driver(),
        )

    async def invoke(self, function: Any, call: Any, is_async: bool, batch: Any) -> Invocation:
        assert not is_async
        return Invocation(function, "id", call(batch), None, 1.0)

    def note(self, invocation: Invocation, subject: str, outcome: str, error: BaseException | None = None) -> None:
        self.notes.append((subject, outcome))

    async def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        await asyncio.sleep(0)


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    state = State(tmp_path / "events.sqlite")
    yield state
    state.close()


@pytest.fixture(autouse=True)
def _platform(tmp_path: Path) -> Iterator[None]:
    platform = LocalPlatform({"PORTABLE_LOCAL_STATE": str(tmp_path / "state")})
    with use_platform(platform):
        yield
    platform.close()


def deliver(state: State, follower: Follower, send: Any = None) -> Desk:
    async def run() -> Desk:
        desk = Desk(state, follower)
        parts = stream_parts(desk)  # type: ignore[arg-type]
        assert [type(part) for part in parts] == [StreamDelivery] * 2
        for part in parts:
            part.prepare()
        if send is not None:
            send()
        driver: Any = follower.clicks.driver()
        latest = {one: driver.read(one, None, 1000)[-1:] for one in driver.partitions()}
        ends = {f"stream:followed/{one}": int(rows[0].offset) for one, rows in latest.items() if rows}
        while any(state.last_change("follow", source) < end for source, end in ends.items()):
            for part in parts:
                await part.find()
        desk.stopping.set()
        for part in parts:
            await part.run()
        return desk

    return asyncio.run(asyncio.wait_for(run(), 30))


def test_from_now_on_in_order_and_once(state: State) -> None:
    follower = Follower()
    follower.clicks.send("before", key="a")
    desk = deliver(state, follower, lambda: follower.clicks.send_many([("a", n) for n in range(5)]))
    assert follower.seen == [(n, 1) for n in range(5)]
    assert [outcome for _, outcome in desk.notes] == ["ok"]
    follower.clicks.send("meanwhile", key="a")
    assert deliver(state, follower).notes[0][1] == "ok"
    assert follower.seen[5:] == [("meanwhile", 1)]


def test_from_the_oldest_that_is_kept(state: State) -> None:
    follower = Follower(start="trim")
    follower.clicks.send("before", key="a")
    deliver(state, follower)
    deliver(state, follower)
    assert follower.seen == [("before", 1)]


def test_a_failure_holds_up_its_partition_until_it_is_given_up(state: State) -> None:
    follower = Follower(start="trim", batch_size=10)
    follower.failures = {"bad": 99, "flaky": 1}
    follower.clicks.send_many([("a", "good"), ("a", "bad"), ("a", "flaky"), ("a", "last")])
    desk = deliver(state, follower)
    assert follower.seen == [
        ("good", 1),
        ("bad", 1),
        *[("bad", attempt) for attempt in (2, 3, 4, 5)],
        ("flaky", 1),
        ("flaky", 2),
        ("last", 1),
    ]
    outcomes = [outcome for _, outcome in desk.notes]
    assert outcomes == [
        "ok",
        "retry in 1 s",
        "retry in 2 s",
        "retry in 4 s",
        "retry in 8 s",
        "given up",
        "retry in 1 s",
        "ok",
    ]


def test_an_invocation_that_fails_comes_again_whole(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    follower = Follower(start="trim", max_attempts=2)
    calls = []

    async def invoke(self: Desk, function: Any, call: Any, is_async: bool, batch: Any) -> Invocation:
        calls.append([record.offset for record in batch])
        error = TimeoutError("late") if len(calls) == 1 else None
        return Invocation(function, "id", None if error else call(batch), error, 1.0)

    monkeypatch.setattr(Desk, "invoke", invoke)
    follower.clicks.send_many([("a", 1), ("a", 2)])
    deliver(state, follower)
    assert calls == [["1", "2"], ["1", "2"]]
    assert follower.seen == [(1, 2), (2, 1)]


APP = """
from typing import Any

from portable import App, StreamRecord

app = App("play")
clicks = app.stream("clicks", dict)
seen = app.bucket("seen")


@app.on_stream(clicks)
async def follow(record: StreamRecord[dict[str, Any]]) -> None:
    await seen.awrite(f"{record.key}-{record.body['n']}-{record.attempt}", "")
    if record.body.get("flaky") and record.attempt == 1:
        raise ValueError("no")


@app.post("/clicks/{n}")
def click(n: int) -> None:
    clicks.send({"n": n, "flaky": n == 2}, key="ann")
"""


def test_a_real_server(tmp_path: Path, until: Any) -> None:
    root = make_project(tmp_path / "project", APP)
    server = DevServer(run_dev(root, "--port", "0"), tmp_path / "project.log", root)
    try:
        for number in (1, 2):
            assert server.http.post(f"/clicks/{number}").status_code == 204
        answer = server.http.post("/_portable/streams/clicks/records?key=bob", json={"n": 3})
        assert answer.status_code == 201
        until(lambda: len(server.keys("seen", "")) == 4)
        assert server.keys("seen", "") == ["ann-1-1", "ann-2-1", "ann-2-2", "bob-3-1"]
        until(lambda: server.http.get("/_portable/streams").json()[0]["partitions"][0]["functions"] == {"follow": 3})
        [stream] = server.http.get("/_portable/streams").json()
        assert (stream["name"], stream["last"]) == ("clicks", 3)
        assert server.http.post("/_portable/streams/other/records?key=a", json=1).status_code == 404
    finally:
        server.close()
