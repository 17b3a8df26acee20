"""Codecs on the payloads Google documents (``payloads/``, each names its page)."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cloudevents.http import from_http
from werkzeug.test import EnvironBuilder
from werkzeug.wrappers import Request as NativeRequest

from portable.errors import ConfigError, HTTPError, Reject, Retry
from portable_gcp.triggers import SOURCES, codec
from portable_gcp.triggers.http import HTTP
from portable_gcp.triggers.posted import Direct, Scheduler
from portable_gcp.triggers.pubsub import PubSubEventarc, PubSubPush
from portable_gcp.triggers.storage import StorageEventarc


def posted(document: Any, *, method: str = "POST", path: str = "/", headers: Any = None) -> NativeRequest:
    data = document if isinstance(document, bytes) else json.dumps(document).encode()
    return NativeRequest(EnvironBuilder(path=path, method=method, headers=headers, data=data).get_environ())


def event(payload: Any) -> Any:
    return from_http(payload["headers"], json.dumps(payload["body"]).encode())


def test_every_source_has_a_codec() -> None:
    for names in SOURCES.values():
        for name in names:
            assert codec(name).signature in ("http", "cloudevent")
    with pytest.raises(ConfigError, match="no event source 'sqs'"):
        codec("sqs")


def test_all_that_posts_events_is_guarded() -> None:
    guarded = {name for names in SOURCES.values() for name in names if codec(name).guarded}
    assert guarded == {"pubsub-push", "pubsub-eventarc", "storage-eventarc", "firestore-eventarc", "scheduler"}


# --- HTTP


def environ(target: str, **more: Any) -> dict[str, Any]:
    path, _, query = target.partition("?")
    return {
        "REQUEST_METHOD": "GET",
        "RAW_URI": target,
        "PATH_INFO": path,
        "QUERY_STRING": query,
        "HTTP_HOST": "f.run.app",
        "REMOTE_ADDR": "169.254.1.1",
        "wsgi.url_scheme": "http",
        **more,
    }


def http(target: str, **more: Any) -> Any:
    return HTTP.decode(NativeRequest(environ(target, **more)))


@pytest.mark.parametrize(
    ("target", "raw_path", "path"),
    [
        ("/a%2Fb", "/a%2Fb", "/a/b"),
        ("/%C3%A9?x=1", "/%C3%A9", "/é"),
        ("/a//b/", "/a//b/", "/a//b/"),
        ("//a", "//a", "//a"),
        ("/?x", "/", "/"),
        ("http://f.run.app/a%20b?x", "/a%20b", "/a b"),
        ("http://f.run.app", "/", "/"),
    ],
)
def test_the_path_is_as_sent(target: str, raw_path: str, path: str) -> None:
    request = http(target)
    assert (request.raw_path, request.path, request.root_path) == (raw_path, path, "")


def test_without_the_raw_target_the_decoded_path_is_quoted() -> None:
    given = environ("/", PATH_INFO="/é b".encode().decode("latin-1"))
    del given["RAW_URI"]
    assert HTTP.decode(NativeRequest(given)).raw_path == "/%C3%A9%20b"


def test_query_headers_cookies_and_caller() -> None:
    request = http(
        "/p?x=1&x=2&y=&z=a+b%26",
        HTTP_X_FORWARDED_FOR="6.6.6.6, 203.0.113.7",
        HTTP_X_FORWARDED_PROTO="https",
        HTTP_COOKIE='a=1; b="2"',
        HTTP_ACCEPT="a/b,c/d",
        CONTENT_TYPE="text/plain",
        CONTENT_LENGTH="",
    )
    assert request.query.items() == [("x", "1"), ("x", "2"), ("y", ""), ("z", "a b&")]
    assert request.cookies == {"a": "1", "b": "2"}
    assert request.headers["Accept"] == "a/b,c/d"
    assert request.headers["content-type"] == "text/plain"
    assert "content-length" not in request.headers
    # Google's front end appends the address it saw: what stands before it may be made up.
    assert (request.client, request.scheme, request.host) == ("203.0.113.7", "https", "f.run.app")
    assert http("/").client == "169.254.1.1"


# --- Pub/Sub


def test_production_push(payload: Callable[[str], Any]) -> None:
    document = payload("pubsub_push")
    message, queue = PubSubPush.decode(posted(document["body"]))
    assert (message.id, message.body, queue) == (
        "2070443601311540",
        "Hello Cloud Pub/Sub! Here is my message!",
        None,
    )
    assert message.attributes == {"key": "value"}
    assert message.sent_at == datetime(2021, 2, 26, 19, 13, 55, 749000, UTC)
    assert (message.attempt, message.group) == (1, None)
    assert message.native == document["body"]


def test_push_with_dead_letters_and_order(payload: Callable[[str], Any]) -> None:
    message, queue = PubSubPush.decode(posted(payload("pubsub_push_dead_letters")["body"], path="/emails"))
    assert (message.attempt, message.group, message.attributes, queue) == (5, "customer-7", {}, "emails")
    assert message.sent_at == datetime(2021, 2, 26, 19, 13, 55, 749123, UTC)


def test_push_of_the_emulator(payload: Callable[[str], Any]) -> None:
    message, _ = PubSubPush.decode(posted(payload("pubsub_push_emulator")["body"]))
    assert (message.id, message.body, message.attributes) == ("1", '{"id":7}', {"origin": "signup"})
    assert message.sent_at == datetime(2026, 11, 23, 9, 22, 4, 963000, UTC)
    assert message.attempt == 1


def test_the_least_a_push_holds() -> None:
    message, _ = PubSubPush.decode(posted({"message": {"message_id": "7"}}))
    assert (message.id, message.body, message.attributes, message.sent_at) == ("7", "", {}, None)


def test_eventarc_message(payload: Callable[[str], Any]) -> None:
    message, queue = PubSubEventarc.decode(event(payload("pubsub_eventarc")))
    assert (message.id, message.body, queue) == ("2070443601311540", '{"id":7}', None)
    with pytest.raises(HTTPError, match="400 an event of type"):
        PubSubEventarc.decode(event(payload("storage_finalized")))


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        (b"{", "not JSON"),
        (b"\xff", "not JSON"),
        ([], "no object 'message'"),
        ({}, "no object 'message'"),
        ({"message": "x"}, "no object 'message'"),
        ({"message": {}}, "no 'messageId'"),
        ({"message": {"messageId": 7}}, "no 'messageId'"),
        ({"message": {"messageId": "7", "attributes": ["a"]}}, "'attributes' is no object"),
        ({"message": {"messageId": "7", "data": "%%%"}}, "no text in base64"),
        ({"message": {"messageId": "7", "data": "/w=="}}, "no text in base64"),
        ({"message": {"messageId": "7", "data": 5}}, "no text in base64"),
    ],
)
def test_malformed_push(document: Any, problem: str) -> None:
    with pytest.raises(HTTPError, match=rf"400 not a Pub/Sub push request: .*{problem}"):
        PubSubPush.decode(posted(document))


def test_a_push_is_a_post() -> None:
    with pytest.raises(HTTPError, match="405"):
        PubSubPush.decode(posted(b"", method="GET"))


@pytest.mark.parametrize(
    ("outcome", "status", "detail"),
    [
        (None, 204, None),
        (Retry("later", after=timedelta(seconds=90)), 429, "message 7: later"),
        (Retry(), 429, "message 7: another attempt was asked for"),
        (ValueError("bad"), 500, "message 7: ValueError: bad"),
        (Reject("no"), 500, "message 7: Reject: no"),
    ],
)
def test_outcomes(outcome: BaseException | None, status: int, detail: str | None) -> None:
    message, _ = PubSubPush.decode(posted({"message": {"messageId": "7"}}))
    response = PubSubPush.encode(message, outcome)
    assert response.status == status
    assert detail is None or json.loads(response.body)["detail"] == detail
    if isinstance(outcome, Retry) and outcome.after:
        assert response.headers["retry-after"] == "90"


# --- Cloud Storage


def test_finalized(payload: Callable[[str], Any]) -> None:
    found = StorageEventarc.decode(event(payload("storage_finalized")), {"sample-bucket": "uploads"})
    assert (found.kind, found.bucket, found.key) == ("created", "uploads", "folder/Test.cs")
    assert (found.size, found.version) == (352, "1587627537231057")
    assert found.time == datetime(2020, 1, 15, 21, 49, 33, 180000, UTC)
    assert found.native["id"] == "1096434104173400"


def test_deleted_with_a_unicode_key(payload: Callable[[str], Any]) -> None:
    found = StorageEventarc.decode(event(payload("storage_deleted")), {"sample-bucket": "uploads"})
    assert (found.kind, found.key, found.size) == ("deleted", "in/日本 é.png", None)


def test_an_escaped_name_is_its_key(payload: Callable[[str], Any]) -> None:
    document = payload("storage_finalized")
    document["body"]["name"] = "a%0Ab"
    assert StorageEventarc.decode(event(document), {"sample-bucket": "b"}).key == "a\nb"


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"bucket": None}, "400 .*no 'bucket'"),
        ({"name": ""}, "400 .*no 'name'"),
        ({"name": 7}, "400 .*no 'name'"),
        ({"bucket": "another"}, "404 bucket 'another' is none of this function's: sample-bucket"),
    ],
)
def test_malformed_storage_event(payload: Callable[[str], Any], change: Any, problem: str) -> None:
    document = payload("storage_finalized")
    document["body"].update(change)
    with pytest.raises(HTTPError, match=problem):
        StorageEventarc.decode(event(document), {"sample-bucket": "uploads"})


def test_another_type_of_event(payload: Callable[[str], Any]) -> None:
    with pytest.raises(HTTPError, match="400 an event of type"):
        StorageEventarc.decode(event(payload("pubsub_eventarc")), {})
    document = payload("storage_finalized")
    document["body"] = ["list"]
    with pytest.raises(HTTPError, match="its data is no object"):
        StorageEventarc.decode(event(document), {})


# --- Scheduler and direct calls


def test_scheduler(payload: Callable[[str], Any]) -> None:
    tick = Scheduler.decode(posted(b"", headers=payload("scheduler")["headers"]))
    assert tick.scheduled_at == datetime(2019, 10, 12, 7, 20, 50, 520000, UTC)


@pytest.mark.parametrize(
    ("headers", "method", "problem"),
    [
        ({}, "POST", "400 .*ScheduleTime is missing"),
        ({"X-CloudScheduler-ScheduleTime": "soon"}, "POST", "400 .*no RFC 3339 time: 'soon'"),
        ({"X-CloudScheduler-ScheduleTime": "2019-10-12T07:20:50Z"}, "GET", "405"),
    ],
)
def test_malformed_tick(headers: dict[str, str], method: str, problem: str) -> None:
    with pytest.raises(HTTPError, match=problem):
        Scheduler.decode(posted(b"", method=method, headers=headers))


def test_direct() -> None:
    assert Direct.decode(posted({"a": [1, None]})) == {"a": [1, None]}
    assert Direct.decode(posted(b"")) is None
    with pytest.raises(HTTPError, match="400 the payload is not JSON"):
        Direct.decode(posted(b"{"))
    with pytest.raises(HTTPError, match="405"):
        Direct.decode(posted(b"", method="PUT"))
    response = Direct.encode({"é": 1})
    assert (response.body, response.media_type) == ('{"é":1}', "application/json")
