"""From what a handler gives, or raises, to an answer every cloud can carry."""

from __future__ import annotations

import enum
import json
import logging
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

import msgspec
import pydantic
import pytest

from portable import App, Context, HTTPError, Request, Response
from portable.events import current_context
from portable.http import answers
from portable.invoke import run
from portable.invoke.http import HTTPFunction

JSON = "application/json"
TEXT = "text/plain; charset=utf-8"
BYTES = "application/octet-stream"
PROBLEM = "application/problem+json"


class Colour(enum.Enum):
    RED = "red"


class User(msgspec.Struct):
    id: int


@dataclass
class Row:
    id: int


class Model(pydantic.BaseModel):
    id: int


class Teapot(Response):
    def __init__(self) -> None:
        super().__init__({"short": "stout"}, status=418)


def serve(handler: Callable[..., Any], method: str = "GET", **options: Any) -> Response:
    """The answer of a handler of its own app."""
    app = App("answers")
    app.route("/", methods=["GET" if method == "HEAD" else method], **options)(handler)
    response = HTTPFunction(app.triggers)(Request(method, "/"))
    return run(response) if hasattr(response, "send") else response


@pytest.fixture(params=[False, True], ids=["sync", "async"])
def giving(request: pytest.FixtureRequest) -> Callable[[Any], Callable[[], Any]]:
    """A handler that returns a value, sync and async."""

    def make(value: Any) -> Callable[[], Any]:
        def handler() -> Any:
            return value

        async def wait() -> Any:
            return value

        return wait if request.param else handler

    return make


@pytest.fixture(params=[answers.encode_text, answers.loaded_encoder()], ids=["json", "msgspec"])
def _encoder(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "_encode", request.param)


@pytest.mark.usefixtures("_encoder")
@pytest.mark.parametrize(
    ("value", "body", "media_type"),
    [
        ({"a": "é"}, '{"a":"é"}', JSON),
        ([1, None], "[1,null]", JSON),
        ((1, 2), "[1,2]", JSON),
        ({1}, "[1]", JSON),
        (5, "5", JSON),
        (True, "true", JSON),
        (2.5, "2.5", JSON),
        (float("nan"), "null", JSON),
        ({"n": 2**70}, '{"n":1180591620717411303424}', JSON),
        ("é", "é", TEXT),
        ("", "", TEXT),
        (b"\xff", b"\xff", BYTES),
        (bytearray(b"ab"), b"ab", BYTES),
        (memoryview(b"ab"), b"ab", BYTES),
        (User(1), '{"id":1}', JSON),
        (Row(1), '{"id":1}', JSON),
        (Model(id=1), '{"id":1}', JSON),
        ([User(1), Model(id=2)], '[{"id":1},{"id":2}]', JSON),
        (Colour.RED, '"red"', JSON),
        (datetime(2026, 3, 29, tzinfo=UTC), '"2026-03-29T00:00:00Z"', JSON),
        (Response({"a": 1}), '{"a":1}', JSON),
        (Response("é"), "é", TEXT),
        (Response(b"ab"), b"ab", BYTES),
        (Response(bytearray(b"ab")), b"ab", BYTES),
        (Response("<p>", media_type="text/html"), "<p>", "text/html"),
        (Response(b"ab", media_type="image/png"), b"ab", "image/png"),
        (Response(User(1), media_type="application/hal+json"), '{"id":1}', "application/hal+json"),
    ],
)
def test_a_value_is_encoded_by_its_type(giving: Any, value: Any, body: Any, media_type: str) -> None:
    response = serve(giving(value))
    assert (response.status, response.body) == (200, body)
    assert response.header_pairs() == [("content-type", media_type)]
    assert type(response.body) is type(body)


@pytest.mark.parametrize(
    ("declared", "value", "status", "has_body"),
    [
        (None, {"a": 1}, 200, True),
        (201, {"a": 1}, 201, True),
        (HTTPStatus.ACCEPTED, "text", 202, True),
        (None, None, 204, False),
        (200, None, 200, False),
        (204, {"a": 1}, 204, False),
        (205, "text", 205, False),
        (204, [1], 204, False),
        (201, Response({"a": 1}), 200, True),
        (None, Response(b"x", status=404), 404, True),
        (None, Response("x", status=HTTPStatus.IM_A_TEAPOT), 418, True),
        (None, Response(None, status=302, headers={"location": "/a"}), 302, False),
        (None, Response("dropped", status=204), 204, False),
        (None, Response({"dropped": 1}, status=304, headers={"etag": '"a"'}), 304, False),
        (None, Teapot(), 418, True),
    ],
    ids=repr,
)
def test_statuses(giving: Any, declared: Any, value: Any, status: int, has_body: bool) -> None:
    response = serve(giving(value), status=declared)
    assert response.status == status
    assert (response.body is not None) is has_body


def test_a_response_given_out_again_and_again_stays_as_it_is(giving: Any) -> None:
    state = {"visits": 1}
    kept = Response(state, headers={"x-a": "1"})
    handler = giving(kept)
    assert serve(handler).body == '{"visits":1}'
    head = serve(handler, "HEAD")
    assert (head.body, head.headers["content-length"]) == (None, "12")
    state["visits"] = 2
    again = serve(handler)
    assert again.body == '{"visits":2}'
    assert again.header_pairs() == [("content-type", JSON), ("x-a", "1")]
    assert (kept.body, kept.media_type, kept.header_pairs()) == (state, None, [("x-a", "1")])


@pytest.mark.parametrize(
    ("value", "length", "media_type"),
    [({"a": "é"}, "10", JSON), ("é", "2", TEXT), (b"abc", "3", BYTES), (Response("", media_type="a/b"), "0", "a/b")],
)
def test_head_says_the_length_and_sends_nothing(giving: Any, value: Any, length: str, media_type: str) -> None:
    response = serve(giving(value), "HEAD")
    assert response.body is None
    assert response.header_pairs() == [("content-type", media_type), ("content-length", length)]


def test_head_of_nothing_has_no_length_and_a_length_of_the_handlers_own_stays(giving: Any) -> None:
    assert serve(giving(None), "HEAD").header_pairs() == []
    given = serve(giving(Response(b"", headers={"Content-Length": "5"})), "HEAD")
    assert given.headers.get_all("content-length") == ["5"]


def test_head_of_a_handlers_mistake() -> None:
    def handler() -> None:
        raise HTTPError(404, "gone")

    response = serve(handler, "HEAD")
    assert (response.status, response.body) == (404, None)
    assert int(response.headers["content-length"]) > 0


# --- errors


@pytest.fixture
def context() -> Any:
    token = current_context.set(Context("http", "request-7"))
    yield
    current_context.reset(token)


def problem_of(response: Response) -> Any:
    assert response.media_type == PROBLEM
    document = json.loads(response.body)
    assert document["status"] == response.status
    return document


@pytest.mark.usefixtures("context")
@pytest.mark.parametrize(
    "value",
    [
        object(),
        {"a": object()},
        {(1, 2): 3},
        "\ud800",
        {"a": "\ud800"},
        Response("\ud800"),
        Response({"a": object()}),
        Response("x", status=99),
        Response("x", status=600),
        Response("x", status="200"),
        Response("x", status=None),
        Response("x", media_type="text/plain\r\nx-evil: 1"),
        Response("x", media_type="text/plain; charset=é"),
        Response("x", headers={"x-a": "1\r\nx-evil: 2"}),
        Response("x", headers={"x-a": "1\nx-evil: 2"}),
        Response("x", headers={"x-a": "1\rx-evil: 2"}),
        Response("x", headers={"x-a": "\x00"}),
        Response("x", headers={"x-a": "\x7f"}),
        Response("x", headers={"x-a": "\x85"}),
        Response("x", headers={"x-a": "é"}),
        Response("x", headers={"x-a": "\u2028"}),
        Response("x", headers={"x-a": 5}),
        Response("x", headers={"x-a": None}),
        Response("x", headers={"x-a": b"1"}),
        Response("x", headers={"x a": "1"}),
        Response("x", headers={"x:a": "1"}),
        Response("x", headers={"x\r\na": "1"}),
        Response("x", headers={"": "1"}),
        Response("x", headers={"é": "1"}),
        Response("x", headers=[("x-a", "1"), ("x-a", "2\r\n\r\n<script>")]),
    ],
    ids=lambda value: re.sub(
        r" at 0x\w+", "", ascii([value, getattr(value, "status", 0), getattr(value, "_headers", 0)])
    ),
)
def test_an_answer_no_cloud_could_carry_is_a_500_that_tells_nothing(
    giving: Any, value: Any, caplog: pytest.LogCaptureFixture
) -> None:
    response = serve(giving(value))
    assert response.status == 500
    assert problem_of(response) == {
        "type": "about:blank",
        "title": "Internal Server Error",
        "status": 500,
        "detail": "The handler failed",
        "request_id": "request-7",
    }
    assert response.header_pairs() == [("content-type", PROBLEM)]
    (record,) = caplog.records
    assert (record.name, record.levelno) == ("portable", logging.ERROR)
    assert "request-7" in record.getMessage()
    assert record.exc_info is not None


@pytest.mark.parametrize("name", ["x-a", "X-Amz-Meta_1", "a", "x!#$%&'*+.^_`|~9"])
def test_headers_that_http_can_carry_pass(name: str) -> None:
    value = 'a "quoted", (commented); value=1 ~'
    assert serve(lambda: Response("x", headers={name: value})).headers[name] == value


@pytest.mark.usefixtures("context")
@pytest.mark.parametrize("error", [ValueError("secret"), KeyError("secret"), RecursionError(), StopIteration("secret")])
def test_a_mistake_is_logged_with_its_trace_and_not_told(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    def handler() -> None:
        raise error

    async def wait() -> None:
        raise error

    for one in (handler, wait):
        response = serve(one)
        assert response.status == 500
        assert problem_of(response)["request_id"] == "request-7"
        assert "secret" not in response.body
        assert "Traceback" not in response.body
    logged = caplog.records[0].exc_info
    assert logged is not None
    assert logged[1] is error


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt()])
def test_the_end_of_the_process_is_not_answered(error: BaseException) -> None:
    def handler() -> None:
        raise error

    async def wait() -> None:
        raise error

    for one in (handler, wait):
        with pytest.raises(type(error)):
            serve(one)


def test_an_http_error_says_what_it_was_given(giving: Any) -> None:
    def handler() -> None:
        raise HTTPError(
            401,
            "Who are you?",
            headers={"WWW-Authenticate": "Bearer"},
            errors=[{"in": "header", "name": "authorization", "detail": "is required"}],
        )

    response = serve(handler)
    assert response.header_pairs() == [("content-type", PROBLEM), ("www-authenticate", "Bearer")]
    assert problem_of(response) == {
        "type": "about:blank",
        "title": "Unauthorized",
        "status": 401,
        "detail": "Who are you?",
        "errors": [{"in": "header", "name": "authorization", "detail": "is required"}],
    }


@pytest.mark.parametrize(
    ("status", "title"), [(499, "Error"), (422, "Unprocessable Content"), (503, "Service Unavailable")]
)
def test_titles(status: int, title: str) -> None:
    def handler() -> None:
        raise HTTPError(status)

    document = problem_of(serve(handler))
    assert document == {"type": "about:blank", "title": title, "status": status}


def test_titles_are_those_of_the_newest_python() -> None:
    renamed = {
        413: "Content Too Large",
        414: "URI Too Long",
        416: "Range Not Satisfiable",
        422: "Unprocessable Content",
    }
    known = {int(status): status.phrase for status in HTTPStatus if status >= 400} | renamed
    assert {status: title.lower() for status, title in answers.TITLES.items()} == {
        status: title.lower() for status, title in known.items()
    }


@pytest.mark.usefixtures("context", "caplog")
@pytest.mark.parametrize(
    "make",
    [
        lambda: HTTPError(200, "fine"),
        lambda: HTTPError(600),
        lambda: HTTPError("404"),
        lambda: HTTPError(404, "\ud800"),
        lambda: HTTPError(404, object()),
        lambda: HTTPError(404, headers={"x-a": "1\r\nx-evil: 1"}),
        lambda: HTTPError(404, headers=5),
        lambda: HTTPError(404, errors=[5]),
    ],
)
def test_an_http_error_that_cannot_be_answered_is_a_500(make: Callable[[], Exception]) -> None:
    def handler() -> None:
        raise make()

    async def wait() -> None:
        raise make()

    for one in (handler, wait):
        response = serve(one)
        assert response.status == 500
        assert problem_of(response)["request_id"] == "request-7"


def test_outside_an_invocation_there_is_no_request_id(caplog: pytest.LogCaptureFixture) -> None:
    assert problem_of(serve(lambda: object()))["request_id"] == ""
    assert caplog.records
