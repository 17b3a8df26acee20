"""The bridge as PEP 3333 has it; `wsgiref.validate`, the standard library's own checker, stands around applications."""

from __future__ import annotations

import io
import logging
import sys
from collections.abc import Iterator
from typing import Any
from wsgiref.util import is_hop_by_hop
from wsgiref.validate import validator

import pytest

from portable import App, Request
from portable.testing import TestClient

Environ = dict[str, Any]
TEXT = [("Content-Type", "text/plain")]


def mount(application: Any, **options: Any) -> App:
    app = App("wsgi")
    app.mount("/in", application, kind="wsgi", **options)
    return app


def test_the_environment(serve: Any) -> None:
    seen: list[Environ] = []

    def application(environ: Environ, start_response: Any) -> list[bytes]:
        seen.append(environ)
        start_response("200 OK", TEXT)
        return [environ["wsgi.input"].read()]

    request = Request(
        "PUT",
        "",
        raw_path="/in/a%2Fb/%C3%A9%FF",
        root_path="/prod",
        headers=[
            ("X-One", "1"),
            ("x-one", "2"),
            ("X_One", "forged"),
            ("cookie", "a=b"),
            ("cookie", "c=d"),
            ("content-type", "text/plain"),
            ("transfer-encoding", "chunked"),
        ],
        body=b"12345",
        client="192.0.2.7",
        scheme="https",
        host="shop.test:8443",
    )
    request.raw_query = "a=1+2&&b"
    assert serve(mount(application))(request).body == b"12345"
    (environ,) = seen
    assert environ.pop("portable.request") is request
    assert isinstance(environ.pop("wsgi.input"), io.BytesIO)
    assert environ.pop("wsgi.errors") is sys.stderr
    assert environ == {
        "REQUEST_METHOD": "PUT",
        "SCRIPT_NAME": "/prod/in",
        "PATH_INFO": "/a/b/\xc3\xa9\xff",
        "QUERY_STRING": "a=1+2&&b",
        "REQUEST_URI": "/prod/in/a%2Fb/%C3%A9%FF?a=1+2&&b",
        "SERVER_NAME": "shop.test",
        "SERVER_PORT": "8443",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "192.0.2.7",
        "CONTENT_TYPE": "text/plain",
        "CONTENT_LENGTH": "5",
        "HTTP_HOST": "shop.test:8443",
        "HTTP_X_ONE": "1,2",
        "HTTP_COOKIE": "a=b; c=d",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "https",
        "wsgi.input_terminated": True,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "DELETE"])
@pytest.mark.parametrize("stream", [False, True])
def test_the_standard_librarys_checker_finds_nothing(method: str, stream: bool) -> None:
    @validator
    def application(environ: Environ, start_response: Any) -> Iterator[bytes]:
        size = int(environ.get("CONTENT_LENGTH") or 0)
        body = environ["wsgi.input"].read(size)
        environ["wsgi.errors"].write("")
        start_response("200 OK", [("Content-Type", "text/plain"), ("X-Size", str(size))])
        return iter([b"", b"got ", body])

    with TestClient(mount(application, stream=stream)) as client:
        found = client.request(method, "/in/x?a=1", body=b"four" if method == "POST" else b"")
    assert found.status == 200
    assert found.headers["x-size"] == ("4" if method == "POST" else "0")
    assert found.body == {"HEAD": b"", "POST": b"got four"}.get(method, b"got ")


class Pieces:
    """An iterable that notes that it was closed."""

    def __init__(self, log: list[str], pieces: Any) -> None:
        self._log = log
        self._pieces = iter(pieces)

    def __iter__(self) -> Iterator[bytes]:
        return self._pieces

    def close(self) -> None:
        self._log.append("closed")


@pytest.mark.parametrize("stream", [False, True])
def test_what_is_written_comes_before_what_is_returned_and_all_is_closed_once(stream: bool) -> None:
    log: list[str] = []

    def application(environ: Environ, start_response: Any) -> Any:
        write = start_response("201 Created", TEXT)
        write(b"one ")

        def rest() -> Iterator[bytes]:
            write(b"two ")
            yield b""
            yield b"three "
            write(b"four ")
            yield b"five"

        return Pieces(log, rest())

    with TestClient(mount(application, stream=stream)) as client:
        found = client.get("/in")
    assert (found.status, found.body) == (201, b"one two three four five")
    assert log == ["closed"]


@pytest.mark.parametrize("stream", [False, True])
def test_a_head_may_be_said_late_and_said_anew_before_the_body(stream: bool) -> None:
    def application(environ: Environ, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", TEXT)
        try:
            raise LookupError("found out late")
        except LookupError:
            start_response("404 Not Found", [*TEXT, ("x-anew", "1")], sys.exc_info())
        yield b"not here"

    with TestClient(mount(application, stream=stream)) as client:
        found = client.get("/in")
    assert (found.status, found.body, found.headers["x-anew"]) == (404, b"not here", "1")


def anew_too_late(environ: Environ, start_response: Any) -> Iterator[bytes]:
    start_response("200 OK", TEXT)
    yield b"begun"
    try:
        raise LookupError("midway")
    except LookupError:
        start_response("500 Sorry", TEXT, sys.exc_info())


def twice(environ: Environ, start_response: Any) -> list[bytes]:
    start_response("200 OK", TEXT)
    start_response("200 OK", TEXT)
    return []


def headless(environ: Environ, start_response: Any) -> list[bytes]:
    return [b"body"]


def headless_and_empty(environ: Environ, start_response: Any) -> list[bytes]:
    return []


def status(environ: Environ, start_response: Any) -> list[bytes]:
    start_response("fine", TEXT)
    return []


def raises(environ: Environ, start_response: Any) -> list[bytes]:
    raise LookupError("at once")


@pytest.mark.parametrize(
    ("application", "said"),
    [
        (anew_too_late, "LookupError: midway"),
        (twice, "start_response twice"),
        (headless, "never called start_response"),
        (headless_and_empty, "never called start_response"),
        (status, "a WSGI status is like '200 OK'"),
        (raises, "LookupError: at once"),
    ],
)
def test_an_answer_that_is_none_is_a_500_that_says_why_in_the_log(
    application: Any, said: str, serve: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        assert serve(mount(application))(Request("GET", "/in")).status == 500
    assert said in caplog.text


def test_the_iterable_is_closed_when_it_fails_and_when_its_reader_goes_away() -> None:
    log: list[str] = []

    def failing(environ: Environ, start_response: Any) -> Any:
        start_response("200 OK", TEXT)

        def pieces() -> Iterator[bytes]:
            yield b"one"
            raise LookupError("midway")

        return Pieces(log, pieces())

    def endless(environ: Environ, start_response: Any) -> Any:
        start_response("200 OK", TEXT)
        return Pieces(log, iter(lambda: b"again ", None))

    with TestClient(mount(failing), raise_errors=False) as client:
        assert client.get("/in").status == 500
    assert log == ["closed"]
    with TestClient(mount(endless, stream=True)) as client:
        assert client.get("/in", chunks=2).text() == "again again "
    assert log == ["closed", "closed"]


def test_what_fails_when_it_is_closed_is_logged_and_the_answer_given(
    serve: Any, caplog: pytest.LogCaptureFixture
) -> None:
    class Stubborn(list[bytes]):
        def close(self) -> None:
            raise LookupError("will not close")

    def application(environ: Environ, start_response: Any) -> Any:
        start_response("200 OK", [*TEXT, ("Connection", "close")])
        return Stubborn([b"good"])

    with caplog.at_level(logging.ERROR):
        found = serve(mount(application))(Request("GET", "/in"))
    assert found.body == b"good"
    assert not any(is_hop_by_hop(name) for name, _ in found.header_pairs())
    assert "will not close" in caplog.text
