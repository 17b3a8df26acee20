"""Streamed answers and work after the answer as users write them, right and wrong, for mypy and pyright. Never run."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from datetime import timedelta

from portable import App, BackgroundTasks, EventStream, ServerSentEvent, StreamResponse
from portable.testing import TestClient

app = App("typed-streams")


def rows() -> Iterator[str]:
    yield "a,b\n"


async def pieces() -> AsyncIterator[bytes]:
    yield b"."


async def events() -> AsyncIterator[ServerSentEvent | dict[str, int] | str]:
    yield {"percent": 1}
    yield ServerSentEvent("end", event="end", id="2", retry=timedelta(seconds=3))


@app.get("/rows", stream=True)
def get_rows() -> StreamResponse:
    return StreamResponse(rows(), media_type="text/csv")


@app.get("/pieces", stream=True, timeout=timedelta(minutes=1))
async def get_pieces() -> StreamResponse:
    return StreamResponse(pieces(), 206, {"x-part": "1"})


@app.get("/events", stream=True)
async def get_events(tasks: BackgroundTasks) -> EventStream:
    tasks.add(print, "done", sep="")
    return EventStream(events(), ping=timedelta(seconds=15))


@app.get("/wrong", stream="yes")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
def wrong() -> StreamResponse:
    return StreamResponse(7)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


@app.get("/numbers", stream=True)
def numbers() -> StreamResponse:
    return StreamResponse([1, 2])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]


def read(client: TestClient) -> list[bytes]:
    return client.get("/events", chunks=2).chunks
