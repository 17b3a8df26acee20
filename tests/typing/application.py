"""Code shaped like a user's, for mypy and pyright under their strictest settings. Never run.

Each line marked ``# type: ignore[…]  # pyright: ignore[…]`` is a mistake both have to catch: an ignore that is not
needed is an error.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from portable import App, BlobEvent, Context, Message, Request, Response, Router, Tick


@dataclass
class User:
    """A body, and a message."""

    id: int
    email: str


app = App("saas")
uploads = app.bucket("uploads")
emails = app.queue("emails", User, max_attempts=5)


@app.get("/users/{user_id}")
def get_user(user_id: int, verbose: bool = False) -> User:
    """Path and query parameters."""
    return User(user_id, "a@example.org" if verbose else "")


@app.post("/users", status=201, memory=512, timeout=timedelta(seconds=10))
async def create_user(body: User, request: Request) -> Response:
    """A body, and the request itself."""
    await emails.asend(body)
    return Response(body, status=201, headers={"X-Method": request.method})


@app.on_message(emails, batch_size=10)
def send_email(message: Message[User]) -> None:
    """One message, typed by its queue."""
    address: str = message.body.email
    attempt: int = message.attempt
    uploads.write(f"{attempt}", address)


@app.on_message(emails)
async def send_emails(messages: list[Message[User]], context: Context) -> None:
    """A whole batch."""
    for message in messages:
        left = context.remaining()
        if left is not None and left < timedelta(seconds=1):
            message.fail()


@app.on_blob(uploads, prefix="in/", suffix=".png", memory=1024, timeout=timedelta(minutes=5))
def shrink(event: BlobEvent) -> None:
    """A blob event, and its bucket."""
    uploads.write(event.key, uploads.read(event.key), content_type="image/png")


@app.on_schedule(cron="0 8 * * *", timezone="Europe/Paris")
async def report(tick: Tick, context: Context) -> None:
    """A schedule."""
    due: datetime = tick.scheduled_at
    await uploads.awrite(f"{context.stage}/{due:%Y-%m-%d}", b"")


@app.function()
def recount(payload: dict[str, int]) -> dict[str, int]:
    """Called by name."""
    return payload


@app.on_start
def warm() -> None:
    """Once an instance."""


router = Router(prefix="/admin", tags=["admin"])


@router.get("/")
def admin() -> str:
    """A handler of a router."""
    return "admin"


app.include(router)
app.include("shop.images:router")

# Decorators return the handler unchanged.
user: User = get_user(7)
nobody: None = warm()


get_user("seven")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
emails.send("not a user")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


@app.on_message(emails)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType, reportCallIssue, reportUntypedFunctionDecorator]
def takes_the_wrong_message(message: Message[int]) -> None:
    """The queue holds users."""


@app.on_blob(uploads)  # type: ignore[type-var]  # pyright: ignore[reportArgumentType, reportUntypedFunctionDecorator]
def takes_the_wrong_event(event: Tick) -> None:
    """A blob event is no tick."""
