"""Streamed answers in this process: what is sent, when the body is stepped, and that it is closed however it ends."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextvars import ContextVar
from datetime import timedelta
from typing import Annotated, Any

import msgspec
import pytest

from portable import (
    CORS,
    App,
    ConfigError,
    Context,
    Depends,
    ETag,
    EventStream,
    GZip,
    Ranges,
    Request,
    Response,
    ServerSentEvent,
    StreamResponse,
)
from portable.http.pieces import AsyncPieces, BrokenStreamError, Pieces
from portable.invoke import run_shared
from portable.testing import TestClient

colour: ContextVar[str] = ContextVar("colour", default="none")


seen: list[str] = []


def opened() -> Iterator[str]:
    yield "opened"
    seen.append("cleaned up")


class Recorded:
    """An iterator that notes what was asked of it."""

    def __init__(self, pieces: list[Any]) -> None:
        self.pieces = pieces
        self.asked = 0
        self.closed = 0

    def __iter__(self) -> Recorded:
        return self

    def __next__(self) -> Any:
        self.asked += 1
        if not self.pieces:
            raise StopIteration
        piece = self.pieces.pop(0)
        if isinstance(piece, Exception):
            raise piece
        return piece

    def close(self) -> None:
        self.closed += 1


class RecordedAsync(Recorded):
    """Likewise, async."""

    def __aiter__(self) -> RecordedAsync:
        return self

    async def __anext__(self) -> Any:
        await asyncio.sleep(0)
        try:
            return self.__next__()
        except StopIteration:
            raise StopAsyncIteration from None

    async def aclose(self) -> None:
        await asyncio.sleep(0)
        self.closed += 1


RecordedAsync.__iter__ = None  # type: ignore[assignment, method-assign]
KINDS = pytest.mark.parametrize("kind", [Recorded, RecordedAsync])


def streaming(answer: Callable[[], Response], **options: Any) -> App:
    app = App("streaming")

    @app.get("/", stream=True, **options)
    def handler() -> Response:
        return answer()

    return app


def read(response: StreamResponse, how: str) -> list[bytes]:
    """All pieces, as a server on threads or one on a loop reads them."""
    if how == "threads":
        return list(Pieces(response, run_shared))

    async def gather() -> list[bytes]:
        pieces = AsyncPieces(response, asyncio.to_thread)
        return [piece async for piece in pieces]

    return asyncio.run(gather())


@KINDS
@pytest.mark.parametrize("how", ["threads", "loop"])
def test_pieces_are_bytes_in_order_and_the_body_is_closed_once(kind: type[Recorded], how: str) -> None:
    body = kind([b"a", "é", "", bytearray(b"c"), memoryview(b"d")])

    assert read(StreamResponse(body), how) == [b"a", "é".encode(), b"c", b"d"]
    assert body.closed == 1


@KINDS
def test_nothing_is_asked_for_before_it_is_wanted(kind: type[Recorded]) -> None:
    body = kind([b"a", b"b", b"c"])
    pieces = Pieces(StreamResponse(body), run_shared)

    assert body.asked == 0
    assert next(pieces) == b"a"
    assert body.asked == 1
    assert next(pieces) == b"b"
    assert body.asked == 2
    pieces.close()
    pieces.close()
    assert (body.asked, body.closed) == (2, 1)
    assert list(pieces) == []


@KINDS
def test_a_body_that_was_not_begun_is_closed(kind: type[Recorded]) -> None:
    body = kind([b"a"])
    Pieces(StreamResponse(body), run_shared).close()

    assert (body.asked, body.closed) == (0, 1)


@KINDS
@pytest.mark.parametrize("how", ["threads", "loop"])
@pytest.mark.parametrize("wrong", [ValueError("no more"), 7])
def test_an_error_midway_is_logged_and_raised_and_the_body_closed(
    kind: type[Recorded], how: str, wrong: Any, caplog: pytest.LogCaptureFixture
) -> None:
    body = kind([b"a", wrong, b"b"])
    with pytest.raises(BrokenStreamError):
        read(StreamResponse(body), how)

    assert body.closed == 1
    [record] = caplog.records
    assert "broke off" in record.message
    assert record.levelno == logging.ERROR
    assert record.exc_info is not None


def test_a_body_that_wants_to_end_the_process_is_broken_off(caplog: pytest.LogCaptureFixture) -> None:
    async def generate() -> AsyncIterator[bytes]:
        yield b"a"
        raise SystemExit(3)

    with pytest.raises(BrokenStreamError, match="SystemExit"):
        read(StreamResponse(generate()), "threads")
    assert "broke off" in caplog.text


def test_a_generator_is_closed_where_it_stands() -> None:
    seen = []

    async def generate() -> AsyncIterator[bytes]:
        try:
            while True:
                yield b"tick"
        finally:
            await asyncio.sleep(0)
            seen.append("closed")

    pieces = Pieces(StreamResponse(generate()), run_shared)
    next(pieces)
    pieces.close()

    assert seen == ["closed"]


def test_an_async_body_that_swallows_its_cancellation_is_closed_all_the_same() -> None:
    seen = []

    async def generate() -> AsyncIterator[bytes]:
        yield b"first"
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            seen.append("cancelled")
        yield b"second"

    async def hang_up() -> None:
        pieces = AsyncPieces(StreamResponse(generate()), asyncio.to_thread)
        assert await anext(pieces) == b"first"
        waiting = asyncio.ensure_future(anext(pieces))
        await asyncio.sleep(0.01)
        waiting.cancel()
        await asyncio.wait((waiting,))
        await pieces.aclose()

    asyncio.run(hang_up())
    assert seen == ["cancelled"]


def test_a_sync_body_in_the_midst_of_a_step_is_closed_after_it() -> None:
    going, seen = threading.Event(), []

    def generate() -> Iterator[bytes]:
        try:
            going.wait(30)
            seen.append("stepped")
            yield b"late"
        finally:
            seen.append("closed")

    async def hang_up() -> None:
        pieces = AsyncPieces(StreamResponse(generate()), asyncio.to_thread)
        waiting = asyncio.ensure_future(anext(pieces))
        await asyncio.sleep(0.01)
        waiting.cancel()
        await asyncio.wait((waiting,))
        closing = asyncio.ensure_future(pieces.aclose())
        await asyncio.sleep(0.01)
        going.set()
        await closing

    asyncio.run(hang_up())
    assert seen == ["stepped", "closed"]


def test_an_async_body_runs_in_one_task_and_in_the_context_of_its_invocation() -> None:
    async def generate() -> AsyncIterator[str]:
        async with asyncio.timeout(60):  # its scope is a task's: another task's step would break it
            yield Context.current().function
            yield colour.get()
            colour.set("blue")
            await asyncio.sleep(0)
            yield colour.get()

    app = App("contexts")

    @app.get("/", stream=True)
    async def handler() -> StreamResponse:
        colour.set("red")
        return StreamResponse(generate())

    @app.get("/sync", stream=True)
    def sync_handler() -> StreamResponse:
        colour.set("green")
        return StreamResponse(colour.get() + Context.current().function for _ in range(2))

    with TestClient(app) as client:
        assert client.get("/").chunks == [b"http", b"red", b"blue"]
        assert client.get("/sync").chunks == [b"greenhttp", b"greenhttp"]


@KINDS
def test_head_and_an_empty_status_close_the_body_unread(kind: type[Recorded]) -> None:
    bodies = [kind([b"a"]), kind([b"b"])]
    app = App("heads")

    @app.get("/", stream=True)
    def stream() -> StreamResponse:
        return StreamResponse(bodies[0], headers={"x-one": "1"}, media_type="text/csv")

    @app.get("/nothing", stream=True)
    def nothing() -> StreamResponse:
        return StreamResponse(bodies[1], 204)

    with TestClient(app) as client:
        head = client.head("/")
        assert (head.status, head.body, head.headers["content-type"], head.headers["x-one"]) == (
            200,
            b"",
            "text/csv",
            "1",
        )
        assert (client.get("/nothing").status, client.get("/nothing").body) == (204, b"")
    assert (bodies[0].asked, bodies[0].closed, bodies[1].asked) == (0, 1, 0)


def test_a_client_that_hangs_up_closes_the_body() -> None:
    body = Recorded([b"a", b"b", b"c"])
    with TestClient(streaming(lambda: StreamResponse(body))) as client:
        assert client.get("/", chunks=2).chunks == [b"a", b"b"]
    assert (body.asked, body.closed) == (2, 1)


def test_an_answer_that_breaks_off_is_an_error_of_the_client() -> None:
    def generate() -> Iterator[bytes]:
        yield b"a"
        raise ValueError("no more")

    with (
        TestClient(streaming(lambda: StreamResponse(generate()))) as client,
        pytest.raises(ValueError, match="no more"),
    ):
        client.get("/")
    with (
        TestClient(streaming(lambda: StreamResponse(generate())), raise_errors=False) as client,
        pytest.raises(ConnectionError, match="broke off: ValueError: no more"),
    ):
        client.get("/")


def test_a_route_that_does_not_say_so_streams_nothing(caplog: pytest.LogCaptureFixture) -> None:
    app = App("undeclared")
    body = Recorded([b"a"])

    @app.get("/plain")
    def plain() -> StreamResponse:
        return StreamResponse(body)

    with TestClient(app, raise_errors=False) as client:
        answer = client.get("/plain")

    assert answer.status == 500
    assert "declare" not in answer.text()
    assert "@app.get('/plain', stream=True)" in caplog.text
    assert __file__ in caplog.text
    assert (body.asked, body.closed) == (0, 1)


def test_a_route_that_says_so_may_answer_at_once() -> None:
    with TestClient(streaming(lambda: Response({"a": 1}))) as client:
        assert client.get("/").json() == {"a": 1}


@pytest.mark.parametrize(
    "make",
    [lambda body: StreamResponse(body, 42), lambda body: StreamResponse(body, headers={"x": "a\nb"})],
)
def test_a_head_http_cannot_carry_is_refused_before_anything_is_sent(make: Callable[[Recorded], Response]) -> None:
    body = Recorded([b"a"])
    with TestClient(streaming(lambda: make(body)), raise_errors=False) as client:
        assert client.get("/").status == 500
    assert (body.asked, body.closed) == (0, 1)


@pytest.mark.parametrize("body", ["text", b"bytes", {"a": 1}, 7, None])
def test_what_is_no_iterable_of_pieces_is_refused(body: Any) -> None:
    with pytest.raises(TypeError, match="StreamResponse takes an iterable"):
        StreamResponse(body)


def test_stream_is_true_or_false() -> None:
    with pytest.raises(ConfigError, match="stream is True or False"):
        App("wrong").get("/", stream="yes")(lambda: None)  # type: ignore[arg-type]


# --- server-sent events


class Point(msgspec.Struct):
    x: int


@pytest.mark.parametrize(
    ("event", "text"),
    [
        (ServerSentEvent("a"), "data: a\n\n"),
        (ServerSentEvent("a\nb\r\nc\rd\u2028e"), "data: a\ndata: b\ndata: c\ndata: d\u2028e\n\n"),
        (ServerSentEvent(""), "data: \n\n"),
        (ServerSentEvent({"a": "é\n"}), 'data: {"a":"é\\n"}\n\n'),
        (ServerSentEvent(Point(1)), 'data: {"x":1}\n\n'),
        (ServerSentEvent(7, "count", "42", timedelta(seconds=2.5)), "event: count\nid: 42\nretry: 2500\ndata: 7\n\n"),
        (ServerSentEvent(comment="still\nhere"), ": still\n: here\n\n"),
        (ServerSentEvent(event="end"), "event: end\n\n"),
    ],
)
def test_an_event_as_sent(event: ServerSentEvent, text: str) -> None:
    assert event.encode() == text.encode()


@pytest.mark.parametrize("options", [{"event": "a\nb"}, {"id": "a\rb"}, {"id": "\0"}, {"retry": timedelta(-1)}])
def test_an_event_that_would_be_read_as_another_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"event|id|retry"):
        ServerSentEvent("a", **options)


def test_events_of_every_kind() -> None:
    async def events() -> AsyncIterator[Any]:
        yield "text"
        yield {"a": 1}
        yield Point(2)
        yield ServerSentEvent("last", event="end")

    with TestClient(streaming(lambda: EventStream(events(), headers={"x-one": "1"}))) as client:
        answer = client.get("/")

    assert answer.headers["content-type"] == "text/event-stream"
    assert (answer.headers["cache-control"], answer.headers["x-one"]) == ("no-cache", "1")
    assert answer.chunks == [
        b"data: text\n\n",
        b'data: {"a":1}\n\n',
        b'data: {"x":2}\n\n',
        b"event: end\ndata: last\n\n",
    ]


def test_a_ping_is_sent_while_no_event_comes() -> None:
    arrived = threading.Event()

    async def events() -> AsyncIterator[str]:
        yield "first"
        while not arrived.is_set():  # noqa: ASYNC110 - set from the thread of the test
            await asyncio.sleep(0.001)
        yield "second"

    pieces = Pieces(EventStream(events(), ping=timedelta(milliseconds=5)), run_shared)
    assert next(pieces) == b"data: first\n\n"
    assert next(pieces) == b": ping\n\n"
    assert next(pieces) == b": ping\n\n"
    arrived.set()
    rest = list(pieces)
    assert rest[-1] == b"data: second\n\n"
    assert set(rest[:-1]) <= {b": ping\n\n"}


def test_a_ping_of_a_sync_iterable_is_refused() -> None:
    with pytest.raises(TypeError, match="ping needs an async iterable"):
        EventStream([], ping=timedelta(seconds=1))
    with pytest.raises(ValueError, match="ping is a timedelta above 0"):
        EventStream(RecordedAsync([]), ping=timedelta(0))


def test_the_request_is_at_hand_while_the_body_is_made() -> None:
    app = App("requests")

    @app.get("/{n:int}", stream=True)
    def count(n: int, request: Request) -> StreamResponse:
        return StreamResponse((f"{request.method}{i}" for i in range(n)), media_type="text/plain")

    with TestClient(app) as client:
        assert client.get("/3").chunks == [b"GET0", b"GET1", b"GET2"]


# --- beside the rest


def test_a_compressed_body_is_asked_no_further_than_it_is_read_and_closed_once() -> None:
    body = Recorded([b"a" * 5000, b"b" * 5000])
    app = streaming(lambda: StreamResponse(body, media_type="text/plain"))
    app.middleware(GZip())
    with TestClient(app) as client:
        answer = client.get("/", headers={"accept-encoding": "gzip"}, chunks=1)
    assert (answer.headers["content-encoding"], len(answer.chunks)) == ("gzip", 1)
    assert (body.asked, body.closed) == (1, 1)


def test_middleware_sees_the_head_and_leaves_the_body_alone() -> None:
    body = Recorded([b"a" * 5000, b"b" * 5000])
    app = streaming(lambda: StreamResponse(body, media_type="text/plain"))
    app.middleware(ETag())
    app.middleware(Ranges())
    app.middleware(CORS(["https://shop.example"]))

    @app.middleware
    def mark(request: Request, call_next: Callable[[Request], Response]) -> Response:
        response = call_next(request)
        assert body.asked == 0
        response.headers["x-marked"] = "1"
        return response

    with TestClient(app) as client:
        headers = {"accept-encoding": "gzip", "origin": "https://shop.example", "range": "bytes=0-1"}
        answer = client.get("/", headers=headers)
    assert [len(chunk) for chunk in answer.chunks] == [5000, 5000]
    assert (answer.status, answer.headers["x-marked"]) == (200, "1")
    assert answer.headers["access-control-allow-origin"] == "https://shop.example"
    assert "etag" not in answer.headers
    assert body.closed == 1


def test_a_middleware_that_breaks_the_head_is_a_500_and_the_body_is_closed() -> None:
    body = Recorded([b"a"])
    app = streaming(lambda: StreamResponse(body))

    @app.middleware
    def garble(request: Request, call_next: Callable[[Request], Response]) -> Response:
        response = call_next(request)
        response.headers["x-garbled"] = "a\nb"
        return response

    with TestClient(app, raise_errors=False) as client:
        assert client.get("/").status == 500
    assert body.asked == 0


def test_middleware_and_exception_handlers_stream_nothing_of_their_own(caplog: pytest.LogCaptureFixture) -> None:
    app = streaming(lambda: 1 / 0)  # type: ignore[arg-type, return-value]

    @app.exception_handler(ZeroDivisionError)
    def answer(request: Request, error: ZeroDivisionError) -> StreamResponse:
        return StreamResponse([b"a"])

    with TestClient(app, raise_errors=False) as client:
        assert client.get("/").status == 500
    assert "declared with stream=True, and of nothing else" in caplog.text


def test_async_middleware_and_dependencies_go_with_streams() -> None:
    seen.clear()
    app = App("together")

    @app.middleware
    async def around(request: Request, call_next: Any) -> Response:
        response: Response = await call_next(request)
        response.headers["x-around"] = "1"
        return response

    @app.get("/", stream=True)
    async def handler(dependency: Annotated[str, Depends(opened)]) -> StreamResponse:
        async def pieces() -> AsyncIterator[str]:
            seen.append("body")
            yield dependency

        return StreamResponse(pieces())

    with TestClient(app) as client:
        answer = client.get("/")
        assert (answer.text(), answer.headers["x-around"]) == ("opened", "1")
        assert client.head("/").body == b""
    assert seen == ["cleaned up", "body", "cleaned up"]
