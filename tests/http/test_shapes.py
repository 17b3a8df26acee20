"""Answers made the model a route declares: what is left out, what is refused, what goes out as it is."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Annotated, Any, Generic, TypedDict, TypeVar

import msgspec
import pydantic
import pytest

from portable import App, ConfigError, Request, Response
from portable.checks import check_functions
from portable.invoke import run
from portable.invoke.http import HTTPFunction
from portable.triggers import HTTPRoute

T = TypeVar("T")


class User(msgspec.Struct):
    id: int
    name: str = "ann"


class Stored(User):
    password: str = "secret"


class Team(msgspec.Struct):
    owner: User


class Page(msgspec.Struct, Generic[T]):
    rows: list[T]


@dataclass
class Row:
    id: int


@dataclass
class StoredRow(Row):
    password: str = "secret"


class Named(TypedDict):
    id: int


class Model(pydantic.BaseModel):
    id: int
    first_name: str = pydantic.Field(default="ann", alias="firstName")


class StoredModel(Model):
    password: str = "secret"


class Camel(msgspec.Struct, rename="camel"):
    user_id: int


def answer_of(value: Any, annotation: Any = ..., **options: Any) -> Response:
    """What a handler that returns ``value`` answers with, its annotation as given."""
    app = App("shapes")

    def handler() -> Any:
        return value

    if annotation is ...:
        del handler.__annotations__["return"]
    else:
        handler.__annotations__["return"] = annotation
    app.get("/", **options)(handler)
    function = HTTPFunction([route for route in app.collect() if isinstance(route, HTTPRoute)])
    answer = function(Request("GET", "/"))
    assert isinstance(answer, Response)
    return answer


PLAIN_USER = {"id": 1, "name": "ann"}
CASES: list[tuple[Any, Any, Any]] = [
    (User, User(1), PLAIN_USER),
    (User, Stored(1), PLAIN_USER),
    (User, {"id": 1, "password": "secret"}, PLAIN_USER),
    (User, SimpleNamespace(id=1, name="ann", password="secret"), PLAIN_USER),
    (list[User], [User(1)], [PLAIN_USER]),
    (list[User], [User(1), Stored(1), {"id": 1}], [PLAIN_USER] * 3),
    (list[User], (Stored(1),), [PLAIN_USER]),
    (dict[str, User], {"a": Stored(1)}, {"a": PLAIN_USER}),
    (Page[User], Page([Stored(1)]), {"rows": [PLAIN_USER]}),
    (User | None, Stored(1), PLAIN_USER),
    (Annotated[User, "of the team"], Stored(1), PLAIN_USER),
    (Row, StoredRow(1), {"id": 1}),
    (Named, {"id": 1, "password": "secret"}, {"id": 1}),
    (Model, Model(id=1, firstName="bob"), {"id": 1, "firstName": "bob"}),
    (Model, StoredModel(id=1, firstName="bob"), {"id": 1, "firstName": "bob"}),
    (Model, {"id": "1", "firstName": "bob", "password": "x"}, {"id": 1, "firstName": "bob"}),
    (list[Model], [StoredModel(id=1)], [{"id": 1, "firstName": "ann"}]),
    (Camel, Camel(1), {"userId": 1}),
]


@pytest.mark.parametrize(("annotation", "value", "sent"), CASES, ids=lambda value: repr(value)[:40])
@pytest.mark.parametrize("explicit", [False, True], ids=["annotated", "response_model"])
def test_an_answer_has_the_declared_fields(annotation: Any, value: Any, sent: Any, explicit: bool) -> None:
    answer = answer_of(value, response_model=annotation) if explicit else answer_of(value, annotation)
    assert answer.status == 200
    assert msgspec.json.decode(answer.body) == sent


def test_only_response_model_looks_inside_an_object_of_the_declared_class() -> None:
    team = Team(Stored(1))
    assert b"secret" in msgspec.json.encode(msgspec.json.decode(answer_of(team, Team).body))
    assert msgspec.json.decode(answer_of(team, response_model=Team).body) == {"owner": PLAIN_USER}


@pytest.mark.parametrize(
    ("annotation", "value"),
    [(User, {"id": "x"}), (User, 5), (list[User], [User(1), None]), (Model, {"id": "x"}), (Row, {}), (User, "text")],
    ids=repr,
)
def test_what_does_not_fit_is_a_500_that_the_log_explains(
    annotation: Any, value: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR, "portable"):
        answer = answer_of(value, annotation)
    assert answer.status == 500
    assert "fit" not in msgspec.json.decode(answer.body)["detail"]
    assert "GET / at" in caplog.text
    assert "the answer does not fit" in caplog.text


def test_a_response_goes_out_as_it_says() -> None:
    answer = answer_of(Response({"any": "thing"}, 202), response_model=User)
    assert (answer.status, answer.body) == (202, '{"any":"thing"}')
    assert answer_of(Response(b"x"), User | Response).body == b"x"


def test_none_is_no_content() -> None:
    assert answer_of(None, User | None).status == 204
    assert answer_of(None, response_model=User).status == 204


def test_response_model_none_leaves_answers_alone() -> None:
    assert msgspec.json.decode(answer_of(Stored(1), User, response_model=None).body)["password"] == "secret"


@pytest.mark.parametrize("annotation", [dict[str, Any], str, list[int], Any, None, Response, object], ids=str)
def test_what_has_no_fields_is_not_looked_at(annotation: Any) -> None:
    route = route_of(annotation)
    HTTPFunction([route])._plan(route)
    assert route.shape is None


def route_of(annotation: Any, **options: Any) -> HTTPRoute:
    app = App("shapes")

    def handler() -> Any: ...

    handler.__annotations__["return"] = annotation
    app.get("/", **options)(handler)
    (route,) = app.collect()
    assert isinstance(route, HTTPRoute)
    return route


@pytest.mark.parametrize(("annotation", "value"), [(User, User("x")), (list[User], [User("x")]), (Row, Row("x"))])
def test_an_object_of_the_declared_class_is_taken_at_its_word(annotation: Any, value: Any) -> None:
    assert b'"x"' in encoded(answer_of(value, annotation))
    assert answer_of(value, response_model=annotation).status == 500


def encoded(answer: Response) -> bytes:
    assert isinstance(answer.body, str)
    return answer.body.encode()


def test_async_handlers_and_callables() -> None:
    app = App("shapes")

    @app.get("/async")
    async def later() -> User:
        return Stored(1)

    class Home:
        __name__ = "home"

        def __call__(self) -> User:
            return Stored(1)

    app.get("/object")(Home())
    function = HTTPFunction([route for route in app.collect() if isinstance(route, HTTPRoute)])
    coroutine: Any = function(Request("GET", "/async"))
    assert msgspec.json.decode(run(coroutine).body) == PLAIN_USER
    there: Any = function(Request("GET", "/object"))
    assert msgspec.json.decode(there.body) == PLAIN_USER


def test_an_annotation_that_cannot_be_evaluated_is_refused_when_the_app_is_checked() -> None:
    route = route_of("Nowhere")
    with pytest.raises(ConfigError, match=r"test_shapes.py:\d+: the annotation 'Nowhere' of 'return'"):
        check_functions({"http": [route]})
    check_functions({"http": [route_of("Nowhere", response_model=None)]})


def test_a_type_nothing_can_be_made_of_is_refused_by_name(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR, "portable"):
        answer = answer_of({}, response_model=list[User | Row])
    assert answer.status == 500
    assert "response_model=None leaves answers as they are" in caplog.text


def test_a_pydantic_model_is_read_back_as_it_is_written() -> None:
    app = App("shapes")

    @app.post("/")
    def echo(body: Model) -> Model:
        return body

    function: Callable[..., Any] = HTTPFunction([route for route in app.collect() if isinstance(route, HTTPRoute)])
    first = function(Request("POST", "/", body=b'{"id":1,"firstName":"bob"}')).body
    assert function(Request("POST", "/", body=first.encode())).body == first == '{"id":1,"firstName":"bob"}'
