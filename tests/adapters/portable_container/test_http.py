"""The HTTP server under real sockets: what is slow, large, malformed or too much, and what ends while it is asked."""

from __future__ import annotations

import contextlib
import select
import signal
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from portable.run.processes import accepts

APP = """
import asyncio, os, time
from pathlib import Path
from portable import App, HTTPError, Request, Response, StreamResponse
from portable.http.background import BackgroundTasks

app = App("shop")

@app.get("/hello")
async def hello() -> dict[str, str]:
    return {"hello": "world"}

@app.get("/sync/{name}")
def sync(name: str, times: int = 1) -> str:
    return name * times

@app.post("/echo")
def echo(request: Request) -> Response:
    return Response(request.body, headers={"x-client": request.client or "", "x-scheme": request.scheme})

@app.get("/waits")
async def waits() -> str:
    Path("waits").touch()
    await asyncio.sleep(25)
    return "done"

@app.get("/hold")
def hold(name: str) -> str:
    Path(f"held-{name}").touch()
    while not Path(f"go-{name}").exists():
        time.sleep(0.01)
    return "done"

@app.get("/fails")
async def fails() -> str:
    raise RuntimeError("a secret")

@app.get("/late", function="hurried", timeout=__import__("datetime").timedelta(seconds=0.3))
def late() -> str:
    time.sleep(1)
    return "late"

@app.get("/bad-header")
def bad_header() -> Response:
    response = Response("x")
    response.headers["x-bad"] = "a" + chr(10) + "b: c"
    return response

@app.get("/stream", stream=True)
async def stream(pieces: int, pause: float = 0.0) -> StreamResponse:
    async def body():
        for number in range(pieces):
            yield f"{number}\\n"
            await asyncio.sleep(pause)
    return StreamResponse(body(), media_type="text/plain")

@app.get("/broken", stream=True)
async def broken() -> StreamResponse:
    async def body():
        yield "begun"
        raise RuntimeError("midway")
    return StreamResponse(body())

@app.get("/after")
def after(tasks: BackgroundTasks) -> str:
    tasks.add(Path("afterwards").touch)
    return "now"

@app.on_start
def begin() -> None:
    Path("started").touch()

@app.on_stop
async def end() -> None:
    Path("stopped").touch()
"""


def rest_of(connection: socket.socket) -> bytes:
    """What comes back on a connection, to its end, however that ends."""
    found = b""
    with contextlib.suppress(ConnectionError):
        while piece := connection.recv(1 << 20):
            found += piece
    return found


def exchange(container: Any, sent: bytes) -> bytes:
    """What comes back on one connection, to its end."""
    with container.connect() as connection:
        connection.sendall(sent)
        return rest_of(connection)


def test_answers(start: Callable[..., Any]) -> None:
    container = start(APP)
    status, body, headers = container.get("/hello")
    assert (status, body, headers["content-length"]) == (200, b'{"hello":"world"}', "17")
    assert headers["content-type"] == "application/json"
    assert container.get("/sync/%C3%A9t%C3%A9?times=2")[1].decode() == "étéété"
    assert container.get("/nothing")[0] == 404
    status, _, headers = container.get("/hello", "DELETE")
    assert (status, headers["allow"]) == (405, "GET, HEAD, OPTIONS")
    status, body, headers = container.get("/hello", "HEAD")
    assert (status, body, headers["content-length"]) == (200, b"", "17")
    status, body, _ = container.get("/fails")
    assert status == 500
    assert b"secret" not in body
    assert "a secret" in container.said
    assert container.get("/late")[0] == 504
    status, body, _ = container.get("/bad-header")
    assert status == 500
    assert container.post("/echo", b"x" * 300_000)[1] == b"x" * 300_000
    assert container.get("/after")[1] == b"now"
    container.until((container.folder / "afterwards").exists)
    status, body, headers = container.get("/stream?pieces=3")
    assert (status, body, headers["transfer-encoding"]) == (200, b"0\n1\n2\n", "chunked")


def test_a_bundle_without_uvloop_serves(start: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "uvloop.py").write_text("raise ImportError('left out')\n")
    container = start(APP)
    assert container.get("/hello")[0] == 200
    assert container.get("/stream?pieces=3")[1] == b"0\n1\n2\n"
    assert len(container.post("/echo", b"x" * 300_000)[1]) == 300_000
    container.tell()
    assert container.end() == 0


def test_connections_are_kept_and_pipelined(start: Callable[..., Any]) -> None:
    container = start(APP)
    asked = [b"GET /sync/%d HTTP/1.1\r\nHost: h\r\n\r\n" % number for number in range(5)]
    asked.append(b"GET /stream?pieces=1 HTTP/1.1\r\nHost: h\r\n\r\n")
    asked.append(b"POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
    asked.append(b"GET /hello HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
    found = exchange(container, b"".join(asked))
    bodies = [found.index(b"\r\n\r\n%d" % number) for number in range(5)]
    assert bodies == sorted(bodies)
    assert found.index(b"\r\n\r\nabc") > bodies[-1]
    assert found.endswith(b"connection: close\r\n\r\n" + b'{"hello":"world"}')
    old = exchange(container, b"GET /stream?pieces=2 HTTP/1.0\r\n\r\n")
    assert old.endswith(b"\r\n\r\n0\n1\n")
    assert b"chunked" not in old


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GARBAGE\r\n\r\n", 400),
        (b"GET /hello HTTP/1.1\r\n\r\n", 400),
        (b"GET /hello HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        (b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc", 400),
        (b"GET /hello HTTP/1.1\r\nHost: a\r\n" + b"x-a: b\r\n" * 300 + b"\r\n", 431),
        (b"GET /hello HTTP/1.1\r\nHost: a\r\nx-a: " + b"b" * 200_000, 431),
        (b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 99999\r\n\r\n", 413),
        (b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 99999\r\nExpect: 100-continue\r\n\r\n", 413),
        (
            b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n400\r\n" + b"x" * 1024 + b"\r\n",
            413,
        ),
        (b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\nrest", 404),
    ],
)
def test_what_is_no_request_is_refused(start: Callable[..., Any], sent: bytes, status: int) -> None:
    container = start(APP, PORTABLE_MAX_BODY="1000")
    found = exchange(container, sent)
    assert found.startswith(b"HTTP/1.1 %d " % status), found
    assert b"connection: close" in found
    assert found.count(b"HTTP/1.1 ") == 1
    assert container.get("/hello")[0] == 200


def test_who_may_send_is_told_to_go_on(start: Callable[..., Any]) -> None:
    container = start(APP)
    with container.connect() as connection:
        connection.sendall(b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n")
        assert connection.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(b"abc")
        assert connection.recv(1000).endswith(b"abc")


def test_slow_clients_are_ended(start: Callable[..., Any]) -> None:
    container = start(
        APP,
        PORTABLE_HEADER_SECONDS="1",
        PORTABLE_BODY_SECONDS="1",
        PORTABLE_IDLE_SECONDS="1",
        PORTABLE_CONNECTIONS="20",
    )

    def drip(connection: socket.socket, first: bytes) -> bytes:
        """A byte at a time, for longer than it is borne."""
        connection.sendall(first)
        try:
            for _ in range(100):
                connection.sendall(b"x")
                time.sleep(0.1)
        except OSError:
            pass
        try:
            return connection.recv(1000)
        except OSError:
            return b""

    with (
        container.connect() as head,
        container.connect() as body,
        container.connect() as silent,
        container.connect() as kept,
    ):
        threads = []
        found: dict[str, bytes] = {}
        for name, connection, first in (
            ("head", head, b"GET /hello HTTP/1.1\r\nHost: a\r\nx-slow: "),
            ("body", body, b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 900\r\n\r\n"),
        ):
            thread = threading.Thread(target=lambda n=name, c=connection, f=first: found.update({n: drip(c, f)}))
            thread.start()
            threads.append(thread)
        kept.sendall(b"GET /hello HTTP/1.1\r\nHost: a\r\n\r\n")
        assert kept.recv(1000).startswith(b"HTTP/1.1 200")
        assert silent.recv(1000) == b""  # it never asked
        assert kept.recv(1000) == b""  # it had nothing more to ask
        assert container.get("/hello")[0] == 200  # meanwhile others are served
        for thread in threads:
            thread.join()
    for name, said in found.items():
        assert not said or said.startswith(b"HTTP/1.1 408"), name


def test_what_is_begun_behind_a_request_has_its_time_after_it(start: Callable[..., Any]) -> None:
    container = start(APP, PORTABLE_HEADER_SECONDS="1", PORTABLE_BODY_SECONDS="1")
    for number, begun in enumerate((b"GET /hel", b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc")):
        with container.connect() as connection:
            connection.sendall(b"GET /hold?name=%d HTTP/1.1\r\nHost: a\r\n\r\n" % number + begun)
            container.until((container.folder / f"held-{number}").exists)
            time.sleep(2.5)
            (container.folder / f"go-{number}").touch()
            found = rest_of(connection)
        assert found.startswith(b"HTTP/1.1 200 ")
        assert found.count(b"HTTP/1.1 408 ") == 1


def test_a_client_that_does_not_read_is_ended(start: Callable[..., Any]) -> None:
    container = start(APP, PORTABLE_WRITE_SECONDS="1")
    with container.connect() as connection:
        connection.sendall(b"GET /sync/aaaaaaaaaa?times=4000000 HTTP/1.1\r\nHost: a\r\n\r\n")
        time.sleep(4)
        assert len(rest_of(connection)) < 40_000_000
    assert container.get("/hello")[0] == 200


def test_too_many_requests_are_told_to_come_again(start: Callable[..., Any]) -> None:
    container = start(APP, PORTABLE_CONCURRENCY="2", PORTABLE_BACKLOG="1")
    with contextlib.ExitStack() as stack:
        held = [stack.enter_context(container.connect()) for _ in range(2)]
        for number, connection in enumerate(held):
            connection.sendall(b"GET /hold?name=%d HTTP/1.1\r\nHost: a\r\n\r\n" % number)
        container.until(lambda: all((container.folder / f"held-{number}").exists() for number in range(2)))
        more = [stack.enter_context(container.connect()) for _ in range(2)]
        for connection in more:  # one waits for its turn, one is too many
            connection.sendall(b"GET /hello HTTP/1.1\r\nHost: a\r\n\r\n")
        [refused], _, _ = select.select(more, [], [], 60)
        answer = refused.recv(1000)
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"\r\nretry-after: 1\r\n" in answer
        assert container.get("/-/live")[0] == 200  # who looks after the process is answered all the same
        for number in range(2):
            (container.folder / f"go-{number}").touch()
        [waited] = [one for one in more if one is not refused]
        for connection in (*held, waited):
            assert connection.recv(1000).startswith(b"HTTP/1.1 200 ")
    assert container.get("/hello")[0] == 200


def test_too_many_connections_are_refused(start: Callable[..., Any]) -> None:
    container = start(APP, PORTABLE_CONNECTIONS="3")
    held = [container.connect() for _ in range(3)]
    try:
        for connection in held:
            connection.sendall(b"GET /hello HTTP/1.1\r\nHost: a\r\n\r\n")
            assert connection.recv(1000).startswith(b"HTTP/1.1 200")
        found = exchange(container, b"")
        assert found.startswith(b"HTTP/1.1 503 ")
        assert b"retry-after: 1" in found
    finally:
        for connection in held:
            connection.close()
    container.until(lambda: container.get("/hello")[0] == 200)


def test_who_asks_is_who_a_trusted_proxy_says(start: Callable[..., Any]) -> None:
    lie = {"x_forwarded_for": "6.6.6.6, 203.0.113.9, 10.0.0.2", "x_forwarded_proto": "https"}
    container = start(APP)
    headers = container.post("/echo", b"", **lie)[2]
    assert (headers["x-client"], headers["x-scheme"]) == ("127.0.0.1", "http")
    trusting = start(APP, PORTABLE_PROXIES="2")
    headers = trusting.post("/echo", b"", **lie)[2]
    assert (headers["x-client"], headers["x-scheme"]) == ("203.0.113.9", "https")
    assert trusting.post("/echo", b"", x_forwarded_for="6.6.6.6")[2]["x-client"] == "127.0.0.1"


def test_told_to_stop_it_answers_what_is_in_hand(start: Callable[..., Any]) -> None:
    container = start(APP)
    answers: list[Any] = []
    asking = threading.Thread(target=lambda: answers.append(container.get("/hold?name=a")))
    asking.start()
    container.until((container.folder / "held-a").exists)
    with container.connect() as idle:
        idle.sendall(b"GET /hello HTTP/1.1\r\nHost: a\r\n\r\n")
        assert idle.recv(1000).startswith(b"HTTP/1.1 200")
        container.tell()
        assert idle.recv(1000) == b""  # a kept connection ends at once
    container.until(lambda: not accepts(container.port))  # no new ones are taken
    assert container.process.poll() is None
    (container.folder / "go-a").touch()
    asking.join()
    status, body, headers = answers[0]
    assert (status, body, headers["connection"]) == (200, b"done", "close")
    assert container.end() == 0
    assert (container.folder / "stopped").exists()


def test_what_does_not_end_in_time_is_left(start: Callable[..., Any]) -> None:
    container = start(APP, PORTABLE_SHUTDOWN_SECONDS="1")
    with container.connect() as connection:
        connection.sendall(b"GET /waits HTTP/1.1\r\nHost: a\r\n\r\n")
        container.until((container.folder / "waits").exists)
        container.tell()
        assert container.end() == 0
        found = rest_of(connection)
        assert not found or found.startswith(b"HTTP/1.1 503 ")
    assert "did not end within 1 s" in container.said
    assert (container.folder / "stopped").exists()


def test_while_it_drains_requests_are_still_taken(start: Callable[..., Any]) -> None:
    container = start(APP, PORTABLE_DRAIN_SECONDS="2")
    container.tell()
    container.until(lambda: container.get("/-/ready")[0] == 503)
    assert container.get("/-/live")[0] == 200
    assert container.get("/hello")[0] == 200
    assert container.end() == 0


def test_told_twice_it_ends_at_once(start: Callable[..., Any]) -> None:
    container = start(APP)
    with container.connect() as connection:
        connection.sendall(b"GET /waits HTTP/1.1\r\nHost: a\r\n\r\n")
        container.until((container.folder / "waits").exists)
        container.tell()
        container.until(lambda: "stopping" in container.said)
        container.tell(signal.SIGINT)
        assert container.end() == 1


def test_a_body_that_breaks_off_looks_like_it(start: Callable[..., Any]) -> None:
    container = start(APP)
    found = exchange(container, b"GET /broken HTTP/1.1\r\nHost: a\r\n\r\n")
    assert b"begun" in found
    assert not found.endswith(b"0\r\n\r\n")


def test_what_is_set_wrongly_is_named(start: Callable[..., Any]) -> None:
    for variable, value in (
        ("PORTABLE_BACKLOG", "many"),
        ("PORTABLE_CONCURRENCY", "0"),
        ("PORTABLE_FUNCTIONS", "http,nothing"),
        ("PORTABLE_EVENTS_TOKEN", "short"),
        ("PORTABLE_POLL", "perhaps"),
    ):
        container = start(APP, ready=False, **{variable: value})
        assert container.end() == 2
        assert variable in container.said
