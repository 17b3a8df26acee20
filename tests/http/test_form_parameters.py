"""Forms bound to parameters: fields, files, models."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import date
from enum import Enum
from typing import Annotated, Any, TypedDict

import msgspec
import pydantic
import pytest

from portable import App, Body, ConfigError, Depends, File, Form, Request, Response, Upload
from portable.http.parameters import describe
from portable.invoke import make_function

httpx = pytest.importorskip("httpx")
pytest.importorskip("python_multipart")


class Colour(Enum):
    RED = "red"


class FormLogin(msgspec.Struct):
    user: str
    age: int = 3
    tags: list[str] = []
    keep: bool = False


class FormRenamed(msgspec.Struct, rename="camel"):
    user_name: str
    last_tags: Annotated[list[int], msgspec.Meta(max_length=2)] = []


class FormWithUpload(msgspec.Struct):
    title: str
    photo: Upload


class FormLoginModel(pydantic.BaseModel):
    user: str
    age: int | None = None
    tags: list[str] = pydantic.Field(default=[], alias="tag")


@dataclass
class FormLoginData:
    user: str
    day: date | None = None
    tags: list[str] = field(default_factory=list)


class FormLoginDict(TypedDict):
    user: str


def posted(handler: Any, max_body: int | None = None, **content: Any) -> Response:
    app = App("forms")
    app.post("/", max_body=max_body)(handler)
    function = make_function(app.functions()["http"])
    sent = httpx.Request("POST", "http://x/", **content)
    answer: Any = function(Request("POST", "/", headers=sent.headers.multi_items(), body=sent.read()))
    return asyncio.run(answer) if hasattr(answer, "__await__") else answer


def given(handler: Any, **content: Any) -> Any:
    response = posted(handler, **content)
    assert response.status == 200, response.body
    return msgspec.json.decode(response.body)


def refused(handler: Any, **content: Any) -> tuple[int, Any]:
    response = posted(handler, **content)
    return response.status, [
        (one["name"], one["detail"]) for one in msgspec.json.decode(response.body).get("errors", ())
    ]


def test_fields() -> None:
    def handler(
        title: Annotated[str, Form()],
        n: Annotated[int, Form(ge=1, alias="number")],
        colour: Annotated[Colour, Form()] = Colour.RED,
        tags: Annotated[list[int], Form(max_length=2)] = [],  # noqa: B006 - never changed
        note: Annotated[str | None, Form()] = None,
    ) -> list[Any]:
        return [title, n, colour, tags, note]

    assert given(handler, data={"title": "ü", "number": "3"}) == ["ü", 3, "red", [], None]
    full = {"title": "", "number": "3", "colour": "red", "tags": ["1", "2"], "note": ""}
    assert given(handler, data=full) == ["", 3, "red", [1, 2], ""]
    assert given(handler, data=full, files={"f": b""}) == ["", 3, "red", [1, 2], ""]
    assert given(handler, data=full | {"colour": ""})[2] == "red"  # an input nobody filled in
    status, errors = refused(handler, data={"number": "0", "colour": "blue", "tags": ["1", "2", "3"]})
    assert (status, [name for name, _ in errors]) == (422, ["title", "number", "colour", "tags"])
    assert refused(handler, data={"title": "", "number": ""}) == (422, [("number", "is required")])


def test_a_list_of_which_nothing_was_sent_is_empty() -> None:
    def handler(tags: Annotated[list[int], Form()], some: Annotated[list[str] | None, Form()] = None) -> list[Any]:
        return [tags, some]

    assert given(handler, data={"x": "1"}) == [[], None]


def test_files() -> None:
    kept: list[Upload] = []

    def handler(
        photo: Annotated[Upload, File(alias="image")],
        more: list[Upload] = [],  # noqa: B006 - never changed
        raw: Annotated[bytes, File()] = b"-",
        maybe: Upload | None = None,
    ) -> list[Any]:
        kept.append(photo)
        return [photo.filename, photo.read().decode(), [one.size for one in more], raw.decode(), maybe is None]

    files = [("image", ("a.png", b"x")), ("more", ("b", b"yy")), ("more", ("c", b"zzz")), ("raw", ("d", b"raw"))]
    assert given(handler, files=files) == ["a.png", "x", [2, 3], "raw", True]
    assert kept[-1].file.closed
    assert given(handler, files=[files[0], ("maybe", ("m", b""))]) == ["a.png", "x", [], "-", False]
    assert refused(handler, files=files[1:]) == (422, [("image", "is required")])


async def keep_reading(upload: Upload) -> str:
    await asyncio.sleep(0)
    return upload.read().decode()


def test_files_are_closed_when_the_handler_is_done_and_not_before() -> None:
    kept: list[Upload] = []

    async def slow(photo: Upload) -> str:
        kept.append(photo)
        return await keep_reading(photo)

    async def failing(photo: Upload) -> str:
        kept.append(photo)
        raise RuntimeError

    def failing_at_once(photo: Upload) -> str:
        kept.append(photo)
        raise RuntimeError

    assert posted(slow, files={"photo": b"x"}).body == "x"
    assert posted(failing, files={"photo": b"x"}).status == 500
    assert posted(failing_at_once, files={"photo": b"x"}).status == 500
    assert [one.file.closed for one in kept] == [True] * 3


def caller(token: Annotated[str, Form()]) -> str:
    return f"<{token}>"


def read_whole(request: Request) -> int:
    return len(request.body)


def test_dependencies_read_the_same_form() -> None:
    async def handler(who: Annotated[str, Depends(caller)], photo: Upload) -> list[str]:
        return [who, photo.read().decode()]

    assert given(handler, data={"token": "t"}, files={"photo": b"x"}) == ["<t>", "x"]
    assert refused(handler, files={"photo": b"x"}) == (422, [("token", "is required")])


@pytest.mark.parametrize("model", [FormLogin, FormLoginModel, FormLoginData, FormLoginDict])
def test_a_model_of_the_form(model: Any) -> None:
    def handler(form: Annotated[Any, Form()]) -> Any:
        return [form["user"] if isinstance(form, dict) else form.user]

    handler.__annotations__["form"] = Annotated[model, Form()]
    assert given(handler, data={"user": "me"}) == ["me"]
    assert given(handler, data={"user": "me"}, files={"f": b""}) == ["me"]
    status, errors = refused(handler, data={"user2": "me"})
    assert (status, len(errors)) == (422, 1)


def test_texts_become_what_the_fields_say() -> None:
    def struct(form: Annotated[FormLogin, Form()]) -> FormLogin:
        return form

    def model(form: Annotated[FormLoginModel, Form()]) -> FormLoginModel:
        return form

    def data(form: Annotated[FormLoginData, Form()]) -> FormLoginData:
        return form

    def renamed(form: Annotated[FormRenamed, Form()]) -> list[Any]:
        return [form.user_name, form.last_tags]

    def plain(form: Annotated[dict[str, Any], Form()]) -> dict[str, Any]:
        return form

    sent = {"user": "1", "age": "7", "tags": ["2"], "tag": ["2"], "keep": "on", "day": "2026-03-29"}
    assert given(struct, data=sent) == {"user": "1", "age": 7, "tags": ["2"], "keep": True}
    assert given(struct, data={"user": "", "age": "", "keep": ""}) == {"user": "", "age": 3, "tags": [], "keep": False}
    assert given(model, data=sent)["age"] == 7
    assert given(model, data=sent)["tag"] == ["2"]
    assert given(model, data={"user": "1", "age": ""})["age"] is None
    assert given(data, data=sent) == {"user": "1", "day": "2026-03-29", "tags": ["2"]}
    assert given(renamed, data={"userName": "a", "lastTags": ["1", "2"]}) == ["a", [1, 2]]
    assert given(plain, data={"a": ["1", "2"], "b": "3"}) == {"a": "2", "b": "3"}
    assert refused(struct, data={"user": "1", "age": "x"})[1][0][0] == "age"
    assert refused(model, data={"user": "1", "age": "x"})[1][0][0] == "age"
    assert refused(renamed, data={"userName": "a", "lastTags": ["1", "2", "3"]})[0] == 422


def test_a_model_may_hold_a_file() -> None:
    def handler(form: Annotated[FormWithUpload, Form()]) -> list[Any]:
        return [form.title, form.photo.filename, form.photo.read().decode()]

    assert given(handler, data={"title": "t"}, files={"photo": ("a.png", b"x")}) == ["t", "a.png", "x"]
    assert refused(handler, data={"title": "t", "photo": "text"})[0] == 422


def test_a_file_has_a_bound_of_its_own() -> None:
    def handler(photo: Annotated[Upload, File(max_bytes=10)], other: Annotated[bytes, File(max_bytes=20)] = b"") -> int:
        return photo.size + len(other)

    assert given(handler, files={"photo": b"x" * 10, "other": b"y" * 20}) == 30
    assert refused(handler, files={"photo": b"x" * 11}) == (413, [("photo", "has more than 10 bytes")])
    assert refused(handler, files={"photo": b"x", "other": b"y" * 21}) == (413, [("other", "has more than 20 bytes")])


def test_a_form_is_within_the_bound_of_the_body() -> None:
    def handler(title: Annotated[str, Form()]) -> str:
        return title

    assert posted(handler, max_body=8, data={"title": "xx"}).body == "xx"
    assert posted(handler, max_body=8, data={"title": "xxx"}).status == 413


@pytest.mark.parametrize("place", ["request", "nothing", "dependency"])
def test_a_bound_holds_whoever_reads_the_body(place: str) -> None:
    def reads_nothing() -> int:
        return 0

    def depends(size: Annotated[int, Depends(read_whole)]) -> int:
        return size

    handler = {"request": read_whole, "nothing": reads_nothing, "dependency": depends}[place]
    assert posted(handler, max_body=3, content=b"123").status == 200
    response = posted(handler, max_body=3, content=b"1234")
    assert response.status == 413
    assert msgspec.json.decode(response.body)["detail"] == "body: has 4 bytes, at most 3 are taken"


def test_a_body_that_says_it_is_too_long_is_not_read() -> None:
    class Unread(Request):
        __slots__ = ()
        _lazy = {**Request._lazy, "body": lambda request: pytest.fail("the body was read")}

    def handler(body: bytes) -> int:
        return len(body)

    app = App("unread")
    app.post("/", max_body=3)(handler)
    request = Unread("POST", "/", headers={"content-length": "4"})
    del request.body
    assert make_function(app.functions()["http"])(request).status == 413


def test_what_is_no_form_is_refused() -> None:
    def handler(title: Annotated[str, Form()] = "", photo: Upload | None = None) -> str:
        return title

    assert refused(handler, json={})[0] == 415
    assert refused(handler, content=b"x", headers={"content-type": "multipart/form-data; boundary=x"})[0] == 400


def upload_and_body(photo: Upload, body: Annotated[FormLogin, Body()]) -> None: ...
def two_models(a: Annotated[FormLogin, Form()], b: Annotated[FormRenamed, Form()]) -> None: ...
def model_and_field(a: Annotated[FormLogin, Form()], b: Annotated[str, Form()]) -> None: ...
def text_file(a: Annotated[str, File()]) -> None: ...
def upload_in_query(a: Annotated[Upload, Form()]) -> None: ...
def no_default(a: str = Form()) -> None: ...  # type: ignore[assignment]


@pytest.mark.parametrize(
    ("handler", "says"),
    [
        (upload_and_body, "'body' would be the body, which is a form for 'photo'"),
        (two_models, "a and b would both be the form"),
        (model_and_field, "a and b would both be the form"),
        (text_file, r"a file is Annotated\[Upload, File\(\)\]"),
        (upload_in_query, "from the form"),
        (no_default, "is no default here"),
    ],
)
def test_what_cannot_be_bound_is_refused(handler: Any, says: str) -> None:
    app = App("wrong")
    app.post("/")(handler)
    [route] = app.functions()["http"]
    with pytest.raises(ConfigError, match=says):
        describe(route)  # type: ignore[arg-type]


def test_bounds_that_are_none_are_refused() -> None:
    for most in (0, -1, "1k"):
        with pytest.raises(ConfigError, match="max_bytes"):
            File(max_bytes=most)  # type: ignore[arg-type]
