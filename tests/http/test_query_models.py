"""A model of the whole query."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Annotated, Any, TypedDict

import msgspec
import pydantic
import pytest

from portable import App, Depends, Query, Request
from portable.invoke.http import HTTPFunction


class Filters(msgspec.Struct, rename="kebab"):
    owner: str
    at_most: Annotated[int, msgspec.Meta(ge=1)] = 10
    tags: list[str] = []
    since: date | None = None
    exact: bool = False


class Model(pydantic.BaseModel):
    size: int = pydantic.Field(default=1, gt=0, alias="max")
    tags: list[str] = []


@dataclass
class Row:
    number: int
    ratio: float = 0.5


class Named(TypedDict):
    name: str


def answer_of(annotation: Any, query: list[tuple[str, str]], default: Any = ...) -> tuple[int, Any]:
    app = App("query")

    def find(query: Any) -> Any:
        return {"repr": repr(query)}

    find.__annotations__["query"] = annotation
    if default is not ...:
        find.__defaults__ = (default,)
    app.get("/")(find)
    answer: Any = HTTPFunction(app.collect())(Request("GET", "/", query=query))  # type: ignore[arg-type]
    return answer.status, msgspec.json.decode(answer.body)


@pytest.mark.parametrize(
    ("annotation", "query", "value"),
    [
        (Filters, [("owner", "ann")], Filters("ann")),
        (
            Filters,
            [("owner", "x"), ("owner", "ann"), ("at-most", "5"), ("tags", "a"), ("tags", "b"), ("exact", "true")],
            Filters("ann", 5, ["a", "b"], exact=True),
        ),
        (Filters, [("owner", ""), ("since", "2026-03-29"), ("unknown", "x")], Filters("", since=date(2026, 3, 29))),
        (Model, [], Model()),
        (Model, [("max", "7"), ("tags", "a")], Model(max=7, tags=["a"])),
        (Row, [("number", "3"), ("ratio", "0.25")], Row(3, 0.25)),
        (Named, [("name", "ann")], {"name": "ann"}),
    ],
    ids=repr,
)
def test_a_query_is_read_as_a_model(annotation: Any, query: list[tuple[str, str]], value: Any) -> None:
    assert answer_of(Annotated[annotation, Query()], query) == (200, {"repr": repr(value)})


@pytest.mark.parametrize(
    ("annotation", "query", "field"),
    [
        (Filters, [], "owner"),
        (Filters, [("owner", "ann"), ("at-most", "0")], "at-most"),
        (Filters, [("owner", "ann"), ("at-most", "")], "at-most"),
        (Filters, [("owner", "ann"), ("since", "soon")], "since"),
        (Model, [("max", "0")], "max"),
        (Row, [("number", "x")], "number"),
    ],
    ids=repr,
)
def test_what_does_not_fit_is_a_400_that_names_the_field(
    annotation: Any, query: list[tuple[str, str]], field: str
) -> None:
    status, problem = answer_of(Annotated[annotation, Query()], query)
    assert status == 400
    assert field in problem["detail"]
    assert [error["in"] for error in problem["errors"]] == ["query"]


def test_a_query_that_may_be_left_out() -> None:
    assert answer_of(Annotated[Filters | None, Query()], []) == (200, {"repr": "None"})
    assert answer_of(Annotated[Filters, Query()], [], Filters("nobody")) == (200, {"repr": repr(Filters("nobody"))})
    assert answer_of(Annotated[Filters | None, Query()], [("at-most", "5")])[0] == 400


def owner_of(query: Annotated[Filters, Query()]) -> str:
    return query.owner


def test_a_dependency_and_a_scalar_beside_it() -> None:
    app = App("query")

    @app.get("/")
    def find(owner: Annotated[str, Depends(owner_of)], page: int = 1) -> dict[str, Any]:
        return {"owner": owner, "page": page}

    from portable.testing import TestClient

    with TestClient(app) as client:
        assert client.get("/?owner=ann&page=2").json() == {"owner": "ann", "page": 2}
        assert client.get("/?page=2").status == 400
