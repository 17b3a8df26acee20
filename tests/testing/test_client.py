"""The test client in this process, over the real local platform."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from portable import (
    App,
    BlobEvent,
    ConfigError,
    Context,
    HTTPError,
    Message,
    NotFoundError,
    Reject,
    Request,
    Response,
    Tick,
)
from portable.run.delivery import NotSettledError
from portable.run.target import InvocationError
from portable.testing import TestClient


class Order(msgspec.Struct):
    key: str
    count: int = 1


app = App("shop")
uploads, thumbs = app.bucket("uploads"), app.bucket("thumbs")
orders = app.queue("orders", Order, max_attempts=3)
batches = app.queue("batches", max_attempts=2)
started: list[str] = []


@app.on_start
async def warm() -> None:
    started.append("warm")
    await uploads.awrite("warm.txt", "on_start has a platform")


@app.post("/uploads/{name}")
async def upload(name: str, request: Request) -> Response:
    await uploads.awrite(name, request.body)
    answer = Response({"name": name}, 201)
    answer.set_cookie("last", name)
    return answer


@app.get("/echo/{rest:path}")
def echo(rest: str, request: Request) -> dict[str, Any]:
    return {
        "rest": rest,
        "raw_path": request.raw_path,
        "query": request.query.items(),
        "headers": request.headers.get_all("x-many"),
        "cookies": request.cookies,
        "body": request.text(),
        "type": request.headers.get("content-type"),
    }


@app.get("/broken")
async def broken() -> None:
    raise ZeroDivisionError("a mistake")


@app.get("/teapot")
def teapot() -> None:
    raise HTTPError(418, "short and stout")


@app.on_blob(uploads, suffix=".png", kinds=("created", "deleted"))
def shrink(event: BlobEvent) -> None:
    if event.kind == "deleted":
        thumbs.delete(event.key)
        return
    thumbs.write(event.key, uploads.read(event.key)[:3])
    orders.send(Order(event.key))


@app.on_message(orders)
async def order(message: Message[Order]) -> None:
    if message.body.key == "reject":
        raise Reject("never")
    if message.body.key == "poison":
        raise ValueError(f"attempt {message.attempt}")
    await thumbs.awrite(f"seen-{message.body.key}", str(message.attempt))


@app.on_message(batches, batch_size=3)
def batch(messages: list[Message[Any]]) -> None:
    thumbs.write(f"batch-{messages[0].body}", str(len(messages)))
    for message in messages:
        if message.body == "bad":
            message.fail()


@app.on_schedule(cron="0 8 * * *")
async def daily(tick: Tick, context: Context) -> None:
    thumbs.write("daily", f"{tick.scheduled_at.isoformat()} {context.function} {context.cold_start}")


@app.function()
def double(payload: dict[str, int]) -> dict[str, int]:
    return {"twice": payload["n"] * 2}


@pytest.fixture
def client() -> Iterator[TestClient]:
    with TestClient(app) as made:
        yield made


def test_requests_and_answers(client: TestClient) -> None:
    answer = client.post("/uploads/cat.png", body=b"picture")
    assert (answer.status, answer.json(), answer.cookies) == (201, {"name": "cat.png"}, {"last": "cat.png"})
    assert answer.headers["Content-Type"] == "application/json"
    assert uploads.read("cat.png") == b"picture"
    assert client.head("/broken/x").status == 404
    assert client.options("/teapot").headers["allow"] == "GET, HEAD, OPTIONS"
    assert client.get("/teapot").json()["detail"] == "short and stout"
    assert client.delete("/teapot").status == 405


def test_every_part_of_a_request(client: TestClient) -> None:
    seen = client.get(
        "/echo/a%2Fb/é c?x=1",
        query=[("x", "2"), ("y", "&é")],
        headers=[("X-Many", "1"), ("x-many", "2")],
        cookies={"a": "1", "b": "2"},
        json={"n": 1},
    ).json()
    assert seen == {
        "rest": "a/b/é c",
        "raw_path": "/echo/a%2Fb/%C3%A9%20c",
        "query": [["x", "1"], ["x", "2"], ["y", "&é"]],
        "headers": ["1", "2"],
        "cookies": {"a": "1", "b": "2"},
        "body": '{"n":1}',
        "type": "application/json",
    }
    with pytest.raises(ValueError, match="give body, json, or form and files"):
        client.post("/echo/x", body="a", json=1)


def test_blob_events_and_messages_settle(client: TestClient) -> None:
    client.post("/uploads/cat.png", body=b"picture")
    settled = client.settle()
    assert (settled.delivered, settled.failures) == (2, [])
    assert thumbs.read("cat.png") == b"pic"
    assert client.bucket("thumbs").read("seen-cat.png") == b"1"
    uploads.delete("cat.png")
    client.settle()
    assert not thumbs.exists("cat.png")


def test_a_message_is_tried_again_and_then_a_dead_letter(client: TestClient) -> None:
    client.send(orders, Order("poison"))
    client.send("orders", {"key": "reject"})
    client.send("orders", {"count": "does not fit"})
    settled = client.settle()
    assert [failure.attempt for failure in settled.failures if failure.given_up] == [3, 3]
    bodies = sorted(client.dead_letters(orders), key=str)
    assert bodies == [{"count": "does not fit"}, {"key": "poison", "count": 1}, {"key": "reject"}]


def test_batches(client: TestClient) -> None:
    for body in ("a", "b", "bad", "c"):
        client.send(batches, body)
    settled = client.settle()
    assert settled.delivered == 3
    assert thumbs.read("batch-a") == b"3"
    assert client.dead_letters("batches") == ["bad"]


def test_ticks_and_calls(client: TestClient) -> None:
    client.tick(daily, datetime(2026, 3, 29, 8, tzinfo=UTC))
    assert thumbs.read("daily") == b"2026-03-29T08:00:00+00:00 daily True"
    client.tick("daily")
    assert thumbs.read("daily").endswith(b" daily False")
    assert client.call(double, {"n": 4}) == {"twice": 8}
    with pytest.raises(ConfigError, match="is no handler of app 'shop'"):
        client.call(pytest.fail)
    with pytest.raises(ConfigError, match="no function 'other'; it has http"):
        client.call("other")


def test_what_a_handler_raises_comes_out(client: TestClient) -> None:
    with pytest.raises(ZeroDivisionError, match="a mistake"):
        client.get("/broken")
    with pytest.raises(KeyError):
        client.call(double, {})


def test_or_is_answered_as_in_a_cloud() -> None:
    with TestClient(app, raise_errors=False) as client:
        answer = client.get("/broken")
        assert (answer.status, answer.json()["title"]) == (500, "Internal Server Error")
        with pytest.raises(InvocationError, match="KeyError: 'n'"):
            client.call(double, {})


def test_every_client_is_a_new_instance_with_nothing_stored() -> None:
    before = len(started)
    with TestClient(app):
        assert [info.key for info in uploads.list()] == ["warm.txt"]
        uploads.write("x", b"")
    with TestClient(app):
        assert [info.key for info in uploads.list()] == ["warm.txt"]
    assert len(started) == before + 2
    with pytest.raises(ConfigError, match="no platform here"):
        uploads.read("x")


def test_a_driver_put_in_place(client: TestClient) -> None:
    class Full:
        def write(self, key: str, data: bytes, **options: Any) -> Any:
            raise NotFoundError("the disk is full", resource="bucket uploads", key=key)

        def list(self, prefix: str, delimiter: str | None) -> Iterator[Any]:
            return iter(())

    plain = App("plain")
    box = plain.bucket("box")

    @plain.post("/")
    def put() -> None:
        box.write("a", b"")

    for key in (box, "bucket:box"):
        with TestClient(plain, overrides={key: Full()}) as other, pytest.raises(NotFoundError, match="full"):
            other.post("/")
    with pytest.raises(ConfigError, match="'kind:name'"):
        TestClient(plain, overrides={"box": Full()})


def test_a_loop_is_an_error() -> None:
    loop = App("loop")
    box = loop.bucket("box")

    @loop.on_blob(box)
    def again(event: BlobEvent) -> None:
        box.write(event.key + "x", b"")

    with TestClient(loop) as client:
        box.write("a", b"")
        with pytest.raises(NotSettledError, match="does the handler write to"):
            client.settle()


async def _in_a_loop() -> None:
    with TestClient(app) as client:
        assert client.post("/uploads/a.txt", body=b"1").status == 201
        assert await uploads.aread("a.txt") == b"1"


def test_inside_an_event_loop() -> None:
    import asyncio

    asyncio.run(_in_a_loop())


def test_a_topic_reaches_every_handler_that_wants_it() -> None:
    app = App("shop")
    signups = app.topic("signups", dict)
    seen: list[Any] = []

    @app.on_message(signups)
    def welcome(message: Message[Any]) -> None:
        seen.append(("welcome", message.body))
        if message.body == {"n": 2}:
            raise ValueError("no address")

    @app.on_message(signups, filter={"plan": ["pro"]})
    async def bill(batch: list[Message[Any]]) -> None:
        seen.append(("bill", [message.body for message in batch]))
        batch[0].fail(Reject("no card"))

    with TestClient(app) as client:
        client.publish(signups, {"n": 1})
        client.publish("signups", {"n": 2}, attributes={"plan": "pro"})
        settled = client.settle()
        assert (settled.delivered, len(settled.failures)) == (2, 5)
        assert seen[:3] == [("welcome", {"n": 1}), ("welcome", {"n": 2}), ("bill", [{"n": 2}])]
        assert client.dead_letters("signups/welcome") == [{"n": 2}]
        assert client.dead_letters("signups/bill") == [{"n": 2}]
