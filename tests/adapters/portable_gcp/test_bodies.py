"""Bodies on Google Cloud are read as they arrive: forms in pieces, and what is too long not at all."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import pytest
from flask import Request as FlaskRequest
from werkzeug.test import EnvironBuilder

from portable import App, FormLimits, HTTPError, Request, Response, Upload
from portable.invoke import make_function
from portable_gcp.runtime import Entry
from portable_gcp.triggers.http import HTTP

pytest.importorskip("python_multipart")


class Counted(BytesIO):
    """A stream that knows how far it was read, and by how much at a time."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.most = 0

    def read(self, size: int | None = -1) -> bytes:
        data = super().read(size)
        self.most = max(self.most, len(data))
        return data

    def readinto(self, buffer: Any) -> int:
        count = super().readinto(buffer)
        self.most = max(self.most, count)
        return count

    def readall(self) -> bytes:
        return self.read()


def form_of(size: int, fields: str = "") -> tuple[bytes, str]:
    head = f'--b\r\nContent-Disposition: form-data; name="f"; filename="n"\r\n\r\n{fields}'
    return head.encode() + b"x" * size + b"\r\n--b--\r\n", "multipart/form-data; boundary=b"


def arriving(body: bytes, content_type: str = "", *, length: int | None = None, chunked: bool = False) -> Any:
    stream = Counted(body)
    environ = EnvironBuilder(method="POST", path="/").get_environ()
    environ["CONTENT_TYPE"] = content_type
    environ["wsgi.input"] = stream
    if chunked:
        environ["HTTP_TRANSFER_ENCODING"] = "chunked"
        environ["wsgi.input_terminated"] = True
        environ.pop("CONTENT_LENGTH", None)
    else:
        environ["CONTENT_LENGTH"] = str(len(body) if length is None else length)
    return HTTP.decode(FlaskRequest(environ)), stream


@pytest.mark.parametrize("chunked", [False, True])
def test_a_form_is_read_in_pieces(chunked: bool) -> None:
    body, kind = form_of(3_000_000)
    request, stream = arriving(body, kind, chunked=chunked)
    with request.form() as form:
        assert form.files["f"].read() == b"x" * 3_000_000
        assert form.files["f"].file._rolled
    assert stream.most <= 65536
    with pytest.raises(RuntimeError, match=r"take request\.body before"):
        _ = request.body


def test_a_body_read_before_is_what_the_form_is_read_from() -> None:
    body, kind = form_of(10)
    request, _ = arriving(body, kind)
    assert request.body == body
    with request.form() as form:
        assert form.files["f"].size == 10
    assert request.body == body


def test_what_is_too_large_is_not_read_to_its_end() -> None:
    body, kind = form_of(3_000_000)
    request, stream = arriving(body, kind)
    with pytest.raises(HTTPError) as caught:
        request.form(FormLimits(file_bytes=100_000))
    assert caught.value.status == 413
    assert stream.tell() < 300_000


def test_a_form_that_is_cut_off_is_a_400() -> None:
    body, kind = form_of(100_000)
    for length in (len(body), None):
        request, _ = arriving(body[:50_000], kind, length=length)
        with pytest.raises(HTTPError) as caught:
            request.form()
        assert caught.value.status == 400


def reads_all(request: Request) -> int:
    return len(request.body)


def takes_bytes(body: bytes) -> int:
    return len(body)


def takes_upload(f: Upload) -> int:
    return f.size


async def takes_upload_later(f: Upload) -> int:
    return f.size


@pytest.mark.parametrize("handler", [reads_all, takes_bytes, takes_upload, takes_upload_later])
@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_over_the_bound_is_refused_before_it_is_read(handler: Any, chunked: bool) -> None:
    app = App("bounded")
    app.post("/", max_body=100_000)(handler)
    function = make_function(app.functions()["http"])
    body, kind = form_of(3_000_000)
    request, stream = arriving(body, kind, chunked=chunked)
    answer: Any = function(request)
    if hasattr(answer, "send"):
        with pytest.raises(StopIteration) as stopped:
            answer.send(None)
        answer = stopped.value.value
    assert answer.status == 413
    assert stream.tell() <= (100_001 if chunked else 0)


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_within_the_bound_is_read_whole(chunked: bool) -> None:
    app = App("bounded")
    app.post("/", max_body=100_000)(takes_bytes)
    request, _ = arriving(b"x" * 100_000, chunked=chunked)
    answer: Any = make_function(app.functions()["http"])(request)
    assert (answer.status, answer.body) == (200, "100000")


class Answered:
    """An instance of one HTTP function that gives the same answer to all."""

    function, stage, kind = "http", "", "http"

    def __init__(self, response: Response) -> None:
        self.call = lambda request: response

    def start(self, run: Any) -> None: ...

    def take_cold_start(self) -> bool:
        return False


@pytest.mark.parametrize("body", ["é" * 16 * 1024 * 1024, b"x" * 32 * 1024 * 1024])
def test_an_answer_that_is_too_large_is_a_500_that_says_so(body: str | bytes, caplog: pytest.LogCaptureFixture) -> None:
    def answered(body: str | bytes) -> Any:
        instance: Any = Answered(Response(body, media_type="text/plain"))
        environ = EnvironBuilder(method="GET", path="/").get_environ()
        return Entry(instance, "http").respond(FlaskRequest(environ))

    assert answered(body).status_code == 200
    assert not caplog.records
    answer = answered(body + body[:1])  # type: ignore[operator]
    assert (answer.status_code, "33554432" in answer.get_data(as_text=True)) == (500, True)
    assert "StreamResponse" in caplog.text
