"""Bodies that go through a bucket, on the local drivers with a queue that takes little."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from portable import App, Bucket, ConfigError, Message, NotFoundError, Queue, UnavailableError, UnsupportedError
from portable.invoke import make_function
from portable.manifest import describe_app
from portable.resources import large as large_module
from portable.resources import use_platform
from portable.resources.large import PREFIX
from portable_local import queue as queue_module
from portable_local.platform import LocalPlatform

BIG = "x" * 500

bodies = Bucket("bodies")
emails: Queue[str] = Queue("letters", str, max_attempts=2, large=bodies)


@pytest.fixture(autouse=True)
def platform(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalPlatform]:
    monkeypatch.setattr(queue_module, "LARGEST_BODY", 300)
    platform = LocalPlatform({"PORTABLE_LOCAL_STATE": str(tmp_path)})
    with use_platform(platform):
        yield platform
    platform.close()


def blobs() -> list[str]:
    return [info.key for info in bodies.list()]


def test_a_large_body_goes_through_the_bucket_and_is_deleted_after_it_is_acknowledged() -> None:
    emails.send(BIG)
    emails.send("small")
    [key] = blobs()
    assert key.startswith(f"{PREFIX}letters/")
    large, small = emails.receive()
    assert (large.body, small.body) == (BIG, "small")
    assert large.native.body.endswith(key)
    large.nack()
    assert blobs() == [key]
    small.ack()
    [again] = emails.receive()
    again.ack()
    assert blobs() == []


def test_async_twins() -> None:
    async def work() -> None:
        await emails.asend(BIG)
        assert await emails.asend_many([BIG, "small"]) == []
        assert len(blobs()) == 2
        for delivery in await emails.areceive():
            async with delivery as message:
                assert message.body in (BIG, "small")

    asyncio.run(work())
    assert blobs() == []


def test_what_was_refused_leaves_no_blob(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> Any:
        raise UnsupportedError("no")

    def vanish(*_: Any, **__: Any) -> Any:
        raise UnavailableError("who knows")

    monkeypatch.setattr(queue_module.LocalQueue, "send", refuse)
    with pytest.raises(UnsupportedError):
        emails.send(BIG)
    assert blobs() == []
    monkeypatch.setattr(queue_module.LocalQueue, "send", vanish)
    with pytest.raises(UnavailableError):
        emails.send(BIG)
    assert len(blobs()) == 1  # it may have been accepted all the same


def test_dead_letters_keep_their_bodies_through_a_redrive() -> None:
    emails.send(BIG)
    for _ in range(2):
        [delivery] = emails.receive()
        delivery.nack()
    [letter] = emails.dead_letters()
    assert letter.body == BIG
    assert emails.redrive() == 1
    [delivery] = emails.receive()
    assert delivery.body == BIG
    delivery.ack()
    assert blobs() == []


def test_a_lost_reference_says_what_is_lost_and_keeps_no_other_message_away() -> None:
    emails.send(BIG)
    emails.send("small")
    [key] = blobs()
    bodies.delete(key)
    lost, small = emails.receive()
    assert small.body == "small"
    with pytest.raises(NotFoundError, match=r"queue letters.*bucket bodies") as caught:
        _ = lost.body
    assert caught.value.key == key


@pytest.mark.parametrize("is_async", [False, True])
def test_a_function_gets_the_body_and_the_blob_goes_later(
    is_async: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    app = App("shop")
    seen = []

    if is_async:

        @app.on_message(emails)
        async def handle_async(message: Message[str]) -> None:
            seen.append(message.body)

    else:

        @app.on_message(emails)
        def handle(message: Message[str]) -> None:
            seen.append(message.body)

    [triggers] = app.functions().values()
    function = make_function(triggers)

    def call(*texts: str) -> list[Any]:
        batch: list[Message[Any]] = [Message(str(at), text) for at, text in enumerate(texts)]
        outcomes = function(batch)
        found: list[Any] = asyncio.run(outcomes) if is_async else outcomes
        return found

    emails.send(BIG)
    [received] = emails.driver().receive(1, *emails._leasing(1, None, None)[1:])
    key = blobs()[0]
    assert call(received.body, '"small"') == [None, None]
    assert seen == [BIG, "small"]
    assert blobs() == [key]  # the cloud has not acknowledged it yet
    assert call(received.body) == [None]  # and delivers it again
    monkeypatch.setattr(large_module, "GRACE", -1.0)
    assert call('"small"') == [None]
    assert blobs() == []
    with caplog.at_level(logging.ERROR):
        [outcome, done] = call(received.body, '"small"')
    assert isinstance(outcome, NotFoundError)
    assert done is None
    assert "queue letters" in caplog.text


def test_a_failed_message_keeps_its_blob(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(large_module, "GRACE", -1.0)
    app = App("shop")

    @app.on_message(emails)
    def handle(messages: list[Message[str]]) -> None:
        messages[0].fail()

    [triggers] = app.functions().values()
    emails.send_many([BIG, BIG])
    wires = [one.native.body for one in emails.receive()]
    failed, done = make_function(triggers)([Message(text, text) for text in wires])
    assert failed is not None
    assert done is None
    assert [emails.is_large(wires[0]), len(blobs())] == [True, 1]
    assert emails.open_body(wires[0]) == f'"{BIG}"'


def test_functions_that_use_the_queue_get_its_bucket(tmp_path: Path) -> None:
    app = App("shop")
    large = app.bucket("large")
    other = app.bucket("other")
    orders = app.queue("orders", large=large)

    @app.on_message(orders)
    def handle(message: Message[Any]) -> None: ...

    @app.function()
    def look() -> int:
        return len(list(other.list()))

    manifest = describe_app(app, "app:app", tmp_path)
    assert manifest.function("handle").uses == ["bucket:large", "queue:orders"]
    assert manifest.resource("queue", "orders").options == {"max_attempts": 5, "large": "large"}


def test_only_a_bucket_will_do() -> None:
    with pytest.raises(ConfigError, match="large is a bucket"):
        Queue("orders", large="bodies")  # type: ignore[arg-type]
