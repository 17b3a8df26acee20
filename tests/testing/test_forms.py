"""Forms a test client sends."""

from __future__ import annotations

from typing import Annotated, Any

import pytest

from portable import App, Form, Request
from portable.testing import TestClient
from portable.testing.forms import write_form

app = App("form-client", max_body=1000)


@app.post("/any")
def any_form(request: Request) -> dict[str, Any]:
    with request.form() as form:
        files = [(name, one.filename, one.content_type, one.read().decode()) for name, one in form.files.items()]
        return {"type": (request.content_type or "").partition(";")[0], "fields": form.items(), "files": files}


@app.post("/name", max_body=20)
def name(name: Annotated[str, Form()]) -> str:
    return name


def test_fields_are_sent_urlencoded_and_files_make_it_multipart() -> None:
    with TestClient(app) as client:
        answer = client.post("/any", form=[("a", "1"), ("a", "é &"), ("b", "")])
        assert answer.json() == {
            "type": "application/x-www-form-urlencoded",
            "fields": [["a", "1"], ["a", "é &"], ["b", ""]],
            "files": [],
        }
        files = [("f", b"1"), ("f", ('a"b\r\n', b"2")), ("g", ("c", b"3", "text/plain"))]
        assert client.post("/any", form={"a": "é"}, files=files).json() == {
            "type": "multipart/form-data",
            "fields": [["a", "é"]],
            "files": [["f", "f", "", "1"], ["f", "a%22b%0D%0A", "", "2"], ["g", "c", "text/plain", "3"]],
        }


def test_an_empty_form_is_a_form() -> None:
    with TestClient(app) as client:
        assert client.post("/any", form={}).json()["type"] == "application/x-www-form-urlencoded"


def test_a_request_has_one_body() -> None:
    with TestClient(app) as client:
        for options in ({"json": 1, "form": {}}, {"body": b"x", "files": {"f": b""}}, {"body": b"x", "json": 1}):
            with pytest.raises(ValueError, match="one body"):
                client.post("/any", **options)


def test_equal_forms_are_equal_bytes() -> None:
    assert write_form([("a", "1")], {"f": b"x"}) == write_form([("a", "1")], {"f": b"x"})
    assert write_form([("a", "1")], {"f": b"x"})[1] != write_form([("a", "1")], {"f": b"y"})[1]


def test_the_app_bounds_bodies_for_routes_without_their_own_bound() -> None:
    with TestClient(app) as client:
        assert client.post("/any", body=b"a=" + b"x" * 998).status == 200
        assert client.post("/any", body=b"a=" + b"x" * 999).status == 413
        assert client.post("/name", form={"name": "x" * 15}).status == 200
        assert client.post("/name", form={"name": "x" * 16}).status == 413
