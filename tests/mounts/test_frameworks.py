"""Real applications below a prefix answer as they do when a framework's own way mounts them there: Starlette's
``Mount`` under httpx's ASGI transport, werkzeug's ``DispatcherMiddleware`` under its test client.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import httpx
import pytest

from portable import App, Request

TYPED = {"content-type": "application/json"}
FORM = {"content-type": "application/x-www-form-urlencoded"}
MULTIPART = {"content-type": "multipart/form-data; boundary=b"}
PARTS = b'--b\r\ncontent-disposition: form-data; name="name"; filename="a.txt"\r\n\r\nhello\r\n--b--\r\n'

COMMON = [
    ("GET", "/none", {}, b""),
    ("GET", "/", {}, b""),
    ("OPTIONS", "/none", {}, b""),
]
ECHOES = [
    *COMMON,
    ("GET", "/echo", {}, b""),
    ("GET", "/echo?a=1&a=2&b=&c=%26%20%C3%A9&d", {}, b""),
    ("GET", "/echo/a%20b%C3%A9", {}, b""),
    ("GET", "/echo/a+b", {"cookie": 'one=1; two="2 3"'}, b""),
    ("HEAD", "/echo", {}, b""),
    ("POST", "/echo", {"content-type": "application/octet-stream"}, bytes(range(256))),
    ("POST", "/echo", FORM, b"a=1&a=2&b=%C3%A9"),
    ("PATCH", "/echo", {}, b""),
]
SENT: dict[str, list[tuple[str, str, dict[str, str], bytes]]] = {
    "starlette": [
        *ECHOES,
        ("GET", "/files/a/b%2Fc", {"x-repeated": "1"}, b""),
        ("GET", "/cookies", {}, b""),
        ("GET", "/streamed", {}, b""),
        ("HEAD", "/streamed", {}, b""),
        ("GET", "/background", {}, b""),
        ("POST", "/form", FORM, b"name=x&name=y"),
        ("POST", "/form", MULTIPART, PARTS),
        ("GET", "/sync", {}, b""),
        ("GET", "/slash", {}, b""),
        ("GET", "/empty", {}, b""),
        ("GET", "/bytes", {}, b""),
        ("GET", "/moved", {}, b""),
    ],
    "fastapi": [
        *COMMON,
        ("GET", "/orders/7?verbose=yes", {"cookie": "session=s"}, b""),
        ("GET", "/orders/x", {}, b""),
        ("GET", "/orders/404", {}, b""),
        ("POST", "/orders", TYPED, b'{"item": "book", "count": 2}'),
        ("POST", "/orders", TYPED, b"{"),
        ("POST", "/orders", TYPED, b'{"count": "many"}'),
        ("POST", "/form", FORM, b"name=x&size=3"),
        ("GET", "/openapi.json", {}, b""),
        ("GET", "/docs", {}, b""),
    ],
    "litestar": [
        ("GET", "/none", {}, b""),
        ("GET", "/orders/7?verbose=true", {}, b""),
        ("POST", "/orders", TYPED, b'{"item": "book"}'),
        ("POST", "/orders", TYPED, b"{"),
        ("DELETE", "/orders", {}, b""),
    ],
    "django-asgi": [*ECHOES, ("GET", "/slow", {}, b"")],
    "django-wsgi": [*ECHOES, ("GET", "/slow", {}, b""), ("GET", "/streamed", {}, b"")],
    "flask": [
        *ECHOES,
        ("GET", "/files/a/b%2Fc", {}, b""),
        ("POST", "/echo", MULTIPART, PARTS),
        ("GET", "", {}, b""),
        ("GET", "/slash", {}, b""),
        ("GET", "/streamed", {}, b""),
        ("GET", "/cookies", {}, b""),
    ],
}


async def by_starlette(application: Any, sent: list[Any]) -> list[httpx.Response]:
    from starlette.applications import Starlette
    from starlette.routing import Mount

    transport = httpx.ASGITransport(Starlette(routes=[Mount("/old", application)]), client=("192.0.2.1", 0))
    async with httpx.AsyncClient(transport=transport, base_url="http://shop.test") as client:
        client.headers.clear()
        answers = []
        for method, target, headers, body in sent:
            answers.append(await client.request(method, f"/old{target}", headers=headers, content=body))
            client.cookies.clear()
        return answers


def by_werkzeug(application: Any, sent: list[Any]) -> list[httpx.Response]:
    from werkzeug.exceptions import NotFound
    from werkzeug.middleware.dispatcher import DispatcherMiddleware
    from werkzeug.test import Client

    client = Client(DispatcherMiddleware(NotFound(), {"/old": application}), use_cookies=False)  # type: ignore[arg-type]
    answers = []
    for method, target, headers, body in sent:
        with client.open(
            f"/old{target}", base_url="http://shop.test", method=method, headers=headers, data=body
        ) as answer:
            answers.append(httpx.Response(answer.status_code, headers=list(answer.headers), content=answer.data))
    return answers


def comparable(status: int, headers: Any, body: bytes | str | None, method: str) -> tuple[Any, ...]:
    found = sorted((name, value) for name, value in headers if name not in ("content-length", "date"))
    data = body.encode() if isinstance(body, str) else body or b""
    return status, found, b"" if method == "HEAD" else data


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("name", SENT)
def test_an_application_answers_as_under_its_own_kind_of_mount(name: str, application: Any, serve: Any) -> None:
    mounted = application(name)
    wsgi = name in ("django-wsgi", "flask")
    theirs = by_werkzeug(mounted, SENT[name]) if wsgi else asyncio.run(by_starlette(mounted, SENT[name]))
    app = App("mounting")
    app.mount("/old", mounted)
    ask = serve(app)
    for (method, target, headers, body), expected in zip(SENT[name], theirs, strict=True):
        path, _, query = f"/old{target}".partition("?")
        pairs = [("host", "shop.test"), *headers.items()]
        if body:
            pairs.append(("content-length", str(len(body))))
        request = Request(
            method, "", raw_path=path, headers=pairs, body=body, client="192.0.2.1", scheme="http", host="shop.test"
        )
        request.raw_query = query
        found = ask(request)
        assert comparable(found.status, found.header_pairs(), found.body, method) == comparable(
            expected.status_code, expected.headers.multi_items(), expected.content, method
        ), (method, target)


@pytest.mark.parametrize("name", ["starlette", "flask"])
def test_what_an_application_raises_is_a_500_and_in_the_log(
    name: str, application: Any, serve: Any, caplog: pytest.LogCaptureFixture
) -> None:
    app = App("failing")
    app.mount("/old", application(name))
    with caplog.at_level(logging.ERROR):
        found = serve(app)(Request("GET", "/old/fails"))
    assert found.status == 500
    assert "not in the answer" not in str(found.body)
    assert "LookupError: not in the answer" in caplog.text


def test_background_tasks_are_done_before_the_answer_is_handed_over(application: Any, serve: Any) -> None:
    mounted = application("starlette")
    app = App("later")
    app.mount("/", mounted)
    assert serve(app)(Request("GET", "/background")).body == b"later"
    assert mounted.state.notes == ["done"]
