"""Codecs of messages, blobs and schedules on the events AWS documents, and samples as their inverse."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from portable import BlobEvent, ConfigError, HTTPError, Message, Response, Tick
from portable.manifest import FunctionRecord, TriggerRecord
from portable.samples.neutral import make_request, sample_event
from portable_aws.samples import SAMPLES
from portable_aws.triggers import CODECS, codec_of
from portable_aws.triggers.s3 import S3, S3EventBridge
from portable_aws.triggers.schedule import EventBridgeRule, Scheduler
from portable_aws.triggers.sqs import SQS

Load = Callable[[str], Any]

OPTIONS: dict[str, dict[str, Any]] = {
    "http": {"method": "POST", "path": "/users/{id:int}", "status": None, "auth": "public", "max_body": None},
    "message": {"queue": "emails", "batch_size": 10},
    "blob": {"bucket": "uploads", "prefix": "in/", "suffix": ".png", "kinds": ["created"]},
    "schedule": {"cron": "0 8 * * *", "every": None, "timezone": "UTC"},
    "change": {"table": "users", "old": True, "key": [["id", "str"]]},
    "direct": {},
    "stream": {"stream": "clicks", "batch_size": 10},
    "socket": {"path": "/chat", "sockets": "chat"},
}


def record(kind: str) -> FunctionRecord:
    return FunctionRecord(
        kind, kind, [TriggerRecord(kind, "app:f", "app.py:1", OPTIONS[kind])], None, None, [], [], False
    )


def test_sqs(payload: Load) -> None:
    first, second = SQS.decode(payload("sqs"))
    assert (first.id, first.body) == ("059f36b4-87a3-44ab-83d2-661975830a7d", '"Test message."')
    assert (first.attributes, first.attempt, first.group) == ({"myAttribute": "myValue"}, 2, None)
    assert first.sent_at == datetime(2018, 12, 17, 21, 37, 29, 183000, UTC)
    assert first.native["receiptHandle"].startswith("AQEB")
    assert SQS.queue(payload("sqs")) == "my-queue"
    assert SQS.encode([first, second], [None, ValueError()]) == {"batchItemFailures": [{"itemIdentifier": second.id}]}


def test_sqs_fifo(payload: Load) -> None:
    assert [message.group for message in SQS.decode(payload("sqs_fifo"))] == ["a", "a", "b", "a", "b"]


def test_s3(payload: Load) -> None:
    [event] = S3.decode(payload("s3"))
    assert (event.kind, event.bucket, event.key) == ("created", "amzn-s3-demo-bucket", "in/red flower + é%.jpg")
    assert (event.size, event.version) == (1024, "096fKKXTRTtl3on89fVO.nfljtsv6qko")
    assert event.time == datetime(1970, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("ObjectCreated:CompleteMultipartUpload", "created"),
        ("ObjectRemoved:DeleteMarkerCreated", "deleted"),
        ("LifecycleExpiration:Delete", "deleted"),
    ],
)
def test_s3_kinds(payload: Load, name: str, kind: str) -> None:
    event = payload("s3")
    event["Records"][0]["eventName"] = name
    assert S3.decode(event)[0].kind == kind


def test_s3_deletion_has_no_size(payload: Load) -> None:
    event = payload("s3")
    event["Records"][0]["s3"]["object"] = {"key": "a", "sequencer": "0"}
    [blob] = S3.decode(event)
    assert (blob.size, blob.version) == (None, None)


def test_s3_through_eventbridge(payload: Load) -> None:
    [event] = S3EventBridge.decode(payload("s3_eventbridge"))
    assert (event.kind, event.bucket, event.key) == ("deleted", "amzn-s3-demo-bucket1", "in/a+b %.txt")
    assert (event.size, event.version) == (None, "1QW9g1Z99LUNbvaaYVpW9xDlOLU.qxgF")
    assert event.time == datetime(2021, 11, 12, tzinfo=UTC)


def test_schedules(payload: Load) -> None:
    assert Scheduler.decode(payload("scheduler")).scheduled_at == datetime(2023, 3, 29, 8, tzinfo=UTC)
    assert EventBridgeRule.decode(payload("eventbridge_rule")).scheduled_at == datetime(
        2015, 10, 8, 16, 53, 6, tzinfo=UTC
    )


@pytest.mark.parametrize(
    ("codec", "event", "problem"),
    [
        (SQS, {}, "'Records' is missing"),
        (SQS, {"Records": [{}]}, "'body' is missing"),
        (SQS, "text", "it is str, not an object"),
        (S3, {"Records": [{"eventName": "ObjectRestore:Post"}]}, "its eventName 'ObjectRestore:Post' is none of"),
        (S3, {"Event": "s3:TestEvent"}, "'Records' is missing"),
        (S3EventBridge, {"detail-type": "Object Tags Added"}, "its detail-type 'Object Tags Added' is none of"),
        (Scheduler, {}, "'time' is missing"),
        (EventBridgeRule, {"time": 7}, "its time is 7"),
        (EventBridgeRule, None, "it is NoneType, not an object"),
    ],
)
def test_malformed(codec: Any, event: Any, problem: str) -> None:
    with pytest.raises(ValueError, match=f"\\({codec.source}\\): {problem}"):
        codec.decode(event)


@pytest.mark.parametrize(
    ("name", "record"),
    [
        ("messageId", {"body": "", "messageId": [1]}),
        ("MessageGroupId", {"body": "", "attributes": {"MessageGroupId": {}}}),
    ],
)
def test_what_names_a_message_is_text(name: str, record: dict[str, Any]) -> None:
    (message,) = SQS.decode({"Records": [record]})
    with pytest.raises(ValueError, match=f"the {name} of an SQS message is .*, which is no text"):
        _ = message.id if name == "messageId" else message.group


# --- samples


def test_unknown_source() -> None:
    with pytest.raises(ConfigError, match="'sns' for message functions; there are sqs"):
        SAMPLES.native(record("message"), [], source="sns")
    with pytest.raises(ConfigError, match="'websocket' for http functions; there are http-api, rest-api"):
        codec_of("http", "websocket")


@pytest.mark.parametrize("source", CODECS["http"])
@pytest.mark.parametrize(
    "target", ["/", "/users/7", "/caf%C3%A9/a%20b", "/a?x=1&x=2&y=a%2Bb+c&z=&%C3%A9=%F0%9F%90%8D", "/dir/"]
)
def test_http_samples_come_back(source: str, target: str) -> None:
    headers = [
        ("Accept", "a"),
        ("x-many", "1"),
        ("X-Many", "2"),
        ("cookie", "a=1; b=2"),
        ("content-type", "text/plain"),
    ]
    request = make_request("POST", target, headers=headers, body="é".encode(), client="203.0.113.7", scheme="https")
    decoded = codec_of("http", source).decode(SAMPLES.native(record("http"), request, source=source))
    for name in ("method", "path", "raw_path", "body", "client", "scheme", "host", "cookies", "query"):
        assert getattr(decoded, name) == getattr(request, name), name
    for name in request.headers:
        assert decoded.headers[name] == request.headers[name], name


@pytest.mark.parametrize("source", ["rest-api", "alb", "function-url"])
def test_an_encoded_slash_comes_back(source: str) -> None:
    decoded = codec_of("http", source).decode(
        SAMPLES.native(record("http"), make_request("GET", "/a%2Fb"), source=source)
    )
    assert decoded.raw_path == "/a%2Fb"


def test_an_encoded_slash_is_lost_behind_an_http_api() -> None:
    decoded = codec_of("http", "http-api").decode(SAMPLES.native(record("http"), make_request("GET", "/a%2Fb")))
    assert decoded.raw_path == "/a/b"


@pytest.mark.parametrize("source", CODECS["http"])
def test_http_outcomes_come_back(source: str) -> None:
    response = Response(b"\x00\xff", 201, [("x-a", "1")], "image/png")
    response.set_cookie("a", "1")
    response.set_cookie("b", "2")
    codec, function, request = codec_of("http", source), record("http"), make_request("GET", "/")
    answer = codec.encode(response, SAMPLES.native(function, request, source=source))
    outcome = SAMPLES.outcome(function, request, answer, source=source).response
    assert outcome is not None
    assert (outcome.status, outcome.body) == (201, b"\x00\xff")
    assert sorted(outcome.header_pairs()) == sorted(response.header_pairs())


def test_an_answer_a_gateway_refuses() -> None:
    assert SAMPLES.outcome(record("http"), None, {"body": "x"}).error is not None


def test_message_samples_come_back() -> None:
    sent = datetime(2026, 3, 29, 8, 0, 0, 123000, UTC)
    batch = [Message("id-1", '"é"', {"a": "b"}, 3, sent), Message("id-2", "{}", group="g")]
    event = SAMPLES.native(record("message"), batch)
    first, second = SQS.decode(event)
    assert (first.id, first.body, first.attributes, first.attempt, first.sent_at) == (
        "id-1",
        '"é"',
        {"a": "b"},
        3,
        sent,
    )
    assert (second.group, second.native["eventSourceARN"].endswith(".fifo")) == ("g", True)
    outcome = SAMPLES.outcome(record("message"), batch, SQS.encode([first, second], [None, HTTPError(500)]))
    assert outcome.failed == ["id-2"]


@pytest.mark.parametrize("source", CODECS["blob"])
@pytest.mark.parametrize("kind", ["created", "deleted"])
def test_blob_samples_come_back(source: str, kind: Any) -> None:
    time = datetime(2026, 3, 29, 8, tzinfo=UTC)
    event = BlobEvent(kind, "uploads", "in/é + %2F.png", 5 if kind == "created" else None, "v1", time)
    [decoded] = codec_of("blob", source).decode(SAMPLES.native(record("blob"), event, source=source))
    assert (decoded.kind, decoded.key, decoded.size, decoded.version, decoded.time) == (
        kind,
        event.key,
        event.size,
        "v1",
        time,
    )


@pytest.mark.parametrize("source", CODECS["schedule"])
def test_tick_samples_come_back(source: str) -> None:
    tick = Tick(datetime(2026, 3, 29, 8, tzinfo=UTC))
    decoded = codec_of("schedule", source).decode(SAMPLES.native(record("schedule"), tick, source=source))
    assert decoded.scheduled_at == tick.scheduled_at


@pytest.mark.parametrize("kind", CODECS)
def test_every_source_has_a_sample(kind: str) -> None:
    for source in SAMPLES.sources(kind):
        function = record(kind)
        assert codec_of(kind, source).decode(SAMPLES.native(function, sample_event(function), source=source))
