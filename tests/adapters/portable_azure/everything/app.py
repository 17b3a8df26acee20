"""An app with every kind of trigger and resource. Tests copy it, for a module counts as the project's it lies in."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec

from portable import App, BlobEvent, Change, Message, Request, SocketEvent, StreamRecord, Tick


class User(msgspec.Struct):
    """An item."""

    id: int
    email: str


app = App("user-shop")
uploads = app.bucket("uploads")
thumbs = app.bucket("thumbs")
emails = app.queue("emails", User, max_attempts=5)
payments = app.queue("payments", User, ordered=True, max_attempts=3)
signups = app.topic("signups", User)
users = app.table("users", User, key="id")
clicks = app.stream("clicks", User, partitions=4)
mailer_key = app.secret("mailer-key")
greeting = app.config("greeting")
limits = app.cache("limits")
rooms = app.sockets("rooms")


@app.get("/users/{user_id}")
def get_user(user_id: int) -> User | None:
    limits.increment(f"calls:{user_id}")
    return users.get(user_id)


@app.post("/users", memory=512)
def create_user(body: User, request: Request) -> User:
    users.put(body)
    emails.send(body)
    payments.send(body, group=str(body.id))
    signups.publish(body, attributes={"plan": "free"})
    return body


@app.get("/uploads")
def list_uploads() -> list[str]:
    return [one.key for one in uploads.list()]


@app.on_message(emails, memory=512)
def send_email(message: Message[User]) -> None:
    mailer_key.value()
    greeting.value()


@app.on_message(payments, memory=512)
def collect(message: Message[User]) -> None: ...


@app.on_message(signups, filter={"plan": ["free", {"prefix": "pro-"}]}, memory=512)
def welcome(message: Message[User]) -> None: ...


@app.on_blob(uploads, prefix="in/", suffix=".png", memory=2048, timeout=timedelta(minutes=5))
def make_thumbnail(event: BlobEvent) -> None:
    thumbs.write(event.key, uploads.read(event.key))


@app.on_blob(thumbs, kinds=("created", "deleted"), memory=2048)
def forget_thumbnail(event: BlobEvent) -> None: ...


@app.on_change(users, memory=512)
def audit(change: Change[User]) -> None: ...


@app.on_stream(clicks, memory=512)
def count(records: list[StreamRecord[User]]) -> None: ...


@app.on_schedule(cron="0 8 1 * 5", memory=512)
def report(tick: Tick) -> None:
    for key in ("a", "b"):
        thumbs.delete(key)


@app.websocket("/chat", sockets=rooms, memory=512)
def chat(event: SocketEvent) -> None:
    rooms.send(event.connection, "hello")


@app.function(memory=512)
def recount(payload: dict[str, Any]) -> dict[str, Any]:
    return payload
