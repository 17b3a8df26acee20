"""Answers in gzip."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator, Iterator
from typing import Any
from zlib import decompressobj

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portable import App, ConfigError, EventStream, GZip, Request, Response, StreamResponse
from portable.http.compression import takes_gzip
from portable.testing import TestClient

starlette_gzip = pytest.importorskip("starlette.middleware.gzip")

TEXT = "words of a page, " * 200


def after(response: Response, accept: str | None = "gzip", method: str = "GET", **options: Any) -> Response:
    headers = {} if accept is None else {"accept-encoding": accept}
    return GZip(**options).after(Request(method, "/", headers=headers), response)


def test_an_answer_is_compressed() -> None:
    kept = Response(TEXT, 200, {"ETag": '"1"', "content-length": str(len(TEXT)), "vary": "Accept"}, "text/plain")
    response = after(kept)
    assert isinstance(response.body, bytes)
    assert gzip.decompress(response.body).decode() == TEXT
    assert dict(response.header_pairs()) == {
        "content-type": "text/plain",
        "etag": 'W/"1"',
        "content-length": str(len(response.body)),
        "content-encoding": "gzip",
        "vary": "Accept, Accept-Encoding",
    }
    assert after(Response(TEXT, media_type="text/plain")).body == response.body  # equal bytes each time
    assert (kept.body, kept.headers["etag"]) == (TEXT, '"1"')


def test_a_weak_tag_stays_as_it_is() -> None:
    assert after(Response(TEXT, 200, {"etag": 'W/"1"'}, "text/plain")).headers["etag"] == 'W/"1"'


def test_who_does_not_take_gzip_gets_it_as_it_is_with_a_word_to_caches() -> None:
    for accept in (None, "", "br", "gzip;q=0", "identity"):
        response = after(Response(TEXT, media_type="text/plain"), accept)
        assert (response.body, response.headers["vary"]) == (TEXT, "Accept-Encoding")
        assert "content-encoding" not in response.headers


@pytest.mark.parametrize(
    "response",
    [
        Response("short", media_type="text/plain"),
        Response(None, 204),
        Response(b"x" * 5000, media_type="image/png"),
        Response(b"x" * 5000, media_type="application/octet-stream"),
        Response("x" * 5000, media_type="text/event-stream"),
        Response("x" * 5000),
        Response(b"x" * 5000, 200, {"content-encoding": "br"}, "text/plain"),
        Response("x" * 5000, 200, {"Cache-Control": "private, No-Transform"}, "text/plain"),
        Response("x" * 5000, 206, {"content-range": "bytes 0-4999/9999"}, "text/plain"),
    ],
)
def test_what_gains_nothing_stays_as_it_is(response: Response) -> None:
    assert after(response) is response


@pytest.mark.parametrize("kind", ["text/html; charset=utf-8", "application/problem+json", "image/svg+xml", "TEXT/CSS"])
def test_kinds_that_gain(kind: str) -> None:
    assert after(Response(TEXT, media_type=kind)).headers["content-encoding"] == "gzip"
    assert after(Response(TEXT, headers={"Content-Type": kind})).headers["content-encoding"] == "gzip"


def test_a_choice_of_kinds_size_and_level() -> None:
    only = {"media_types": ["application/x-log"], "minimum": 10}
    assert "content-encoding" in after(Response("x" * 10, media_type="application/x-log"), **only).headers
    assert "content-encoding" not in after(Response("x" * 9, media_type="application/x-log"), **only).headers
    assert "content-encoding" not in after(Response(TEXT, media_type="text/plain"), **only).headers
    assert "content-encoding" not in after(Response(TEXT, media_type="application/a+json"), **only).headers
    words = Response(
        "".join(f"{number % 97} words, {number % 13} more; " for number in range(5000)), media_type="text/plain"
    )
    assert len(after(words, level=9).body) < len(after(words, level=1).body)
    for options in ({"level": 0}, {"level": 10}, {"minimum": -1}, {"minimum": "1k"}):
        with pytest.raises(ConfigError):
            GZip(**options)


def test_a_304_says_the_tag_the_caller_has() -> None:
    gzipped = GZip()
    request = Request("GET", "/", headers={"if-none-match": 'W/"1"', "accept-encoding": "gzip"})
    response = gzipped.after(request, Response(None, 304, {"etag": '"1"'}))
    assert dict(response.headers.items()) == {"etag": 'W/"1"', "vary": "Accept-Encoding"}
    request = Request("GET", "/", headers={"if-none-match": '"1"'})
    assert gzipped.after(request, Response(None, 304, {"etag": '"1"'})).headers["etag"] == '"1"'


@pytest.mark.parametrize(
    ("accept", "takes"),
    [
        ("gzip", True),
        ("GZIP", True),
        ("x-gzip", True),
        ("br, gzip;q=0.5", True),
        ("*", True),
        ("*;q=0", False),
        ("gzip;q=0, *", False),
        ("gzip;q=0.000", False),
        ("gzip; q=1.0 , identity;q=0.5", True),
        ("identity, gzip;q=0.5", False),
        ("identity;q=0.5, gzip;q=0.5", True),
        ("gzip;q=x", False),
        ("gzip;q=-1", False),
        ("gzip;q=nan", False),
        ("gzip;level=9", True),
        ("notgzip", False),
        (",,", False),
        (None, False),
    ],
)
def test_which_accept_encoding_takes_gzip(accept: str | None, takes: bool) -> None:
    assert takes_gzip(accept) is takes


def theirs(body: bytes, kind: str, accept: str, minimum: int) -> tuple[bytes, dict[str, str]]:
    sent: list[dict[str, Any]] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", kind.encode())]})
        await send({"type": "http.response.body", "body": body})

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.request"}

    scope = {"type": "http", "method": "GET", "path": "/", "headers": [(b"accept-encoding", accept.encode())]}
    asyncio.run(starlette_gzip.GZipMiddleware(app, minimum_size=minimum)(scope, receive, send))
    headers = {name.decode().lower(): value.decode() for name, value in sent[0]["headers"]}
    return b"".join(one.get("body", b"") for one in sent[1:]), headers


@settings(max_examples=150, deadline=None)
@given(
    body=st.binary(max_size=60).map(lambda piece: piece * 20),
    accept=st.sampled_from(["gzip", "br, gzip", "gzip, deflate;q=0.5", "br", "deflate"]),
    minimum=st.integers(0, 800),
)
def test_starlette_compresses_the_same(body: bytes, accept: str, minimum: int) -> None:
    sent, headers = theirs(body, "text/plain", accept, minimum)
    ours = after(Response(body, media_type="text/plain"), accept, minimum=minimum)
    encoding = headers.get("content-encoding")
    assert ours.headers.get("content-encoding") == encoding
    assert (gzip.decompress(ours.body) if encoding else ours.body) == body
    assert (gzip.decompress(sent) if encoding else sent) == body
    if encoding:
        assert headers["vary"].lower() == ours.headers["vary"].lower()


# --- while it is made


class CountedFile:
    """A body that is open until it is closed, read or not."""

    def __init__(self) -> None:
        self.closed = False

    def __iter__(self) -> Iterator[bytes]:
        return iter([b"one ", b"two"])

    def close(self) -> None:
        self.closed = True


def streaming(kept: list[CountedFile]) -> App:
    app = App("zipped-streams")
    app.middleware(GZip())

    @app.get("/sync", stream=True)
    def sync() -> StreamResponse:
        return StreamResponse(
            (f"line {number}\n" for number in range(3)), 200, {"content-length": "21", "etag": '"1"'}, "text/plain"
        )

    @app.get("/async", stream=True)
    async def slow() -> StreamResponse:
        async def lines() -> AsyncIterator[str]:
            for number in range(3):
                yield f"line {number}\n"

        return StreamResponse(lines(), media_type="text/plain")

    @app.get("/file", stream=True)
    def file() -> StreamResponse:
        kept.append(CountedFile())
        return StreamResponse(kept[-1], media_type="text/plain")

    @app.get("/events", stream=True)
    def events() -> EventStream:
        return EventStream(["a", "b"])

    return app


@pytest.mark.parametrize("path", ["/sync", "/async"])
def test_a_streamed_answer_is_compressed_piece_by_piece(path: str) -> None:
    with TestClient(streaming([])) as client:
        answer = client.get(path, headers={"accept-encoding": "gzip"})
        assert (answer.status, answer.headers["content-encoding"]) == (200, "gzip")
        assert ("content-length" in answer.headers, answer.headers.get("etag")) in ((False, 'W/"1"'), (False, None))
        inflate = decompressobj(31)
        pieces = [inflate.decompress(chunk).decode() for chunk in answer.chunks]
        assert pieces[:3] == ["line 0\n", "line 1\n", "line 2\n"]  # each can be read when it has come
        assert inflate.eof
        assert client.get(path).body == b"line 0\nline 1\nline 2\n"


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("chunks", [None, 1])
def test_the_body_of_a_compressed_stream_is_closed(method: str, chunks: int | None) -> None:
    kept: list[CountedFile] = []
    with TestClient(streaming(kept)) as client:
        answer = client.request(method, "/file", headers={"accept-encoding": "gzip"}, chunks=chunks)
        assert answer.headers["content-encoding"] == "gzip"
        if method == "GET" and chunks is None:
            assert gzip.decompress(answer.body) == b"one two"
    assert [one.closed for one in kept] == [True]


def test_server_sent_events_are_not_compressed() -> None:
    with TestClient(streaming([])) as client:
        answer = client.get("/events", headers={"accept-encoding": "gzip"})
        assert ("content-encoding" in answer.headers, b"data: a" in answer.body) == (False, True)
