"""An app made of the edges where clouds differ: `portable verify` holds its answers equal on every target."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Annotated, Any

import msgspec

from portable import (
    App,
    BlobEvent,
    Context,
    Cookie,
    Header,
    HTTPError,
    Message,
    Query,
    Reject,
    Request,
    Response,
    Retry,
    Tick,
)


class Order(msgspec.Struct):
    item: str
    count: int = 1


app = App("fidelity")
box, results = app.bucket("box"), app.bucket("results")
orders = app.queue("orders", Order, max_attempts=5)
batches = app.queue("batches", max_attempts=5)
unread = app.queue("unread")


@app.route("/echo/{rest:path}", methods=["GET", "POST", "PUT", "PATCH", "DELETE"])
def echo(rest: str, request: Request, context: Context) -> dict[str, Any]:
    return {
        "rest": rest,
        "method": request.method,
        "path": request.path,
        "root_path": request.root_path,
        "query": request.query.items(),
        "many": request.headers.get_all("x-many") and request.headers["x-many"],
        "unicode": request.headers.get("x-unicode"),
        "content_type": request.headers.get("content-type"),
        "cookies": request.cookies,
        "size": len(request.body),
        "function": context.function,
        "has_deadline": context.remaining() is not None,
        "has_client": request.client is not None,
    }


@app.get("/raw/{segment}")
def raw(segment: str, request: Request) -> dict[str, str]:
    return {"segment": segment, "raw_path": request.raw_path}


@app.route("/body", methods=["POST", "PUT"])
def body(request: Request) -> Response:
    return Response(request.body, media_type=request.headers.get("content-type", "application/x-none"))


@app.get("/answers/{kind}")
async def answers(kind: str) -> Any:
    if kind == "text":
        return "grüße 🐈"
    if kind == "bytes":
        return bytes(range(256))
    if kind == "json":
        return {"ü": [1, 2.5, None, True], "empty": {}}
    if kind == "empty":
        return ""
    if kind == "none":
        return None
    if kind == "list":
        return [Order("a"), Order("b", 2)]
    if kind == "headers":
        return Response("x", 203, [("X-One", "1"), ("x-one", "2"), ("ETag", '"abc"'), ("cache-control", "no-store")])
    if kind == "cookies":
        answer = Response("x")
        answer.set_cookie("a", "1", max_age=60)
        answer.set_cookie("b", "2", path="/x", secure=False, httponly=False, samesite="strict")
        answer.set_cookie("a", "3", domain="example.com")
        return answer
    if kind == "redirect":
        return Response(None, 303, {"location": "/answers/text?x=1"})
    if kind == "not-modified":
        return Response(None, 304, {"etag": '"abc"'})
    if kind == "problem":
        raise HTTPError(409, "Conflicts with ü", headers={"retry-after": "3"})
    if kind == "large":
        return "0123456789abcdef" * 65536  # 1 MiB
    raise RuntimeError("a mistake")


@app.post("/typed", status=201)
def typed(
    order: Order,
    numbers: Annotated[list[int], Query(alias="n")] = [],  # noqa: B006 - never changed
    x_trace: Annotated[str, Header()] = "none",
    session: Annotated[str, Cookie()] = "none",
    verbose: bool = False,
) -> dict[str, Any]:
    return {"order": order, "numbers": numbers, "trace": x_trace, "session": session, "verbose": verbose}


@app.post("/limited", max_body=10)
def limited(body: bytes) -> int:
    return len(body)


@app.get("/items/{number:int}")
def by_number(number: int) -> dict[str, int]:
    return {"number": number}


@app.get("/items/latest")
def latest() -> str:
    return "latest"


@app.get("/slow", timeout=timedelta(seconds=5))
def slow() -> str:
    time.sleep(30)
    return "too late"


@app.put("/box/{key:path}", status=204)
async def put(key: str, request: Request) -> None:
    content_type = request.headers.get("content-type")
    await box.awrite(key, request.body, content_type=content_type, metadata={"by": "put"})


@app.get("/box/{key:path}")
def get(key: str) -> Response:
    info = box.stat(key)
    return Response(box.read(key), media_type=info.content_type, headers={"x-by": (info.metadata or {})["by"]})


@app.delete("/box/{key:path}")
def remove(key: str) -> None:
    box.delete(key)


@app.post("/orders")
def send(body: list[dict[str, Any]]) -> int:
    for number, one in enumerate(body):
        orders.send(msgspec.convert(one, Order), attributes={"number": str(number)})
    unread.send({"kept": len(body)})
    return len(body)


@app.on_blob(box, prefix="in/", suffix=".txt", kinds=("created", "deleted"))
def copy(event: BlobEvent) -> None:
    if "fail" in event.key:
        raise ValueError("never")
    if event.kind == "deleted":
        results.write(f"deleted/{event.key}", "")
        return
    results.write(f"copied/{event.key}", box.read(event.key), metadata={"size": str(event.size)})
    orders.send(Order(event.key))


@app.on_message(orders)
async def take(message: Message[Order]) -> None:
    order = message.body
    if order.item == "poison":
        raise ValueError("never")
    if order.item == "reject":
        raise Reject("never")
    if order.item == "later" and message.attempt < 3:
        raise Retry("not yet")
    record = {"order": order, "attempt": message.attempt, "attributes": message.attributes}
    await results.awrite(f"orders/{order.item}.json", msgspec.json.encode(record))


@app.on_message(batches, batch_size=10)
def take_batch(messages: list[Message[Any]]) -> None:
    for message in messages:
        if message.body == "bad":
            message.fail()
        else:
            results.write(f"batches/{message.body}", "")


@app.on_schedule(cron="30 8 * * 1-5")
def daily(tick: Tick) -> None:
    results.write("daily", "ran" if tick.scheduled_at.tzinfo else "ran at an hour of nowhere")


@app.function()
async def double(payload: dict[str, int]) -> dict[str, int]:
    return {"twice": payload["n"] * 2}


@app.function()
def unlucky(payload: Any) -> None:
    raise RuntimeError("no luck")
