from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from portable import App, BlobEvent, Message, Request, Response, Tick
from portable.errors import ConfigError
from portable.run.deployment import deployed
from portable.run.front import front
from portable.run.serve import serve


def make_app() -> App:
    app = App("front")
    box, done = app.bucket("box"), app.bucket("done")
    work = app.queue("work")

    @app.route("/echo/{rest:path}", methods=["GET", "POST", "OPTIONS"])
    def echo(rest: str, request: Request) -> Response:
        seen = {
            "raw_path": request.raw_path,
            "query": request.query.items(),
            "headers": request.headers.get_all("x-many"),
            "cookies": request.cookies,
            "body": request.body.decode("latin-1"),
            "host": request.host,
        }
        answer = Response(seen, headers=[("x-many", "1"), ("x-many", "2")])
        answer.set_cookie("a", "1")
        answer.set_cookie("b", "2")
        return answer

    @app.get("/bytes")
    def some_bytes() -> bytes:
        return bytes(range(256))

    @app.get("/slow", timeout=timedelta(seconds=0.2), function="slow")
    def slow() -> None:
        time.sleep(1)

    @app.post("/box/{key}")
    def put(key: str, body: bytes) -> None:
        box.write(key, body)

    @app.get("/done/{key}")
    def get(key: str) -> bytes:
        return done.read(key)

    @app.on_blob(box)
    def copy(event: BlobEvent) -> None:
        done.write(event.key, box.read(event.key))

    @app.on_message(work)
    def run_work(message: Message[Any]) -> None:
        if message.body == "bad":
            raise ValueError("bad work")

    @app.on_schedule(cron="0 8 * * *")
    def daily(tick: Tick) -> None:
        done.write("day", tick.scheduled_at.isoformat())

    @app.function()
    def double(payload: dict[str, int]) -> int:
        return payload["n"] * 2

    return app


@pytest.fixture
def address(memory_cloud: Callable[..., Any], write_artifact: Callable[..., Path]) -> Iterator[str]:
    app = make_app()
    memory_cloud(app)
    with deployed(write_artifact(app)) as deployment, front(deployment) as found:
        yield found


def call(
    address: str, method: str, path: str, body: Any = None, headers: Any = ()
) -> tuple[int, list[tuple[str, str]], bytes]:
    connection = http.client.HTTPConnection(address.removeprefix("http://"), timeout=10)
    try:
        connection.putrequest(method, path, skip_accept_encoding=True)
        for name, value in headers:
            connection.putheader(name, value)
        if body is not None:
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        answer = connection.getresponse()
        return answer.status, answer.getheaders(), answer.read()
    finally:
        connection.close()


def post_event(address: str, function: str, document: Any, query: str = "") -> tuple[int, Any]:
    data = document if isinstance(document, bytes) else json.dumps(document).encode()
    status, _, body = call(address, "POST", f"/_portable/functions/{function}{query}", data)
    return status, json.loads(body)


def raw(address: str, text: bytes) -> bytes:
    host, _, port = address.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(text)
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        while part := connection.recv(65536):
            answer += part
    return answer


def test_paths_queries_headers_and_cookies_pass_as_sent(address: str) -> None:
    headers = [("X-Many", "1"), ("x-many", "2"), ("Cookie", "a=1; b=2")]
    status, got, body = call(address, "POST", "/echo/a%2Fb%20c//d?x=1&x=&y=a+b", b"\x00\xff", headers)
    seen = json.loads(body)
    assert status == 200
    assert seen["raw_path"] == "/echo/a%2Fb%20c//d"
    assert seen["query"] == [["x", "1"], ["x", ""], ["y", "a b"]]
    assert seen["headers"] == ["1", "2"]
    assert seen["cookies"] == {"a": "1", "b": "2"}
    assert seen["body"] == "\x00\xff"
    assert f"http://{seen['host']}" == address
    assert [value for name, value in got if name == "x-many"] == ["1", "2"]
    assert len([value for name, value in got if name == "set-cookie"]) == 2


def test_two_slashes_at_the_start_stay(address: str) -> None:
    assert call(address, "GET", "//echo/a")[0] == 404
    assert raw(address, b"GET http://x/echo/abs HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").startswith(
        b"HTTP/1.1 200"
    )


def test_bytes_head_options_and_methods_nobody_knows(address: str) -> None:
    assert call(address, "GET", "/bytes")[2] == bytes(range(256))
    status, headers, body = call(address, "HEAD", "/bytes")
    assert (status, body, dict(headers)["content-length"]) == (200, b"", "256")
    assert call(address, "OPTIONS", "/bytes")[0] == 204
    status, headers, _ = call(address, "PROPFIND", "/bytes")
    assert (status, dict(headers)["allow"]) == (405, "GET, HEAD, OPTIONS")
    assert call(address, "GET", "/nowhere")[0] == 404


def test_a_chunked_body(address: str) -> None:
    request = b"POST /echo/x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    answer = raw(address, request + b"3\r\nabc\r\n2;ext=1\r\nde\r\n0\r\n\r\n")
    assert b'"body":"abcde"' in answer
    assert raw(address, request + b"zz\r\n").startswith(b"HTTP/1.1 400")


@pytest.mark.parametrize(
    ("request_head", "status"),
    [
        (b"POST /echo/x HTTP/1.1\r\nHost: x\r\nContent-Length: many\r\n\r\n", b"400"),
        (b"POST /echo/x HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\nshort", b"400"),
        (b"POST /echo/x HTTP/1.1\r\nHost: x\r\nContent-Length: 999999999999\r\n\r\n", b"413"),
        (b"GET echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", b"400"),
    ],
)
def test_requests_that_cannot_be_read(address: str, request_head: bytes, status: bytes) -> None:
    assert raw(address, request_head).startswith(b"HTTP/1.1 " + status)


def test_many_requests_on_one_connection_do_not_wait(address: str) -> None:
    connection = http.client.HTTPConnection(address.removeprefix("http://"), timeout=10)
    start = time.perf_counter()
    for _ in range(20):
        connection.request("GET", "/bytes")
        assert connection.getresponse().read() == bytes(range(256))
    connection.close()
    assert time.perf_counter() - start < 0.6, "with Nagle's algorithm it takes 40 ms each"


def test_the_deadline_is_a_504(address: str) -> None:
    status, headers, body = call(address, "GET", "/slow")
    assert (status, dict(headers)["content-type"]) == (504, "application/problem+json")
    assert json.loads(body)["status"] == 504


def test_what_runs_is_told(address: str) -> None:
    about = json.loads(call(address, "GET", "/_portable")[2])
    assert about["parts"] == {"memory": "1.0"}
    assert about["functions"]["copy"] == {"kind": "blob", "source": "memory"}
    assert about["target"] == "memory"
    assert call(address, "POST", "/_portable", b"")[0] == 405
    assert call(address, "GET", "/_portable/other")[0] == 404
    assert call(address, "GET", "/_portable/functions/copy")[0] == 405


def test_events_are_posted_to_functions(address: str) -> None:
    assert post_event(address, "double", {"n": 4})[1]["value"] == 8
    assert post_event(address, "run-work", {"messages": [{"body": "fine"}]})[1]["failed"] == []
    assert post_event(address, "run-work", {"messages": [{"body": "bad", "id": "m"}]})[1]["failed"] == ["m"]
    assert post_event(address, "daily", {"scheduled_at": "2026-03-29T08:00:00Z"})[0] == 200
    assert call(address, "GET", "/done/day")[2] == b"2026-03-29T08:00:00+00:00"
    status, answer = post_event(address, "copy", {"key": "not-there"})
    assert (status, answer["error"][:14]) == (200, "NotFoundError:")
    assert post_event(address, "http", {"path": "/nowhere"})[1]["response"]["status"] == 404


def test_native_events_are_posted_as_they_are(address: str) -> None:
    assert post_event(address, "double", {"n": 4}, "?native=1") == (200, {"answer": 8})
    status, answer = post_event(address, "daily", {"surprise": 1}, "?native=1")
    assert status == 200
    assert "contains unknown field `surprise`" in answer["error"]


def test_a_native_event_that_cannot_even_be_handed_over(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Any, function: str, native: Any) -> Any:
        return native["method"]

    monkeypatch.setattr("portable.run.deployment.Deployment.invoke_native", refuse)
    for document in ({}, [], None):
        status, answer = post_event(address, "daily", document, "?native=1")
        assert status == 422
        assert answer["detail"].startswith("This is no event of memory (")
        assert "`portable events daily --target memory` prints one" in answer["detail"]


@pytest.mark.parametrize(
    ("function", "document", "status", "says"),
    [
        ("nobody", {}, 404, "There is no function 'nobody'; there are http, slow, copy"),
        ("daily", b"{", 400, "not JSON"),
        ("daily", b"\xff", 400, "not JSON"),
        ("daily", {"scheduled_at": "soon"}, 422, "$.scheduled_at"),
        ("run-work", {"messages": []}, 422, "$.messages"),
        ("run-work", {}, 422, "missing required field `messages`"),
        ("copy", {"key": "a", "bucket": "other"}, 422, "$.bucket"),
        ("copy", {"kind": "moved", "key": "a"}, 422, "$.kind"),
        ("http", {"json": 1, "text": "1"}, 422, "json and text would both be the body"),
        ("http", {"path": "no-slash"}, 422, "starts with '/'"),
    ],
)
def test_malformed_events_say_what_is_wrong(address: str, function: str, document: Any, status: int, says: str) -> None:
    found, answer = post_event(address, function, document)
    assert (found, answer["status"]) == (status, status)
    assert says in answer["detail"]


@pytest.fixture
def served(memory_cloud: Any, write_artifact: Any) -> Iterator[Callable[..., list[str]]]:
    app = make_app()
    memory_cloud(app)
    folder = write_artifact(app)
    stop = threading.Event()
    threads = []

    def start(port: int) -> list[str]:
        said: list[str] = []
        thread = threading.Thread(target=serve, args=(folder,), kwargs={"port": port, "say": said.append, "stop": stop})
        threads.append(thread)
        thread.start()
        limit = time.monotonic() + 10
        while not any("log:" in line for line in said):
            assert time.monotonic() < limit
            time.sleep(0.01)
        return said

    yield start
    stop.set()
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()


def test_serving_delivers_events_in_the_background(served: Callable[[int], list[str]]) -> None:
    said = served(0)
    address = said[0].rpartition(" ")[2]
    assert said[0].startswith("front, built for memory, at http://127.0.0.1:")
    assert "  memory 1.0" in said
    assert call(address, "POST", "/box/cat", b"meow")[0] == 204
    limit = time.monotonic() + 10
    while call(address, "GET", "/done/cat")[0] != 200:
        assert time.monotonic() < limit
        time.sleep(0.05)
    assert call(address, "GET", "/done/cat")[2] == b"meow"


def test_a_port_in_use_is_named(memory_cloud: Any, write_artifact: Any) -> None:
    app = make_app()
    memory_cloud(app)
    folder = write_artifact(app)
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(ConfigError, match=rf"port {port} is in use .* --port 0"):
            serve(folder, port=port)
    with pytest.raises(ConfigError, match="cannot listen on port 99999"):
        serve(folder, port=99999)
