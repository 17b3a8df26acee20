"""An app with every kind of parameter, body and answer there is."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from datetime import date, datetime, time
from decimal import Decimal
from typing import Annotated, Any, Generic, Literal, NewType, NotRequired, Optional, TypedDict, TypeVar
from uuid import UUID

import msgspec
import pydantic

from portable import (
    App,
    Body,
    Cookie,
    Depends,
    File,
    Form,
    Header,
    HTTPError,
    Path,
    Query,
    Request,
    Response,
    Router,
    Upload,
)

T = TypeVar("T")
UserId = NewType("UserId", int)


class Colour(enum.Enum):
    """A colour."""

    RED = "red"
    BLUE = "blue"


class Size(enum.IntEnum):
    SMALL = 1
    BIG = 2


class Node(msgspec.Struct):
    """A node of a tree."""

    name: Annotated[str, msgspec.Meta(min_length=1, description="What it is called", examples=["root"])]
    children: list[Node] = []
    colour: Colour | None = None


class Page(msgspec.Struct, Generic[T]):
    rows: list[T]
    next: str | None = None


class Cat(msgspec.Struct, tag="cat"):
    lives: Annotated[int, msgspec.Meta(ge=0, le=9)]


class Dog(msgspec.Struct, tag="dog"):
    name: str


class Named(TypedDict):
    name: str
    age: NotRequired[int]


@dataclass
class Row:
    price: Decimal
    made: datetime | None = None
    day: date = date(2026, 1, 1)
    at: Optional[time] = None  # noqa: UP045
    tags: list[str] = field(default_factory=list)


class Address(pydantic.BaseModel):
    street: str
    kind: Literal["home", "work"] = "home"


class Person(pydantic.BaseModel):
    """Somebody."""

    model_config = pydantic.ConfigDict(
        json_schema_extra={"examples": [{"id": "1", "firstName": "Ann", "addresses": []}]}
    )

    id: str = pydantic.Field(min_length=1)
    first_name: str = pydantic.Field(alias="firstName", max_length=10)
    addresses: list[Address] = []
    boss: Person | None = None


class Team(msgspec.Struct, rename="camel"):
    team_name: str
    lead: Person
    extra: dict[str, object] = {}


class Problem(msgspec.Struct):
    """The app's own, of a name that ours has too."""

    reason: str


class Fields(msgspec.Struct):
    title: str
    count: int = 1


class Key:
    """What the security package gives, as far as the document reads it."""

    def __init__(self, header: str, value: str, openapi: dict[str, Any], scopes: tuple[str, ...] = ()) -> None:
        self.security_scheme = self
        self.name, self.openapi, self.scopes = header, openapi, scopes
        self.value = value

    def __call__(self, request: Request) -> str:
        if request.headers.get(self.name) != self.value:
            raise HTTPError(401, "Who are you?", headers={"www-authenticate": "Key"})
        return self.value


bearer = Key("authorization", "Bearer wide", {"type": "http", "scheme": "bearer"}, ("write",))
api_key = Key("x-key", "wide", {"type": "apiKey", "in": "header", "name": "X-Key"})


def paging(page: Annotated[int, Query(ge=1, le=100)] = 1, who: Annotated[str, Depends(api_key)] = "") -> int:
    """A dependency with a parameter, and one of its own."""
    return page


app = App("wide", openapi={"info": {"title": "Wide", "contact": {"name": "us"}}, "tags": [{"name": "trees"}]})
trees = Router("/trees", tags=["trees"])


@trees.get("/{number:int}/{name}", responses={404: Problem, 409: "It is being changed", 503: {"description": "Later"}})
def get_tree(
    number: int,
    name: Annotated[str, Path(max_length=20, description="Of the tree")],
    colour: Colour = Colour.RED,
    size: Size | None = None,
    kind: Literal["oak", "fir"] = "oak",
    limit: Annotated[int, msgspec.Meta(ge=1, le=100, description="How many", examples=[5])] = 10,
    ratio: Annotated[float, Query(gt=0, lt=1)] = 0.5,
    tags: Annotated[list[Annotated[str, Query(max_length=5)]], Query(max_length=3)] | None = None,
    since: date | None = None,
    of: Annotated[UserId | None, Query(alias="user-id", deprecated=True)] = None,
    x_trace: Annotated[UUID | None, Header()] = None,
    x_list: Annotated[list[int] | None, Header()] = None,
    session: Annotated[str | None, Cookie(description="A session")] = None,
) -> Node:
    """Get a tree.

    With all its branches.
    """
    if number > 1000:
        raise HTTPError(404, "There is none that high")
    return Node(name)


@trees.post("/", status=201, examples={"small": {"summary": "One node", "value": {"name": "a"}}})
def plant(body: Node, page: Annotated[int, Depends(paging)]) -> Page[Node]:
    return Page([body])


@trees.delete("/{number:int}", dependencies=[Depends(bearer)])
def fell(number: int) -> None:
    """Fell a tree."""


app.include(trees)


@app.put("/pets", summary="Change a pet", description="Any pet.", operation_id="changePet", deprecated=True)
def put_pet(body: Cat | Dog) -> Cat | Dog | None:
    return None if isinstance(body, Dog) else body


@app.post("/rows")
async def post_rows(body: list[Row]) -> list[Row]:
    return body


@app.post("/named")
def post_named(body: Named) -> Named:
    return body


@app.post("/people")
def post_person(body: Person) -> Person:
    return body


@app.post("/teams")
def post_team(body: Team) -> Team:
    return body


@app.post("/words")
def join(body: Annotated[list[Annotated[str, msgspec.Meta(max_length=9)]], Body(), msgspec.Meta(max_length=5)]) -> str:
    return " ".join(body)


@app.post("/maybe")
def maybe(body: Node | None = None) -> str:
    return "" if body is None else body.name


@app.post("/raw", max_body=100_000)
def raw(body: bytes) -> bytes:
    return body


@app.post("/form")
def form(title: Annotated[str, Form(min_length=1)], count: Annotated[int, Form()] = 1) -> dict[str, object]:
    return {"title": title, "count": count}


@app.post("/fields")
def fields(body: Annotated[Fields, Form()]) -> Fields:
    return body


@app.post("/upload")
def upload(file: Annotated[Upload, File(max_bytes=1_000_000)], copies: Annotated[int, Form()] = 1) -> dict[str, int]:
    return {"size": file.size}


class Filters(msgspec.Struct, rename="kebab"):
    owner_name: str
    at_most: Annotated[int, msgspec.Meta(ge=1, le=50)] = 10
    colours: list[Colour] = []
    since: date | None = None


class Sorting(pydantic.BaseModel):
    by: Literal["name", "age"] = "name"
    limit: int = pydantic.Field(default=10, gt=0, alias="max")


@app.get("/found")
def find(query: Annotated[Filters, Query()]) -> Filters:
    return query


@app.get("/sorted")
def sort(query: Annotated[Sorting, Query()]) -> Sorting:
    return query


@app.get("/text")
def text() -> str:
    return "text"


@app.get("/choice")
def choice(plain: bool = False) -> str | dict[str, str]:
    return "text" if plain else {"a": "b"}


@app.get("/whatever")
def whatever(request: Request) -> Response:
    return Response(request.path, media_type="text/plain")


@app.get("/untold")
def untold():
    return {"a": 1}


@app.route("/both", methods=["GET", "PUT"], response_model=Cat)
def both() -> Any:
    return {"type": "cat", "lives": 9, "secret": "left out"}


@app.get("/files/{rest:path}")
def get_file(request: Request) -> str:
    return request.params["rest"]


@app.get("/hidden", include_in_schema=False)
def hidden() -> str:
    return "hidden"
