"""From a request to a handler's arguments, by annotation; and what does not fit."""

from __future__ import annotations

import enum
import functools
import json
import subprocess
import sys
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any, Generic, Literal, NewType, Optional, TypedDict, TypeVar

import msgspec
import pydantic
import pytest

from portable import App, Body, ConfigError, Context, Cookie, Header, HTTPError, Path, Query, Request, Response
from portable.events import current_context
from portable.http.binding import bind
from portable.http.parameters import describe
from portable.invoke import run
from portable.invoke.http import HTTPFunction
from portable.triggers import HTTPRoute, Settings

if TYPE_CHECKING:
    from nowhere import Nothing

JSON = {"content-type": "application/json"}


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Size(enum.IntEnum):
    SMALL = 1
    BIG = 2


UserId = NewType("UserId", int)


class Item(msgspec.Struct):
    id: int
    name: str = ""
    tags: list[str] = []


@dataclass
class Row:
    id: int
    tags: list[str] = field(default_factory=list)


class Named(TypedDict):
    id: int


class Model(pydantic.BaseModel):
    id: int
    tags: list[str] = []


class Cat(msgspec.Struct, tag=True):
    lives: int


class Dog(msgspec.Struct, tag=True):
    name: str


@dataclass
class Unreadable:
    made: Callable[[], None]


@dataclass
class OtherRow:
    name: str


T = TypeVar("T")


class Page(msgspec.Struct, Generic[T]):
    rows: list[T]


def route(handler: Callable[..., Any], path: str = "/", method: str = "POST", **options: Any) -> HTTPRoute:
    return HTTPRoute(method, path, handler, Settings(), **options)


def arguments(handler: Callable[..., Any], request: Request, path: str = "/", **options: Any) -> Any:
    """What the handler, which returns its arguments, was called with."""
    one = route(handler, path, request.method, **options)
    found = HTTPFunction([one]).routes.find(request.method, request.raw_path)
    assert found is not None
    request.params = found[1]
    return bind(one, describe(one))(request)


def refused(handler: Callable[..., Any], request: Request, path: str = "/", **options: Any) -> HTTPError:
    with pytest.raises(HTTPError) as caught:
        arguments(handler, request, path, **options)
    return caught.value


# --- scalars


def takes(annotation: Any, default: Any = ...) -> Callable[..., Any]:
    """A handler with one query parameter of this type, which returns it."""

    def handler(value: Any) -> Any:
        return value

    handler.__annotations__["value"] = annotation
    if default is not ...:
        handler.__defaults__ = (default,)
    return handler


GOOD = [
    (str, "", ""),
    (str, " é ", " é "),
    (int, "0", 0),
    (int, "-7", -7),
    (int, "+7", 7),
    (int, "007", 7),
    (int, "9" * 40, int("9" * 40)),
    (int, "-" + "9" * 4000, -int("9" * 4000)),
    (float, "2.5", 2.5),
    (float, "-1e3", -1000.0),
    (float, ".5", 0.5),
    (float, "7", 7.0),
    (bool, "true", True),
    (bool, "1", True),
    (bool, "YES", True),
    (bool, "on", True),
    (bool, "False", False),
    (bool, "0", False),
    (bool, "no", False),
    (bool, "off", False),
    (Colour, "red", Colour.RED),
    (Size, "2", Size.BIG),
    (Literal["a", 5], "a", "a"),
    (Literal["a", 5], "5", 5),
    (UserId, "5", 5),
    (date, "2026-03-29", date(2026, 3, 29)),
    (time, "08:30:00", time(8, 30)),
    (datetime, "2026-03-29T08:00:00Z", datetime(2026, 3, 29, 8, tzinfo=UTC)),
    (datetime, "2026-03-29T10:00:00+02:00", datetime(2026, 3, 29, 8, tzinfo=UTC)),
    (timedelta, "PT1H", timedelta(hours=1)),
    (uuid.UUID, "7f9c24e8-3b12-4fef-91e0-56a2d5a1b0c3", uuid.UUID("7f9c24e8-3b12-4fef-91e0-56a2d5a1b0c3")),
    (Decimal, "1.10", Decimal("1.10")),
]
BAD = [
    (int, ["", " 1", "1 ", "1.0", "1_000", "0x1", "١", "--1", "-", "1e3", "true", "9" * 4001]),
    (float, ["", " 1", "1_0", "nan", "NaN", "inf", "-Infinity", "1e999", "١", "a", "1,5", "0x1p3"]),
    (bool, ["", "2", "t", "y", "None", "truefalse"]),
    (Colour, ["", "RED", "green"]),
    (Size, ["", "3", "BIG", "1.0"]),
    (Literal["a", 5], ["", "A", "6"]),
    (UserId, ["", "x"]),
    (date, ["", "2026-02-30", "29.3.2026", "2026-03-29T08:00:00Z"]),
    (time, ["", "25:00:00", "8"]),
    (datetime, ["", "yesterday", "2026-13-01T00:00:00Z"]),
    (timedelta, ["", "an hour"]),
    (uuid.UUID, ["", "7f9c24e8", "7f9c24e8-3b12-4fef-91e0-56a2d5a1b0cg"]),
    (Decimal, ["", "a", "1,5"]),
]


@pytest.mark.parametrize(("annotation", "text", "value"), GOOD, ids=lambda value: repr(value)[:30])
def test_a_scalar_from_each_place(annotation: Any, text: str, value: Any) -> None:
    assert arguments(takes(annotation), Request("GET", "/", query={"value": text})) == value
    assert arguments(takes(Optional[annotation]), Request("GET", "/", query={"value": text})) == value  # noqa: UP045
    assert arguments(takes(annotation, None), Request("GET", "/", query={"value": text})) == value
    header = Request("GET", "/", headers={"Value": text})
    assert arguments(takes(Annotated[annotation, Header()]), header) == value
    if text == text.strip():
        cookie = Request("GET", "/", headers={"Cookie": f"value={text}"})
        assert arguments(takes(Annotated[annotation, Cookie()]), cookie) == value
    if text:
        path = Request("GET", f"/x/{text}")
        assert arguments(takes(annotation), path, "/x/{value}") == value
        assert arguments(takes(Annotated[annotation, Path()]), path, "/x/{value}") == value


@pytest.mark.parametrize(("annotation", "texts"), BAD, ids=lambda value: repr(value)[:30])
def test_a_scalar_that_does_not_fit(annotation: Any, texts: list[str]) -> None:
    for text in texts:
        error = refused(takes(annotation), Request("GET", "/", query={"value": text}))
        assert error.status == 400, text
        assert [found["in"] + " " + found["name"] for found in error.errors] == ["query value"]
        assert error.detail.startswith("query value: ")
        assert len(error.detail) < 300
        assert (
            refused(takes(Annotated[annotation, Header()]), Request("GET", "/", headers={"value": text})).status == 400
        )
        if text:
            error = refused(takes(annotation), Request("GET", f"/x/{text}"), "/x/{value}")
            assert error.status == 404
            assert [found["in"] for found in error.errors] == ["path"]


@pytest.mark.parametrize(
    ("annotation", "default", "value"),
    [
        (int, 5, 5),
        (int, None, None),
        (int | None, ..., None),
        (int | None, 7, 7),
        (Optional[Colour], ..., None),  # noqa: UP045
        (Annotated[int, Query()] | None, ..., None),
        (Annotated[int | None, Header()], ..., None),
        (Annotated[str, Header()] | None, ..., None),
        (Annotated[str, Cookie()] | None, "a", "a"),
        (Annotated[str, "anything", Header], "b", "b"),
        (list[int], ..., []),
        (list[int], None, None),
        (list[int] | None, ..., None),
        (list[int], [1], [1]),
        (Annotated[list[str], Header()], ..., []),
    ],
)
def test_what_is_not_sent(annotation: Any, default: Any, value: Any) -> None:
    assert arguments(takes(annotation, default), Request("GET", "/")) == value


def test_a_default_list_is_not_shared_between_requests() -> None:
    handler = takes(list[int], [1])
    arguments(handler, Request("GET", "/")).append(2)
    assert arguments(handler, Request("GET", "/")) == [1]


@pytest.mark.parametrize("annotation", [int, str, Colour, Annotated[str, Header()], Annotated[str, Cookie()], date])
def test_what_is_required_and_not_sent_is_a_400(annotation: Any) -> None:
    error = refused(takes(annotation), Request("GET", "/"))
    assert error.status == 400
    assert error.errors[0]["detail"] == "is required"


@pytest.mark.parametrize(
    ("annotation", "texts", "value"),
    [
        (list[int], ["1", "2"], [1, 2]),
        (list[str], ["a", ""], ["a", ""]),
        (list[Colour], ["red", "blue"], [Colour.RED, Colour.BLUE]),
        (list[UserId], ["1"], [1]),
        (list[date], ["2026-03-29"], [date(2026, 3, 29)]),
    ],
)
def test_repeated_parameters_are_a_list(annotation: Any, texts: list[str], value: Any) -> None:
    assert arguments(takes(annotation), Request("GET", "/", query=[("value", text) for text in texts])) == value
    header = Request("GET", "/", headers=[("value", text) for text in texts])
    assert arguments(takes(Annotated[annotation, Header()]), header) == [one for one in value if one != ""]


def test_one_of_a_list_that_does_not_fit_is_a_400() -> None:
    assert refused(takes(list[int]), Request("GET", "/", query=[("value", "1"), ("value", "x")])).status == 400


def test_of_repeated_scalars_the_last_counts() -> None:
    assert arguments(takes(int), Request("GET", "/", query=[("value", "1"), ("value", "2")])) == 2


# --- names and places


def test_names_in_the_request() -> None:
    def handler(
        item_id: Annotated[int, Path(alias="id")],
        page_size: Annotated[int, Query(alias="pageSize")],
        x_request_id: Annotated[str, Header()],
        agent: Annotated[str, Header(alias="User-Agent")],
        session_id: Annotated[str, Cookie()],
        other: Annotated[str, Cookie(alias="other-cookie")],
        text: Annotated[str, Body()],
    ) -> Any:
        return item_id, page_size, x_request_id, agent, session_id, other, text

    request = Request(
        "POST",
        "/items/7",
        query={"pageSize": "9", "page_size": "8"},
        headers={"X-Request-ID": "r", "user-agent": "curl", "cookie": "session_id=s; other-cookie=o"},
        body=b'"t"',
    )
    assert arguments(handler, request, "/items/{id}") == (7, 9, "r", "curl", "s", "o", "t")


def test_a_parameter_without_an_annotation() -> None:
    def handler(id, q, page=1, ratio=0.5, flag=False, word="w", nothing=None):
        return id, q, page, ratio, flag, word, nothing

    request = Request("GET", "/7", query={"q": "1", "page": "2", "flag": "true"})
    assert arguments(handler, request, "/{id:int}") == ("7", "1", 2, 0.5, True, "w", None)
    assert arguments(handler, Request("GET", "/7", query={"q": "", "nothing": "x"}), "/{id}")[-1] == "x"
    assert refused(handler, Request("GET", "/7", query={"q": "", "page": "x"}), "/{id}").status == 400


def test_the_request_and_the_context_are_given() -> None:
    def handler(
        request: Request, context: Context, maybe: Context | None, *, again: Annotated[Request, "as it is"]
    ) -> Any:
        return request, context, maybe, again

    request, context = Request("GET", "/"), Context("http", "1")
    token = current_context.set(context)
    try:
        assert arguments(handler, request) == (request, context, context, request)
    finally:
        current_context.reset(token)


def test_keyword_only_and_positional_only_parameters() -> None:
    def handler(first: int, /, second: int, *, third: int, fourth: int = 4) -> Any:
        return first, second, third, fourth

    query = {"second": "2", "third": "3"}
    assert arguments(handler, Request("GET", "/1", query=query), "/{first}") == (1, 2, 3, 4)
    error = refused(handler, Request("GET", "/1", query={"third": "x"}), "/{first}")
    assert [found["name"] for found in error.errors] == ["second", "third"]


def test_every_field_that_does_not_fit_is_named_at_once() -> None:
    def handler(
        a: int, b: bool, c: Annotated[float, Header()], d: Annotated[str, Cookie()], e: list[int], body: Item
    ) -> None: ...

    request = Request("POST", "/", query={"a": "x", "e": "y"}, headers={"c": "z"}, body=b'{"id":"one"}')
    error = refused(handler, request)
    assert error.status == 400
    assert [(found["in"], found["name"]) for found in error.errors] == [
        ("query", "a"),
        ("query", "b"),
        ("header", "c"),
        ("cookie", "d"),
        ("query", "e"),
        ("body", "id"),
    ]
    for found in error.errors:
        assert f"{found['in']} {found['name']}: {found['detail']}" in error.detail


def test_what_was_sent_is_quoted_as_it_was() -> None:
    assert "'a :b'" in refused(takes(int), Request("GET", "/", query={"value": "a :b"})).detail


@pytest.mark.parametrize(
    ("query", "body", "content_type", "path", "status"),
    [
        ({}, b"{", "application/json", "/x", 404),
        ({}, b"[" * 100, "text/plain", "/1", 413),
        ({}, b"{", "text/plain", "/1", 415),
        ({}, b'{"id":"x"}', "application/json", "/1", 400),
        ({"q": "1"}, b'{"id":"x"}', "application/json", "/1", 422),
    ],
)
def test_of_several_misfits_the_gravest_decides(
    query: dict[str, str], body: bytes, content_type: str, path: str, status: int
) -> None:
    def handler(n: int, q: int, body: Item) -> None: ...

    request = Request("POST", path, query=query, body=body, headers={"content-type": content_type})
    assert refused(handler, request, "/{n}", max_body=50).status == status


# --- bodies


def body(annotation: Any, default: Any = ...) -> Callable[..., Any]:
    return takes(Annotated[annotation, Body()], default)


@pytest.mark.parametrize(
    ("annotation", "sent", "value"),
    [
        (Item, b'{"id":1,"unknown":2}', Item(1)),
        (Row, b'{"id":1,"tags":["a"]}', Row(1, ["a"])),
        (Named, b'{"id":1}', {"id": 1}),
        (Model, b'{"id":"1"}', Model(id=1)),
        (list[Item], b'[{"id":1}]', [Item(1)]),
        (list[Model], b'[{"id":1}]', [Model(id=1)]),
        (dict[str, Row], b'{"a":{"id":1}}', {"a": Row(1)}),
        (Page[Item], b'{"rows":[{"id":1}]}', Page([Item(1)])),
        (Cat | Dog, b'{"type":"Dog","name":"Rex"}', Dog("Rex")),
        (Cat | Dog | None, b"null", None),
        (Row | list[Row], b'[{"id":1}]', [Row(1)]),
        (dict, b'{"a":[1]}', {"a": [1]}),
        (dict[str, Any], b'{"a":[1]}', {"a": [1]}),
        (list, b"[1]", [1]),
        (Any, b"5", 5),
        (object, b"null", None),
        (str, '"é"'.encode(), "é"),
        (int, b"9" * 30, int("9" * 30)),
        (Item | None, b"null", None),
        (Item | None, b"  null ", None),
        (dict | None, b"null", None),
        (Model | None, b'{"id":1}', Model(id=1)),
        (Optional[Item], b'{"id":1}', Item(1)),  # noqa: UP045
        (bytes, b"\xff\x00", b"\xff\x00"),
        (bytes, b"", b""),
    ],
    ids=str,
)
def test_a_body(annotation: Any, sent: bytes, value: Any) -> None:
    assert arguments(body(annotation), Request("POST", "/", body=sent, headers=JSON)) == value
    assert arguments(body(annotation), Request("POST", "/", body=sent)) == value


@pytest.mark.parametrize(
    ("annotation", "default", "value"),
    [
        (Item, None, None),
        (Item | None, ..., None),
        (Cat | Dog | None, ..., None),
        (dict, "default", "default"),
        (bytes | None, ..., None),
        (bytes, b"none", b"none"),
    ],
    ids=str,
)
def test_an_empty_body_is_the_default(annotation: Any, default: Any, value: Any) -> None:
    assert arguments(body(annotation, default), Request("POST", "/")) == value
    assert arguments(body(annotation, default), Request("POST", "/", headers={"content-type": "text/plain"})) == value


MALFORMED = [
    b"{",
    b'{"id":1}x',
    b"NaN",
    b'{"id":Infinity}',
    b'{"id":"\xff"}',
    b'\xef\xbb\xbf{"id":1}',
    b'{"id":' * 100_000,
    b"[" * 100_000,
    '{"id":1}'.encode("utf-16"),
    b'{"id":"\\ud800"}',
]


@pytest.mark.parametrize("annotation", [Item, Row, Named, Model, list[Item], list[Model], dict, Any, str], ids=str)
@pytest.mark.parametrize("sent", MALFORMED, ids=lambda sent: ascii(sent[:12]))
def test_a_body_that_is_not_json_is_a_400(annotation: Any, sent: bytes) -> None:
    error = refused(body(annotation), Request("POST", "/", body=sent, headers=JSON))
    assert error.status == 400
    assert error.errors[0]["in"] == "body"
    assert "not JSON" in error.detail
    assert len(error.detail) < 400


@pytest.mark.parametrize("annotation", [Item, Model, dict, list[Item], Any, str], ids=str)
def test_an_empty_body_that_is_required_is_a_400(annotation: Any) -> None:
    error = refused(body(annotation), Request("POST", "/"))
    assert (error.status, error.detail) == (400, "body: is required, and is empty")


@pytest.mark.parametrize(
    ("annotation", "sent", "name"),
    [
        (Item, b"{}", ""),
        (Item, b'{"id":"1"}', "id"),
        (Item, b'{"id":1,"tags":["a",1]}', "tags[1]"),
        (Row, b'{"id":null}', "id"),
        (Named, b"[]", ""),
        (Model, b"{}", "id"),
        (Model, b'{"id":1,"tags":["a",[]]}', "tags[1]"),
        (list[Model], b'[{"id":"x"}]', "[0].id"),
        (Page[Item], b'{"rows":[{"id":1},{}]}', "rows[1]"),
        (Cat | Dog, b'{"type":"Cow"}', "type"),
        (dict, b"[]", ""),
        (list[dict[str, Any]], b"[1]", "[0]"),
        (str, b"1", ""),
        (Item, b"null", ""),
    ],
    ids=str,
)
def test_a_body_that_does_not_fit_is_a_422_naming_the_field(annotation: Any, sent: bytes, name: str) -> None:
    error = refused(body(annotation), Request("POST", "/", body=sent, headers=JSON))
    assert error.status == 422
    assert error.errors[0]["in"] == "body"
    assert error.errors[0]["name"] == name
    assert error.detail.startswith(f"body {name}".rstrip() + ": ")


@pytest.mark.parametrize(
    ("content_type", "fits"),
    [
        ("application/json", True),
        ("Application/JSON; charset=utf-8", True),
        ("application/vnd.api+json", True),
        ("application/problem+json;q=1", True),
        ("", True),
        ("text/plain", False),
        ("text/json", False),
        ("application/jsonp", False),
        ("application/x-www-form-urlencoded", False),
        ("multipart/form-data; boundary=x", False),
        ("nonsense", False),
    ],
)
def test_content_types(content_type: str, fits: bool) -> None:
    request = Request("POST", "/", body=b'{"id":1}', headers={"content-type": content_type})
    if fits:
        assert arguments(body(Item), request) == Item(1)
    else:
        assert refused(body(Item), request).status == 415
    assert arguments(body(bytes), request) == b'{"id":1}'


@pytest.mark.parametrize("annotation", [bytes, Item, dict, Item | None])
def test_a_body_that_is_too_large_is_a_413_before_it_is_read(annotation: Any) -> None:
    error = refused(body(annotation), Request("POST", "/", body=b"x" * 11), max_body=10)
    assert error.status == 413
    assert "11 bytes, at most 10" in error.detail


def test_a_body_of_the_largest_size_is_taken() -> None:
    assert arguments(body(bytes), Request("POST", "/", body=b"x" * 10), max_body=10) == b"x" * 10


def test_a_model_needs_no_marker_and_a_scalar_does() -> None:
    def handler(item: Item, rows: list[Row] = [], word: str = "w") -> None: ...  # noqa: B006

    with pytest.raises(ConfigError, match="item and rows would both be the body"):
        describe(route(handler))
    assert [found.place for found in describe(route(body(str)))] == ["body"]
    assert [found.place for found in describe(route(takes(str)))] == ["query"]


# --- handlers of every shape


class Shop:
    def __init__(self, name: str) -> None:
        self.name = name

    def plain(self, n: int) -> Any:
        return self.name, n

    async def waiting(self, n: int) -> Any:
        return self.name, n

    @classmethod
    def of_class(cls, n: int) -> Any:
        return cls.__name__, n

    @staticmethod
    def static(n: int) -> Any:
        return "static", n

    def __call__(self, n: int) -> Any:
        return self.name, n


def twice(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*args: Any, **options: Any) -> Any:
        return [function(*args, **options)] * 2

    return wrapper


class Decorated:
    @twice
    def method(self, n: int) -> Any:
        return n


def plain(n: int, limit: int = 10, *, admin: bool = False) -> Any:
    return n, limit, admin


@pytest.mark.parametrize(
    ("handler", "value"),
    [
        (Shop("s").plain, ("s", 7)),
        (Shop.of_class, ("Shop", 7)),
        (Shop.static, ("static", 7)),
        (Shop("s"), ("s", 7)),
        (twice(plain), [(7, 10, False)] * 2),
        (twice(twice(Shop("s").plain)), [[("s", 7)] * 2] * 2),
        (Decorated().method, [7, 7]),
        (functools.partial(plain, limit=3), (7, 3, False)),
        (functools.partial(functools.partial(plain, limit=3), admin=True), (7, 3, True)),
        (functools.lru_cache(plain), (7, 10, False)),
        (lambda n: n, "7"),
    ],
)
def test_methods_callables_partials_and_decorated_handlers(handler: Callable[..., Any], value: Any) -> None:
    assert arguments(handler, Request("GET", "/7"), "/{n}") == value


def test_a_static_method_under_a_decorator() -> None:
    app = App("static")

    class Counter:
        @app.get("/{n}")
        @staticmethod
        def count(n: int) -> int:
            return n + 1

    assert Counter.count(1) == 2
    assert HTTPFunction(app.triggers)(Request("GET", "/7")).body == "8"


def test_a_method_of_no_object_is_refused_with_the_way_out() -> None:
    app = App("unbound")

    class Counter:
        @app.get("/{n}")
        def count(self, n: int) -> int:
            return n + 1

    line = Counter.count.__code__.co_firstlineno
    with pytest.raises(ConfigError, match=rf"Counter\.count at {__file__}:{line} is a method of no object yet"):
        describe(app.triggers[0])


def test_what_a_partial_fixed_is_not_the_callers_to_change() -> None:
    handler = functools.partial(plain, limit=3, admin=False)
    request = Request("GET", "/7", query={"admin": "true", "limit": "1000"})
    assert arguments(handler, request, "/{n}") == (7, 3, False)


def test_a_decorator_may_say_another_signature() -> None:
    def handler(user: str, n: int) -> Any:
        return user, n

    def wrapper(n: int) -> Any:
        return handler("ada", n)

    functools.update_wrapper(wrapper, handler)
    import inspect

    wrapper.__signature__ = inspect.Signature(
        [inspect.Parameter("n", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=int)]
    )
    assert arguments(wrapper, Request("GET", "/7"), "/{n}") == ("ada", 7)


def test_arguments_that_nobody_names_are_not_bound() -> None:
    def handler(n: int, *args: Any, **options: Any) -> Any:
        return n, args, options

    assert arguments(handler, Request("GET", "/7", query={"x": "1"}), "/{n}") == (7, (), {})


def test_an_async_method_is_async() -> None:
    one = route(Shop("s").waiting, "/{n}", "GET")
    assert one.is_async
    response = HTTPFunction([one])(Request("GET", "/7"))
    assert run(response).body == '["s",7]'


# --- annotations as strings


def test_names_of_enclosing_functions_are_found() -> None:
    @dataclass
    class Local:
        id: int

    empty: Any
    if not Local:
        empty = None

    def handler(body: Local) -> Any:
        return body, Local, lambda: empty

    assert arguments(handler, Request("POST", "/", body=b'{"id":1}'))[0] == Local(1)


def test_a_name_that_only_type_checkers_know_is_refused_with_its_place() -> None:
    def handler(n: int, body: Nothing) -> None: ...

    with pytest.raises(ConfigError) as caught:
        describe(route(handler))
    message = str(caught.value)
    assert "'Nothing'" in message
    assert "'body'" in message
    assert f"{__file__}:{handler.__code__.co_firstlineno}" in message


def test_a_callables_annotation_that_cannot_be_evaluated_is_refused() -> None:
    class Handler:
        def __call__(self, body: Nothing) -> None: ...

    with pytest.raises(ConfigError, match="Nothing"):
        describe(route(Handler()))


def test_annotations_that_are_no_strings() -> None:
    scope: dict[str, Any] = {}
    exec(compile("def handler(n: int, item: 'Item' = None): return n, item", "x", "exec", dont_inherit=True), scope)
    scope["Item"] = Item
    request = Request("POST", "/", query={"n": "1"}, body=b'{"id":1}')
    assert arguments(scope["handler"], request) == (1, Item(1))


if sys.version_info >= (3, 12):

    def test_type_statements() -> None:
        scope: dict[str, Any] = {}
        exec("type Id = int\ntype Ids = list[Id]\ndef handler(one: Id | None, many: Ids): return one, many", scope)
        assert arguments(scope["handler"], Request("GET", "/", query=[("one", "1"), ("many", "2")])) == (1, [2])


# --- what cannot be bound


@pytest.mark.parametrize(
    ("annotation", "default", "path", "says"),
    [
        (Item, ..., "/{value}", "no scalar"),
        (list[int], ..., "/{value}", "no scalar"),
        (Annotated[Item, Header()], ..., "/", "no scalar"),
        (Annotated[dict, Header()], ..., "/", "no scalar"),
        (Annotated[list[str], Cookie()], ..., "/", "no scalar"),
        (int | str, ..., "/{value}", "no scalar"),
        (Annotated[int, Path()], ..., "/", "{value} is not in the path"),
        (Annotated[int, Path(alias="id")], ..., "/{value}", "{id} is not in the path"),
        (str, Query(), "/", "write value: Annotated[…, Query()]"),
        (str, Header(alias="x"), "/", "write value: Annotated[…, Header()]"),
        (Query, ..., "/", "write value: Annotated[str, Query()]"),
        (Header, None, "/", "write value: Annotated[str, Header()]"),
    ],
)
def test_what_cannot_be_bound_is_refused_with_the_place(annotation: Any, default: Any, path: str, says: str) -> None:
    handler = takes(annotation, default)
    with pytest.raises(ConfigError) as caught:
        describe(route(handler, path))
    assert says in str(caught.value)
    assert f"{__file__}:{handler.__code__.co_firstlineno}" in str(caught.value)


@pytest.mark.parametrize("annotation", [Row | OtherRow, set[Item] | list[Item]], ids=str)
def test_a_body_that_can_never_be_read_is_refused_with_the_place(annotation: Any) -> None:
    handler = takes(annotation)
    with pytest.raises(ConfigError) as caught:
        bind(one := route(handler), describe(one))
    assert "'value' cannot be read from a JSON body" in str(caught.value)
    assert f"{__file__}:{handler.__code__.co_firstlineno}" in str(caught.value)


# --- in one app


def test_a_plan_is_made_on_first_use_and_a_bad_one_hurts_no_other_route(caplog: pytest.LogCaptureFixture) -> None:
    app = App("plans")

    @app.get("/good/{n}")
    def good(n: int) -> int:
        return n

    @app.get("/bad/{n}")
    def bad(n: Item) -> None: ...

    function = HTTPFunction(app.triggers)
    assert [trigger.plan for trigger in app.triggers] == [None, None]
    for _ in range(2):
        response = function(Request("GET", "/good/7"))
        assert isinstance(response, Response)
        assert response.body == "7"
        assert function(Request("GET", "/bad/7")).status == 500
    assert "no scalar" in caplog.text


def test_a_misfit_is_answered_as_a_problem(caplog: pytest.LogCaptureFixture) -> None:
    app = App("misfits")

    @app.post("/items/{n}")
    async def make(n: int, item: Item, q: int) -> None: ...

    function = HTTPFunction(app.triggers)
    response = function(Request("POST", "/items/7", query={"q": "x"}, body=b'{"id":[]}'))
    assert isinstance(response, Response)  # the handler was not called: nothing to await
    assert json.loads(response.body) == {
        "type": "about:blank",
        "title": "Bad Request",
        "status": 400,
        "detail": "body id: Expected `int`, got `array`; query q: expected a whole number, got 'x'",
        "errors": [
            {"in": "body", "name": "id", "detail": "Expected `int`, got `array`"},
            {"in": "query", "name": "q", "detail": "expected a whole number, got 'x'"},
        ],
    }
    assert function(Request("POST", "/items/x", query={"q": "x"})).status == 404
    assert not caplog.records  # a caller's mistake is no entry in the log


def test_plain_handlers_bind_without_typing_inspect_or_msgspec() -> None:
    script = """
import sys
from portable import App, Request
from portable.invoke.http import HTTPFunction
app = App("plain")
@app.post("/{n}")
def handler(n: int, request: Request, body: dict[str, object], q: str = "", on: bool | None = None, *, tags: list[str]):
    return {"n": n, "body": body, "q": q, "on": on, "tags": tags}
request = Request("POST", "/7", query=[("tags", "a")], body=b'{"a":1}')
assert HTTPFunction(app.triggers)(request).body == '{"n":7,"body":{"a":1},"q":"","on":null,"tags":["a"]}'
print(sorted({"typing", "inspect", "msgspec", "dataclasses"} & set(sys.modules)))
"""
    done = subprocess.run(
        [sys.executable, "-S", "-c", f"import sys; sys.path.insert(0, '.')\n{script}"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("[]\n", "")
