"""HTTP of a Function App that streams: requests and answers of the worker's own server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from portable.build.project import find_project
from portable.run.building import build_to_run
from portable.run.deployment import Deployment, deployed
from portable.run.target import InvocationError, open_artifact
from portable.samples.neutral import make_request
from portable_azure.run import RUNNER
from portable_azure.samples import SAMPLES
from portable_azure.triggers.http import HTTPTrigger
from portable_azure.triggers.proxied import ProxiedRequest

APP = """
import sys

from portable import App, Context, Request, Response, StreamResponse

app = App("proxied")


@app.get("/stream/{n:int}", stream=True)
def stream(n: int) -> StreamResponse:
    return StreamResponse((f"{i}," for i in range(n)), media_type="text/plain")


@app.post("/echo/{rest:path}")
async def echo(rest: str, request: Request, context: Context) -> Response:
    seen = {
        "rest": rest,
        "raw": request.raw_path,
        "query": request.query.items(),
        "cookies": request.cookies,
        "many": request.headers.get_all("x-many"),
        "inner": request.headers.get("x-ms-invocation-id"),
        "body": request.body.decode("latin-1"),
        "scheme": request.scheme,
        "host": request.host,
        "id": bool(context.request_id),
    }
    answer = Response(seen, headers=[("x-two", "1"), ("x-two", "2")])
    answer.set_cookie("a", "1")
    answer.headers.add("set-cookie", "b=2; Partitioned")
    return answer


@app.get("/empty", status=204)
def empty() -> None: ...


@app.get("/boom")
def boom() -> None:
    raise KeyError("a secret of the handler")


@app.function()
def double(payload: dict) -> dict:
    return {"double": payload["n"] * 2}


@app.function()
async def fails(payload: dict) -> None:
    raise ValueError("it cannot be done")
"""


@pytest.fixture(scope="module")
def proxied(tmp_path_factory: pytest.TempPathFactory, require_part: Any) -> Iterator[Deployment]:
    require_part("azure-functions-runtime", "3.13")
    root = tmp_path_factory.mktemp("proxied")
    (root / "app.py").write_text(APP, "utf-8")
    (root / "pyproject.toml").write_text(
        '[project]\nname = "proxied"\nversion = "1"\ndependencies = []\n[tool.portable]\napp = "app:app"\n', "utf-8"
    )
    artifact = build_to_run(find_project(root), "azure", root / "dist")
    with deployed(artifact, addresses={}) as deployment:
        yield deployment


def test_a_request_comes_through_as_it_was_sent(proxied: Deployment) -> None:
    answer = proxied.request(
        make_request(
            "POST",
            "/echo/a%2Fb/c%20d?x=1&x=2&y=",
            headers=[("x-many", "1"), ("cookie", "k=v; l=w")],
            body=bytes(range(256)),
            host="shop.example",
        )
    )
    assert answer.status == 200
    seen = json.loads(answer.body)
    assert seen == {
        "rest": "a/b/c d",
        "raw": "/echo/a%2Fb/c%20d",
        "query": [["x", "1"], ["x", "2"], ["y", ""]],
        "cookies": {"k": "v", "l": "w"},
        "many": ["1"],
        "inner": None,
        "body": bytes(range(256)).decode("latin-1"),
        "scheme": "http",
        "host": seen["host"],
        "id": True,
    }


def test_answers_keep_what_the_workers_own_would_lose(proxied: Deployment) -> None:
    answer = proxied.request(make_request("POST", "/echo/x"))
    assert answer.headers.get_all("x-two") == ["1", "2"]
    first, second = answer.headers.get_all("set-cookie")
    assert first.startswith("a=1;")
    assert second == "b=2; Partitioned"


def test_every_sort_of_answer(proxied: Deployment) -> None:
    assert proxied.request(make_request("GET", "/stream/3")).body == b"0,1,2,"
    assert proxied.request(make_request("GET", "/stream/0")).status == 200
    assert proxied.request(make_request("HEAD", "/stream/3")).body in (None, b"")
    empty = proxied.request(make_request("GET", "/empty"))
    assert (empty.status, empty.body) == (204, None)
    assert proxied.request(make_request("GET", "/nowhere")).status == 404
    boom = proxied.request(make_request("GET", "/boom"))
    assert boom.status == 500
    assert b"secret" not in bytes(boom.body)


def test_direct_functions_of_such_an_app_are_called_as_ever(proxied: Deployment) -> None:
    assert proxied.deliver("double", {"n": 4}).value == {"double": 8}
    assert "it cannot be done" in str(proxied.deliver("fails", {}).error)


def test_an_app_that_does_not_import_fails_its_invocation(proxied: Deployment, tmp_path: Path) -> None:
    root = tmp_path / "broken"
    root.mkdir()
    (root / "app.py").write_text(APP, "utf-8")
    (root / "pyproject.toml").write_text(
        '[project]\nname = "broken"\nversion = "1"\ndependencies = []\n[tool.portable]\napp = "app:app"\n', "utf-8"
    )
    artifact = build_to_run(find_project(root), "azure", root / "dist")
    bundles = [path for path in artifact.rglob("app.py") if ".python_packages" not in path.parts]
    for path in bundles:
        path.write_text("import no_such_module\n", "utf-8")
        for compiled in path.parent.glob("__pycache__/app.*"):
            compiled.unlink()
    running = RUNNER.start(open_artifact(artifact), {}, tmp_path / "log")
    try:
        native = SAMPLES.native(proxied.manifest.function("http"), make_request("GET", "/empty"))
        with pytest.raises(InvocationError, match="no_such_module"):
            running.invoke("http", native, timeout=60)
    finally:
        running.close()


class FakeRequest:
    """As much of FastAPI's request as is read."""

    def __init__(self, scope: dict[str, Any], headers: dict[str, str]) -> None:
        self.method = "GET"
        self.scope = {"scheme": "http", "query_string": b"", **scope}
        self.headers = headers


def test_the_url_is_what_the_caller_asked_for() -> None:
    scope = {"path": "/a/b", "raw_path": b"/a%2Fb", "query_string": b"x=%20"}
    native = FakeRequest(scope, {"host": "shop.example", "x-forwarded-proto": "https, http"})
    assert ProxiedRequest(native, b"").url == "https://shop.example/a%2Fb?x=%20"
    request = HTTPTrigger.decode(ProxiedRequest(native, b"body"))
    assert (request.raw_path, request.path, request.scheme, request.host) == ("/a%2Fb", "/a/b", "https", "shop.example")
    assert (request.body, request.query.items()) == (b"body", [("x", " ")])
    assert ProxiedRequest(FakeRequest({"path": "/é"}, {"host": "x"}), b"").url.startswith("http://x/")
