"""Streams on Azure: Event Hubs' trigger in Microsoft's worker, its retry policy, and what the entry remembers."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from portable import App, ConfigError, Retry, Stream, StreamRecord, UnsupportedError
from portable.build.artifact import Wanted, build
from portable.build.features import check_features
from portable.build.project import find_project
from portable.manifest import Manifest, describe_app
from portable.run.deployment import Deployment, deployed
from portable.run.parts import Found
from portable_azure.build import TARGET
from portable_azure.build.files import files_of
from portable_azure.build.plan import Settings, plan_apps
from portable_azure.runtime import platform
from portable_azure.samples import SAMPLES
from portable_azure.triggers.event_hub import EventHubTrigger

APP = """
from datetime import timedelta
from typing import Any

from portable import App, Context, Reject, StreamRecord

app = App("clicking")
clicks = app.stream("clicks", partitions=4)
raw = app.stream("raw", bytes)
lost = app.queue("lost")
seen = app.queue("seen")

def say(record: StreamRecord[Any]) -> None:
    seen.send([record.stream, record.id, record.attempt, record.key, str(record.time), bool(record.headers)])

@app.on_stream(clicks, dead_letters=lost, max_attempts=3, batch_size=50, start="trim")
def count(record: StreamRecord[Any], context: Context) -> None:
    assert context.message is record
    say(record)
    if record.body == "boom" or (record.body == "flaky" and record.attempt == 1):
        raise ValueError("boom")
    if record.body == "robot":
        raise Reject("a robot")

@app.on_stream(raw)
async def keep(records: list[StreamRecord[bytes]]) -> None:
    assert [one.body for one in records] == [bytes(range(256))], records
    await seen.asend([records[0].partition, records[0].headers["colour"].decode()])
"""


@pytest.fixture(scope="module")
def deployment(require_part: Callable[..., Found], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    for name in ("azure-functions-runtime", "python"):
        require_part(name, "3.13")
    require_part("azurite")
    folder = tmp_path_factory.mktemp("clicking")
    (folder / "app.py").write_text(APP, "utf-8")
    (folder / "pyproject.toml").write_text('[project]\nname = "clicking"\nversion = "0"\ndependencies = []\n', "utf-8")
    here = Path.cwd()
    try:
        built = build(find_project(folder), TARGET, Wanted(for_here=True))
    finally:
        os.chdir(here)
    with deployed(built.folder) as running:
        yield running


def records(*bodies: Any, stream: str = "clicks", partition: str = "2", **more: Any) -> list[StreamRecord[bytes]]:
    when = datetime(2026, 3, 29, 8, tzinfo=UTC)
    return [
        StreamRecord(stream, partition, str(number), json.dumps(body).encode(), "ann", when, **more)
        for number, body in enumerate(bodies, 10)
    ]


def said(deployment: Deployment, queue: str) -> list[Any]:
    return [json.loads(body) for body in deployment.snapshot().queues[queue].left]


class TestInTheWorker:
    @pytest.fixture(autouse=True)
    def _clean(self, deployment: Deployment) -> None:
        deployment.reset()

    def test_a_batch_of_one_partition(self, deployment: Deployment) -> None:
        batch = records("a", "b", headers={"colour": b"red"})
        assert deployment.deliver("count", batch).error is None
        when = "2026-03-29 08:00:00+00:00"
        assert said(deployment, "seen") == [["clicks", f"2/{n}", 1, "ann", when, True] for n in (10, 11)]

    def test_bytes_for_an_async_handler_of_a_batch(self, deployment: Deployment) -> None:
        [record] = records("x", stream="raw", partition="0", headers={"colour": b"red"})
        record.body = bytes(range(256))
        assert deployment.deliver("keep", [record]).error is None
        assert said(deployment, "seen") == [["0", "red"]]

    def test_what_is_done_is_not_handed_over_again(self, deployment: Deployment) -> None:
        outcome = deployment.deliver("count", records("a", "flaky", "b"))
        assert outcome.error == "ValueError: boom"
        assert [one[1] for one in said(deployment, "seen")] == ["2/10", "2/11"]
        deployment.reset()
        assert deployment.deliver("count", records("a", "flaky", "b", attempt=2)).error is None
        assert [one[1:3] for one in said(deployment, "seen")] == [["2/11", 2], ["2/12", 2]]

    def test_on_the_last_attempt_what_fails_is_given_up(self, deployment: Deployment) -> None:
        assert deployment.deliver("count", records("boom", "b", attempt=3)).error is None
        [letter] = said(deployment, "lost")
        assert (letter["text"], letter["error"]) == ('"boom"', "it failed 3 times: ValueError: boom")
        assert [one[1] for one in said(deployment, "seen")] == ["2/10", "2/11"]

    def test_reject_goes_to_the_dead_letters(self, deployment: Deployment) -> None:
        assert deployment.deliver("count", records("robot", "b")).error is None
        assert [one["error"] for one in said(deployment, "lost")] == ["a robot"]

    def test_the_retry_policy_is_indexed(self, deployment: Deployment) -> None:
        [bundle] = [path for name, path in deployment.artifact.bundles.items() if name == "count"]
        text = (bundle / "function_app.py").read_text("utf-8")
        assert "app.retry(strategy='exponential_backoff', max_retry_count='2'" in text
        hubs = json.loads((bundle / "host.json").read_text("utf-8"))["extensions"]["eventHubs"]
        assert hubs == {"maxEventBatchSize": 50, "initialOffsetOptions": {"type": "fromStart"}}


class Event:
    """What the library makes of an event."""

    def __init__(self, number: int | None, metadata: Any) -> None:
        self.sequence_number = number
        self.metadata = metadata
        self.partition_key = ""
        self.enqueued_time = datetime(2026, 3, 29, 8)  # noqa: DTZ001 - the library reads some without a zone

    def get_body(self) -> bytes:
        return b"1"


class TestCodec:
    def test_what_is_remembered_ends_with_the_batch(self) -> None:
        codec = EventHubTrigger("clicks")
        native = [Event(number, {"PartitionContext": {"PartitionId": "0"}}) for number in (5, 6, 7)]
        first = codec.decode(native, 1)
        assert [(one.id, one.key, one.headers) for one in first] == [(f"0/{n}", None, {}) for n in (5, 6, 7)]
        assert first[0].time == datetime(2026, 3, 29, 8, tzinfo=UTC)
        with pytest.raises(Retry):
            codec.encode(first, [None, Retry("x"), Retry("y")])
        assert [one.offset for one in codec.decode(native, 2)] == ["6", "7"]
        assert [one.offset for one in codec.decode(native, 1)] == ["5", "6", "7"]  # another lease: all of it
        codec.encode(first[1:], [None, None])
        assert [one.offset for one in codec.decode(native, 2)] == ["5", "6", "7"]
        codec.encode([], [])
        assert codec.decode([], 1) == []

    @pytest.mark.parametrize(
        ("number", "metadata", "says"),
        [
            (1, None, "has a PartitionContext with a PartitionId"),
            (1, {"PartitionContext": "[]"}, "has a PartitionContext with a PartitionId"),
            (None, {"PartitionContext": '{"PartitionId": "1"}'}, "has a SequenceNumber in its metadata"),
        ],
    )
    def test_events_that_say_too_little(self, number: int | None, metadata: Any, says: str) -> None:
        with pytest.raises(ValueError, match=says):
            EventHubTrigger("clicks").decode([Event(number, metadata)], 1)


def described(app: App) -> Manifest:
    return describe_app(app, "app:app", Path(__file__).parent)


class TestBuild:
    def files(self, app: App, **settings: Any) -> list[dict[str, bytes]]:
        manifest = described(app)
        return [files_of(one, manifest.spec) for one in plan_apps(manifest, Settings(**settings))]

    def test_streams_that_differ_are_apps_of_their_own(self) -> None:
        app = App("apart")
        clicks = app.stream("clicks")
        app.on_stream(clicks, function="one", max_attempts=1, window=timedelta(seconds=90))(lambda record: None)
        app.on_stream(clicks, function="two")(lambda record: None)
        app.on_stream(clicks, function="three")(lambda record: None)
        first, second = self.files(app)
        assert b"app.retry" not in first["function_app.py"]
        assert json.loads(first["host.json"])["extensions"]["eventHubs"] == {
            "maxEventBatchSize": 100,
            "initialOffsetOptions": {"type": "fromEnd"},
            "minEventBatchSize": 100,
            "maxWaitTime": "00:01:30",
        }
        assert second["function_app.py"].count(b"max_retry_count='-1'") == 2
        assert b"consumer_group='%PORTABLE_CONSUMERGROUP_CLICKS_TWO%'" in second["function_app.py"]

    def test_what_is_not_given(self) -> None:
        app = App("asked")
        clicks = app.stream("clicks")
        app.on_stream(clicks, function="one", parallel=2)(lambda record: None)
        app.on_stream(clicks, function="two", bisect=True)(lambda record: None)
        app.on_message(app.queue("mails"), batch_size=1, function="mail")(lambda message: clicks.send(1, key="a"))
        manifest = described(app)
        [bisect] = check_features(manifest, TARGET)
        assert bisect.message == (
            "function 'two' takes stream 'clicks' with bisect=True; target azure has none: the host calls again with "
            "the whole batch"
        )
        found = [(one.severity, one.message) for one in TARGET.check(manifest, {}) if "stream" in one.message]
        assert [severity for severity, _ in found] == ["warning", "error"]
        assert "parallel=2: Event Hubs has one batch of a partition in hand at a time" in found[0][1]
        assert "function 'mail' uses stream 'clicks', and is not called by it" in found[1][1]

    def test_one_app_for_all_has_one_start(self) -> None:
        app = App("union")
        clicks = app.stream("clicks")
        app.on_stream(clicks, function="one", start="trim", batch_size=7)(lambda record: None)
        app.on_stream(clicks, function="two")(lambda record: None)
        found = [one for one in TARGET.check(described(app), {"apps": "one"}) if one.severity == "error"]
        assert [one.message for one in found] == [
            "apps = 'one', and the streams of function 'two' have another start or window"
        ]


def test_an_event_hub_is_not_sent_to() -> None:
    clicks: Stream[Any] = Stream("clicks")
    driver = platform({"PORTABLE_STREAM_CLICKS": "sb://name.servicebus.windows.net/clicks"}).open(clicks)
    assert driver.partitions() == []
    for call in (lambda: driver.send_many([("a", b"1")]), lambda: driver.read("0", None, 1), driver.native):
        with pytest.raises(UnsupportedError, match="is written to with azure-eventhub"):
            call()
    with pytest.raises(ConfigError, match="is sb://NAMESPACE"):
        platform({"PORTABLE_STREAM_CLICKS": "clicks"}).open(clicks)


def test_a_batch_is_of_one_partition() -> None:
    app = App("mixed")
    app.on_stream(app.stream("clicks"), function="count")(lambda record: None)
    batch = [*records("a"), *records("b", partition="3")]
    with pytest.raises(ConfigError, match="a batch of Event Hubs is of one partition"):
        SAMPLES.native(described(app).function("count"), batch)
