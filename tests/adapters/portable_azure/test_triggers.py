"""Codecs on the vendor's documented payloads, decoded by Azure's own binding converters."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import azure.functions as func
import pytest
from azure.functions import blob, cosmosdb, eventgrid, eventhub, http, meta, queue, servicebus, timer

from portable.errors import HTTPError, Reject, Retry
from portable.events import BlobEvent, Message, Request, Response, Tick
from portable.manifest import FunctionRecord, TriggerRecord
from portable.resources.queue import Queue
from portable_azure.queue import Envelope, pack
from portable_azure.samples import SAMPLES, SOURCES
from portable_azure.triggers.blob import BlobStorageTrigger, EventGridTrigger
from portable_azure.triggers.direct import DirectTrigger
from portable_azure.triggers.http import HTTPTrigger
from portable_azure.triggers.storage_queue import StorageQueueTrigger
from portable_azure.triggers.timer import TimerTrigger

PAYLOADS = Path(__file__).parent / "payloads"
CONVERTERS = {
    "http": http.HttpRequestConverter,
    "direct": http.HttpRequestConverter,
    "storage-queue": queue.QueueMessageInConverter,
    "service-bus": servicebus.ServiceBusMessageInConverter,
    "blob": blob.BlobConverter,
    "blob-eventgrid": blob.BlobConverter,
    "event-grid": eventgrid.EventGridEventInConverter,
    "event-hub": eventhub.EventHubTriggerConverter,
    "timer": timer.TimerRequestConverter,
    "cosmos-db": cosmosdb.CosmosDBTriggerConverter,
    "web-pubsub": http.HttpRequestConverter,
}


def datum(document: Any) -> meta.Datum:
    if not document:
        return meta.Datum(b"", "bytes")
    [(kind, value)] = document.items()
    if kind == "bytes":
        value = base64.b64decode(value)
    elif kind == "http":
        value = {
            **{name: meta.Datum(value[name], "string") for name in ("method", "url")},
            **{
                name: {key: meta.Datum(one, "string") for key, one in value[name].items()}
                for name in ("headers", "params", "query")
            },
            "body": datum(value.get("body")),
        }
    return meta.Datum(value, kind)


def native(source: str, document: Any) -> Any:
    """What the worker hands over for an invocation."""
    metadata = {name: datum(value) for name, value in document["metadata"].items()}
    return CONVERTERS[source].decode(datum(document["data"]), trigger_metadata=metadata)


def payload(name: str, source: str) -> Any:
    return native(source, json.loads((PAYLOADS / f"{name}.json").read_text()))


def record(kind: str, **options: Any) -> FunctionRecord:
    trigger = TriggerRecord(kind, "app:f", "app.py:1", options)
    return FunctionRecord("f", kind, [trigger], None, None, [], [], False)


# --- HTTP


def test_http_request() -> None:
    request = HTTPTrigger.decode(payload("http", "http"))
    assert (request.method, request.raw_path, request.path) == ("GET", "/users/a%2Fb", "/users/a/b")
    assert request.query.items() == [("tag", "one"), ("tag", ""), ("tag", "two three"), ("x", "é")]
    assert (request.scheme, request.host, request.root_path) == ("https", "shop.azurewebsites.net", "")
    assert request.client == "203.0.113.7"
    assert request.cookies == {"session": "a/b==", "theme": "dark"}
    assert request.headers["Accept"] == "text/html,application/json"
    assert request.body == b""
    assert isinstance(request.native, func.HttpRequest)


@pytest.mark.parametrize(
    ("forwarded", "client"),
    [("[2001:db8::1]:443", "2001:db8::1"), ("2001:db8::1", "2001:db8::1"), ("9.8.7.6", "9.8.7.6"), ("", None)],
)
def test_client(forwarded: str, client: str | None) -> None:
    headers = {"x-forwarded-for": forwarded}
    request = HTTPTrigger.decode(func.HttpRequest("GET", "https://h/", headers=headers, body=b""))
    assert request.client == client


def test_a_request_without_a_host_has_the_path_of_the_root() -> None:
    assert HTTPTrigger.decode(func.HttpRequest("get", "https://h?a=1", body=b"")).raw_path == "/"
    with pytest.raises(ValueError, match="URL with a scheme"):
        HTTPTrigger.decode(func.HttpRequest("GET", "/users", body=b""))


def encoded(response: Response) -> Any:
    found = http.HttpResponseConverter.encode(HTTPTrigger.encode(response), expected_type=None)
    return found.value


def test_http_response() -> None:
    answer = encoded(Response("é", 201, [("x-a", "1"), ("x-b", "2"), ("X-A", "3")], "text/plain; charset=utf-8"))
    headers = {name.lower(): value.value for name, value in answer["headers"].items()}
    assert headers == {"content-type": "text/plain; charset=utf-8", "x-a": "1,3", "x-b": "2"}
    assert (answer["status_code"].value, answer["body"].value) == ("201", "é".encode())


def test_an_answer_without_a_body_gets_no_content_type() -> None:
    answer = encoded(Response(None, 204))
    assert {name: value.value for name, value in answer["headers"].items()} == {"content-type": ""}
    assert (
        SAMPLES.outcome(
            record("http"),
            Request("GET", "/"),
            {"return": {"http": {"status_code": "204", "headers": {"content-type": ""}, "cookies": []}}},
        ).response.header_pairs()
        == []
    )  # type: ignore[union-attr]


def test_several_cookies_reach_the_worker_typed() -> None:
    response = Response("ok")
    response.set_cookie("a", "1", max_age=60)
    response.set_cookie("b", "2==", expires=datetime(2030, 1, 1, tzinfo=UTC), domain="example.com")
    cookies = [one for cookie in encoded(response)["cookies"] for one in cookie.values()]
    assert [(one.key, one.value, one["max-age"], one["domain"]) for one in cookies] == [
        ("a", "1", "60", ""),
        ("b", "2==", "", "example.com"),
    ]


@pytest.mark.parametrize("cookie", ["a=b; Priority=High", "a=b; Partitioned", "a=b c", "=x", 'a="\\101"x'])
def test_a_cookie_the_worker_would_lose_is_refused(cookie: str) -> None:
    with pytest.raises(ValueError, match="cookie"):
        HTTPTrigger.encode(Response("ok", headers=[("set-cookie", cookie)]))


# --- direct


def test_direct() -> None:
    sample = SAMPLES.native(record("direct"), {"n": [1, "é"]})
    assert sample["data"]["http"]["url"].endswith("/portable-invoke/f")
    assert DirectTrigger.decode(native("direct", sample)) == {"n": [1, "é"]}
    with pytest.raises(HTTPError, match="not JSON"):
        DirectTrigger.decode(func.HttpRequest("POST", "https://h/", body=b"{"))
    assert DirectTrigger.decode(func.HttpRequest("POST", "https://h/", body=b"")) is None
    response = DirectTrigger.encode_error("f", "id-1", ValueError("no"))
    assert (response.status, json.loads(response.body)["detail"]) == (500, "ValueError: no")


# --- queue


def test_queue_message() -> None:
    message = StorageQueueTrigger.decode(payload("queue", "storage-queue"))
    assert (message.id, message.attempt) == ("0d2f8a0a-7d0c-4f7b-9a34-3e7a1b6c4d11", 2)
    assert message.body == '{"email":"ann@example.com"}'
    assert (message.attributes, message.group) == ({}, None)
    assert message.sent_at == datetime(2026, 3, 29, 8, tzinfo=UTC)


def test_a_message_sent_again_keeps_its_id_attempts_and_time() -> None:
    envelope = Envelope("{}", {"a": "b"}, 2, "first", "2026-01-01T00:00:00+00:00")
    again = queue.QueueMessage(id="second", body=pack(envelope), dequeue_count=1)
    message = StorageQueueTrigger.decode(again)
    assert (message.id, message.attempt, message.attributes) == ("first", 3, {"a": "b"})
    assert message.sent_at == datetime(2026, 1, 1, tzinfo=UTC)


def test_a_message_without_an_id_is_refused() -> None:
    with pytest.raises(ValueError, match="Id in its metadata"):
        StorageQueueTrigger.decode(queue.QueueMessage(body="{}"))


def given(attempts_before: int, dequeue_count: int) -> Message[Any]:
    text = pack(Envelope("1", {}, attempts_before))
    return StorageQueueTrigger.decode(queue.QueueMessage(id="i", body=text, dequeue_count=dequeue_count))


def test_what_is_left_to_do_for_a_message() -> None:
    trigger = StorageQueueTrigger(Queue("emails", max_attempts=3), 3)
    assert trigger.encode(None, given(0, 1), "1") is None
    assert trigger.encode(Reject(), given(0, 1), "1") is not None
    assert trigger.encode(Retry(after=timedelta(seconds=5)), given(0, 1), "1") is not None
    for wish in (ValueError("x"), Retry(), Retry(after=timedelta(0))):
        with pytest.raises(type(wish)):
            trigger.encode(wish, given(0, 2), "1")  # the host tries again
    with pytest.raises(ValueError, match="x"):
        trigger.encode(ValueError("x"), given(0, 3), "1")  # the host makes it poison
    # Sent again twice before: the host counts from one, so the entry moves it.
    assert trigger.encode(ValueError("x"), given(2, 1), "1") is not None
    # An app whose host.json has more attempts than this queue.
    assert StorageQueueTrigger(Queue("emails", max_attempts=3), 5).encode(ValueError("x"), given(0, 3), "1")


# --- blobs


def test_blob() -> None:
    event = BlobStorageTrigger("uploads").decode(payload("blob", "blob"))
    assert (event.kind, event.bucket, event.key, event.size) == ("created", "uploads", "in/été cat.png", 8)
    assert event.version == "0x8D4BCC2E4835CD0"
    assert event.time == datetime(2026, 3, 29, 8, tzinfo=UTC)
    assert event.native.read() == b"\x89PNG\r\n\x1a\n"


def test_the_size_of_an_empty_blob_is_known() -> None:
    sent = BlobEvent("created", "uploads", "empty", 0, "0x1", datetime(2026, 3, 29, 8, tzinfo=UTC))
    decoded = native("blob", SAMPLES.native(record("blob"), sent, source="blob"))
    assert BlobStorageTrigger("uploads").decode(decoded).size == 0


def test_a_blob_without_a_name_is_refused() -> None:
    with pytest.raises(ValueError, match="BlobTrigger"):
        BlobStorageTrigger("uploads").decode(blob.InputStream(data=b""))


def test_event_grid() -> None:
    event = EventGridTrigger("uploads", "portable-uploads").decode(payload("event_grid", "event-grid"))
    assert event is not None
    assert (event.kind, event.key, event.size) == ("deleted", "in/cat.png", None)
    assert event.time == datetime(2026, 3, 29, 8, 0, 0, 123456, tzinfo=UTC)


def test_an_event_of_another_container_is_not_ours() -> None:
    assert EventGridTrigger("uploads", "other").decode(payload("event_grid", "event-grid")) is None


@pytest.mark.parametrize(
    ("kind", "subject"),
    [
        ("Microsoft.Storage.BlobCreated", "/blobServices/default/containers/x"),
        ("Microsoft.Storage.BlobRenamed", "/blobServices/default/containers/x/blobs/y"),
        ("Microsoft.EventGrid.SubscriptionValidationEvent", ""),
    ],
)
def test_an_event_that_is_none_of_a_blob_is_refused(kind: str, subject: str) -> None:
    event = func.EventGridEvent(
        id="1", data={}, topic="t", subject=subject, event_type=kind, event_time=None, data_version=""
    )
    with pytest.raises(ValueError, match="Event Grid event of a blob"):
        EventGridTrigger("uploads", None).decode(event)


# --- schedules


def test_timer() -> None:
    assert TimerTrigger.decode(payload("timer", "timer")).scheduled_at == datetime(2026, 3, 29, 8, tzinfo=UTC)


def test_a_timer_that_never_ran_is_due_now() -> None:
    never = timer.TimerRequest(schedule_status={"Next": "0001-01-01T00:00:00"})
    for request in (never, timer.TimerRequest()):
        assert abs(TimerTrigger.decode(request).scheduled_at - datetime.now(UTC)) < timedelta(seconds=5)


# --- samples are the inverse of the codecs


def test_samples_name_every_source() -> None:
    assert {source for sources in SOURCES.values() for source in sources} == set(CONVERTERS)
    assert SAMPLES.sources("blob")[0] == "blob-eventgrid"


def test_http_sample() -> None:
    sent = Request(
        "POST",
        "/é b",
        query=[("a", "1"), ("a", ""), ("b", "x&y=")],
        headers=[("Cookie", "a=1"), ("x-two", "1"), ("X-Two", "2"), ("host", "shop.example")],
        body=b"\x00\xff",
        client="2001:db8::1",
    )
    got = HTTPTrigger.decode(native("http", SAMPLES.native(record("http"), sent)))
    for field in ("method", "path", "raw_path", "query", "body", "client", "scheme", "cookies"):
        assert getattr(got, field) == getattr(sent, field), field
    assert (got.headers["x-two"], got.host) == ("1,2", "shop.example")


@pytest.mark.parametrize(("sent", "got"), [("/a%2Fb", "/a%2Fb"), ("/%41%20%25", "/A%20%25"), ("//x/", "//x/")])
def test_the_path_as_the_host_gives_it(sent: str, got: str) -> None:
    sample = SAMPLES.native(record("http"), Request("GET", "/", raw_path=sent))
    assert HTTPTrigger.decode(native("http", sample)).raw_path == got


def test_message_sample() -> None:
    sent = Message("m-1", '{"a":"é"}', {"lang": "en"}, 2, datetime(2026, 3, 29, tzinfo=UTC))
    sample = SAMPLES.native(record("message", queue="emails"), [sent])
    got = StorageQueueTrigger.decode(native("storage-queue", sample))
    for field in ("id", "body", "attributes", "attempt", "sent_at"):
        assert getattr(got, field) == getattr(sent, field), field
    assert sample["resource"] == "emails"


@pytest.mark.parametrize("source", SOURCES["blob"])
@pytest.mark.parametrize("key", ["in/cat.png", "a b+é/🐍", "odd\\./"])
def test_blob_sample(source: str, key: str) -> None:
    sent = BlobEvent("created", "uploads", key, 7, "0x1", datetime(2026, 3, 29, 8, tzinfo=UTC))
    decoded = native(source, SAMPLES.native(record("blob"), sent, source=source))
    codec: Any = EventGridTrigger("uploads", "uploads") if source == "event-grid" else BlobStorageTrigger("uploads")
    got = codec.decode(decoded)
    for field in ("kind", "bucket", "key", "size", "version", "time"):
        assert getattr(got, field) == getattr(sent, field), field


def test_timer_sample() -> None:
    due = datetime(2026, 3, 29, 8, 30, tzinfo=UTC)
    got = TimerTrigger.decode(
        native("timer", SAMPLES.native(record("schedule", cron="30 8 * * *", every=None, timezone="UTC"), Tick(due)))
    )
    assert got.scheduled_at == due
