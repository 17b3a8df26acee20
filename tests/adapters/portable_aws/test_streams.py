"""Streams on AWS: Kinesis' and Kafka's events, and the answers that say from where on a partition comes again.

The oracle is AWS's own Powertools: what it reads from an event, and what its batch processor answers.
"""

from __future__ import annotations

import copy
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from portable import App, ConfigError, Stream, StreamRecord, UnavailableError, UnsupportedError
from portable.build.features import check_features
from portable.manifest import Manifest, describe_app
from portable.resources import set_platform, use_platform
from portable.testing.conformance import StreamConformance
from portable_aws.build import TARGET
from portable_aws.capabilities import CAPABILITIES
from portable_aws.limits import STREAM_RECORD_BYTES
from portable_aws.provision import make_stream
from portable_aws.runtime import entry, platform
from portable_aws.samples import SAMPLES
from portable_aws.stream import KinesisStream
from portable_aws.triggers.kafka import MSK, SelfManagedKafka
from portable_aws.triggers.kinesis import AGGREGATED, Kinesis

NATIVE = type("Native", (), {"aws_request_id": "1", "get_remaining_time_in_millis": lambda self: 60_000})()


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch) -> Iterator[App]:
    module = ModuleType("stream_app")
    module.app = App("clicks")
    monkeypatch.setitem(sys.modules, "stream_app", module)
    yield module.app
    set_platform(None)


def manifest(app: App) -> Manifest:
    return describe_app(app, "stream_app:app", Path(__file__).parent)


def batch(*bodies: Any, partition: str = "0", start: int = 1) -> list[StreamRecord[bytes]]:
    return [
        StreamRecord("clicks", partition, str(number), json.dumps(body).encode(), "ann")
        for number, body in enumerate(bodies, start)
    ]


def deliver(app: App, event: list[StreamRecord[bytes]], source: str = "kinesis") -> Any:
    native = SAMPLES.native(manifest(app).function("count"), event, source=source)
    return entry("stream_app:app", "count", source=source)(json.loads(json.dumps(native)), NATIVE)


class TestEvents:
    def test_kinesis_as_powertools_reads_it(self, payload: Callable[[str], Any]) -> None:
        classes = pytest.importorskip("aws_lambda_powertools.utilities.data_classes")
        event = payload("kinesis")
        theirs = list(classes.KinesisStreamEvent(event).records)
        ours = Kinesis.decode(event)
        assert [one.body for one in ours] == [one.kinesis.data_as_bytes() for one in theirs]
        assert [one.offset for one in ours] == [one.kinesis.sequence_number for one in theirs]
        assert [one.key for one in ours] == [one.kinesis.partition_key for one in theirs]
        assert [one.time and one.time.timestamp() for one in ours] == [
            one.kinesis.approximate_arrival_timestamp for one in theirs
        ]
        assert ours[0].partition == "shardId-000000000006"
        assert (ours[0].headers, ours[0].attempt, ours[0].native) == ({}, None, event["Records"][0])
        assert Kinesis.stream(event) == "lambda-stream"

    def test_kafka_as_powertools_reads_it(self, payload: Callable[[str], Any]) -> None:
        classes = pytest.importorskip("aws_lambda_powertools.utilities.data_classes")
        event = payload("msk")
        ours = MSK.decode(event)
        theirs = list(classes.KafkaEvent(event).records)
        assert [(one.partition, one.offset) for one in ours] == [
            (str(one.partition), str(one.offset)) for one in theirs
        ]
        assert [one.body for one in ours[:2]] == [one.decoded_value for one in theirs[:2]]
        assert ours[0].key == theirs[0].decoded_key.decode() == "recordKey"
        assert ours[0].headers == {"headerKey": theirs[0].decoded_headers["HeaderKey"]} == {"headerKey": b"headerValue"}
        assert ours[0].time is not None
        assert ours[0].time.timestamp() == 1545084650.987
        assert (ours[1].key, ours[1].headers) == (None, {})
        assert (ours[2].body, ours[2].key, ours[2].headers) == (None, "gP8=", {"signed": b"\xffA"})
        assert MSK.stream(event) == "mytopic"
        assert [one.id for one in SelfManagedKafka.decode(event)] == ["0/15", "0/16", "3/7"]

    @pytest.mark.parametrize(
        ("change", "says"),
        [
            (lambda event: event.pop("Records"), "'Records' is missing"),
            (lambda event: event["Records"][0].pop("kinesis"), "'kinesis' is missing"),
            (lambda event: event["Records"][0].pop("eventID"), "'eventID' is missing"),
            (lambda event: event["Records"][0]["kinesis"].update(data="$"), "kinesis"),
        ],
    )
    def test_malformed_kinesis(self, payload: Callable[[str], Any], change: Any, says: str) -> None:
        event = payload("kinesis")
        change(event)
        with pytest.raises(ValueError, match=says):
            Kinesis.decode(event)

    @pytest.mark.parametrize(
        ("change", "says"),
        [
            (lambda event: event.pop("records"), r"not a batch of a Kafka topic \(kafka\): 'records' is missing"),
            (lambda event: event["records"]["mytopic-0"][0].pop("offset"), "'offset' is missing"),
            (lambda event: event["records"]["mytopic-0"][0].update(partition="x"), "kafka"),
            (lambda event: event["records"]["mytopic-0"][0].update(value="$"), "kafka"),
            (lambda event: event.update(records=[]), "kafka"),
        ],
    )
    def test_malformed_kafka(self, payload: Callable[[str], Any], change: Any, says: str) -> None:
        event = payload("msk")
        change(event)
        with pytest.raises(ValueError, match=says):
            SelfManagedKafka.decode(event)


class TestAnswers:
    def processor(self, kind: str, event: Any, bad: Callable[[Any], bool]) -> Any:
        """What Powertools' batch processor answers, of whose failures Lambda takes the earliest of each partition."""
        package = pytest.importorskip("aws_lambda_powertools.utilities.batch")

        def handle(record: Any) -> None:
            if bad(record):
                raise ValueError("bad")

        processor = package.BatchProcessor(event_type=package.EventType[kind], raise_on_entire_batch_failure=False)
        return package.process_partial_response(
            event=event,
            record_handler=handle,
            processor=processor,
            context=NATIVE,  # type: ignore[arg-type]
        )

    def test_kinesis_as_powertools_answers(self, app: App) -> None:
        @app.on_stream(app.stream("clicks"))
        def count(record: StreamRecord[Any]) -> None:
            if record.body == "bad":
                raise ValueError("bad")

        event = batch("good", "bad", "good", "bad")
        native = SAMPLES.native(manifest(app).function("count"), event)
        theirs = self.processor(
            "KinesisDataStreams", copy.deepcopy(native), lambda one: b"bad" in one.kinesis.data_as_bytes()
        )
        [first] = deliver(app, event)["batchItemFailures"]
        assert first == theirs["batchItemFailures"][0] == {"itemIdentifier": "2"}

    def test_kafka_as_powertools_answers(self, app: App) -> None:
        @app.on_stream(app.stream("clicks"))
        async def count(record: StreamRecord[Any]) -> None:
            if record.body == "bad":
                raise ValueError("bad")

        event = [*batch("good", "bad", "good"), *batch("bad", partition="7", start=70), *batch("good", partition="2")]
        native = SAMPLES.native(manifest(app).function("count"), event, source="msk")
        theirs = self.processor("Kafka", copy.deepcopy(native), lambda one: one.decoded_value == b'"bad"')
        answer = deliver(app, event, "kafka")
        assert answer == theirs
        assert SAMPLES.outcome(manifest(app).function("count"), event, answer).failed == ["0/2", "7/70"]

    def test_all_done(self, app: App) -> None:
        @app.on_stream(app.stream("clicks"))
        def count(records: list[StreamRecord[Any]]) -> None:
            assert [(one.stream, one.body) for one in records] == [("clicks", 1), ("clicks", 2)]

        assert deliver(app, batch(1, 2)) == {"batchItemFailures": []}
        assert entry("stream_app:app", "count")({"Records": []}, NATIVE) == {"batchItemFailures": []}

    def test_a_function_of_two_streams_finds_the_one(self, app: App, monkeypatch: pytest.MonkeyPatch) -> None:
        seen: list[str] = []
        for name in ("clicks", "views"):
            app.on_stream(app.stream(name), function="count")(lambda record: seen.append(record.stream))
            monkeypatch.setenv(f"PORTABLE_STREAM_{name.upper()}", f"kinesis://{name}-stream")
        deliver(app, batch(1))
        assert seen == ["clicks"]
        monkeypatch.setenv("PORTABLE_STREAM_CLICKS", "kinesis://another")
        with pytest.raises(ConfigError, match="a batch of stream 'clicks-stream', whose address is none of those of"):
            deliver(app, batch(1))

    def test_an_aggregate_is_named(self, app: App, caplog: pytest.LogCaptureFixture) -> None:
        app.on_stream(app.stream("clicks"), function="count")(lambda record: None)
        [record] = batch(1)
        record.body = AGGREGATED + b"\x0a\x01"
        assert deliver(app, [record]) == {"batchItemFailures": [{"itemIdentifier": "1"}]}
        assert "put together by the Kinesis Producer Library: turn its AggregationEnabled off" in caplog.text


class TestCheck:
    def findings(self, app: App, **settings: str) -> list[str]:
        found = [*check_features(manifest(app), TARGET), *TARGET.check(manifest(app), settings)]
        return [f"{one.severity}: {one.message}" for one in found]

    def test_kinesis(self, app: App) -> None:
        clicks, lost = app.stream("clicks"), app.queue("lost")
        app.on_stream(clicks, function="count", bisect=True, parallel=4)(lambda record: None)
        assert self.findings(app) == []
        app.on_stream(clicks, function="more", max_attempts=3, dead_letters=lost)(lambda record: None)
        [finding] = self.findings(app)
        assert finding.startswith("warning: stream clicks: after max_attempts=3 Lambda gives up the rest of the batch")

    def test_kafka(self, app: App) -> None:
        clicks = app.stream("clicks")
        app.on_stream(clicks, function="count", parallel=2)(lambda record: None)
        app.on_message(app.queue("mails"), function="mail")(lambda message: clicks.send(message.body, key="a"))
        found = self.findings(app, stream="kafka")
        assert [one.partition(":")[0] for one in found] == ["info", "warning", "error"]
        assert "function mail uses stream clicks, and is not called by it" in found[2]
        assert self.findings(app, stream="rabbit") == [
            "error: [tool.portable.aws] stream = 'rabbit': AWS has no such source"
        ]


def test_the_build_takes_the_chosen_source(app: App) -> None:
    app.on_stream(app.stream("clicks"), function="count")(lambda record: None)
    described = manifest(app)
    for settings, source in (({}, "kinesis"), ({"stream": "msk"}, "msk"), ({"stream": "kafka"}, "kafka")):
        [bundle] = TARGET.bundles(described, settings)
        assert bundle.sources == {"count": source}
        assert f"('count', (), '{source}')" in bundle.files["portable_entry.py"].decode()
        needed = TARGET.requirements(described, settings)
        assert any(one.startswith("botocore") for one in needed) == (source == "kinesis")


def test_a_topic_of_kafka_is_not_sent_to(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    clicks = app.stream("clicks")
    driver = platform({"PORTABLE_STREAM_CLICKS": "kafka://clicks"}).open(clicks)
    assert driver.partitions() == []
    for call in (lambda: driver.send_many([("a", b"1")]), lambda: driver.read("0", None, 1), driver.native):
        with pytest.raises(UnsupportedError, match="portable brings no Kafka client"):
            call()
    with pytest.raises(ConfigError, match=r"is kinesis://NAME or kafka://TOPIC, not 'clicks'"):
        platform({"PORTABLE_STREAM_CLICKS": "clicks"}).open(clicks)


class TestStream(StreamConformance):
    capabilities = CAPABILITIES["stream"]
    largest_record = STREAM_RECORD_BYTES

    @pytest.fixture
    def stream(self, account: Any) -> Iterator[Stream[Any]]:
        address = make_stream(account.client("kinesis"), "clicks-physical", {"partitions": 2})
        aws = platform(
            account.environment
            | {"PORTABLE_STREAM_CLICKS": address, "PORTABLE_STREAM_MISSING": "kinesis://nothing-is-here"}
        )
        with use_platform(aws):
            yield Stream("clicks", partitions=2)
        aws.close()


class Refusing:
    """Takes every record but the second."""

    def put_records(self, **request: Any) -> dict[str, Any]:
        rows: list[dict[str, Any]] = [{"SequenceNumber": "1", "ShardId": "0"} for _ in request["Records"]]
        if len(rows) > 1:
            rows[1] = {"ErrorCode": "ProvisionedThroughputExceededException", "ErrorMessage": "slow down"}
        return {"FailedRecordCount": 1, "Records": rows}


def test_a_partial_failure_names_its_record() -> None:
    driver = KinesisStream("clicks", "clicks", {})
    driver._client._client = Refusing()
    sent = [("ann", b"1"), ("bob", b"2"), *[("ann", b"3")] * 499]
    refused = driver.send_many(sent)
    assert [(one.index, type(one.error)) for one in refused] == [(1, UnavailableError)]
    assert str(refused[0].error).startswith("stream clicks, key 'bob': ProvisionedThroughputExceededException")
    assert driver.native().__class__ is Refusing


def test_one_call_holds_ten_megabytes() -> None:
    calls: list[int] = []

    class Counting:
        def put_records(self, **request: Any) -> dict[str, Any]:
            calls.append(len(request["Records"]))
            return {"Records": [{} for _ in request["Records"]]}

    driver = KinesisStream("clicks", "clicks", {})
    driver._client._client = Counting()
    assert driver.send_many([("a", b"x" * 4_000_000)] * 5) == []
    assert calls == [2, 2, 1]
