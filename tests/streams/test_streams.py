"""Streams in the neutral model: what a handler gets, what comes again, and what is given up."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from typing import Annotated, Any

import msgspec
import pytest

from portable import App, ConfigError, Context, Depends, Reject, Retry, StreamRecord
from portable.invoke import make_function, run
from portable.testing import TestClient


class Click(msgspec.Struct):
    page: str
    bad: bool = False


def record(offset: int, body: Any = None, partition: str = "0", **more: Any) -> StreamRecord[Any]:
    data = body if isinstance(body, bytes) else msgspec.json.encode(body or {"page": f"p{offset}"})
    return StreamRecord("clicks", partition, str(offset), data, **more)


def outcomes(app: App, batch: list[StreamRecord[Any]]) -> list[str]:
    [triggers] = app.functions().values()
    function = make_function(triggers)
    found = function(batch)
    found = run(found) if function.is_async else found
    return ["done" if one is None else type(one).__name__ for one in found]


class TestSingle:
    def test_a_failure_stops_its_partition_and_no_other(self) -> None:
        app = App("stop")
        clicks = app.stream("clicks", Click, partitions=2)
        seen = []

        @app.on_stream(clicks)
        def count(one: StreamRecord[Click], context: Context) -> None:
            assert context is None or context.message is one
            seen.append(one.id)
            if one.body.bad:
                raise OSError("no")

        batch = [record(1), record(2, {"page": "x", "bad": True}), record(3, partition="1"), record(4)]
        assert outcomes(app, batch) == ["done", "OSError", "done", "Retry"]
        assert seen == ["0/1", "0/2", "1/3"]

    @pytest.mark.parametrize("wish", [Retry("later", after=timedelta(seconds=5)), None])
    def test_retry_and_fail_stop_it_as_well(self, wish: BaseException | None) -> None:
        app = App("wish")

        @app.on_stream(app.stream("clicks", Click))
        async def count(one: StreamRecord[Click]) -> None:
            await asyncio.sleep(0)
            one.fail(wish)

        assert outcomes(app, [record(1), record(2)]) == ["Retry", "Retry"]

    def test_a_record_that_fits_no_type_stops_its_partition(self, caplog: pytest.LogCaptureFixture) -> None:
        app = App("misfit")

        @app.on_stream(app.stream("clicks", Click))
        def count(one: StreamRecord[Click]) -> None: ...

        assert outcomes(app, [record(1, b"{}"), record(2)])[1] == "Retry"
        assert "record 0/1 of stream clicks: its data does not fit the stream" in caplog.text

    def test_bytes_are_as_sent_and_a_record_without_data_is_null(self) -> None:
        app, other = App("raw"), App("null")
        seen: list[Any] = []
        app.on_stream(app.stream("clicks", bytes), function="count")(lambda one: seen.append(one.body))
        other.on_stream(other.stream("clicks", Click | None), function="count")(lambda one: seen.append(one.body))
        assert outcomes(app, [record(1, b"\xff\x00")]) == ["done"]
        empty = record(2)
        empty.body = None
        assert outcomes(other, [empty]) == ["done"]
        assert seen == [b"\xff\x00", None]

    def test_reject_without_dead_letters_is_logged_and_passed_over(self, caplog: pytest.LogCaptureFixture) -> None:
        app = App("passed")

        @app.on_stream(app.stream("clicks", Click))
        def count(one: StreamRecord[Click]) -> None:
            if one.body.bad:
                raise Reject("a robot")

        assert outcomes(app, [record(1, {"page": "x", "bad": True}), record(2)]) == ["done", "done"]
        assert "count gave up record 0/1 of stream clicks, which has no dead letters: a robot" in caplog.text

    def test_an_app_says_what_is_wrong(self) -> None:
        app = App("wrong")
        clicks = app.stream("clicks", Click)
        with pytest.raises(ConfigError, match="on_stream takes a stream, got"):
            app.on_stream(app.topic("other"))  # type: ignore[type-var,arg-type]
        for options, message in (
            ({"batch_size": 0}, "batch_size is 1 to 10000, got 0"),
            ({"parallel": 11}, "parallel is 1 to 10, got 11"),
            ({"max_attempts": 0}, "max_attempts is 1 to 10000, got 0"),
            ({"start": "now"}, "start is 'latest' or 'trim'"),
            ({"bisect": 1}, "bisect is True or False, got 1"),
            ({"window": timedelta(minutes=6)}, "window is a timedelta above 0, five minutes at most"),
            ({"dead_letters": clicks}, "dead_letters is a queue of the app, got Stream"),
        ):
            with pytest.raises(ConfigError, match=message):
                app.on_stream(clicks, **options)(lambda one: None)
        with pytest.raises(ConfigError, match="partitions is 1 to 1000, got 0"):
            app.stream("none", partitions=0)

        @app.on_stream(clicks)
        def count(one: dict[str, Any]) -> None: ...

        message = r"a stream handler takes StreamRecord\[…\] or list\[StreamRecord\[…\]\], not dict"
        with pytest.raises(ConfigError, match=message), TestClient(app):
            pass


class TestBatch:
    def app(self, handle: Any, **options: Any) -> App:
        app = App("batches")
        app.on_stream(app.stream("clicks", Click), function="count", **options)(handle)
        return app

    def test_what_is_behind_the_first_failure_comes_again(self) -> None:
        def handle(batch: list[StreamRecord[Click]]) -> None:
            assert [one.offset for one in batch] == ["1", "2", "3", "9"]
            batch[1].fail()

        batch = [record(1), record(2), record(3), record(9, partition="1")]
        assert outcomes(self.app(handle), batch) == ["done", "Retry", "Retry", "done"]

    def test_an_error_fails_all_that_nothing_else_was_said_of(self) -> None:
        async def handle(batch: list[StreamRecord[Click]]) -> None:
            batch[0].fail(Reject("never"))
            raise OSError("no")

        assert outcomes(self.app(handle), [record(1), record(2)]) == ["done", "OSError"]

    def test_a_misfit_keeps_what_is_behind_it_from_the_handler(self) -> None:
        seen: list[str] = []

        def handle(batch: list[StreamRecord[Click]]) -> None:
            seen.extend(one.id for one in batch)

        batch = [record(1), record(2, b"no JSON"), record(3), record(1, partition="1")]
        found = outcomes(self.app(handle), batch)
        assert (found[0], found[1] != "done", found[2], found[3]) == ("done", True, "Retry", "done")
        assert seen == ["0/1", "1/1"]


class Sorter:
    """An app whose handler fails, rejects or waits as a record says."""

    def __init__(self, **options: Any) -> None:
        self.app = App("sorter")
        self.clicks = self.app.stream("clicks", Click, partitions=3)
        self.lost = self.app.queue("lost")
        self.seen: list[tuple[str, int | None]] = []
        self.app.on_stream(self.clicks, dead_letters=self.lost, **options)(self.sort)

    def sort(self, one: StreamRecord[Click]) -> None:
        self.seen.append((one.body.page, one.attempt))
        if one.body.page == "robot":
            raise Reject("a robot")
        if one.body.bad:
            raise OSError("the database is away")


class TestLocally:
    @pytest.fixture
    def sorter(self) -> Iterator[Sorter]:
        sorter = Sorter(max_attempts=3)
        with TestClient(sorter.app) as self.client:
            yield sorter

    def test_every_key_is_in_order(self, sorter: Sorter) -> None:
        sorter.clicks.send_many([(f"user{n % 5}", Click(f"{n % 5}-{n}")) for n in range(300)])
        assert self.client.settle().delivered == 300
        for user in range(5):
            pages = [page for page, _ in sorter.seen if page.startswith(f"{user}-")]
            assert pages == [f"{user}-{n}" for n in range(user, 300, 5)]

    def test_what_fails_for_good_ends_among_the_dead_letters_and_holds_up_its_partition_until_then(
        self, sorter: Sorter
    ) -> None:
        self.client.append(sorter.clicks, Click("first", bad=True), key="ann")
        self.client.append("clicks", {"page": "second"}, key="ann")
        settled = self.client.settle()
        assert sorter.seen == [("first", 1), ("first", 2), ("first", 3), ("second", 1)]
        assert [(one.attempt, one.given_up) for one in settled.failures] == [(1, False), (2, False)]
        [letter] = [one.body for one in sorter.lost.receive()]
        assert letter["text"] == '{"page":"first","bad":true}'
        assert letter["error"] == "it failed 3 times: OSError: the database is away"
        assert (letter["stream"], letter["key"], letter["offset"]) == ("clicks", "ann", "1")

    def test_reject_is_a_dead_letter_at_once_and_so_is_a_misfit(self, sorter: Sorter) -> None:
        self.client.append("clicks", {"page": "robot"}, key="ann")
        self.client.append("clicks", {"wrong": 1}, key="ann")
        sorter.clicks.driver().send_many([("ann", b"\xff")])
        assert self.client.settle().failures == []
        letters = [one.body for one in sorter.lost.receive()]
        assert letters[0]["error"] == "a robot"
        assert letters[1]["error"].startswith("it does not fit the stream: ")
        assert letters[2]["base64"] == "/w=="

    def test_without_a_limit_a_record_is_given_up_here_after_five(self) -> None:
        sorter = Sorter()
        with TestClient(sorter.app) as client:
            client.append("clicks", {"page": "x", "bad": True}, key="a")
            failures = client.settle().failures
        assert [(one.attempt, one.given_up) for one in failures] == [(n, n == 5) for n in range(1, 6)]

    def test_a_batch_is_halved_until_what_fails_is_alone(self) -> None:
        app = App("halves")
        clicks = app.stream("clicks", Click)
        sizes: list[int] = []

        @app.on_stream(clicks, bisect=True, batch_size=8, max_attempts=8)
        def count(batch: list[StreamRecord[Click]]) -> None:
            sizes.append(len(batch))
            if any(one.body.bad for one in batch):
                raise OSError("no")

        with TestClient(app) as client:
            clicks.send_many([("a", Click(str(n), bad=n == 5)) for n in range(8)])
            client.settle()
        assert sizes[:2] == [8, 4]
        assert 1 in sizes

    def test_sending_is_checked(self, sorter: Sorter) -> None:
        with pytest.raises(ValueError, match="a key is 1 to 256 characters"):
            sorter.clicks.send(Click("x"), key="")
        raw = sorter.app.stream("raw", bytes)
        with pytest.raises(TypeError, match="a body is bytes, as the stream was declared; got str"):
            raw.send("text", key="a")  # type: ignore[arg-type]
        asyncio.run(sorter.clicks.asend(Click("async"), key="a"))
        assert asyncio.run(sorter.clicks.asend_many([("a", Click("many"))])) == []
        self.client.settle()
        assert [page for page, _ in sorter.seen] == ["async", "many"]

    def test_an_async_handler_sends_its_dead_letters_too(self) -> None:
        app = App("later")
        clicks, lost = app.stream("clicks", Click), app.queue("lost")

        @app.on_stream(clicks, dead_letters=lost)
        async def count(one: StreamRecord[Click]) -> None:
            await asyncio.sleep(0)
            raise Reject("never")

        with TestClient(app) as client:
            client.append(clicks, Click("x"), key="a")
            client.settle()
            assert [one.body["error"] for one in lost.receive()] == ["never"]


# --- what goes around


told: list[str] = []


def page_of(record: StreamRecord[Click]) -> Iterator[str]:
    yield record.body.page
    told.append("cleaned")


def test_middleware_and_dependencies_go_around_each_call() -> None:
    app = App("around")
    clicks = app.stream("around-clicks", Click)
    told.clear()

    @app.middleware(events=("stream",))
    async def log(event: Any, call_next: Any) -> Any:
        told.append(f"before {event.id}")
        found = await call_next(event)
        told.append(f"after {event.id}")
        return found

    @app.on_stream(clicks)
    async def count(record: StreamRecord[Click], name: Annotated[str, Depends(page_of)]) -> None:
        told.append(name)

    with TestClient(app) as client:
        client.append(clicks, Click("/a"), key="a")
        assert client.settle().failures == []
    assert told == ["before 0/1", "/a", "cleaned", "after 0/1"]


COLD = """
import sys
from portable import App

module = type(sys)("cold_app")
sys.modules["cold_app"] = module
app = module.app = App("cold")
app.on_stream(app.stream("clicks"), function="count")(lambda record: record.key)

from portable_aws.runtime import entry


class Native:
    aws_request_id = "1"

    def get_remaining_time_in_millis(self):
        return 60000


inner = {"sequenceNumber": "1", "data": "MQ==", "partitionKey": "a"}
event = {"Records": [{"kinesis": inner, "eventID": "s:1", "eventSourceARN": "a:b/c"}]}
assert entry("cold_app:app", "count", source="kinesis")(event, Native()) == {"batchItemFailures": []}
print(*sorted(sys.modules))
"""


def test_a_cold_start_pays_for_nothing_else() -> None:
    path = ":".join(path for path in sys.path if path)
    command = [sys.executable, "-S", "-c", f"import sys; sys.path[:0] = {path.split(':')!r}\n{COLD}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    loaded = set(done.stdout.split())
    assert "portable_aws.triggers.kinesis" in loaded
    unwanted = {"asyncio", "base64", "botocore", "datetime", "inspect", "logging", "msgspec", "typing"}
    assert loaded & (unwanted | {"portable.invoke.messages", "portable_aws.triggers.kafka"}) == set()
