"""AWS's entries with malformed events of every source."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import strategies as st

from portable import App, BlobEvent, Change, Message, Request, SocketEvent, StreamRecord, Tick
from portable.errors import PortableError
from portable.resources import set_platform
from portable_aws.runtime import entry

PAYLOADS = Path(__file__).parents[1] / "adapters" / "portable_aws" / "payloads"
SOURCES = {
    "http-api": ("http", ["http_api"]),
    "function-url": ("http", ["function_url"]),
    "rest-api": ("http", ["rest_api"]),
    "alb": ("http", ["alb", "alb_multi"]),
    "sqs": ("emails", ["sqs", "sqs_fifo"]),
    "kinesis": ("kinesis", ["kinesis"]),
    "msk": ("kafka", ["msk"]),
    "s3": ("uploads", ["s3"]),
    "s3-eventbridge": ("uploads", ["s3_eventbridge"]),
    "dynamodb-stream": ("users", ["dynamodb_stream"]),
    "scheduler": ("daily", ["scheduler"]),
    "eventbridge-rule": ("daily", ["eventbridge_rule"]),
    "websocket-api": ("chat", ["websocket_connect"]),
    "direct": ("direct", ["http_api"]),
}
SENTINEL = "sentinel-of-the-request-before"


class InvocationOf:
    """As awslambdaric's LambdaContext."""

    aws_request_id = "c6af9ac6-7b61-11e6-9a41-93e8deadbeef"

    @staticmethod
    def get_remaining_time_in_millis() -> int:
        return 60_000


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch, read_all: Callable[[Any], str]) -> Iterator[Callable[[str], Any]]:
    app = App("fuzzed")
    for name, value in (("QUEUE_EMAILS", "https://sqs/emails"), ("STREAM_CLICKS", "clicks"), ("BUCKET_UPLOADS", "b")):
        monkeypatch.setenv(f"PORTABLE_{name}", value)
    emails = app.queue("emails", max_attempts=5)
    clicks, views = app.stream("clicks"), app.stream("views")
    uploads = app.bucket("uploads")
    table = app.table("users", key="Id")

    @app.route("/{rest:path}", methods=["GET", "POST", "PUT", "PATCH", "DELETE"])
    def show(rest: str, request: Request) -> dict[str, Any]:
        return {
            "rest": rest,
            "told": read_all(request),
            "cookies": request.cookies,
            "text": request.body.decode(errors="replace"),
        }

    @app.on_message(emails, function="emails", batch_size=10)
    def take(messages: list[Message[Any]]) -> None:
        for message in messages:
            read_all(message)

    @app.on_stream(clicks, function="kinesis")
    def click(records: list[StreamRecord[Any]]) -> None:
        for record in records:
            read_all(record)

    @app.on_stream(views, function="kafka")
    def view(records: list[StreamRecord[Any]]) -> None:
        for record in records:
            read_all(record)

    app.on_blob(uploads, function="uploads")(lambda_of(BlobEvent, read_all))
    app.on_change(table, function="users")(lambda_of(Change[Any], read_all))
    app.on_schedule(cron="0 8 * * *", function="daily")(lambda_of(Tick, read_all))
    app.websocket("/chat", function="chat")(lambda_of(SocketEvent, read_all))

    @app.function("direct")
    def direct(payload: Any) -> Any:
        return payload

    module = ModuleType("fuzzed_app")
    module.app = app  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "fuzzed_app", module)
    yield lambda source: entry("fuzzed_app:app", SOURCES[source][0], None, source)
    set_platform(None)


def lambda_of(kind: Any, read_all: Callable[[Any], str]) -> Any:
    def handle(event: Any) -> None:
        read_all(event)

    handle.__annotations__["event"] = kind
    return handle


@pytest.mark.parametrize("source", SOURCES)
def test_malformed_events(
    source: str, start: Any, fuzz: Any, mutations: Any, errors_logged: list[BaseException]
) -> None:
    samples = [json.loads((PAYLOADS / f"{name}.json").read_text()) for name in SOURCES[source][1]]
    handler = start(source)
    before = [json.loads(json.dumps(sample).replace("Hello", SENTINEL)) for sample in samples]

    def check(event: Any) -> None:
        told = json.dumps(event)
        good = [handler(sample, InvocationOf) for sample in before]
        errors_logged.clear()
        answer: Any = None
        try:
            answer = handler(json.loads(told), InvocationOf)
            said = json.dumps(answer)
        except (ValueError, PortableError) as error:
            said = str(error)
        assert said, "an error says what is wrong"
        assert SENTINEL not in said
        if answer is not None and SOURCES[source][0] == "http":
            assert {"statusCode", "body"} <= answer.keys()
            assert answer["statusCode"] in range(200, 600)
        if answer is not None and source in ("sqs", "kinesis", "msk", "dynamodb-stream"):
            assert all([*one] == ["itemIdentifier"] for one in answer["batchItemFailures"])
        for error in errors_logged:
            assert isinstance(error, (ValueError, PortableError)), repr(error)
        assert [handler(sample, InvocationOf) for sample in before] == good, "what comes after is answered as ever"

    fuzz(mutations(samples) if source != "direct" else st.one_of(mutations(samples)), check)
