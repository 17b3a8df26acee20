"""Doing once what is asked for several times: on every kind of store, by requests and events, in one process."""

import asyncio
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from portable import (
    App,
    BlobEvent,
    ConfigError,
    HTTPError,
    Message,
    Reject,
    Response,
    Tick,
    idempotent,
)
from portable.testing import TestClient
from portable.testing.client import Answer

STORES = ("table", "cache")
KINDS = ("sync", "async")
KEY = {"idempotency-key": "k1"}


class Payment(msgspec.Struct):
    amount: int


def store_of(app: App, kind: str) -> Any:
    if kind == "table":
        return app.table("idempotency-requests", key="id", ttl="ends")
    return app.cache("idempotency-requests")


def shop(store: str, kind: str = "sync", **options: Any) -> tuple[App, list[int]]:
    app = App("shop")
    paid: list[int] = []
    once = idempotent(store_of(app, store), **options)
    if kind == "sync":

        @app.post("/payments", status=201)
        @once
        def pay(body: Payment) -> Any:
            paid.append(body.amount)
            if body.amount == 13:
                raise HTTPError(402, "No")
            if body.amount == 14:
                raise RuntimeError("broken")
            return {"number": len(paid)}

    else:

        @app.post("/payments", status=201)
        @once
        async def apay(body: Payment) -> Any:
            await asyncio.sleep(0)
            paid.append(body.amount)
            if body.amount == 13:
                raise HTTPError(402, "No")
            if body.amount == 14:
                raise RuntimeError("broken")
            return {"number": len(paid)}

    return app, paid


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("store", STORES)
def test_asked_again_the_same_is_answered(store: str, kind: str) -> None:
    app, paid = shop(store, kind)
    with TestClient(app) as client:
        first = client.post("/payments", json={"amount": 3}, headers=KEY)
        again = client.post("/payments", json={"amount": 3}, headers={"Idempotency-Key": '"k1"'})
        assert (first.status, first.json()) == (201, {"number": 1})
        assert (again.status, again.json()) == (201, {"number": 1})
        assert again.headers["content-type"] == first.headers["content-type"]
        assert ("idempotent-replayed" in first.headers, again.headers["idempotent-replayed"]) == (False, "true")
        other = client.post("/payments", json={"amount": 3}, headers={"idempotency-key": "k2"})
        assert other.json() == {"number": 2}
    assert paid == [3, 3]


@pytest.mark.parametrize("store", STORES)
def test_a_key_with_another_payload_is_refused(store: str) -> None:
    app, paid = shop(store)
    with TestClient(app) as client:
        client.post("/payments", json={"amount": 3}, headers=KEY)
        answer = client.post("/payments", json={"amount": 4}, headers=KEY)
        assert (answer.status, "used with another request" in answer.json()["detail"]) == (422, True)
        assert client.post("/payments?x=1", json={"amount": 3}, headers=KEY).status == 422
    assert paid == [3]


def test_a_key_is_asked_for_unless_it_is_not() -> None:
    app, paid = shop("table")
    with TestClient(app) as client:
        assert client.post("/payments", json={"amount": 3}).status == 400
        assert client.post("/payments", json={"amount": 3}, headers={"idempotency-key": ""}).status == 400
        assert client.post("/payments", json={"amount": 3}, headers={"idempotency-key": "k" * 300}).status == 400
    assert paid == []
    app, paid = shop("table", required=False)
    with TestClient(app) as client:
        for _ in range(2):
            assert client.post("/payments", json={"amount": 3}).status == 201
    assert paid == [3, 3]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("store", STORES)
def test_what_failed_may_be_tried_again(store: str, kind: str) -> None:
    app, paid = shop(store, kind)
    with TestClient(app, raise_errors=False) as client:
        assert [client.post("/payments", json={"amount": 13}, headers=KEY).status for _ in range(2)] == [402, 402]
        assert [client.post("/payments", json={"amount": 14}, headers=KEY).status for _ in range(2)] == [500, 500]
        assert client.post("/payments", body=b"no json", headers=KEY).status == 400
        assert client.post("/payments", json={"amount": 3}, headers=KEY).status == 201
    assert paid == [13, 13, 14, 14, 3]


@pytest.mark.parametrize(
    "response",
    [
        Response(b"\x00\xff", 200, [("x-a", "1"), ("x-a", "2")], "image/png"),
        Response("text ü", 202),
        Response({"a": [1, None]}, 200, {"location": "/a"}),
        Response(None, 204),
    ],
)
@pytest.mark.parametrize("store", STORES)
def test_any_answer_is_kept_whole(store: str, response: Response) -> None:
    app = App("shop")
    response.set_cookie("a", "1")

    @app.post("/")
    @idempotent(store_of(app, store))
    def make() -> Response:
        return response

    def seen(answer: Answer) -> Any:
        headers = [pair for pair in answer.headers.items() if pair[0] != "idempotent-replayed"]
        return answer.status, sorted(headers), answer.body

    with TestClient(app) as client:
        first, again = (client.post("/", headers=KEY) for _ in range(2))
    assert seen(first) == seen(again)
    assert "idempotent-replayed" in again.headers


def test_a_key_of_ones_own() -> None:
    app = App("shop")
    seen: list[str] = []

    @app.put("/orders/{number}")
    @idempotent(store_of(app, "table"), key=lambda request: request.params["number"])
    def put(number: str) -> None:
        seen.append(number)

    with TestClient(app) as client:
        for number in ("1", "1", "2"):
            assert client.put(f"/orders/{number}").status == 204
    assert seen == ["1", "2"]


def race(app: App, count: int = 6) -> list[Answer]:
    """Requests of one key at once."""
    answers: list[Answer] = []
    with TestClient(app) as client:
        start = threading.Barrier(count)

        def ask() -> None:
            start.wait()
            answers.append(client.post("/payments", json={"amount": 3}, headers=KEY))

        threads = [threading.Thread(target=ask) for _ in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    return answers


def slow_shop(store: str, kind: str, concurrent: str) -> tuple[App, list[int]]:
    app = App("shop")
    paid: list[int] = []
    once = idempotent(store_of(app, store), concurrent=concurrent)  # type: ignore[arg-type]
    if kind == "sync":

        @app.post("/payments")
        @once
        def pay(body: Payment) -> int:
            paid.append(body.amount)
            threading.Event().wait(0.4)
            return len(paid)

    else:

        @app.post("/payments")
        @once
        async def apay(body: Payment) -> int:
            paid.append(body.amount)
            await asyncio.sleep(0.4)
            return len(paid)

    return app, paid


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("store", STORES)
def test_at_once_one_works_and_the_others_are_told(store: str, kind: str) -> None:
    app, paid = slow_shop(store, kind, "refuse")
    answers = race(app)
    assert paid == [3]
    assert {answer.status for answer in answers} <= {200, 409}
    assert sum(answer.status == 200 and "idempotent-replayed" not in answer.headers for answer in answers) == 1
    assert all(int(answer.headers["retry-after"]) >= 1 for answer in answers if answer.status == 409)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("store", STORES)
def test_at_once_one_works_and_the_others_wait(store: str, kind: str) -> None:
    app, paid = slow_shop(store, kind, "wait")
    answers = race(app)
    assert paid == [3]
    assert [(answer.status, answer.json()) for answer in answers] == [(200, 1)] * 6


@pytest.mark.parametrize("store", STORES)
def test_a_claim_whose_owner_died_ends(store: str) -> None:
    from portable.idempotency import claim, settings_of
    from portable.invoke import run

    app, paid = shop(store, lock=timedelta(seconds=3))
    settings = settings_of(app.triggers[0].handler)
    assert settings is not None
    with TestClient(app) as client:

        async def taken() -> list[str]:
            return [(await claim(settings, "someone", "hash", 3.0, True)).state for _ in range(2)]

        assert run(taken()) == ["ours", "busy"]
        threading.Event().wait(3.2)

        async def again() -> str:
            return (await claim(settings, "someone", "hash", 1.0, True)).state

        assert run(again()) == "ours"
        assert client.post("/payments", json={"amount": 3}, headers=KEY).status == 201
    assert paid == [3]


def test_a_result_that_comes_too_late_takes_no_one_elses_place(caplog: pytest.LogCaptureFixture) -> None:
    app = App("shop")
    store = store_of(app, "table")
    late: list[int] = []

    @app.post("/")
    @idempotent(store, lock=timedelta(seconds=1), concurrent="wait")
    def slow() -> int:
        late.append(1)
        mine = len(late)
        if mine == 1:
            threading.Event().wait(2.5)
        return mine

    answers: list[Any] = []
    with TestClient(app) as client:
        first = threading.Thread(target=lambda: answers.append(client.post("/", headers=KEY).json()))
        first.start()
        threading.Event().wait(0.3)
        second = client.post("/", headers=KEY).json()  # when the claim of the first has ended
        first.join()
        third = client.post("/", headers=KEY)
        assert (answers, second) == ([1], 2)
        assert (third.json(), third.headers["idempotent-replayed"]) == (2, "true")
    assert "give it a longer lock" in caplog.text


# --- events


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("store", STORES)
def test_messages(store: str, kind: str) -> None:
    app = App("shop")
    idempotency_orders = app.queue("idempotency-orders", dict[str, Any])
    packed: list[Any] = []

    def key(message: Message[dict[str, Any]]) -> str:
        return str(message.body["id"])

    if kind == "sync":

        @app.on_message(idempotency_orders)
        @idempotent(store_of(app, store), key=key)
        def pack(message: Message[dict[str, Any]]) -> None:
            packed.append(message.body["id"])
            if message.body.get("fails") and message.attempt == 1:
                raise RuntimeError("again")
            if message.body.get("marks") and message.attempt == 1:
                message.fail()
            if message.body.get("bad"):
                raise Reject("never")

    else:

        @app.on_message(idempotency_orders)
        @idempotent(store_of(app, store), key=key)
        async def apack(message: Message[dict[str, Any]]) -> None:
            await asyncio.sleep(0)
            packed.append(message.body["id"])
            if message.body.get("fails") and message.attempt == 1:
                raise RuntimeError("again")
            if message.body.get("marks") and message.attempt == 1:
                message.fail()
            if message.body.get("bad"):
                raise Reject("never")

    with TestClient(app) as client:
        for body in ({"id": 1}, {"id": 1}, {"id": 2, "fails": True}, {"id": 3, "marks": True}, {"id": 4, "bad": True}):
            client.send(idempotency_orders, body)
            client.settle()
        assert packed == [1, 2, 2, 3, 3, 4]
        assert client.dead_letters(idempotency_orders) == [{"id": 4, "bad": True}]


def test_a_message_is_known_by_its_id_and_a_tick_by_its_instant() -> None:
    from datetime import UTC, datetime

    from portable.invoke import make_function

    app = App("shop")
    store = store_of(app, "table")
    idempotency_letters = app.queue("idempotency-letters", str)
    done: list[str] = []

    @app.on_message(idempotency_letters)
    @idempotent(store)
    def post(message: Message[str]) -> None:
        done.append(message.body)

    @app.on_schedule(cron="0 8 * * *")
    @idempotent(store)
    def report(tick: Tick) -> None:
        done.append(tick.scheduled_at.isoformat())

    noon = datetime(2026, 1, 1, 12, tzinfo=UTC)
    with TestClient(app) as client:
        function = make_function(app.functions()["post"], app)
        for identity in ("m1", "m1", "m2"):
            assert function([Message(identity, '"a"')]) == [None]
        for hours in (0, 0, 1):
            client.tick(report, noon + timedelta(hours=hours))
    assert done == ["a", "a", "2026-01-01T12:00:00+00:00", "2026-01-01T13:00:00+00:00"]


def test_a_direct_calls_result_is_kept() -> None:
    app = App("shop")
    calls: list[int] = []

    @app.function()
    @idempotent(store_of(app, "cache"), key=lambda payload: str(payload["id"]))
    def recount(payload: dict[str, int]) -> dict[str, int]:
        calls.append(1)
        return {"n": len(calls)}

    with TestClient(app) as client:
        assert [client.call(recount, {"id": number}) for number in (1, 1, 2)] == [{"n": 1}, {"n": 1}, {"n": 2}]


# --- what is refused


def test_stores_that_cannot_serve() -> None:
    app = App("shop")
    for store, match in (
        ("requests", "takes a table or a cache"),
        (app.queue("idempotency-no"), "takes a table or a cache"),
        (app.table("idempotency-bare", key="id"), r"takes a table like app.table\('idempotency-bare'"),
        (app.table("idempotency-sorted", key="id", sort="at", ttl="ends"), "takes a table like"),
        (app.cache("idempotency-typed", Payment), "declare a cache without a type"),
    ):
        with pytest.raises(ConfigError, match=match):
            idempotent(store)  # type: ignore[arg-type]
    cache = app.cache("idempotency-fine")
    with pytest.raises(ConfigError, match="concurrent is 'refuse' or 'wait'"):
        idempotent(cache, concurrent="ignore")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="ttl is a timedelta of a second or more"):
        idempotent(cache, ttl=timedelta(0))


def test_handlers_that_cannot_be() -> None:
    app = App("shop")
    idempotency_lots = app.queue("idempotency-lots", str)
    cache = app.cache("idempotency-events")

    @app.on_message(idempotency_lots)
    @idempotent(cache)
    def pack(messages: list[Message[str]]) -> None: ...

    with pytest.raises(ConfigError, match=r"pack at .*: an idempotent handler takes one message, not a batch"):
        TestClient(app)
    app = App("shop")

    @app.on_blob(app.bucket("idempotency-photos"))
    @idempotent(cache)
    def shrink(event: BlobEvent) -> None: ...

    with pytest.raises(ConfigError, match="a blob event has no id; give idempotent a key="):
        TestClient(app)


def test_only_functions_that_claim_use_the_store(tmp_path: Path) -> None:

    from portable.manifest import describe_app

    app, _ = shop("table")

    @app.function()
    def other(payload: int) -> int:
        return payload

    manifest = describe_app(app, "app:app", tmp_path)
    assert manifest.function("http").uses == ["table:idempotency-requests"]
    assert manifest.function("other").uses == []
