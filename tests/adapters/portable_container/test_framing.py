"""What two servers could read differently, what comes behind what, and who may still ask when nobody else may."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from typing import Any

import pytest

APP = """
import time
from pathlib import Path
from portable import App, Request, Response, StreamResponse

app = App("shop")

@app.post("/echo")
def echo(request: Request) -> Response:
    return Response(request.body, headers={"x-said": ",".join(sorted(request.headers))})

@app.get("/hello")
async def hello() -> str:
    return "hello"

@app.get("/hold")
def hold(name: str) -> str:
    Path(f"held-{name}").touch()
    while not Path(f"go-{name}").exists():
        time.sleep(0.01)
    return "held"

@app.get("/passed-on")
def passed_on() -> Response:
    headers = {"transfer-encoding": "chunked", "content-length": "999", "keep-alive": "timeout=5", "x-kept": "1"}
    return Response("whole", headers=headers)

@app.get("/closes")
def closes() -> Response:
    return Response("bye", headers={"connection": "close"})

@app.get("/nothing")
def nothing() -> Response:
    return Response(None, 204, {"content-length": "5"})

@app.get("/stream", stream=True)
async def stream() -> StreamResponse:
    async def body():
        yield "begun"
    return StreamResponse(body())

@app.get("/large")
def large() -> bytes:
    return b"x" * 24_000_000
"""

POST = b"POST /echo HTTP/1.1\r\nHost: a\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
END = b"GET /hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"


def all_of(connection: socket.socket) -> bytes:
    found = b""
    while piece := connection.recv(1 << 20):
        found += piece
    return found


def exchange(container: Any, sent: bytes) -> bytes:
    with container.connect() as connection:
        connection.sendall(sent)
        return all_of(connection)


REFUSED = {
    "both lengths": (POST + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    "both lengths, turned": (POST + b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n", 400),
    "one length twice": (POST + b"Content-Length: 1\r\nContent-Length: 1\r\n\r\na", 400),
    "lengths in a list": (POST + b"Content-Length: 1, 1\r\n\r\na", 400),
    "a length with a sign": (POST + b"Content-Length: +1\r\n\r\na", 400),
    "a negative length": (POST + b"Content-Length: -1\r\n\r\na", 400),
    "a length beyond numbers": (POST + b"Content-Length: 99999999999999999999999\r\n\r\na", 400),
    "a folded header": (POST + b"X: a\r\n b\r\n\r\n", 400),
    "a folded encoding": (POST + b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n", 400),
    "bare line feeds": (b"GET /hello HTTP/1.1\nHost: a\n\n", 400),
    "a bare line feed": (POST + b"X: a\n\r\n", 400),
    "a bare carriage return": (POST + b"X: a\rContent-Length: 1\r\n\r\n", 400),
    "a NUL": (POST + b"X: a\0b\r\n\r\n", 400),
    "a space before the colon": (POST + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n", 400),
    "a chunk's line feed": (CHUNKED + b"1\na\r\n0\r\n\r\n", 400),
    "a line feed behind a chunk": (CHUNKED + b"1\r\na\n0\r\n\r\n", 400),
    "a line feed in an extension": (CHUNKED + b"1;a\nb\r\na\r\n0\r\n\r\n", 400),
    "a negative chunk": (CHUNKED + b"-1\r\na\r\n0\r\n\r\n", 400),
    "a chunk with 0x": (CHUNKED + b"0x1\r\na\r\n0\r\n\r\n", 400),
    "a chunk beyond numbers": (CHUNKED + b"fffffffffffffffff\r\na", 400),
    "an encoding twice": (POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    "an encoding nobody decodes": (POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501),
    "an encoding that is not last": (POST + b"Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n", 400),
    "an encoding from before them": (b"POST /echo HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    "a length behind a body": (CHUNKED + b"0\r\nContent-Length: 5\r\n\r\n", 400),
    "another version": (b"GET /hello HTTP/1.2\r\nHost: a\r\n\r\n", 400),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
}


def test_what_can_be_read_in_two_ways_is_refused(start: Callable[..., Any]) -> None:
    container = start(APP)
    for name, (sent, status) in REFUSED.items():
        found = exchange(container, sent)
        assert found.startswith(b"HTTP/1.1 %d " % status), (name, found)
        assert b"\r\nconnection: close\r\n" in found, name
        assert found.count(b"HTTP/1.1 ") == 1, name
    # What is unusual and clear is served.
    assert exchange(container, CHUNKED + b"3;a=b\r\nabc\r\n0\r\n\r\n" + END).count(b"HTTP/1.1 200 ") == 2
    assert exchange(container, b"\r\n" + POST + b"Content-Length: 3 \r\n\r\nabc" + END).count(b"HTTP/1.1 200 ") == 2


def test_what_comes_behind_a_body_is_no_header(start: Callable[..., Any]) -> None:
    container = start(APP)
    found = exchange(container, CHUNKED + b"3\r\nabc\r\n0\r\nX-Role: admin\r\nHost: b\r\n\r\n" + END)
    assert found.count(b"HTTP/1.1 200 ") == 2
    assert b"\r\nx-said: host,transfer-encoding\r\n" in found
    for endless in (b"0\r\nX-Endless: ", b"1;"):  # trailers, and what is said of a chunk
        with container.connect() as connection:
            connection.sendall(CHUNKED + b"3\r\nabc\r\n" + endless)
            time.sleep(0.2)
            connection.sendall(b"x" * 65_600)
            assert all_of(connection).startswith(b"HTTP/1.1 431 ")


def test_a_request_that_asks_for_another_protocol_keeps_its_body(start: Callable[..., Any]) -> None:
    container = start(APP)
    asks = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n"
    plain = POST + asks + b"Content-Length: 3\r\n\r\nabc"
    chunked = POST + asks + b"Transfer-Encoding: chunked\r\n\r\n3\r\ndef\r\n0\r\n\r\n"
    found = exchange(container, plain + chunked + END)
    assert found.count(b"HTTP/1.1 200 ") == 3
    assert found.index(b"\r\n\r\nabc") < found.index(b"\r\n\r\ndef") < found.index(b"\r\n\r\nhello")
    assert b"upgrade" not in found
    with container.connect() as connection:  # a body that is on its way
        connection.sendall(POST + asks + b"Content-Length: 6\r\n\r\nabc")
        time.sleep(0.2)
        connection.sendall(b"def" + END)
        assert b"\r\n\r\nabcdef" in all_of(connection)
    # A websocket has no body, and this app has none.
    socketed = b"Connection: Upgrade\r\nUpgrade: websocket\r\n"
    assert exchange(container, POST + socketed + b"Content-Length: 3\r\n\r\nabc" + END).count(b"HTTP/1.1 200 ") == 2


def test_what_is_wrong_behind_a_request_waits_for_its_answer(start: Callable[..., Any]) -> None:
    container = start(APP)
    for number, (behind, answers) in enumerate(
        ((b"GARBAGE\r\n\r\n", [200, 400]), (b"GET /hello HTTP/1.1\r\nHost: a\r\n\r\nGARBAGE\r\n\r\n", [200, 200, 400]))
    ):
        with container.connect() as connection:
            connection.sendall(b"GET /hold?name=%d HTTP/1.1\r\nHost: a\r\n\r\n" % number + behind)
            container.until((container.folder / f"held-{number}").exists)
            (container.folder / f"go-{number}").touch()
            found = all_of(connection)
        assert [int(one[:3]) for one in found.split(b"HTTP/1.1 ")[1:]] == answers
    (container.folder / "go-2").touch()
    # Whatever comes behind the last request is not looked at.
    last = exchange(container, b"GET /hold?name=2 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\nGET /")
    assert last.startswith(b"HTTP/1.1 200 ")
    assert last.count(b"HTTP/1.1 ") == 1


def test_who_asks_for_leave_behind_a_request_gets_it(start: Callable[..., Any]) -> None:
    container = start(APP)
    with container.connect() as connection:
        asks = POST + b"Content-Length: 3\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n"
        connection.sendall(b"GET /hold?name=a HTTP/1.1\r\nHost: a\r\n\r\n" + asks)
        container.until((container.folder / "held-a").exists)
        (container.folder / "go-a").touch()
        found = b""
        while not found.endswith(b"held" + b"HTTP/1.1 100 Continue\r\n\r\n"):
            piece = connection.recv(1000)
            assert piece
            found += piece
        connection.sendall(b"abc")
        assert all_of(connection).endswith(b"\r\n\r\nabc")


def test_how_an_answer_is_framed_is_not_the_handlers_to_say(start: Callable[..., Any]) -> None:
    container = start(APP)
    status, body, headers = container.get("/passed-on")
    assert (status, body, headers["content-length"], headers["x-kept"]) == (200, b"whole", "5", "1")
    assert headers["transfer-encoding"] is None
    assert headers["keep-alive"] is None
    found = exchange(container, b"GET /closes HTTP/1.1\r\nHost: a\r\n\r\n" + b"GET /hello HTTP/1.1\r\nHost: a\r\n\r\n")
    assert found.count(b"HTTP/1.1 ") == found.count(b"connection: close") == 1
    found = exchange(container, b"GET /nothing HTTP/1.1\r\nHost: a\r\n\r\n" + END)
    assert found.startswith(b"HTTP/1.1 204 ")
    assert found.partition(b"\r\n\r\n")[0].count(b"content-length") == 0
    assert found.endswith(b"\r\n\r\nhello")
    # To one that closes, the end of a stream is said too: a broken one does not look whole.
    found = exchange(container, b"GET /stream HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    assert found.endswith(b"\r\n\r\n5\r\nbegun\r\n0\r\n\r\n")


@pytest.mark.slow
def test_who_reads_slowly_gets_it_all(start: Callable[..., Any]) -> None:
    container = start(APP, PORTABLE_WRITE_SECONDS="2")
    with container.connect() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
        connection.sendall(b"GET /large HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        size = 0
        began = time.monotonic()
        while piece := connection.recv(1 << 16):
            size += len(piece)
            time.sleep(0 if time.monotonic() - began > 4 else 0.05)
    assert size > 24_000_000


def test_who_looks_after_the_process_may_always_ask(start: Callable[..., Any]) -> None:
    container = start(APP, PORTABLE_CONNECTIONS="2")
    held = [container.connect() for _ in range(2)]
    try:
        for connection in held:
            connection.sendall(b"GET /hello HTTP/1.1\r\nHost: a\r\n\r\n")
            assert connection.recv(1000).startswith(b"HTTP/1.1 200")
        assert container.get("/-/live")[0] == 200
        status, _, headers = container.get("/-/ready")
        assert (status, headers["connection"]) == (200, "close")
        assert container.get("/hello")[0] == 503
        assert container.post("/echo", b"abc")[0] == 503
    finally:
        for connection in held:
            connection.close()


def test_bodies_that_arrive_at_once_are_bounded(start: Callable[..., Any]) -> None:
    container = start(APP, PORTABLE_MAX_ARRIVING="100000")
    with container.connect() as first:
        first.sendall(POST + b"Content-Length: 90000\r\n\r\n" + b"x" * 60_000)
        time.sleep(0.5)
        assert exchange(container, POST + b"Content-Length: 60000\r\n\r\n" + b"x" * 60_000).startswith(b"HTTP/1.1 503 ")
        first.sendall(b"x" * 30_000)
        assert first.recv(1000).startswith(b"HTTP/1.1 200 ")
        # What is complete, refused or gone is not counted any more.
        for _ in range(3):
            with container.connect() as gone:
                gone.sendall(POST + b"Content-Length: 90000\r\n\r\n" + b"x" * 60_000)
                time.sleep(0.1)
        container.until(lambda: container.post("/echo", b"x" * 90_000)[0] == 200, 10)
