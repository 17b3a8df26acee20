"""What SQS is told of a policy of retries, and several messages of a FIFO batch in hand at once."""

from __future__ import annotations

import asyncio
import json
import sys
import time
import urllib.request
from collections.abc import Iterator
from datetime import timedelta
from types import ModuleType
from typing import Any

import pytest

from portable import App, Backoff, Message, Reject
from portable.resources import set_platform
from portable_aws.runtime import entry, platform

botocore_client = pytest.importorskip("botocore.client")


class Native:
    """Lambda's context."""

    aws_request_id = "1"

    def get_remaining_time_in_millis(self) -> int:
        return 60_000


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch) -> Iterator[App]:
    module = ModuleType("backoff_app")
    module.app = App("backoff")  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "backoff_app", module)
    yield module.app
    set_platform(None)


def record(identity: str, *, attempt: int = 1, group: str | None = None, receipt: str = "r") -> dict[str, Any]:
    attributes = {"ApproximateReceiveCount": str(attempt)}
    if group is not None:
        attributes["MessageGroupId"] = group
    return {
        "messageId": identity,
        "receiptHandle": receipt,
        "body": json.dumps(identity),
        "attributes": attributes,
        "messageAttributes": {},
        "eventSource": "aws:sqs",
        "eventSourceARN": f"arn:aws:sqs:us-east-1:1:mails{'.fifo' if group else ''}",
    }


def failed(app: App, *records: dict[str, Any]) -> list[str]:
    answer = entry("backoff_app:app", "mail")({"Records": list(records)}, Native())
    return [row["itemIdentifier"] for row in answer["batchItemFailures"]]


def test_a_failed_message_is_hidden_for_as_long_as_the_policy_says(
    app: App, account: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, dead = account.queue_with_dead_letters("emails")
    addresses = {"PORTABLE_QUEUE_MAILS": url, "PORTABLE_DEADLETTER_MAILS": dead}
    for name, value in (account.environment | addresses).items():
        monkeypatch.setenv(name, value)
    mails = app.queue(
        "mails", max_attempts=3, retry=Backoff(timedelta(minutes=10), factor=3, jitter=0, limit=timedelta(hours=1))
    )

    @app.on_message(mails)
    def mail(message: Message[Any]) -> None:
        raise OSError("no")

    set_platform(platform())
    mails.send("a")
    [received] = mails.driver().receive(1, timedelta(0), timedelta(seconds=30))
    before = time.time()
    assert failed(app, record("a", attempt=2, receipt=received.receipt)) == ["a"]
    with urllib.request.urlopen(account.environment["AWS_ENDPOINT_URL"] + "/moto-api/data.json", timeout=30) as answer:
        known = json.load(answer)["sqs"]["Message"]
    hidden = max(one["visible_at"] for one in known if one["id"] == received.id) / 1000 - before
    assert 1800 <= hidden < 1860
    # The last attempt is left to the redrive policy: nothing waits for that.
    assert failed(app, record("a", attempt=3, receipt="not a receipt that anybody knows")) == ["a"]


def test_groups_side_by_side_and_each_in_order(app: App) -> None:
    seen: list[str] = []
    gate = asyncio.Event()

    @app.on_message(app.queue("mails", ordered=True), concurrency=3)
    async def mail(message: Message[str]) -> None:
        if message.group == "slow":
            await gate.wait()
        await asyncio.sleep(0)
        seen.append(message.body)
        if message.body == "x2":
            raise OSError("no")
        if message.body == "y1":
            gate.set()

    batch = [record("s1", group="slow"), record("x1", group="x"), record("y1", group="y"), record("x2", group="x")]
    batch += [record("x3", group="x"), record("y2", group="y"), record("s2", group="slow")]
    assert failed(app, *batch) == ["x2", "x3"]
    assert "x3" not in seen
    assert [one for one in seen if one[0] == "s"] == ["s1", "s2"]
    assert seen.index("y1") < seen.index("s1")  # a group that waits holds up no other


def test_a_rejected_message_of_a_group_does_not_stop_it(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    buried: list[str] = []

    class Driver:
        def dead_letter(self, body: str, attributes: Any) -> None:
            buried.append(body)

    mails = app.queue("mails", ordered=True)
    monkeypatch.setattr(type(mails), "driver", lambda self: Driver())

    @app.on_message(mails, concurrency=2)
    async def mail(message: Message[str]) -> None:
        if message.body == "x1":
            raise Reject("never")

    assert failed(app, record("x1", group="x"), record("x2", group="x")) == []
    assert buried == ['"x1"']


def test_many_that_wait_are_ten_a_call(
    app: App, account: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    url, dead = account.queue_with_dead_letters("many")
    for name, value in (account.environment | {"PORTABLE_QUEUE_MAILS": url, "PORTABLE_DEADLETTER_MAILS": dead}).items():
        monkeypatch.setenv(name, value)
    mails = app.queue("mails", retry=Backoff(timedelta(minutes=10), jitter=0))

    @app.on_message(mails, batch_size=100)
    def mail(message: Message[Any]) -> None:
        if message.body % 2:
            raise OSError("no")

    set_platform(platform())
    driver: Any = mails.driver()
    assert mails.send_many(range(24)) == []
    received: list[Any] = []
    while len(received) < 24:
        received += driver.receive(10, timedelta(0), timedelta(seconds=30))
    calls: list[int] = []
    answers: list[Any] = []
    real = botocore_client.BaseClient._make_api_call

    def call(self: Any, operation: str, asked: Any) -> Any:
        if operation != "ChangeMessageVisibilityBatch":
            return real(self, operation, asked)
        calls.append(len(asked["Entries"]))
        return answers[0] if answers else real(self, operation, asked)

    monkeypatch.setattr(botocore_client.BaseClient, "_make_api_call", call)
    rows = [{**record(one.id, receipt=one.receipt), "body": one.body} for one in received]
    odd = [one.id for one in received if int(one.body) % 2]
    assert failed(app, *rows) == odd
    assert calls == [10, 2]
    # A lease that has ended is no trouble: the message is somebody else's by now, or done.
    assert failed(app, *[{**one, "receiptHandle": "gone"} for one in rows]) == odd
    answers.append({"Failed": [{"Id": "0", "Code": "InternalError", "SenderFault": False, "Message": "later"}]})
    assert failed(app, *rows) == odd
    assert "asked for a later attempt, in vain" in caplog.text
