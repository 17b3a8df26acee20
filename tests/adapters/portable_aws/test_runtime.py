"""What Lambda calls, called here: contexts, batches, limits. The real runtime client is in test_run.py."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from portable import App, ConfigError, Context, Message, Queue, Reject, Request, Response, Retry
from portable.events import current_context
from portable.manifest import describe_app
from portable.resources import set_platform
from portable_aws.runtime import entry, platform
from portable_aws.schedules import timers_of

Load = Callable[[str], Any]


class Native:
    """As awslambdaric's LambdaContext."""

    aws_request_id = "c6af9ac6-7b61-11e6-9a41-93e8deadbeef"

    @staticmethod
    def get_remaining_time_in_millis() -> int:
        return 5000


NATIVE = Native()


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch) -> Iterator[App]:
    module = ModuleType("probe_app")
    module.app = App("probe")
    monkeypatch.setitem(sys.modules, "probe_app", module)
    yield module.app
    set_platform(None)


def start(function: str, source: str | None = None) -> Callable[[Any, Any], Any]:
    return entry("probe_app:app", function, None, source)


def test_context(app: App, payload: Load) -> None:
    seen: list[Context] = []

    @app.post("/my/path")
    def handle(context: Context) -> None:
        assert Context.current() is context
        seen.append(context)

    http = start("http")
    for _ in range(2):
        assert http(payload("http_api"), NATIVE)["statusCode"] == 204
        assert current_context.get() is None
    first, second = seen
    assert (first.cold_start, second.cold_start) == (True, False)
    assert (first.function, first.target, first.stage, first.native) == ("http", "aws", "", NATIVE)
    assert first.request_id == Native.aws_request_id
    assert abs(first.deadline - datetime.now(UTC) - timedelta(seconds=5)) < timedelta(seconds=2)
    assert timedelta(seconds=3) < first.remaining() <= timedelta(seconds=5)


def test_the_context_ends_with_a_failure(app: App) -> None:
    @app.function()
    def fail(payload: Any) -> None:
        raise KeyError("why")

    with pytest.raises(KeyError):
        start("fail")({}, NATIVE)
    assert current_context.get() is None


def test_async_handlers(app: App, payload: Load) -> None:
    @app.post("/my/path")
    async def handle(request: Request) -> Response:
        return Response(request.text().upper(), 201)

    @app.function()
    async def double(payload: int) -> int:
        return payload * 2

    assert start("http")(payload("http_api"), NATIVE)["body"] == "HELLO FROM LAMBDA"
    assert start("double")(21, NATIVE) == 42


def test_on_start_runs_at_init(app: App) -> None:
    done = []
    app.on_start(lambda: done.append("sync"))

    @app.on_start
    async def later() -> None:
        done.append("async")

    app.function("act")(lambda payload: payload)
    start("act")
    assert done == ["sync", "async"]


def test_unknown_function_and_source(app: App) -> None:
    app.function("act")(lambda payload: payload)
    with pytest.raises(ConfigError, match="no function 'other'; it has act"):
        start("other")
    with pytest.raises(ConfigError, match="no source 'sqs' for direct functions"):
        start("act", "sqs")


def test_an_attribute_error_at_start_is_not_taken_for_a_missing_handler(app: App) -> None:
    app.function("act")(lambda payload: payload)

    @app.on_start
    def broken() -> None:
        sys.no_such_thing  # noqa: B018

    with pytest.raises(ImportError, match="AttributeError: module 'sys' has no attribute 'no_such_thing'"):
        start("act")


@pytest.mark.parametrize(
    ("source", "name", "size", "fits"),
    [
        ("http-api", "http_api", 6_200_000, True),
        ("http-api", "http_api", 6_400_000, False),
        ("alb", "alb", 1_000_000, True),
        ("alb", "alb", 1_100_000, False),
    ],
)
def test_an_answer_too_large_says_so(
    app: App, payload: Load, caplog: pytest.LogCaptureFixture, source: str, name: str, size: int, fits: bool
) -> None:
    @app.route("/{rest:path}", methods=("GET", "POST"))
    def handle(rest: str) -> str:
        return "x" * size

    answer = start("http", source)(payload(name), NATIVE)
    assert answer["statusCode"] == (200 if fits else 500)
    assert ("is larger than" in answer["body"]) is not fits
    assert bool(caplog.records) is not fits


# --- messages


def records(*bodies: str, arn: str = "arn:aws:sqs:us-east-1:123456789012:emails", receipt: str = "r") -> Any:
    return {
        "Records": [
            {"messageId": body, "receiptHandle": receipt, "body": f'"{body}"', "attributes": {}, "eventSourceARN": arn}
            for body in bodies
        ]
    }


def failed(answer: Any) -> list[str]:
    assert set(answer) == {"batchItemFailures"}
    return [row["itemIdentifier"] for row in answer["batchItemFailures"]]


def test_partial_failures(app: App) -> None:
    @app.on_message(app.queue("emails"))
    def mail(message: Message[Any]) -> None:
        if message.body.startswith("bad"):
            raise ValueError(message.body)

    mail_function = start("mail")
    assert failed(mail_function(records("a", "bad-1", "b", "bad-2"), NATIVE)) == ["bad-1", "bad-2"]
    assert failed(mail_function(records("a"), NATIVE)) == []
    assert failed(mail_function(records("bad-1", "bad-2"), NATIVE)) == ["bad-1", "bad-2"]
    assert failed(mail_function({"Records": []}, NATIVE)) == []


def test_a_body_that_is_not_json_fails_alone(app: App) -> None:
    app.on_message(app.queue("emails"), function="mail")(lambda message: None)
    event = records("a", "b")
    event["Records"][0]["body"] = "not json"
    assert failed(start("mail")(event, NATIVE)) == ["a"]


def test_a_whole_batch(app: App) -> None:
    @app.on_message(app.queue("emails"))
    async def mail(batch: list[Message[Any]]) -> None:
        batch[1].fail()

    assert failed(start("mail")(records("a", "b", "c"), NATIVE)) == ["b"]


def test_what_the_seam_raises_fails_the_invocation(app: App) -> None:
    """So Lambda leaves the batch in the queue."""

    @app.on_message(app.queue("emails"))
    def mail(message: Message[Any]) -> None:
        raise SystemExit(1)

    with pytest.raises(SystemExit):
        start("mail")(records("a"), NATIVE)
    with pytest.raises(ValueError, match="'Records' is missing"):
        start("mail")({}, NATIVE)


def test_fifo_stops_a_group_at_its_first_failure(app: App, payload: Load) -> None:
    seen = []

    @app.on_message(app.queue("emails"))
    def mail(message: Message[Any]) -> None:
        seen.append(message.id)
        if message.id == "0":
            raise ValueError("no")

    # groups a a b a b: after 0 fails, 1 and 3 of its group have to wait, unseen
    assert failed(start("mail")(payload("sqs_fifo"), NATIVE)) == ["0", "1", "3"]
    assert seen == ["0", "2", "4"]


def test_fifo_stops_a_group_at_a_message_that_cannot_be_rejected(
    app: App, payload: Load, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("PORTABLE_QUEUE_EMAILS", "https://sqs.us-east-1.amazonaws.com/123456789012/fifo.fifo")
    seen = []

    @app.on_message(app.queue("emails"))
    def mail(message: Message[Any]) -> None:
        seen.append(message.id)
        if message.id == "0":
            raise Reject("no dead-letter queue takes it")

    assert failed(start("mail")(payload("sqs_fifo"), NATIVE)) == ["0", "1", "3"]
    assert seen == ["0", "2", "4"]
    assert "in vain" in caplog.text


def test_fifo_with_a_batch_handler(app: App, payload: Load) -> None:
    @app.on_message(app.queue("emails"))
    def mail(batch: list[Message[Any]]) -> None:
        batch[1].fail()

    assert failed(start("mail")(payload("sqs_fifo"), NATIVE)) == ["1", "3"]


def test_several_queues(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    for name in ("first", "second"):
        monkeypatch.setenv(f"PORTABLE_QUEUE_{name.upper()}", f"https://sqs.us-east-1.amazonaws.com/1/{name}-physical")
        app.on_message(app.queue(name), function="both")(lambda message, name=name: seen.append(name))
    both = start("both")
    for name in ("second", "first"):
        assert failed(both(records("a", arn=f"arn:aws:sqs:us-east-1:1:{name}-physical"), NATIVE)) == []
    assert seen == ["second", "first"]
    with pytest.raises(ConfigError, match="'third', whose address is none of those of first, second"):
        both(records("a", arn="arn:aws:sqs:us-east-1:1:third"), NATIVE)


class TestWishes:
    """Retry(after=…) and Reject are calls of SQS."""

    @pytest.fixture
    def queue(self, app: App, account: Any, monkeypatch: pytest.MonkeyPatch) -> Queue[Any]:
        url, dead = account.queue_with_dead_letters("emails")
        addresses = {"PORTABLE_QUEUE_EMAILS": url, "PORTABLE_DEADLETTER_EMAILS": dead}
        for name, value in (account.environment | addresses).items():
            monkeypatch.setenv(name, value)
        return app.queue("emails")

    def deliver(self, app: App, queue: Queue[Any], wish: Exception) -> tuple[list[str], str]:
        @app.on_message(queue)
        def mail(message: Message[Any]) -> None:
            raise wish

        set_platform(platform())
        queue.send("a", attributes={"x": "y"})
        [received] = queue.driver().receive(1, timedelta(0), timedelta(seconds=1))
        event = records("a", receipt=received.receipt)
        attribute = {"stringValue": "y", "stringListValues": [], "binaryListValues": [], "dataType": "String"}
        event["Records"][0]["messageAttributes"] = {"x": attribute}
        return failed(start("mail")(event, NATIVE)), received.id

    def test_retry_after(self, app: App, queue: Queue[Any]) -> None:
        again, _ = self.deliver(app, queue, Retry(after=timedelta(seconds=3)))
        assert again == ["a"]
        driver = queue.driver()
        assert driver.receive(1, timedelta(seconds=1, milliseconds=500), timedelta(seconds=1)) == []
        assert len(driver.receive(1, timedelta(seconds=5), timedelta(seconds=1))) == 1

    def test_retry_at_once_calls_nothing(self, app: App, queue: Queue[Any]) -> None:
        assert self.deliver(app, queue, Retry())[0] == ["a"]

    def test_reject(self, app: App, queue: Queue[Any]) -> None:
        assert self.deliver(app, queue, Reject("never"))[0] == []
        [letter] = queue.driver().dead_letters(10)
        assert (letter.body, letter.attributes) == ('"a"', {"x": "y"})

    def test_reject_without_a_dead_letter_queue(
        self, app: App, queue: Queue[Any], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.delenv("PORTABLE_DEADLETTER_EMAILS")
        assert self.deliver(app, queue, Reject("never"))[0] == ["a"]
        assert "asked for the dead-letter queue, in vain" in caplog.text


# --- blobs, schedules


def test_blobs(app: App, payload: Load) -> None:
    seen = []

    @app.on_blob(app.bucket("uploads"), prefix="in/", suffix=".jpg")
    def make(event: Any) -> None:
        seen.append((event.bucket, event.key))

    make_function = start("make", "s3")
    make_function(payload("s3"), NATIVE)
    assert seen == [("uploads", "in/red flower + é%.jpg")]


def test_a_blob_that_fails_leaves_the_others_their_turn(app: App, payload: Load) -> None:
    seen = []

    @app.on_blob(app.bucket("uploads"))
    async def make(event: Any) -> None:
        seen.append(event.key)
        raise ValueError(event.key)

    event = payload("s3")
    event["Records"] *= 2
    with pytest.raises(ValueError, match="red flower"):
        start("make", "s3")(event, NATIVE)
    assert len(seen) == 2


def test_several_buckets(app: App, payload: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    for name, physical in (("first", "other"), ("second", "amzn-s3-demo-bucket1")):
        monkeypatch.setenv(f"PORTABLE_BUCKET_{name.upper()}", f"s3://{physical}")
        app.on_blob(app.bucket(name), kinds=("deleted",), function="both")(lambda event: seen.append(event.bucket))
    both = start("both", "s3-eventbridge")
    both(payload("s3_eventbridge"), NATIVE)
    assert seen == ["second"]
    event = payload("s3_eventbridge")
    event["detail"]["bucket"]["name"] = "third"
    with pytest.raises(ConfigError, match="bucket 'third'"):
        both(event, NATIVE)


@pytest.mark.parametrize("source", ["scheduler", "eventbridge-rule"])
def test_ticks(app: App, payload: Load, source: str) -> None:
    seen = []
    app.on_schedule(cron="0 8 * * *", function="daily")(lambda tick: seen.append(tick.scheduled_at.hour))
    start("daily", source)(payload(source.replace("-", "_")), NATIVE)
    assert seen == [8 if source == "scheduler" else 16]


def test_a_day_that_two_schedules_fire_on_counts_once(app: App) -> None:
    seen: list[datetime] = []
    app.on_schedule(cron="0 8 13 * 5", timezone="Europe/Paris", function="daily")(
        lambda tick: seen.append(tick.scheduled_at)
    )
    [function] = describe_app(app, "probe:app", Path(__file__).parent).functions
    [trigger] = function.triggers
    handle = start("daily", "scheduler")
    first, second = timers_of(trigger, "scheduler")
    assert (first.input, json.loads(second.input)["portable"]) == ("", "overlap")
    # A Thursday the 13th, a Friday the 13th, and a Friday the 20th.
    for day, timers in (("2026-08-13", [first]), ("2026-03-13", [first, second]), ("2026-03-20", [second])):
        hour = 6 if day == "2026-08-13" else 7
        for timer in timers:
            event = timer.input.replace("<aws.scheduler.scheduled-time>", f"{day}T0{hour}:00:00Z")
            handle(json.loads(event) if event else {"time": f"{day}T0{hour}:00:00Z"}, NATIVE)
    assert [one.date().isoformat() for one in seen] == ["2026-08-13", "2026-03-13", "2026-03-20"]


def test_a_rule_in_utc_is_dropped_at_the_other_offset(app: App) -> None:
    seen: list[str] = []
    app.on_schedule(cron="0 8 * * *", timezone="Europe/Paris", function="daily")(
        lambda tick: seen.append(tick.native["time"])
    )
    handle = start("daily", "eventbridge-rule")
    for hour in (6, 7):
        for day in ("2026-01-10", "2026-07-10"):
            handle({"time": f"{day}T0{hour}:00:00Z", "portable": "all"}, NATIVE)
    assert seen == ["2026-07-10T06:00:00Z", "2026-01-10T07:00:00Z"]
    with pytest.raises(ConfigError, match="says 'some', which this version does not know"):
        handle({"time": "2026-01-10T07:00:00Z", "portable": "some"}, NATIVE)
