"""The local target's own events, malformed, as `portable run` takes them from whoever posts them."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any

import msgspec
import pytest

from portable import App, BlobEvent, Change, Message, Request, SocketEvent, StreamRecord, Tick
from portable.errors import PortableError
from portable.instance import Instance
from portable.manifest import describe_app
from portable.samples.neutral import make_request
from portable_local.runtime import LocalFunction
from portable_local.samples import SAMPLES

AT = datetime(2026, 3, 29, 8, tzinfo=UTC)
FUNCTIONS: dict[str, Any] = {
    "http": make_request("POST", "/a/b?x=1", headers=[("cookie", "a=1"), ("content-type", "text/plain")], body=b"\xff"),
    "emails": [Message("m1", '{"a":1}', {"x": "1"}, 1, AT, "g"), Message("m2", "2", {}, 1, AT)],
    "uploads": BlobEvent("created", "uploads", "in/a.txt", 7, "1", AT),
    "users": Change("update", "users", "ann", {"id": "ann", "n": 6}, {"id": "ann", "n": 7, "b": b"x"}, AT),
    "daily": Tick(AT),
    "clicks": [StreamRecord("clicks", "0", "1", b"{}", "k", AT)],
    "chat": SocketEvent("message", "c1", "hello"),
    "recount": {"n": 1},
}
FUNCTIONS["orders"] = [Message("m1", json.dumps({"name": "a", "count": 7, "when": "2026-03-29T08:00:00Z"}), {}, 1, AT)]
EARLIER = "sentinel-of-the-event-of-before"


class Order(msgspec.Struct):
    name: str
    when: datetime
    count: Annotated[int, msgspec.Meta(gt=0)] = 1
    more: list[float] | None = None


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch, read_all: Callable[[Any], str]) -> App:
    app = App("fuzzed")
    emails, uploads, users = app.queue("emails"), app.bucket("uploads"), app.table("users", key="id")
    clicks = app.stream("clicks")

    @app.route("/{rest:path}", methods=["GET", "POST"])
    def show(rest: str, request: Request) -> str:
        return read_all(request)

    @app.on_message(emails, function="emails", batch_size=10)
    def take(messages: list[Message[Any]]) -> None:
        for message in messages:
            read_all(message)

    @app.on_message(app.queue("orders", Order), function="orders")
    def order(message: Message[Order]) -> None:
        assert isinstance(message.body, Order)
        assert message.body.count > 0

    @app.on_stream(clicks, function="clicks")
    def click(records: list[StreamRecord[Any]]) -> None:
        for record in records:
            read_all(record)

    @app.on_blob(uploads, function="uploads")
    def stored(event: BlobEvent) -> None:
        read_all(event)

    @app.on_change(users, function="users", old=True)
    def changed(event: Change[Any]) -> None:
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

    module = ModuleType("fuzzed_local_app")
    module.app = app  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "fuzzed_local_app", module)
    return app


@pytest.mark.parametrize("function", FUNCTIONS)
def test_malformed_local_events(
    function: str, app: App, fuzz: Any, mutations: Any, errors_logged: list[BaseException]
) -> None:
    record = describe_app(app, "fuzzed_local_app:app", Path(__file__).parent).function(function)
    sample = json.loads(json.dumps(SAMPLES.native(record, FUNCTIONS[function])))
    serve = LocalFunction(Instance("fuzzed_local_app:app", function, None))
    good = serve(sample, EARLIER)

    def check(event: Any) -> None:
        errors_logged.clear()
        try:
            said = repr(serve(event, "ours"))
        except (ValueError, PortableError) as error:
            said = str(error)
        assert said, "an error says what is wrong"
        assert EARLIER not in said
        for error in errors_logged:
            assert isinstance(error, (ValueError, PortableError)), repr(error)
        assert serve(sample, EARLIER) == good

    fuzz(mutations([sample]), check)
