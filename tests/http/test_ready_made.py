"""The ready-made middleware around an app: together, around 404s, around HEAD, around mounts and models."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any

import pytest

import portable
from portable import CORS, App, ETag, Form, GZip, HTTPError, Ranges, Request, Response, check_conditions
from portable.testing import TestClient

SHOP = "https://shop.example"
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(portable.__file__).parents[1])}
TEXT = "words of a page, " * 100


def shop() -> App:
    app = App("ready-made")
    app.middleware(CORS([SHOP], headers=["if-match"]))
    app.middleware(GZip(500))
    app.middleware(ETag())
    app.middleware(Ranges())

    @app.get("/page")
    def page() -> str:
        return TEXT

    @app.get("/slow")
    async def slow() -> dict[str, Any]:
        return {"text": TEXT}

    @app.get("/image")
    def image() -> Response:
        return Response(bytes(range(256)), media_type="image/png")

    @app.put("/note")
    def note(request: Request) -> Response | str:
        check_conditions(request, etag="7", required=True)
        return "written"

    @app.post("/login")
    def login(user: Annotated[str, Form()]) -> str:
        return user

    @app.get("/fails")
    def fails() -> None:
        raise HTTPError(409, "so it is")

    return app


@pytest.mark.parametrize("path", ["/page", "/slow"])
def test_an_answer_goes_through_all_of_them(path: str) -> None:
    with TestClient(shop()) as client:
        plain = client.get(path)
        packed = client.get(path, headers={"accept-encoding": "gzip", "origin": SHOP})
        assert gzip.decompress(packed.body) == plain.body
        assert packed.headers["etag"] == f"W/{plain.headers['etag']}"
        assert packed.headers["access-control-allow-origin"] == SHOP
        assert (plain.headers["accept-ranges"], packed.headers["accept-ranges"]) == ("bytes", "none")
        assert {part.strip() for part in packed.headers["vary"].split(",")} == {"Accept-Encoding", "Origin"}
        again = client.get(path, headers={"if-none-match": packed.headers["etag"], "accept-encoding": "gzip"})
        assert (again.status, again.body, again.headers["etag"]) == (304, b"", packed.headers["etag"])


@pytest.mark.parametrize("path", ["/page", "/slow", "/image"])
@pytest.mark.parametrize("accept", ["identity", "gzip"])
def test_head_says_what_get_would(path: str, accept: str) -> None:
    with TestClient(shop()) as client:
        whole = client.get(path, headers={"accept-encoding": accept})
        head = client.request("HEAD", path, headers={"accept-encoding": accept})
        assert (head.status, head.body) == (200, b"")
        assert head.headers["content-length"] == str(len(whole.body))
        for name in ("etag", "content-type", "vary", "content-encoding"):
            assert head.headers.get(name) == whole.headers.get(name), name
        tag = whole.headers["etag"]
        assert client.request("HEAD", path, headers={"if-none-match": tag}).status == 304


def test_preflights_and_errors_are_readable_for_the_page() -> None:
    with TestClient(shop()) as client:
        asked = {"origin": SHOP, "access-control-request-method": "PUT", "access-control-request-headers": "if-match"}
        assert client.request("OPTIONS", "/note", headers=asked).status == 204
        asked["origin"] = "https://evil.example"
        assert client.request("OPTIONS", "/note", headers=asked).status == 403
        for path, status in (("/nowhere", 404), ("/fails", 409)):
            answer = client.get(path, headers={"origin": SHOP})
            assert (answer.status, answer.headers["access-control-allow-origin"]) == (status, SHOP)
        answer = client.request("OPTIONS", "/page", headers={"origin": SHOP})
        assert (answer.status, answer.headers["allow"]) == (204, "GET, HEAD, OPTIONS")


def test_writes_say_what_they_change() -> None:
    with TestClient(shop()) as client:
        assert client.request("PUT", "/note").status == 428
        assert client.request("PUT", "/note", headers={"if-match": '"6"'}).status == 412
        assert client.request("PUT", "/note", headers={"if-match": '"7"'}).text() == "written"


def test_a_part_of_an_image() -> None:
    with TestClient(shop()) as client:
        answer = client.get("/image", headers={"range": "bytes=10-19", "accept-encoding": "gzip"})
        assert (answer.status, answer.body) == (206, bytes(range(10, 20)))
        assert answer.headers["content-range"] == "bytes 10-19/256"


def test_other_answers_are_as_they_were() -> None:
    with TestClient(shop()) as client:
        answer = client.post("/login", body="user=me", headers={"content-type": "application/x-www-form-urlencoded"})
        assert (answer.status, answer.text(), "etag" in answer.headers) == (200, "me", False)


UNUSED = """
import sys
from portable import App, Request, Response
from portable.invoke import make_function

app = App("plain")

@app.get("/users/{user_id}")
def get_user(user_id: int, verbose: bool = False):
    return {"user": user_id}

@app.post("/users")
def create(request: Request) -> Response:
    return Response(request.json(), 201)

function = make_function(app.functions()["http"])
assert function(Request("GET", "/users/7")).status == 200
assert function(Request("POST", "/users", body=b"{}")).status == 201
assert function(Request("GET", "/nowhere")).status == 404
names = "forms cookies http.bodies http.compression http.conditional http.copies http.cors http.form_models"
names += " http.form_parameters http.redirects"
print([name for name in names.split() if f"portable.{name}" in sys.modules])
print([name for name in ("tempfile", "zlib", "_blake2", "python_multipart") if name in sys.modules])
"""


def test_an_app_without_them_imports_none_of_them() -> None:
    done = subprocess.run([sys.executable, "-S", "-c", UNUSED], env=ENVIRONMENT, capture_output=True, check=True)
    assert done.stdout.split(b"\n")[:2] == [b"[]", b"[]"]
