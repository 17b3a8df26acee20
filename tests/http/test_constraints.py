"""Limits on path, query, header and cookie parameters, and on bodies, whoever's words say them."""

from __future__ import annotations

import subprocess
import sys
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal

import msgspec
import pydantic
import pytest

from portable import App, Body, ConfigError, Cookie, Header, Path, Query, Request
from portable.http.parameters import describe
from portable.invoke.http import HTTPFunction
from portable.triggers import HTTPRoute

Meta, Field = msgspec.Meta, pydantic.Field


class Item(msgspec.Struct):
    size: Annotated[int, Meta(ge=1)]


class Model(pydantic.BaseModel):
    size: int = Field(ge=1)


def function_of(annotation: Any, path: str = "/", default: Any = ...) -> HTTPFunction:
    """A function of one route whose handler returns the repr of its one parameter."""
    app = App("limits")

    def handler(value: Any) -> str:
        return repr(value)

    handler.__annotations__["value"] = annotation
    if default is not ...:
        handler.__defaults__ = (default,)
    app.route(path, methods=["GET", "POST"])(handler)
    return HTTPFunction([route for route in app.collect() if isinstance(route, HTTPRoute)])


def asked(annotation: Any, text: str | list[str]) -> tuple[int, str]:
    """Status, and what came or what was said against it, of a query parameter."""
    texts = [text] if isinstance(text, str) else text
    answer = function_of(annotation)(Request("GET", "/", query=[("value", one) for one in texts]))
    body = answer.body.decode() if isinstance(answer.body, bytes) else answer.body
    if answer.status == 200:
        return 200, body
    return answer.status, msgspec.json.decode(body)["errors"][0]["detail"]


@pytest.mark.parametrize(
    ("limits", "good", "bad", "expected"),
    [
        ({"gt": 0}, "1", "0", "expected more than 0, got 0"),
        ({"ge": 1}, "1", "0", "expected at least 1, got 0"),
        ({"lt": 9}, "8", "9", "expected less than 9, got 9"),
        ({"le": 9}, "9", "10", "expected at most 9, got 10"),
        ({"multiple_of": 5}, "10", "11", "expected a multiple of 5, got 11"),
        ({"ge": 1, "le": 5}, "5", "6", "expected at most 5, got 6"),
    ],
)
@pytest.mark.parametrize("say", [Meta, Query, Field], ids=["msgspec", "portable", "pydantic"])
@pytest.mark.parametrize("kind", [int, float, Decimal])
def test_limits_of_numbers(kind: Any, say: Any, limits: dict[str, Any], good: str, bad: str, expected: str) -> None:
    annotation = Annotated[kind, say(**limits)]
    assert asked(annotation, good)[0] == 200
    status, detail = asked(annotation, bad)
    assert status == 400
    assert detail.replace(".0", "") == expected


@pytest.mark.parametrize("say", [Meta, Query, Field], ids=["msgspec", "portable", "pydantic"])
def test_limits_of_text(say: Any) -> None:
    annotation = Annotated[str, say(min_length=2, max_length=4, pattern="^[a-z]+$")]
    assert asked(annotation, "abc") == (200, "'abc'")
    assert asked(annotation, "a") == (400, "expected at least 2 characters, got 1")
    assert asked(annotation, "abcde") == (400, "expected at most 4 characters, got 5")
    assert asked(annotation, "AB") == (400, "expected text that matches '^[a-z]+$', got 'AB'")


def test_limits_of_a_list_and_of_what_is_in_it() -> None:
    annotation = Annotated[list[Annotated[int, Meta(gt=0)]], Query(min_length=1, max_length=2)]
    assert asked(annotation, ["1", "2"]) == (200, "[1, 2]")
    assert asked(annotation, []) == (400, "expected at least 1 values, got 0")
    assert asked(annotation, ["1", "2", "3"]) == (400, "expected at most 2 values, got 3")
    assert asked(annotation, ["1", "0"]) == (400, "expected more than 0, got 0")


def test_a_time_with_a_zone() -> None:
    annotation = Annotated[datetime, Meta(tz=True)]
    assert asked(annotation, "2026-03-29T08:00:00Z")[0] == 200
    assert asked(annotation, "2026-03-29T08:00:00") == (400, "expected a time with a time zone")


@pytest.mark.parametrize("annotation", [Annotated[int, Path(gt=0)], Annotated[int, Path(), Meta(gt=0)]])
def test_a_path_parameter_beyond_its_limits_is_a_404(annotation: Any) -> None:
    function = function_of(annotation, "/x/{value}")
    assert function(Request("GET", "/x/1")).body == "1"
    assert function(Request("GET", "/x/0")).status == 404


def test_headers_and_cookies() -> None:
    header = function_of(Annotated[str, Header(min_length=2)])
    assert header(Request("GET", "/", headers={"value": "ab"})).status == 200
    assert header(Request("GET", "/", headers={"value": "a"})).status == 400
    cookie = function_of(Annotated[int, Cookie(), Meta(le=5)])
    assert cookie(Request("GET", "/", headers={"cookie": "value=5"})).status == 200
    assert cookie(Request("GET", "/", headers={"cookie": "value=6"})).status == 400


def test_a_default_is_not_held_against_the_limits() -> None:
    assert function_of(Annotated[int, Query(gt=0)], default=0)(Request("GET", "/")).body == "0"
    assert function_of(Annotated[int, Query(gt=0)] | None)(Request("GET", "/")).body == "None"


def test_a_list_in_a_header_comes_in_one_line_or_several() -> None:
    function = function_of(Annotated[list[int], Header()])
    for headers in ([("value", "1, 2"), ("value", "3")], [("value", "1,2,3")], [("value", str(n)) for n in (1, 2, 3)]):
        assert function(Request("GET", "/", headers=headers)).body == "[1, 2, 3]"
    assert function(Request("GET", "/", headers={"value": " , 4,"})).body == "[4]"
    assert function(Request("GET", "/", headers={"value": ""})).body == "[]"


@pytest.mark.parametrize("annotation", [Item, Model, Annotated[list[Item], Meta(min_length=1)]])
def test_limits_in_bodies(annotation: Any) -> None:
    function = function_of(annotation)
    is_list = annotation is not Item and annotation is not Model
    for size, status in ((1, 200), (0, 422)):
        text = msgspec.json.encode([{"size": size}] if is_list else {"size": size})
        assert function(Request("POST", "/", body=text)).status == status
    if is_list:
        assert function(Request("POST", "/", body=b"[]")).status == 422


def test_limits_of_a_scalar_body() -> None:
    function = function_of(Annotated[int, Body(), Meta(gt=0)])
    assert function(Request("POST", "/", body=b"1")).status == 200
    assert function(Request("POST", "/", body=b"0")).status == 422


@pytest.mark.parametrize(
    ("annotation", "words"),
    [
        (Annotated[str, Query(gt=0)], "gt=0 says nothing about str"),
        (Annotated[int, Meta(max_length=3)], "max_length=3 says nothing about int"),
        (Annotated[bool, Query(ge=0)], "ge=0 says nothing about bool"),
        (Annotated[Literal["a"], Query(pattern="a")], "pattern='a' says nothing about"),
        (Annotated[list[int], Query(gt=0)], "gt=0 says nothing about a list"),
        (Annotated[bytes, Meta(max_length=3)], "max_length=3 says nothing about bytes"),
        (Annotated[int, Body(), Field(gt=0)], "limits of this body are said with msgspec.Meta"),
        (Annotated[Model, Meta(max_length=1)], "limits of this body are said with pydantic.Field"),
    ],
)
def test_a_limit_that_nobody_would_hold_is_refused(annotation: Any, words: str) -> None:
    (route,) = [one for one in function_routes(annotation) if one.method == "POST"]
    with pytest.raises(ConfigError, match=r"POST / at .*test_constraints.py:\d+: value: ") as caught:
        describe(route)
    assert words in str(caught.value)


def function_routes(annotation: Any) -> list[HTTPRoute]:
    app = App("limits")

    def handler(value: Any) -> None: ...

    handler.__annotations__["value"] = annotation
    app.route("/", methods=["GET", "POST"])(handler)
    return [route for route in app.collect() if isinstance(route, HTTPRoute)]


def test_an_expression_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigError, match="is no regular expression"):
        function_of(Annotated[str, Query(pattern="(")])._plan(function_routes(Annotated[str, Query(pattern="(")])[0])


def test_an_app_without_limits_imports_nothing_for_them() -> None:
    script = """
import sys
from typing import Annotated
from portable import App, Query, Request
from portable.invoke import make_function
app = App("plain")
@app.get("/")
def home(a: Annotated[int, Query(alias="b")] = 1, c: list[str] = []) -> dict[str, int]:
    return {"a": a}
(route,) = app.collect()
assert make_function([route])(Request("GET", "/", query={"b": "2"})).body == '{"a":2}'
wanted = {"portable.http.constraints", "portable.http.shapes", "portable.openapi", "msgspec"}
assert not wanted & set(sys.modules), wanted & set(sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
