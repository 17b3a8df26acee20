"""Several messages of a batch in hand at once: bounded, each for itself, a group in order."""

from __future__ import annotations

import asyncio
import logging
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import pytest

from portable import App, ConfigError, Context, Message, Reject, Retry
from portable.events import current_context
from portable.invoke import make_function, run
from portable.manifest import describe_app
from portable.testing import TestClient
from portable_aws.build import TARGET as AWS
from portable_azure.build import TARGET as AZURE
from portable_gcp.build import TARGET as GCP

WHO: ContextVar[str] = ContextVar("who", default="nobody")


def batch(*names: str, groups: dict[str, str] | None = None) -> list[Message[Any]]:
    return [Message(name, f'"{name}"', group=(groups or {}).get(name)) for name in names]


class Desk:
    """An app whose handler is given, and what its function makes of a batch."""

    def __init__(self, handler: Any, **options: Any) -> None:
        app = App("desk")
        app.on_message(app.queue("mails"), function="mail", **options)(handler)
        self.app = app
        self.function = make_function(app.functions()["mail"])

    def outcomes(self, messages: list[Message[Any]]) -> list[BaseException | None]:
        found: list[BaseException | None] = run(self.function(messages))
        return found


@pytest.mark.parametrize("concurrency", [1, 2, 5])
def test_so_many_at_once_and_no_more(concurrency: int) -> None:
    now = most = 0

    async def mail(message: Message[str]) -> None:
        nonlocal now, most
        now += 1
        most = max(most, now)
        for _ in range(5):
            await asyncio.sleep(0)
        now -= 1

    desk = Desk(mail, concurrency=concurrency)
    assert desk.outcomes(batch(*"abcdefghijkl")) == [None] * 12
    assert (now, most) == (0, concurrency)
    assert desk.outcomes([]) == []


def test_they_do_work_together() -> None:
    """Each waits for all others: one after the other they would wait for ever."""
    gate = asyncio.Event()
    there = []

    async def mail(message: Message[str]) -> None:
        there.append(message.id)
        if len(there) == 4:
            gate.set()
        await gate.wait()

    assert Desk(mail, concurrency=4).outcomes(batch(*"abcd")) == [None] * 4


def test_a_failure_is_of_its_message_alone(caplog: pytest.LogCaptureFixture) -> None:
    async def mail(message: Message[str]) -> None:
        await asyncio.sleep(0)
        if message.body == "boom":
            raise OSError("no")
        if message.body == "never":
            raise Reject("never")
        if message.body == "later":
            message.fail()
        if message.body == "cancelled":
            raise asyncio.CancelledError

    messages = [*batch("a", "boom", "b", "never", "later", "cancelled"), Message("misfit", "no JSON")]
    found = Desk(mail, concurrency=3).outcomes(messages)
    assert [type(one).__name__ for one in found[:6]] == [
        "NoneType",
        "OSError",
        "NoneType",
        "Reject",
        "Retry",
        "RuntimeError",
    ]
    assert isinstance(found[6], ValueError)
    assert "mail failed on message boom" in caplog.text


def test_a_group_is_in_order_and_stops_where_it_fails() -> None:
    seen: list[str] = []

    async def mail(message: Message[str]) -> None:
        await asyncio.sleep(0)
        seen.append(message.body)
        if message.body == "x2":
            raise OSError("no")
        if message.body == "y1":
            raise Reject("never")

    groups = {name: name[0] for name in ("x1", "x2", "x3", "x4", "y1", "y2")}
    messages = batch("x1", "y1", "x2", "alone", "y2", "x3", "x4", groups=groups)
    found = Desk(mail, concurrency=10).outcomes(messages)
    assert [type(one).__name__ for one in found] == [
        "NoneType",
        "Reject",
        "OSError",
        "NoneType",
        "NoneType",
        "Retry",
        "Retry",
    ]
    assert str(found[5]) == "an earlier message of group x failed"
    assert [one for one in seen if one[0] == "x"] == ["x1", "x2"]
    assert [one for one in seen if one[0] == "y"] == ["y1", "y2"]


def test_each_has_context_variables_of_its_own() -> None:
    seen: dict[str, tuple[str, Any]] = {}

    async def mail(message: Message[str], context: Context) -> None:
        before = WHO.get()
        WHO.set(message.body)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert WHO.get() == message.body
        assert context.message is message is Context.current().message
        seen[message.body] = before, context.message.id

    token = current_context.set(Context("mail", "1"))
    try:
        assert Desk(mail, concurrency=2).outcomes(batch(*"abcdef")) == [None] * 6
        assert Context.current().message is None
    finally:
        current_context.reset(token)
    assert seen == {name: ("nobody", name) for name in "abcdef"}
    assert WHO.get() == "nobody"


def test_the_context_knows_the_message_of_a_plain_handler_too(caplog: pytest.LogCaptureFixture) -> None:
    app = App("plain")
    mails = app.queue("plain-mails")

    @app.on_message(mails)
    def mail(message: Message[str]) -> None:
        assert Context.current().message is message
        logging.getLogger("shop").warning("about %s", Context.current().message.body)

    @app.on_message(app.queue("plain-lists"))
    def sort(messages: list[Message[str]]) -> None:
        assert Context.current().message is None

    with TestClient(app) as client:
        client.send(mails, "a")
        client.send(mails, "b")
        client.send("plain-lists", "c")
        assert client.settle().failures == []
    assert [one.getMessage() for one in caplog.records if one.name == "shop"] == ["about a", "about b"]


def test_cancelled_with_the_invocation_every_handler_ends_first() -> None:
    ended: list[str] = []
    begun = asyncio.Event()

    async def mail(message: Message[str]) -> None:
        try:
            begun.set()
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            ended.append(message.id)

    async def invoke() -> None:
        task = asyncio.ensure_future(Desk(mail, concurrency=3).function(batch(*"abcdef")))
        await begun.wait()
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert len(asyncio.all_tasks()) == 1

    run(invoke())
    assert sorted(ended) == ["a", "b", "c"]


@pytest.mark.parametrize(("handler", "is_batch"), [("sync", False), ("async", True)])
def test_only_for_async_handlers_of_single_messages(handler: str, is_batch: bool) -> None:
    def sync(message: Message[str]) -> None: ...

    async def whole(messages: list[Message[str]]) -> None: ...

    with pytest.raises(ConfigError, match="concurrency=2 is for an async handler of single messages; write async def"):
        Desk(whole if is_batch else sync, concurrency=2)
    with pytest.raises(ConfigError, match="concurrency is a whole number above 0, got 0"):
        Desk(sync, concurrency=0)
    assert handler in ("sync", "async")


def test_a_filter_and_backlog_through_the_client() -> None:
    app = App("through")
    news = app.topic("news", dict[str, int])
    seen = []

    @app.on_message(news, filter={"plan": ["pro"]}, batch_size=20, concurrency=7)
    async def read(message: Message[dict[str, int]]) -> None:
        await asyncio.sleep(0)
        seen.append(message.body["n"])
        if message.body["n"] == 3 and message.attempt == 1:
            raise Retry("once more")

    with TestClient(app) as client:
        for number in range(20):
            client.publish(news, {"n": number}, attributes={"plan": "pro" if number % 2 else "free"})
        settled = client.settle()
    assert sorted(seen) == [1, 3, 3, *range(5, 20, 2)]
    assert [one.attempt for one in settled.failures] == [1]


@pytest.mark.parametrize(
    ("target", "severity", "says"),
    [
        (AWS, "warning", "concurrency=20: a batch has 10 messages at most, so no more are in hand at once"),
        (
            GCP,
            "info",
            "function mail: Pub/Sub pushes one message a request; how many at once is the service's concurrency",
        ),
        (AZURE, "info", "queue 'mails': how many messages are in hand at once is the Function App's batch size"),
    ],
)
def test_where_it_says_more_than_a_cloud_does(target: Any, severity: str, says: str) -> None:
    async def mail(message: Message[str]) -> None: ...

    manifest = describe_app(Desk(mail, concurrency=20).app, "app:app", Path("/nowhere"))
    [found] = [
        one for one in target.check(manifest, {}) if "at once" in one.message and "concurrency=20" in one.message
    ]
    assert (found.severity, found.message[: len(says)]) == (severity, says)
    quiet = describe_app(Desk(mail).app, "app:app", Path("/nowhere"))
    assert not any("concurrency" in one.message for one in target.check(quiet, {}))
