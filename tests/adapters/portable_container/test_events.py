"""What is below ``/-/``: who may post, what is read, and what it comes to; calls that are no requests; websockets."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from portable.run.processes import basic_environment

APP = """
import json
from pathlib import Path
from portable import App, BlobEvent, Change, HTTPError, SocketEvent, Tick

app = App("shop")
uploads = app.bucket("uploads")
users = app.table("users", dict, key="id")

def note(*what):
    with open("noted.jsonl", "a") as file:
        file.write(json.dumps(what, default=str) + chr(10))

@app.get("/{path:path}")
async def everything(path: str) -> str:
    return path

@app.on_blob(uploads, prefix="in/")
def shrink(event: BlobEvent) -> None:
    note("blob", event.kind, event.bucket, event.key, event.size, event.version, event.time)

@app.on_change(users, old=True)
async def audit(change: Change[dict]) -> None:
    note("change", change.kind, change.table, change.key, change.old, change.new)

@app.on_schedule(cron="0 8 * * *")
def daily(tick: Tick) -> None:
    note("tick", tick.scheduled_at)
    if Path("fail").exists():
        raise RuntimeError("not today")

@app.function()
def add(payload: dict[str, int]) -> int:
    if payload["a"] < 0:
        raise HTTPError(409, "a is negative")
    return payload["a"] + payload["b"]
"""
SOCKETS = """
from portable import App, HTTPError, SocketEvent
app = App("shop")

@app.get("/hello")
def hello() -> str:
    return "world"

@app.websocket("/chat")
def chat(event: SocketEvent) -> None:
    if event.kind == "connect" and "refuse" in event.query:
        raise HTTPError(403, "not you")
    if event.kind == "message":
        event.sockets.send(event.connection, event.body.upper())
    print(event.kind, flush=True)
"""


def noted(container: Any, what: str) -> list[list[Any]]:
    file = container.folder / "noted.jsonl"
    rows = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
    return [row[1:] for row in rows if row[0] == what]


def test_who_has_no_token_learns_nothing(start: Callable[..., Any]) -> None:
    container = start(APP)
    for path in ("/-/events/daily", "/-/events/nothing", "/-/functions/add", "/-/functions/nothing"):
        for headers in ({}, {"authorization": "Bearer wrong"}, {"authorization": "Basic x"}, {"authorization": ""}):
            status, body, answer = container.post(path, {"a": 1, "b": 2}, **headers)
            assert (status, answer["www-authenticate"]) == (401, "Bearer")
            assert b"daily" not in body
        assert container.get(path)[0] == 405
    assert noted(container, "tick") == []
    container.tell()
    container.end()
    open_to_nobody = start(APP, PORTABLE_EVENTS_TOKEN="")
    assert open_to_nobody.known("/-/events/daily")[0] == 403
    assert open_to_nobody.known("/-/functions/add", {"a": 1, "b": 2})[0] == 403


def test_health_is_below_a_path_no_route_takes(start: Callable[..., Any]) -> None:
    container = start(APP)
    assert container.get("/-x")[1] == b"-x"
    assert container.get("/-/live")[:2] == (200, b"ok\n")
    assert container.get("/-/ready")[:2] == (200, b"ok\n")
    assert container.get("/-/anything")[0] == 404
    assert container.post("/-/live")[0] == 405


def test_calls_by_name(start: Callable[..., Any]) -> None:
    container = start(APP)
    assert container.known("/-/functions/add", {"a": 1, "b": 2})[:2] == (200, b"3")
    assert container.known("/-/functions/add", {"a": -1, "b": 2})[0] == 409
    assert container.known("/-/functions/add", {"a": "x", "b": 2})[0] == 422
    assert container.known("/-/functions/add", b"{")[0] == 400
    assert container.known("/-/functions/daily", {})[0] == 404
    assert container.known("/-/functions/nothing", {})[0] == 404


def test_events_of_this_framework(start: Callable[..., Any]) -> None:
    container = start(APP)
    blob = {"kind": "created", "bucket": "uploads", "key": "in/ü b", "size": 3, "version": "v1"}
    time = "2026-01-02T03:04:05+00:00"
    assert container.event("shrink", "dev.portable.blob", blob, ce_time=time)[0] == 204
    assert noted(container, "blob") == [["created", "uploads", "in/ü b", 3, "v1", "2026-01-02 03:04:05+00:00"]]
    document = {"specversion": "1.0", "id": "1", "source": "x", "type": "dev.portable.change"}
    change = {"kind": "update", "table": "users", "key": "7", "old": {"id": "7", "n": 1}, "new": {"id": "7", "n": 2}}
    sent = {**document, "data": change}
    structured = {"content_type": "application/cloudevents+json"}
    assert container.known("/-/events/audit", sent, **structured)[0] == 204
    batch = {"content_type": "application/cloudevents-batch+json"}
    assert container.known("/-/events/audit", [sent, sent], **batch)[0] == 204
    assert noted(container, "change") == [["update", "users", "7", {"id": "7", "n": 1}, {"id": "7", "n": 2}]] * 3
    assert container.known("/-/events/daily")[0] == 204
    assert container.event("daily", "dev.portable.tick", {"scheduled_at": time})[0] == 204
    assert noted(container, "tick")[1] == ["2026-01-02 03:04:05+00:00"]
    (container.folder / "fail").touch()
    status, body, _ = container.known("/-/events/daily")
    assert status == 500
    assert "not today" in json.loads(body)["detail"]


def test_what_is_no_event_is_named(start: Callable[..., Any]) -> None:
    container = start(APP)
    for function, kind, data, said in (
        ("shrink", "dev.portable.tick", {}, "takes 'dev.portable.blob'"),
        ("shrink", "dev.portable.blob", [], "is an object"),
        ("shrink", "dev.portable.blob", {"bucket": "uploads"}, "'key'"),
        ("shrink", "dev.portable.blob", {"bucket": "other", "key": "a"}, "'bucket'"),
        ("shrink", "dev.portable.blob", {"bucket": "uploads", "key": "a", "kind": "moved"}, "'kind'"),
        ("audit", "dev.portable.change", {"table": "users", "kind": "insert"}, "'key'"),
        ("audit", "dev.portable.change", {"table": "users", "kind": "insert", "key": "1", "new": 3}, "'new'"),
        ("daily", "dev.portable.tick", {"scheduled_at": "soon"}, "'scheduled_at'"),
        ("daily", "dev.portable.tick", {"scheduled_at": "2026-01-01T00:00:00"}, "no UTC offset"),
    ):
        status, body, _ = container.event(function, kind, data)
        assert status == 400, body
        assert said in json.loads(body)["detail"]
    assert container.known("/-/events/shrink", b"{", content_type="application/cloudevents+json")[0] == 400
    assert container.known("/-/events/shrink", {"a": 1})[0] == 400
    assert container.event("add", "dev.portable.tick", {})[0] == 404


def test_amazons_events(start: Callable[..., Any]) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html, as an API destination posts it."""
    container = start(APP, "aws", PORTABLE_BUCKET_UPLOADS="s3://acme", PORTABLE_TABLE_USERS="dynamodb://acme-users")
    event = {
        "version": "0",
        "id": "17793124-05d4-b198-2fde-7ededc63b103",
        "detail-type": "Object Created",
        "source": "aws.s3",
        "time": "2021-11-12T00:00:00Z",
        "detail": {"bucket": {"name": "acme"}, "object": {"key": "in/a b.png", "size": 5, "etag": "b1946"}},
    }
    assert container.known("/-/events/shrink", event)[0] == 204
    assert noted(container, "blob") == [["created", "uploads", "in/a b.png", 5, "b1946", "2021-11-12 00:00:00+00:00"]]
    record = {
        "eventName": "INSERT",
        "eventSourceARN": "arn:aws:dynamodb:eu-west-1:1:table/acme-users/stream/2026",
        "dynamodb": {"Keys": {"id": {"S": "7"}}, "NewImage": {"id": {"S": "7"}, "n": {"N": "1"}}},
    }
    assert container.known("/-/events/audit", [record])[0] == 204  # as a pipe posts a batch
    assert noted(container, "change")[0][:3] == ["insert", "users", "7"]
    assert container.known("/-/events/shrink", {"detail-type": "Object Created"})[0] == 400


def test_azures_events(start: Callable[..., Any]) -> None:
    """https://learn.microsoft.com/azure/event-grid/event-schema-blob-storage, in the CloudEvents schema."""
    address = "https://acme.blob.core.windows.net/acme-uploads"
    container = start(APP, "azure", PORTABLE_BUCKET_UPLOADS=address, PORTABLE_FUNCTIONS="shrink")
    status, _, headers = container.get("/-/events/shrink", "OPTIONS", webhook_request_origin="eventgrid.azure.net")
    assert (status, headers["webhook-allowed-origin"]) == (200, "eventgrid.azure.net")
    event = {
        "source": "/subscriptions/1/resourceGroups/g/providers/Microsoft.Storage/storageAccounts/acme",
        "subject": "/blobServices/default/containers/acme-uploads/blobs/in/a.png",
        "type": "Microsoft.Storage.BlobCreated",
        "time": "2026-01-02T03:04:05.5003022Z",
        "id": "173d9985",
        "data": {"contentLength": 447, "eTag": "0x8D5", "blobType": "BlockBlob"},
        "specversion": "1.0",
    }
    sent = container.known(
        "/-/events/shrink", [event], content_type="application/cloudevents-batch+json; charset=utf-8"
    )
    assert sent[0] == 204, sent
    assert noted(container, "blob")[0][:4] == ["created", "uploads", "in/a.png", 447]
    event["subject"] = "/blobServices/default/containers/other/blobs/in/a.png"
    assert container.known("/-/events/shrink", event, content_type="application/cloudevents+json")[0] == 400


def test_googles_events(start: Callable[..., Any]) -> None:
    """https://cloud.google.com/eventarc/docs/cloudevents#cloud_storage."""
    container = start(APP, "gcp", PORTABLE_BUCKET_UPLOADS="gs://acme", PORTABLE_FUNCTIONS="shrink")
    kind = "google.cloud.storage.object.v1.finalized"
    data = {"bucket": "acme", "name": "in/a.png", "size": "447", "generation": "12"}
    assert container.event("shrink", kind, data, ce_time="2026-01-02T03:04:05Z")[0] == 204
    assert noted(container, "blob")[0][:5] == ["created", "uploads", "in/a.png", 447, "12"]
    assert container.event("shrink", kind, {**data, "bucket": "other"})[0] == 400
    container.tell()
    container.end()
    # Google's own token is looked at where it is said what it must hold.
    expected = {"PORTABLE_EVENT_AUDIENCE": "https://shop", "PORTABLE_EVENT_ACCOUNT": "a@b"}
    verifying = start(APP, "gcp", PORTABLE_BUCKET_UPLOADS="gs://acme", PORTABLE_FUNCTIONS="shrink", **expected)
    assert verifying.event("shrink", kind, data)[0] == 204
    assert verifying.post("/-/events/shrink", data, authorization="Bearer not.a.token")[0] == 401
    assert len(noted(verifying, "blob")) == 2


def test_one_call_of_a_job(start: Callable[..., Any]) -> None:
    container = start(APP, PORTABLE_POLL="0")

    def run(*words: str) -> tuple[int, str]:
        environment = {**basic_environment(), "PORTABLE_LOCAL_STATE": str(container.folder / "state")}
        command = [sys.executable, "-m", "portable_container", *words]
        done = subprocess.run(
            command, cwd=container.folder, env=environment, capture_output=True, text=True, timeout=60
        )
        return done.returncode, done.stdout or done.stderr

    assert run("run", "daily")[0] == 0
    assert run("run", "daily", "2026-01-02T03:04:05+00:00")[0] == 0
    assert noted(container, "tick")[1] == ["2026-01-02 03:04:05+00:00"]
    assert run("run", "add", '{"a": 1, "b": 2}') == (0, "3\n")
    (container.folder / "fail").touch()
    status, said = run("run", "daily")
    assert status == 1
    assert "not today" in said
    for words, said in (
        (("run", "nothing"), "no function is called 'nothing'"),
        (("run", "http"), "called by http"),
        (("run", "daily", "soon"), "no instant"),
        (("run", "add", "{"), "no JSON"),
        (("walk",), "usage"),
    ):
        status, text = run(*words)
        assert status == 2
        assert said in text


def test_websockets(start: Callable[..., Any]) -> None:
    container = start(SOCKETS)
    place = f"ws://127.0.0.1:{container.port}"
    with connect(f"{place}/chat") as peer:
        peer.send("hello")
        assert peer.recv(30) == "HELLO"
        assert container.get("/hello")[1] == b"world"
        for refused, status in ((f"{place}/chat?refuse=1", 403), (f"{place}/nothing", 404), (f"{place}/hello", 404)):
            with pytest.raises(InvalidStatus) as raised:
                connect(refused).close()
            assert raised.value.response.status_code == status
        container.tell()
        with pytest.raises(ConnectionClosed) as closed:
            peer.recv(30)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1012
    assert container.end() == 0
    assert container.said.count("disconnect\n") == 1
