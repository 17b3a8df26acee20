"""Whatever a caller sends, an app whose handlers make no mistake answers, and never with a 500."""

from __future__ import annotations

import enum
import json
import uuid
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any, Literal, TypedDict

import msgspec
import pydantic
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from portable import App, Body, Cookie, Header, Query, Request, Response
from portable.invoke import run
from portable.invoke.http import HTTPFunction


class Colour(enum.Enum):
    RED = "red"


class Item(msgspec.Struct):
    id: int
    tags: list[str] = []
    price: float | None = None
    at: datetime | None = None


@dataclass
class Row:
    id: int
    inner: dict[str, Any]


class Named(TypedDict, total=False):
    id: int


class Model(pydantic.BaseModel):
    id: int
    items: list[str] = []


app = App("robust")


@app.get("/q")
def query(
    a: int | None = None,
    b: float | None = None,
    c: bool | None = None,
    d: date | None = None,
    e: datetime | None = None,
    f: timedelta | None = None,
    g: uuid.UUID | None = None,
    h: Decimal | None = None,
    i: Colour | None = None,
    j: Literal["a", 1] | None = None,
    k: Annotated[list[int], Query()] = [],  # noqa: B006
    l: str = "",  # noqa: E741
) -> Any:
    """Every scalar."""
    return [a, b, c, d, e, f, g, h, i, j, k, l]


@app.get("/h")
async def headers(a: Annotated[int | None, Header()] = None, b: Annotated[str | None, Cookie()] = None) -> Any:
    """Headers and cookies."""
    return [a, b]


@app.get("/p/{n:int}/{rest:path}")
@app.get("/p/{n}/{x:float}")
@app.get("/p/{n}/{u:uuid}/{m}")
def path(n: str, request: Request) -> Any:
    """Path parameters."""
    return [n, request.params, request.path]


@app.get("/i/{n}")
def whole(n: int) -> int:
    """A path parameter that may not fit."""
    return n


@app.route("/r", methods=["GET", "POST"])
def given_request(request: Request) -> Any:
    """What a request offers."""
    return Response(
        {"path": request.path, "cookies": request.cookies, "host": request.host, "query": request.query.items()}
    )


BODIES: dict[str, Any] = {
    "item": Item,
    "items": list[Item],
    "row": Row,
    "named": Named,
    "model": Model,
    "models": list[Model],
    "dict": dict,
    "any": Any,
    "str": Annotated[str, Body()],
    "int": Annotated[int, Body()],
    "bytes": bytes,
    "maybe": Item | None,
    "either": int | list[Item] | None,
}


def take(kind: str, annotation: Any) -> None:
    def handler(body: Any) -> Any:
        return body

    handler.__annotations__["body"] = annotation
    app.post(f"/b/{kind}", max_body=5000)(handler)


for kind, annotation in BODIES.items():
    take(kind, annotation)
function = HTTPFunction(app.triggers)

METHODS = st.sampled_from(["GET", "POST", "PUT", "HEAD", "OPTIONS", "DELETE", "BREW", ""])
texts = st.text(st.characters(exclude_categories=("Cs",)), max_size=12)
numbers = st.sampled_from(
    ["0", "-1", "1e5", "nan", "9" * 50, "1.5", "٣", "true", "2026-02-30", "PT1H", "red", "a", "1:00"]
)
values = st.one_of(texts, numbers)
raw_paths = st.one_of(
    st.text(st.sampled_from("/abqhpir1.-%2F%fé{} ;?"), max_size=15),
    st.sampled_from(["/q", "/h", "/r", "", "*", "/i/%C3%28", "/p/1/2", "/p/a/1.5", "/p//", "//q", "/q/", "/p/1/%2F"]),
    values.map(lambda value: f"/i/{value}"),
)
pairs = st.lists(st.tuples(st.sampled_from("abcdefghijkl"), values), max_size=6)
header_pairs = st.lists(
    st.tuples(st.sampled_from(["a", "cookie", "content-type", "host", "X-Other"]), values | st.just("b=1; b=2")),
    max_size=4,
)


def answered(request: Request) -> Response:
    response = function(request)
    response = run(response) if hasattr(response, "send") else response
    assert 200 <= response.status < 500, (response.status, response.body, request)
    assert response.body is None or isinstance(response.body, (str, bytes))
    if isinstance(response.body, str):
        response.body.encode()
        if "json" in (response.media_type or ""):
            json.loads(response.body)
    if request.method == "HEAD":
        assert response.body is None
    for name, value in response.header_pairs():
        assert name.isascii()
        assert value.isprintable()
    return response


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> Any:
    yield
    assert not caplog.records, "a caller's mistake is no entry in the log"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300)
@given(METHODS, raw_paths, pairs, header_pairs, st.binary(max_size=10))
@example("GET", "/q", [("a", "9" * 5000)], [], b"")
@example("GET", "/q", [("b", "1e999")], [], b"")
@example("GET", "/q", [("f", "P999999999999D")], [], b"")
@example("GET", "/q", [("h", "1" * 10_000)], [], b"")
@example("GET", "/q", [("e", "99999999999999999999")], [], b"")
@example("GET", "/q", [("e", "0001-01-01T00:00:00+23:59")], [], b"")
@example("GET", "/i/" + "9" * 10_000, [], [], b"")
@example("GET", "/h", [], [("cookie", "b=" + "x" * 100_000)], b"")
def test_any_request(method: str, raw_path: str, query: Any, headers: Any, body: bytes) -> None:
    answered(Request(method, raw_path, raw_path=raw_path, query=query, headers=headers, body=body))


json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), texts),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(["id", "tags", "price", "at", "inner", "items", "x"]), inner, max_size=4),
    ),
    max_leaves=10,
)
bodies = st.one_of(
    st.binary(max_size=30),
    texts.map(str.encode),
    json_values.map(lambda value: json.dumps(value).encode()),
    json_values.map(lambda value: json.dumps(value, ensure_ascii=False).encode("utf-16")),
)
content_types = st.sampled_from([None, "application/json", "text/plain", "", "application/x+json; charset=utf-7", ";"])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=400)
@given(st.sampled_from(list(BODIES)), bodies, content_types)
@example("item", b"[" * 4000, None)
@example("dict", b'{"a":' * 900, None)
@example("dict", b'{"a":' * 900 + b"1" + b"}" * 900, None)
@example("row", b'{"id":1,"inner":' + b'{"a":' * 800 + b"1" + b"}" * 801, None)
@example("any", b"1" * 5000, None)
@example("any", b"1e999", None)
@example("any", b'"\\ud800"', None)
@example("str", b'"\\ud83d\\ude00"', None)
@example("int", b"1e400", None)
@example("item", b'{"id":1e400}', None)
@example("item", b'{"id":1,"at":"9999-99-99"}', None)
@example("item", b'{"id":1,"price":NaN}', None)
@example("model", b'{"id":1e999}', None)
@example("model", b'{"id":' + b"9" * 4500 + b"}", None)
@example("models", b"[" * 4000, None)
@example("bytes", b"x" * 6000, None)
@example("maybe", b"null", "text/plain")
@example("either", b'[{"id":1}', None)
def test_any_body(kind: str, body: bytes, content_type: str | None) -> None:
    headers = {} if content_type is None else {"content-type": content_type}
    response = answered(Request("POST", f"/b/{kind}", headers=headers, body=body))
    assert response.status in (200, 204, 400, 413, 415, 422)
