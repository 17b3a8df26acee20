"""Streams read by real processes: order, what fails, what is given up, and partitions that change hands."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from portable.drivers import StoredRecord, address_variable
from portable.errors import UnavailableError
from portable.resources import set_platform
from portable.resources.queue import Queue
from portable.resources.stream import Stream
from portable.resources.table import Table
from portable.run.emulators import Emulator
from portable.serving.threads import Threads
from portable_aws._sdk import Client
from portable_aws.provision import make_queue, make_stream, make_table
from portable_aws.runtime import platform as aws_platform
from portable_container.positions import NAME, Held, LostError, Positions
from portable_container.settings import Settings
from portable_container.streams import StreamPoller
from portable_local.runtime import platform as local_platform

APP = """
import json, os, time
from pathlib import Path
from portable import App, Reject, Retry, StreamRecord
from datetime import timedelta

app = App("shop")
lost = app.queue("lost", dict)
clicks = app.stream("clicks", dict, partitions=4)
late = app.stream("late", dict)

def note(what, record):
    with open(f"done-{os.getpid()}.jsonl", "a") as file:
        file.write(json.dumps([what, record.key, record.body, record.attempt, record.partition]) + chr(10))

@app.on_stream(clicks, start="trim", max_attempts=3, dead_letters=lost)
def count(record: StreamRecord[dict]) -> None:
    what = record.body.get("what")
    note("begun", record)
    if what == "reject":
        raise Reject("no use")
    if what == "fail":
        raise Retry("again", after=timedelta(milliseconds=10))
    if what == "die":
        os._exit(9)
    if what == "hold":
        while not Path("go").exists():
            time.sleep(0.01)
    note("ended", record)

@app.on_stream(late, batch_size=10)
async def archive(records: list[StreamRecord[dict]]) -> None:
    for record in records:
        note("archived", record)
    if any(record.body["number"] == 2 and record.attempt == 1 for record in records) and not Path("failed").exists():
        Path("failed").touch()
        records[[record.body["number"] for record in records].index(2)].fail()
"""


def rows(folder: Path, what: str) -> list[list[Any]]:
    """What was noted, of all processes, each in its order."""
    found = []
    for file in sorted(folder.glob("done-*.jsonl")):
        lines = file.read_text().splitlines(keepends=True)
        found += [row for line in lines if line.endswith("\n") and (row := json.loads(line))[0] == what]
    return found


def numbers(folder: Path, key: str) -> list[int]:
    return [row[2]["number"] for row in rows(folder, "ended") if row[1] == key]


def local(folder: Path, resource: Any) -> Any:
    return local_platform({"PORTABLE_LOCAL_STATE": str(folder / "state")}).open(resource)


def sent(number: int, what: str = "") -> bytes:
    return json.dumps({"number": number, "what": what}).encode()


def test_order_failures_and_what_is_given_up(start: Callable[..., Any]) -> None:
    folder = start(APP, ready=False, PORTABLE_POLL="0").folder
    stream = local(folder, Stream("clicks", partitions=4))
    stream.send_many([(key, sent(number)) for number in range(20) for key in ("ann", "bob")])
    stream.send_many([("ann", sent(20, "fail")), ("ann", sent(21)), ("bob", sent(20, "reject")), ("bob", sent(21))])
    container = start(APP)
    container.until(lambda: numbers(folder, "ann")[-1:] == numbers(folder, "bob")[-1:] == [21])
    for key in ("ann", "bob"):
        assert numbers(folder, key) == [*range(20), 21]  # those before a failure are not handed over again
    failed = [row[3] for row in rows(folder, "begun") if row[2]["what"] == "fail"]
    assert failed == [1, 2, 3]
    queue = local(folder, Queue("lost", dict))
    letters = [json.loads(one.body) for one in queue.receive(10, timedelta(seconds=10), timedelta(seconds=60))]
    assert sorted(json.loads(one["text"])["what"] for one in letters) == ["fail", "reject"]
    container.tell()
    assert container.end() == 0
    # Another process goes on where this one was.
    stream.send_many([("ann", sent(22))])
    again = start(APP)
    again.until(lambda: numbers(folder, "ann")[-1:] == [22])
    assert numbers(folder, "ann") == [*range(20), 21, 22]


def test_a_new_function_begins_with_the_latest_and_a_batch_fails_from_a_record_on(start: Callable[..., Any]) -> None:
    folder = start(APP, ready=False, PORTABLE_POLL="0").folder
    stream = local(folder, Stream("late"))
    stream.send_many([("a", sent(0))])
    time.sleep(0.05)
    container = start(APP)
    positions = local(folder, Table(NAME, key="group", sort="name"))
    container.until(lambda: positions.get(("archive/late", "0")) is not None)
    stream.send_many([("a", sent(number)) for number in range(1, 4)])
    container.until(lambda: len(rows(folder, "archived")) >= 5)
    assert [row[2]["number"] for row in rows(folder, "archived")] == [1, 2, 3, 2, 3]


def test_what_does_not_end_in_time_goes_to_another_process(start: Callable[..., Any]) -> None:
    container = start(APP, PORTABLE_SHUTDOWN_SECONDS="0.5", PORTABLE_FUNCTIONS="count", PORTABLE_LEASE_SECONDS="600")
    folder = container.folder
    local(folder, Stream("clicks", partitions=4)).send_many([("ann", sent(0, "hold")), ("ann", sent(1))])
    container.until(lambda: rows(folder, "begun"))
    container.tell()
    assert container.end() == 0
    [[_, _, _, _, partition]] = rows(folder, "begun")
    item = local(folder, Table(NAME, key="group", sort="name")).get(("count/clicks", partition)).item
    assert (item["owner"], item["after"], item["attempt"]) == ("", "", 2)
    (folder / "go").touch()
    other = start(APP, PORTABLE_FUNCTIONS="count", PORTABLE_LEASE_SECONDS="600")
    other.until(lambda: numbers(folder, "ann") == [0, 1])  # long before the lease would end


@pytest.mark.slow
def test_a_process_that_is_killed_is_followed_by_another(start: Callable[..., Any]) -> None:
    environment = {"PORTABLE_LEASE_SECONDS": "5", "PORTABLE_TIMEOUT_SECONDS": "60", "PORTABLE_FUNCTIONS": "count"}
    container = start(APP, **environment)
    folder = container.folder
    stream = local(folder, Stream("clicks", partitions=4))
    stream.send_many([("ann", sent(0)), ("ann", sent(1, "hold")), ("ann", sent(2))])
    container.until(lambda: [row for row in rows(folder, "begun") if row[2]["what"] == "hold"])
    container.tell(signal.SIGKILL)
    container.end()
    (folder / "go").touch()
    other = start(APP, **environment)
    other.until(lambda: numbers(folder, "ann")[-1:] == [2])
    assert numbers(folder, "ann")[-2:] == [1, 2]
    first = [row[3] for row in rows(folder, "begun") if row[2]["number"] == 0]
    assert sorted(first) == [1, 2]  # that its reader died with its batch in hand was an attempt
    # A third shares the partitions with the second, and nothing is read by both.
    third = start(APP, **environment)
    positions = local(folder, Table(NAME, key="group", sort="name"))

    def owners() -> list[int]:
        found = [str(positions.get(("count/clicks", str(number))).item["owner"]) for number in range(4)]
        return sorted(found.count(owner) for owner in set(found) if owner)

    third.until(lambda: owners() == [2, 2])
    stream.send_many([(key, sent(number)) for number in range(100, 120) for key in ("ann", "bob", "cid", "dan", "eve")])
    third.until(lambda: all(numbers(folder, key)[-1:] == [119] for key in ("bob", "cid", "dan", "eve")))
    for key in ("bob", "cid", "dan", "eve"):
        assert numbers(folder, key) == [*range(100, 120)]
    for one in (other, third):
        one.tell()
        assert one.end() == 0


@pytest.mark.slow
def test_what_ends_its_reader_every_time_is_given_up(start: Callable[..., Any]) -> None:
    environment = {"PORTABLE_LEASE_SECONDS": "5", "PORTABLE_FUNCTIONS": "count"}
    folder = start(APP, ready=False, PORTABLE_POLL="0").folder
    stream = local(folder, Stream("clicks", partitions=4))
    stream.send_many([("ann", sent(0)), ("ann", sent(1, "die")), ("ann", sent(2))])
    deaths = 0
    while numbers(folder, "ann")[-1:] != [2]:
        container = start(APP, ready=False, **environment)
        container.until(lambda one=container: one.process.poll() is not None or numbers(folder, "ann")[-1:] == [2])
        deaths += container.process.poll() is not None
        assert deaths < 8
    queue = local(folder, Queue("lost", dict))
    [letter] = queue.receive(10, timedelta(seconds=10), timedelta(seconds=60))
    assert json.loads(json.loads(letter.body)["text"])["number"] == 1
    # The first was with the batch of all three, the others with the record alone.
    assert [row[3] for row in rows(folder, "begun") if row[2]["what"] == "die"].count(1) <= 2


@pytest.mark.slow
def test_kinesis(start: Callable[..., Any], moto_server: Emulator) -> None:
    moto_server.reset()
    environment: dict[str, str] = dict(moto_server.environment)
    kinesis, dynamodb, sqs = (Client(name, environment) for name in ("kinesis", "dynamodb", "sqs"))
    environment[address_variable("stream", "clicks")] = make_stream(kinesis.get(), "clicks", {"partitions": 1})
    options = Table(NAME, key="group", sort="name").options
    url, dead = make_queue(sqs.get(), "lost", 3, fifo=False)
    environment |= {address_variable("queue", "lost"): url, address_variable("deadletter", "lost"): dead}
    stated = {**environment, "PORTABLE_FUNCTIONS": "count"}
    missing = start(APP, "aws", ready=False, **stated)
    assert missing.end() == 2
    assert address_variable("table", NAME) in missing.said
    stated[address_variable("table", NAME)] = make_table(dynamodb.get(), "positions", options)
    container = start(APP, "aws", PORTABLE_LEASE_SECONDS="5", **stated)
    folder = container.folder
    drivers = aws_platform(environment)
    try:
        stream = drivers.open(Stream("clicks", partitions=1))
        stream.send_many([("ann", sent(number)) for number in range(5)])
        stream.send_many([("ann", sent(5, "reject")), ("ann", sent(6))])
        container.until(lambda: numbers(folder, "ann") == [0, 1, 2, 3, 4, 6])
        [shard] = kinesis.get().list_shards(StreamName="clicks")["Shards"]
        middle = str(int(shard["HashKeyRange"]["EndingHashKey"]) // 2)
        kinesis.get().split_shard(StreamName="clicks", ShardToSplit=shard["ShardId"], NewStartingHashKey=middle)
        parents = stream.parents()
        assert len(parents) == 3
        assert sorted(parents.values()) == [[], [shard["ShardId"]], [shard["ShardId"]]]
        since = datetime.now(UTC) - timedelta(minutes=5)
        assert len(stream.read_since(shard["ShardId"], since, 100)) == 7
        stream.send_many([(key, sent(number)) for number in range(7, 10) for key in ("ann", "bob", "cid", "dan")])
        container.until(lambda: all(numbers(folder, key)[-1:] == [9] for key in ("ann", "bob", "cid", "dan")))
        assert numbers(folder, "ann") == [0, 1, 2, 3, 4, 6, 7, 8, 9]
        container.tell()
        assert container.end() == 0
    finally:
        drivers.close()
        for client in (kinesis, dynamodb, sqs):
            client.close()


@pytest.fixture
def here(tmp_path: Path) -> Iterator[None]:
    """Positions are kept on this machine."""
    drivers = local_platform({"PORTABLE_LOCAL_STATE": str(tmp_path)})
    set_platform(drivers)
    yield
    set_platform(None)
    drivers.close()


@pytest.mark.usefixtures("here")
def test_partitions_that_follow_others_wait_for_them() -> None:
    one = Positions("f", "s", "one", 5, "trim")
    parents: dict[str, list[str]] = {"a": [], "b": ["a"], "c": ["a"]}
    [first] = one.share(list(parents), parents)
    assert first.partition == "a"
    first.write(after="9", over=True, owner="")
    first.lost = True
    assert {held.partition for held in one.share(list(parents), parents)} == {"b", "c"}
    # When the stream has forgotten the first, the others need nothing.
    two = Positions("f", "other", "two", 5, "trim")
    assert {held.partition for held in two.share(["b", "c"], {"b": [], "c": []})} == {"b", "c"}


@pytest.mark.usefixtures("here")
def test_partitions_are_shared_and_change_hands(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr("portable_container.positions.monotonic", lambda: now)
    names = ["a", "b", "c"]
    one, two = Positions("f", "s", "one", 60, "latest"), Positions("f", "s", "two", 60, "latest")
    mine = {held.partition: held for held in one.share(names, {})}
    assert set(mine) == set(names)
    assert len({held.after for held in mine.values()}) == 1  # the moment it began, of all
    assert mine["a"].after.startswith("@")
    mine["a"].write(after="7", attempt=2)
    assert two.share(names, {}) == []  # nobody is known to be gone
    now += 30
    one.share(names, {})  # there are two of them now, and so one partition too many
    assert [name for name, held in mine.items() if held.surplus] == ["c"]
    mine["c"].release()
    assert [held.partition for held in two.share(names, {})] == ["c"]
    now += 59
    assert two.share(names, {}) == []
    now += 2  # the first has said nothing for longer than a lease
    taken = {held.partition: held for held in two.share(names, {})}
    assert set(taken) == {"a", "b"}
    assert (taken["a"].after, taken["a"].attempt, taken["a"].alone) == ("7", 3, True)
    with pytest.raises(LostError):  # and what it has done meanwhile does not count
        mine["a"].write(after="8")
    assert mine["a"].lost
    one.share(names, {})
    assert one.held == {}


@pytest.mark.usefixtures("here")
def test_what_was_taken_before_a_failure_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    take = Positions._take

    def broken(self: Positions, name: str, rows: Any) -> Held | None:
        if name == "b":
            raise UnavailableError("the table is away")
        return take(self, name, rows)

    monkeypatch.setattr(Positions, "_take", broken)
    handed: list[str] = []

    class Log:
        def partitions(self) -> list[str]:
            return ["a", "b"]

        def read(self, partition: str, after: str | None, limit: int) -> list[StoredRecord]:
            return [] if after else [StoredRecord(partition, "1", b"{}", "ann", datetime.now(UTC))]

    async def read() -> None:
        done = asyncio.Event()

        class Handlers:
            def context_of(self, function: Any) -> None: ...

            async def invoke(self, *given: Any) -> list[None]:
                handed.append(given[-1][0].id)
                done.set()
                return [None]

        stream = SimpleNamespace(name="s", driver=Log)
        trigger = SimpleNamespace(stream=stream, start="trim", batch_size=1, window=None, max_attempts=None)
        function, handlers = SimpleNamespace(name="f", call=SimpleNamespace(is_async=True)), Handlers()
        given: Any = function, trigger, handlers, Threads(4, "poller"), Settings({})
        poller = StreamPoller(*given)
        poller.start()
        await asyncio.wait_for(done.wait(), 60)
        poller.stop()
        await poller.ended()

    asyncio.run(read())
    assert handed == ["a/1"]


def test_records_can_be_pushed(start: Callable[..., Any]) -> None:
    container = start(APP, PORTABLE_POLL="0")
    data = [(0, ""), (1, "fail"), (2, "")]
    records = [
        {"partition": "0", "offset": str(number), "data": b64encode(sent(number, what)).decode(), "key": "ann"}
        for number, what in data
    ]
    status, body, _ = container.event("count", "dev.portable.records", {"stream": "clicks", "records": records})
    assert (status, json.loads(body)) == (200, {"failed": [{"partition": "0", "offset": "1"}]})
    assert numbers(container.folder, "ann") == [0]
    for wrong in ({"stream": "none", "records": []}, {"stream": "clicks"}, {"stream": "clicks", "records": [{}]}):
        assert container.event("count", "dev.portable.records", wrong)[0] == 400
