"""Azure's entries with malformed trigger data and metadata, decoded by Azure's own converters where these take them."""

from __future__ import annotations

import base64
import copy
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("azure.functions")

from datetime import UTC, datetime

from azure.functions import blob, cosmosdb, eventgrid, eventhub, http, meta, queue, servicebus, timer

from portable import App, BlobEvent, Change, Message, Request, SocketEvent, StreamRecord, Tick
from portable.errors import PortableError
from portable.manifest import Manifest, describe_app
from portable.resources import set_platform
from portable_azure import runtime
from portable_azure.samples import PUBSUB_KEY, SAMPLES

CONVERTERS = {
    "http": ("http", http.HttpRequestConverter),
    "direct": ("recount", http.HttpRequestConverter),
    "storage-queue": ("emails", queue.QueueMessageInConverter),
    "service-bus": ("emails", servicebus.ServiceBusMessageInConverter),
    "blob": ("uploads", blob.BlobConverter),
    "event-grid": ("uploads", eventgrid.EventGridEventInConverter),
    "event-hub": ("clicks", eventhub.EventHubTriggerConverter),
    "timer": ("daily", timer.TimerRequestConverter),
    "cosmos-db": ("users", cosmosdb.CosmosDBTriggerConverter),
    "web-pubsub": ("chat", http.HttpRequestConverter),
}
WHEN = datetime(2026, 3, 29, 8, tzinfo=UTC)
BEFORE = "sentinel-of-the-invocation-before"
EVENTS: dict[str, Any] = {
    "http": Request("POST", "/a/b", query=[("a", "1")], headers=[("cookie", "a=%41")], body=b'{"a":1}'),
    "direct": {"n": 1},
    "storage-queue": [Message("m1", '{"a":1}', {"x": "1"}, 1, WHEN)],
    "service-bus": [Message("m1", '{"a":1}', {"x": "1"}, 1, WHEN, "g")],
    "blob": BlobEvent("created", "uploads", "in/a.txt", 7, "0x1", WHEN),
    "event-grid": BlobEvent("created", "uploads", "in/a.txt", 7, "0x1", WHEN),
    "event-hub": [
        StreamRecord("clicks", "0", "1", b"{}", "k", WHEN),
        StreamRecord("clicks", "0", "2", b"{}", "k", WHEN),
    ],
    "timer": Tick(WHEN),
    "cosmos-db": Change("update", "users", "ann", None, {"id": "ann", "n": 7}, WHEN),
    "web-pubsub": SocketEvent("message", "c1", b"hello"),
}


@pytest.fixture
def described(monkeypatch: pytest.MonkeyPatch, read_all: Callable[[Any], str]) -> Iterator[Manifest]:
    app = App("fuzzed")
    emails, clicks = app.queue("emails"), app.stream("clicks")
    uploads, users = app.bucket("uploads"), app.table("users", key="id")

    @app.on_message(emails, function="emails")
    def take(message: Message[Any]) -> None:
        read_all(message)

    @app.on_stream(clicks, function="clicks")
    def click(records: list[StreamRecord[Any]]) -> None:
        for record in records:
            read_all(record)

    @app.on_blob(uploads, function="uploads")
    def stored(event: BlobEvent) -> None:
        read_all(event)

    @app.on_change(users, function="users")
    def change(event: Change[Any]) -> None:
        read_all(event)

    @app.on_schedule(cron="0 8 * * *", function="daily")
    def daily(tick: Tick) -> None:
        read_all(tick)

    @app.websocket("/chat", function="chat")
    def chat(event: SocketEvent) -> None:
        read_all(event)

    @app.function("recount")
    def recount(payload: Any) -> Any:
        return payload

    @app.route("/{rest:path}", methods=["GET", "POST"])
    def show(rest: str, request: Request) -> str:
        return read_all(request) + request.text()

    module = ModuleType("fuzzed_azure_app")
    module.app = app  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "fuzzed_azure_app", module)
    monkeypatch.setattr(runtime, "_platform", None)
    for name, value in (
        ("BUCKET_UPLOADS", "https://account.blob.core.windows.net/uploads"),
        ("QUEUE_EMAILS", "https://account.queue.core.windows.net/emails"),
        ("TABLE_USERS", "https://account.documents.azure.com/dbs/d/colls/users"),
        ("STREAM_CLICKS", "eventhub://account/clicks"),
        ("SOCKETS_CHAT", "https://127.0.0.1/hubs/chat"),
    ):
        monkeypatch.setenv(f"PORTABLE_{name}", value)
    monkeypatch.setenv("WebPubSubConnectionString", f"Endpoint=https://127.0.0.1;AccessKey={PUBSUB_KEY};Version=1.0;")
    yield describe_app(app, "fuzzed_azure_app:app", Path(__file__).parent)
    set_platform(None)


def text_or(value: Any) -> Any:
    return value if isinstance(value, str) else json.dumps(value)


def datum(document: Any) -> Any:
    """A value as the worker has it. protobuf's own types hold here too: a string is a string, whatever is in it."""
    if not isinstance(document, dict) or len(document) != 1:
        return meta.Datum(b"", "bytes")
    [(kind, value)] = document.items()
    if kind == "bytes":
        return meta.Datum(base64.b64decode(text_or(value) + "===", validate=False), "bytes")
    if kind == "collection_bytes":
        rows = value if isinstance(value, list) else [value]
        return meta.Datum(
            SimpleNamespace(bytes=[base64.b64decode(text_or(one) + "===") for one in rows]), "collection_bytes"
        )
    if kind == "http":
        asked = value if isinstance(value, dict) else {}
        pairs = {
            name: {str(key): meta.Datum(text_or(one), "string") for key, one in asked[name].items()}
            if isinstance(asked.get(name), dict)
            else {}
            for name in ("headers", "params", "query")
        }
        texts = {name: meta.Datum(text_or(asked.get(name, "")), "string") for name in ("method", "url")}
        return meta.Datum({**texts, **pairs, "body": datum(asked.get("body"))}, "http")
    return meta.Datum(text_or(value), kind if kind in ("json", "string") else "string")


@pytest.mark.parametrize("source", CONVERTERS)
def test_malformed_invocations(
    source: str, described: Manifest, fuzz: Any, mutations: Any, errors_logged: list[BaseException]
) -> None:
    name, converter = CONVERTERS[source]
    function = described.function(name)
    sample = json.loads(json.dumps(SAMPLES.native(function, EVENTS[source], source=source)))
    kept = {"resource": sample.pop("resource", None)}
    sample.pop("retry_count", None)
    serve = runtime.entry("fuzzed_azure_app:app", name, None, source, **kept)
    context = SimpleNamespace(invocation_id=BEFORE, retry_context=None)

    def call(document: Any, context: Any) -> Any:
        if not isinstance(document, dict):
            document = {"data": document}
        given = document.get("metadata")
        metadata = {key: datum(value) for key, value in given.items()} if isinstance(given, dict) else {}
        try:
            native = converter.decode(datum(document.get("data")), trigger_metadata=metadata)
        except Exception:  # Azure's own binding refuses it: no function is called
            return None
        return serve(native, context)

    call(copy.deepcopy(sample), context)
    ours = SimpleNamespace(invocation_id="ours", retry_context=None)

    def check(document: Any) -> None:
        errors_logged.clear()
        try:
            answer = call(document, ours)
        except (ValueError, PortableError) as error:
            said = str(error)
        else:
            said = str(vars(answer)) if answer is not None else ""
        assert BEFORE not in said
        for error in errors_logged:
            assert isinstance(error, (ValueError, PortableError)), repr(error)

    fuzz(mutations([sample]), check)
