"""An app whose handlers show what reached them."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from datetime import timedelta
from typing import Any

from portable import App, BlobEvent, Context, HTTPError, Message, Reject, Request, Response, Retry, Tick

app = App("probe")
uploads = app.bucket("uploads")
emails = app.queue("emails", dict)
seen = app.bucket("seen")


def note(kind: str, /, **fields: Any) -> None:
    seen.write(f"{kind}/{fields.pop('key')}", repr(sorted(fields.items())))


@app.on_start
def started() -> None:
    app.started_in = os.getpid()  # type: ignore[attr-defined]


@app.get("/items/{name}")
@app.post("/items/{name}")
def item(name: str, request: Request, context: Context) -> Response:
    fields = {
        "name": name,
        "path": request.path,
        "raw_path": request.raw_path,
        "query": request.query.items(),
        "headers": {key: request.headers.get_all(key) for key in request.headers},
        "cookies": request.cookies,
        "body": request.body.hex(),
        "client": request.client,
        "scheme": request.scheme,
        "host": request.host,
        "function": context.function,
        "target": context.target,
        "has_request_id": bool(context.request_id),
        "remaining": None if (left := context.remaining()) is None else left.total_seconds(),
    }
    response = Response(fields, 201, {"X-One": "1"})
    response.set_cookie("a", "1")
    response.set_cookie("b", "2")
    return response


@app.get("/rest/{rest:path}")
async def rest(rest: str) -> dict[str, str]:
    await asyncio.sleep(0.01)
    return {"rest": rest, "request_id": Context.current().request_id}


@app.get("/robots.txt")
def robots() -> str:
    return "User-agent: *"


@app.get("/empty")
def empty() -> None:
    """204."""


@app.get("/bytes")
def data() -> bytes:
    return bytes(range(256))


@app.get("/fails")
def fails() -> None:
    raise ValueError("a secret")


@app.get("/teapot")
def teapot() -> None:
    raise HTTPError(418, "short and stout", headers={"X-Pot": "tea"})


@app.get("/modules")
def modules() -> dict[str, bool]:
    return {name: name in sys.modules for name in ("heavy", "google.pubsub_v1", "google.cloud.storage", "pluggy")}


@app.get("/slow")
def slow(seconds: float) -> str:
    time.sleep(seconds)
    return "late"


@app.get("/crash")
def crash(status: int) -> None:
    os._exit(status)


@app.on_message(emails, batch_size=1)
def send(message: Message[dict[str, Any]]) -> None:
    note(
        "send",
        key=f"{message.body['id']}-{message.attempt}",
        attributes=message.attributes,
        group=message.group,
        has_time=message.sent_at is not None,
    )
    if message.body.get("reject"):
        raise Reject("never")
    if message.body.get("retry"):
        raise Retry("later", after=timedelta(seconds=3))
    if message.body.get("fail"):
        raise ValueError("bad luck")


@app.on_blob(uploads, prefix="in/", kinds=("created", "deleted"))
def thumb(event: BlobEvent) -> None:
    if event.key == "in/fail":
        raise ValueError("bad picture")
    note("thumb", key=event.key, kind=event.kind, bucket=event.bucket, size=event.size, version=event.version)


@app.on_schedule(cron="0 8 * * *")
async def daily(tick: Tick) -> None:
    note("daily", key=tick.scheduled_at.isoformat())


@app.function()
def recount(payload: dict[str, Any]) -> dict[str, Any]:
    if payload.get("fail"):
        raise ValueError("cannot count")
    return {"got": payload}


app.include("heavy:router")
