"""What a mount is told by its declaration: where it answers, what stands around it, when it is imported."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import pytest

from portable import App, ConfigError, Depends, Header, HTTPError, Request, Router
from portable.manifest import describe_app
from portable.openapi import make_document
from portable.testing import TestClient

Scope = dict[str, Any]


def named(name: str) -> Any:
    """An ASGI application that says its name and what it was asked."""

    async def application(scope: Scope, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            raise ValueError("http alone")
        text = f"{name} {scope['method']} {scope['root_path']}|{scope['path']}"
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
        await send({"type": "http.response.body", "body": text.encode()})

    return application


def old(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    start_response("200 OK", [("content-type", "text/plain")])
    return [f"old {environ['SCRIPT_NAME']}|{environ['PATH_INFO']}".encode("latin-1")]


def test_routes_come_first_and_then_the_longest_mount() -> None:
    app = App("order")
    app.get("/shop/items/{number:int}")(lambda number: f"route {number}")
    app.get("/shop/list")(lambda: "list")
    app.mount("/", named("all"))
    app.mount("/shop", named("shop"))
    app.mount("/shop/items", named("items"))
    app.mount("/wsgi", old)
    with TestClient(app) as client:
        assert client.get("/shop/items/7").text() == "route 7"
        assert client.get("/shop/items/x").text() == "items GET /shop/items|/shop/items/x"
        assert client.get("/shop/items").text() == "items GET /shop/items|/shop/items"
        assert client.get("/shop/itemsx").text() == "shop GET /shop|/shop/itemsx"
        assert client.get("/sh%6Fp/a%2Fb").text() == "shop GET /shop|/shop/a/b"
        assert client.get("/shop%2Fa").text() == "all GET |/shop/a"
        assert client.get("/").text() == "all GET |/"
        assert client.get("/wsgi/caf%C3%A9").text() == "old /wsgi|/café"
        assert client.get("/wsgi").text() == "old /wsgi|"
        # A method that no route answers is the mount's, whoever else answers the path.
        assert client.post("/shop/list").text() == "shop POST /shop|/shop/list"
        assert client.options("/shop/list").text() == "shop OPTIONS /shop|/shop/list"
        assert client.request("PURGE", "/shop").text() == "shop PURGE /shop|/shop"
        assert client.head("/shop/list").headers["content-length"] == "4"


def test_a_router_puts_its_prefix_and_dependencies_before_a_mount() -> None:
    seen = []

    def check(key: Annotated[str, Header()] = "") -> None:
        seen.append(key)
        if key != "open":
            raise HTTPError(401, "no key")

    router = Router("/in", dependencies=[Depends(check)])
    router.mount("/ner", named("inner"), max_body=5)
    outer = Router("/out")
    outer.include(router, prefix="/v1")
    app = App("routers")
    app.include(outer)
    with TestClient(app) as client:
        found = client.get("/out/v1/in/ner/x", headers={"key": "open"})
        assert found.text() == "inner GET /out/v1/in/ner|/out/v1/in/ner/x"
        assert client.get("/out/v1/in/ner/x").status == 401
        assert client.post("/out/v1/in/ner/x", headers={"key": "open"}, body="too long").status == 413
        assert client.get("/in/ner/x").status == 404
    assert seen == ["open", ""]  # what is too large is refused before


def test_middleware_goes_around_a_mount() -> None:
    app = App("around")

    @app.middleware
    def mark(request: Request, call_next: Any) -> Any:
        response = call_next(request)
        response.headers["x-around"] = request.path
        return response

    app.mount("/in", named("inner"))
    app.mount("/old", old)
    with TestClient(app) as client:
        assert client.get("/in/x").headers["x-around"] == "/in/x"
        assert client.get("/old/x").headers["x-around"] == "/old/x"


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "mounted_by_name.py").write_text(
        "class Holder:\n"
        "    @staticmethod\n"
        "    async def asgi(scope, receive, send):\n"
        "        if scope['type'] != 'http':\n"
        "            raise ValueError(scope['type'])\n"
        "        await send({'type': 'http.response.start', 'status': 200})\n"
        "        await send({'type': 'http.response.body', 'body': b'named'})\n"
        "asgi = Holder.asgi\n"
        "nothing = 7\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "mounted_by_name", raising=False)
    return "mounted_by_name"


def test_an_application_by_name_is_imported_by_the_function_that_holds_it_alone(module: str) -> None:
    from portable.invoke import make_function

    app = App("by-name")
    app.mount("/legacy", f"{module}:Holder.asgi", function="legacy")
    app.get("/")(lambda: "own")
    functions = app.functions()
    assert make_function(functions["http"], app)(Request("GET", "/")).body == "own"
    assert module not in sys.modules
    manifest = describe_app(app, "app:app", Path())
    assert module in sys.modules
    legacy = manifest.function("legacy")
    assert legacy.is_async
    assert legacy.triggers[0].handler == f"{module}:Holder.asgi"
    assert legacy.triggers[0].where == f"{Path(__file__).relative_to(Path.cwd())}:{_line('legacy')}"
    with TestClient(app) as client:
        assert client.get("/legacy/x").body == b"named"
        assert client.get("/").body == b"own"


def _line(word: str) -> int:
    lines = Path(__file__).read_text().splitlines()
    return next(number for number, line in enumerate(lines, 1) if f'function="{word}"' in line)


def test_a_function_with_a_mount_may_use_every_resource(tmp_path: Path) -> None:
    app = App("uses")
    used = app.queue("mount-jobs")
    app.on_message(used)(_take)
    app.mount("/in", named("inner"))
    app.get("/x", function="other")(lambda: None)
    manifest = describe_app(app, "app:app", tmp_path)
    assert manifest.function("http").uses == ["queue:mount-jobs"]
    assert manifest.function("other").uses == []


def _take(message: Any) -> None: ...


def test_a_mounted_application_is_not_in_our_document() -> None:
    app = App("documented")
    app.get("/own")(lambda: None)
    app.mount("/in", named("inner"))
    assert list(make_document(app)["paths"]) == ["/own"]


class OldStyle:
    def __init__(self, scope: Scope) -> None: ...


def anything(*args: Any) -> None: ...


@pytest.mark.parametrize(
    ("declare", "message"),
    [
        (lambda app: app.mount("/a", 7), "is a callable, got 7"),
        (lambda app: app.mount("/a", OldStyle), "as in ASGI 2"),
        (lambda app: app.mount("/a", anything), "say kind='asgi' or kind='wsgi'"),
        (lambda app: app.mount("/a", old, kind="fcgi"), "kind is 'asgi' or 'wsgi', got 'fcgi'"),
        (lambda app: app.mount("/a", old, lifespan="auto"), "lifespan is True or False"),
        (lambda app: app.mount("/a", "nowhere"), "write 'module:variable'"),
        (lambda app: app.mount("a", old), "starts with '/'"),
        (lambda app: app.mount("/a/{b}", old), "has no parameters"),
        (lambda app: app.mount("/a", old, max_body=0), "max_body is a whole number"),
        (lambda app: app.mount("/a", old, auth="iam"), "auth is 'public' or 'cloud'"),
    ],
)
def test_what_cannot_be_mounted_is_refused_where_it_is_written(declare: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message.replace("(", r"\(")):
        declare(App("refused"))


def test_what_is_wrong_with_a_name_is_said_when_the_app_is_described(module: str) -> None:
    for variable, message in (("nothing", "is a callable, got 7"), ("none", "is not there")):
        app = App("wrong")
        app.mount("/a", f"{module}:{variable}")
        with pytest.raises(ConfigError, match=f"mount at .*test_mounting.py:[0-9]+: .*{message}"):
            describe_app(app, "app:app", Path())


def test_two_mounts_of_one_path_are_refused() -> None:
    app = App("twice")
    app.mount("/a", old)
    app.mount("/a/", named("other"))
    with pytest.raises(ConfigError, match=r"test_mounting.py:[0-9]+ answers the same requests as the one at"):
        describe_app(app, "app:app", Path())


def test_kinds_are_told_apart_by_what_is_called() -> None:
    from functools import partial

    app = App("kinds")

    def plain(scope: Any, receive: Any, send: Any) -> Any: ...

    class Iterable:
        def __init__(self, environ: Any, start_response: Any) -> None: ...

    for position, (application, kind) in enumerate(
        [
            (named("x"), "asgi"),
            (plain, "asgi"),
            (partial(named("x")), "asgi"),
            (old, "wsgi"),
            (Iterable, "wsgi"),
        ]
    ):
        app.mount(f"/{position}", application)
        assert app.triggers[-1].mounted.kind == kind, application  # type: ignore[attr-defined]
    app.mount("/said", anything, kind="wsgi")
    assert not app.triggers[-1].is_async


def test_a_websocket_handshake_is_refused_clearly() -> None:
    app = App("upgrade")
    app.mount("/", named("all"))
    with TestClient(app, raise_errors=False) as client:
        found = client.get("/ws", headers={"connection": "upgrade", "upgrade": "websocket"})
        assert found.status == 501
        assert "@app.websocket" in found.json()["detail"]


def test_cookies_that_a_cloud_encodes_are_what_the_application_set() -> None:
    from portable.http.mounted import sent_headers

    class Encoded(Request):
        __slots__ = ()
        encodes_cookies = True

    sent = [("host", "h"), ("cookie", "session=a%3D%3D; plain=1; not%20me=2; list=a%3Bb; odd")]
    decoded = "session=a==; plain=1; not%20me=2; list=a%3Bb; odd"
    assert sent_headers(Encoded("GET", "/", headers=sent)) == [("host", "h"), ("cookie", decoded)]
    assert sent_headers(Request("GET", "/", headers=sent)) == sent


def test_the_bound_of_an_app_holds_for_its_mounts() -> None:
    app = App("bounded", max_body=5)
    app.mount("/in", named("inner"))
    app.mount("/old", old)
    with TestClient(app) as client:
        for path in ("/in", "/old"):
            assert client.post(path, body="12345").status == 200
            assert client.post(path, body="123456").status == 413
