"""What streams, and what is left to be done afterwards. A test opens gates, files that the handlers wait for."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Iterator
from contextvars import ContextVar
from datetime import timedelta
from pathlib import Path
from typing import Any

from portable import App, BackgroundTasks, Context, EventStream, HTTPError, Request, ServerSentEvent, StreamResponse

app = App("streaming")
word: ContextVar[str] = ContextVar("word", default="")


def folder() -> Path:
    return Path(os.environ["STREAMING_FOLDER"])


def note(line: str) -> None:
    with (folder() / "notes").open("a") as notes:
        notes.write(f"{line}\n")


def is_open(gate: str) -> bool:
    return (folder() / f"gate-{gate}").exists()


def wait_for(gate: str) -> None:
    limit = time.monotonic() + 60
    while not is_open(gate):
        if time.monotonic() > limit:
            raise TimeoutError(f"nobody opened {gate}")
        time.sleep(0.005)


async def await_for(gate: str) -> None:
    limit = time.monotonic() + 60
    while not is_open(gate):
        if time.monotonic() > limit:
            raise TimeoutError(f"nobody opened {gate}")
        await asyncio.sleep(0.005)


@app.get("/sync/{name}", stream=True)
def stream(name: str, request: Request) -> StreamResponse:
    def pieces() -> Iterator[bytes | str]:
        try:
            yield f"{request.method} {Context.current().function} {word.get()}\n"
            wait_for(name)
            yield b"second\n"
        finally:
            note(f"closed {name}")

    word.set(name)
    return StreamResponse(pieces(), 201, [("x-one", "1"), ("set-cookie", "a=1"), ("set-cookie", "b=2")], "text/plain")


@app.get("/async/{name}", stream=True)
async def events(name: str) -> EventStream:
    async def pieces() -> AsyncIterator[object]:
        try:
            async with asyncio.timeout(90):
                yield {"word": word.get(), "function": Context.current().function}
                await await_for(name)
                yield ServerSentEvent("two\nlines", event="end", id="2")
        finally:
            await asyncio.sleep(0)
            note(f"closed {name}")

    word.set(name)
    return EventStream(pieces())


@app.get("/broken/{kind}", stream=True)
def broken(kind: str) -> StreamResponse:
    async def on_loop() -> AsyncIterator[bytes]:
        yield b"first\n"
        raise ValueError("the source failed midway")

    def on_thread() -> Iterator[bytes]:
        yield b"first\n"
        raise ValueError("the source failed midway")

    return StreamResponse(on_loop() if kind == "async" else on_thread())


@app.get("/endless/sync", stream=True, function="endless-sync")
def endless() -> StreamResponse:
    def pieces() -> Iterator[bytes]:
        made = 0
        try:
            while True:
                made += 1
                (folder() / "made").write_text(str(made))
                yield b"." * 2**20
        finally:
            note("closed sync endless")

    return StreamResponse(pieces())


@app.get("/endless/async", stream=True, function="endless-async")
async def endless_async() -> StreamResponse:
    async def pieces() -> AsyncIterator[bytes]:
        made = 0
        try:
            while True:
                made += 1
                (folder() / "made").write_text(str(made))
                yield b"." * 2**20
        finally:
            await asyncio.sleep(0)
            note("closed async endless")

    return StreamResponse(pieces())


async def asgi(scope: dict[str, Any], receive: Any, send: Any) -> None:
    if scope["type"] != "http":
        raise ValueError("http alone")
    name = scope["path"].removeprefix(scope["root_path"] + "/")
    try:
        await send({"type": "http.response.start", "status": 202, "headers": [(b"content-type", b"text/plain")]})
        await send({"type": "http.response.body", "body": b"mounted\n", "more_body": True})
        await await_for(name)
        await send({"type": "http.response.body", "body": b"second\n"})
    finally:
        note(f"closed {name}")


def wsgi(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
    name = environ["PATH_INFO"].removeprefix("/")
    start_response("202 Accepted", [("content-type", "text/plain")])
    try:
        yield b"mounted\n"
        wait_for(name)
        yield b"second\n"
    finally:
        note(f"closed {name}")


app.mount("/mounted/asgi", asgi, stream=True)
app.mount("/mounted/wsgi", wsgi, stream=True)


@app.get("/undeclared")
def undeclared() -> StreamResponse:
    return StreamResponse([b"a"])


@app.get("/refused", stream=True)
def refused() -> StreamResponse:
    raise HTTPError(418, "no stream today")


@app.get("/empty", stream=True)
def empty() -> StreamResponse:
    return StreamResponse([])


@app.get("/plain")
def plain() -> dict[str, str]:
    return {"plain": "yes"}


@app.post("/after/{name}")
def after(name: str, tasks: BackgroundTasks) -> dict[str, str]:
    async def last() -> None:
        await asyncio.sleep(0)
        note(f"after {name} {Context.current().function}")

    tasks.add(wait_for, name)
    tasks.add(note, f"during {name}")
    tasks.add(last)
    return {"left": name}


@app.get("/late/{kind}", stream=True, timeout=timedelta(seconds=2), function="brief")
def late(kind: str) -> StreamResponse:
    async def on_loop() -> AsyncIterator[bytes]:
        try:
            yield b"first\n"
            await asyncio.sleep(3600)
        finally:
            note(f"closed {kind} late")

    def on_thread() -> Iterator[bytes]:
        try:
            while True:
                yield b"first\n"
                time.sleep(0.1)
        finally:
            note(f"closed {kind} late")

    return StreamResponse(on_loop() if kind == "async" else on_thread())
