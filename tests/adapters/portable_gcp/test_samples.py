"""Samples are the inverse of the codecs, and of the shape Google documents."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from cloudevents.http import from_http
from werkzeug.test import EnvironBuilder
from werkzeug.wrappers import Request as NativeRequest

from portable.errors import ConfigError
from portable.events import BlobEvent, Message, Tick
from portable.manifest import FunctionRecord, TriggerRecord
from portable.samples.neutral import make_request, sample_event
from portable_gcp.samples import SAMPLES, body_of
from portable_gcp.triggers import SOURCES, codec

TIME = datetime(2026, 3, 29, 8, 0, 0, 123000, UTC)
OPTIONS: dict[str, dict[str, Any]] = {
    "http": {"method": "GET", "path": "/", "status": None, "auth": "public", "max_body": None},
    "message": {"queue": "emails", "batch_size": 1},
    "blob": {"bucket": "uploads", "prefix": "", "suffix": "", "kinds": ["created"]},
    "change": {"table": "users", "old": True, "key": [["id", "str"]]},
    "schedule": {"cron": "0 8 * * *", "every": None, "timezone": "UTC"},
    "direct": {},
    "stream": {"stream": "clicks", "batch_size": 10},
    "socket": {"path": "/chat", "sockets": "chat"},
}


def function(kind: str) -> FunctionRecord:
    trigger = TriggerRecord(kind, "app:handler", "app.py:1", OPTIONS[kind])
    return FunctionRecord("handler", kind, [trigger], None, None, [], [], False)


def received(native: dict[str, Any]) -> NativeRequest:
    path, _, query = native["path"].partition("?")
    builder = EnvironBuilder(
        path=path, query_string=query, method=native["method"], headers=native["headers"], data=body_of(native)
    )
    return NativeRequest({**builder.get_environ(), "RAW_URI": native["path"]})


def cloud_event(native: dict[str, Any]) -> Any:
    return from_http(dict(native["headers"]), body_of(native))


def test_a_request() -> None:
    event = make_request(
        "POST", "/a%2Fb?x=1&x=2", headers=[("X-A", "1"), ("cookie", "k=v")], body=b"\xff\x00", client="203.0.113.7"
    )
    native = SAMPLES.native(function("http"), event)
    assert (native["path"], native["base64"], body_of(native)) == ("/a%2Fb?x=1&x=2", True, b"\xff\x00")
    request = codec("http").decode(received(native))
    assert (request.raw_path, request.query, request.body) == ("/a%2Fb", event.query, b"\xff\x00")
    assert (request.client, request.scheme, request.cookies) == ("203.0.113.7", "http", {"k": "v"})


@pytest.mark.parametrize("source", SOURCES["message"])
def test_a_message(source: str, payload: Callable[[str], Any]) -> None:
    event = Message("7", '{"é":1}', {"a": "ü"}, 3, TIME, "group")
    native = SAMPLES.native(function("message"), [event], source=source)
    document = received(native) if source == "pubsub-push" else cloud_event(native)
    message, queue = codec(source).decode(document)
    assert queue == ("emails" if source == "pubsub-push" else None)
    for name in ("id", "body", "attributes", "attempt", "sent_at", "group"):
        assert getattr(message, name) == getattr(event, name)
    documented = payload("pubsub_push")["body"]
    plain = SAMPLES.native(function("message"), [Message("7", "x", {"key": "value"})])
    made = json.loads(body_of(plain))
    assert set(made) - {"deliveryAttempt"} == set(documented)
    assert set(made["message"]) == set(documented["message"])


def test_a_push_holds_one_message() -> None:
    assert SAMPLES.batch_limit == 1
    with pytest.raises(ConfigError, match="one message at a time, not 2"):
        SAMPLES.native(function("message"), [Message("1", "x"), Message("2", "x")])


@pytest.mark.parametrize("key", ["in/cat.png", "in/日本 é%25.png", "a\nb", ".", 'q"uote'])
@pytest.mark.parametrize("kind", ["created", "deleted"])
def test_a_blob_event(key: str, kind: Any, payload: Callable[[str], Any]) -> None:
    native = SAMPLES.native(function("blob"), BlobEvent(kind, "uploads", key, 352, "17", TIME))
    found = codec("storage-eventarc").decode(cloud_event(native), {"uploads": "uploads"})
    assert (found.kind, found.bucket, found.key, found.version, found.time) == (kind, "uploads", key, "17", TIME)
    assert found.size == (352 if kind == "created" else None)
    assert all(name.isascii() and value.isascii() for name, value in native["headers"])
    documented = payload("storage_finalized")
    assert set(json.loads(body_of(native))) <= set(documented["body"])
    assert {name for name, _ in native["headers"]} == {name.lower() for name in documented["headers"]}


def test_a_tick_and_a_call() -> None:
    assert codec("scheduler").decode(received(SAMPLES.native(function("schedule"), Tick(TIME)))).scheduled_at == TIME
    for value in ({"é": [1, None]}, None, "text", []):
        assert codec("direct").decode(received(SAMPLES.native(function("direct"), value))) == value


def test_every_kind_has_a_sample() -> None:
    without = [kind for kind, sources in SOURCES.items() if not sources]
    assert without == ["stream", "socket"]  # nothing brings them to a function here
    for kind in SOURCES:
        event = sample_event(function(kind))
        for source in SAMPLES.sources(kind):
            assert SAMPLES.native(function(kind), [event[0]] if kind == "message" else event, source=source)["method"]
    with pytest.raises(ConfigError, match="'scheduler' is no source of http events; http"):
        SAMPLES.native(function("http"), make_request("GET", "/"), source="scheduler")


def answer(status: int, body: Any = "", headers: Any = ()) -> dict[str, Any]:
    text = body if isinstance(body, str) else json.dumps(body)
    return {"status": status, "headers": list(headers), "body": text, "base64": False}


def test_outcome_of_a_request() -> None:
    headers = [["Server", "gunicorn"], ["content-length", "2"], ["set-cookie", "a=1"], ["set-cookie", "b=2"]]
    event = make_request("GET", "/")
    response = SAMPLES.outcome(function("http"), event, answer(201, "{}", headers)).response
    assert response is not None
    assert (response.status, response.body) == (201, b"{}")
    assert response.header_pairs() == [("set-cookie", "a=1"), ("set-cookie", "b=2")]
    head = SAMPLES.outcome(function("http"), make_request("HEAD", "/"), answer(200, "", headers)).response
    assert head is not None
    assert head.headers["content-length"] == "2"


@pytest.mark.parametrize(
    ("kind", "given", "value", "failed", "error"),
    [
        ("message", answer(204), None, [], None),
        ("message", answer(500, {"detail": "x"}), None, ["7"], None),
        ("message", answer(429, {"detail": "x"}), None, ["7"], None),
        ("message", answer(401, {"detail": "no token"}), None, [], "HTTPError: 401 no token"),
        ("blob", answer(200, "OK"), None, [], None),
        ("blob", answer(500, {"detail": "ValueError: bad"}), None, [], "ValueError: bad"),
        ("schedule", answer(502, "<html>"), None, [], "<html>"),
        ("direct", answer(200, {"a": 1}), {"a": 1}, [], None),
        ("direct", answer(200, "null"), None, [], None),
        ("direct", answer(422, {"detail": "does not fit"}), None, [], "HTTPError: 422 does not fit"),
    ],
)
def test_outcomes(kind: str, given: Any, value: Any, failed: list[str], error: str | None) -> None:
    event = [Message("7", "x")] if kind == "message" else None
    outcome = SAMPLES.outcome(function(kind), event, given)
    assert (outcome.value, outcome.failed, outcome.error) == (value, failed, error)
