"""Differential: one application, mounted with us and wrapped in Mangum, is given the same AWS events.

It sees the same request and its answer comes out the same, for every event of four sources that Hypothesis makes,
except where Mangum is shown to be wrong: ``DIFFERENCES`` lists each such case with the reason, and is held to be true.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Iterator
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, quote, urlencode

import mangum
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from portable import App
from portable.http.answers import choose_encoder
from portable.invoke import make_function, run_shared
from portable.samples.neutral import make_request
from portable_aws.samples import http as events
from portable_aws.triggers import codec_of

SOURCES = {
    "http-api": events.http_api,
    "function-url": events.function_url,
    "rest-api": events.rest_api,
    "alb": events.alb,
}
Scope = dict[str, Any]


class Answer(NamedTuple):
    """What an application is to answer with."""

    status: int = 200
    headers: tuple[tuple[str, str], ...] = (("content-type", "text/plain"),)
    body: bytes = b"ok"


class Mirror:
    """An application that notes what it is asked, and answers as it is told."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.seen: list[dict[str, Any]] = []

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        body, more = b"", True
        while more:
            message = await receive()
            body += message["body"]
            more = message["more_body"]
        self.seen.append({**scope, "body": body})
        pairs = [(name.encode(), value.encode()) for name, value in self.answer.headers]
        await send({"type": "http.response.start", "status": self.answer.status, "headers": pairs})
        await send({"type": "http.response.body", "body": self.answer.body})


@pytest.fixture(autouse=True, scope="module")
def _loop() -> Iterator[None]:
    """Mangum takes the thread's current event loop."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    yield
    asyncio.set_event_loop(None)
    loop.close()


def by_us(application: Any, source: str, event: dict[str, Any], path: str = "/") -> dict[str, Any]:
    app = App("differential")
    app.mount(path, application, kind="asgi", lifespan=False)
    call = make_function(app.functions()["http"], app)
    choose_encoder()
    codec = codec_of("http", source)
    value = call(codec.decode(event))
    response = run_shared(value) if hasattr(value, "send") else value
    found: dict[str, Any] = codec.encode(response, event)
    return json.loads(json.dumps(found))


def by_mangum(application: Any, event: dict[str, Any], **options: Any) -> dict[str, Any]:
    found: dict[str, Any] = mangum.Mangum(application, lifespan="off", **options)(event, None)
    return json.loads(json.dumps(found))


def plain(answer: dict[str, Any]) -> tuple[int, dict[str, list[str]], bytes]:
    """An answer as the gateway sends it on: the three ways to write a header are one."""
    headers: dict[str, list[str]] = {}
    for name, value in (answer.get("headers") or {}).items():
        headers[name.lower()] = [value]
    for name, values in (answer.get("multiValueHeaders") or {}).items():
        headers[name.lower()] = values
    if answer.get("cookies"):
        headers["set-cookie"] = answer["cookies"]
    body = answer.get("body") or ""
    data = base64.b64decode(body) if answer.get("isBase64Encoded") else body.encode()
    return answer["statusCode"], headers, data


def asked(scope: dict[str, Any], source: str) -> dict[str, Any]:
    """What an application can tell of its request: below the stage, and headers of one name together."""
    headers: dict[str, list[str]] = {}
    for name, value in scope["headers"]:
        headers.setdefault(name.decode(), []).append(value.decode())
    joined = {name: ", ".join(values) if source == "rest-api" else ",".join(values) for name, values in headers.items()}
    query = scope["query_string"].decode()
    return {
        "method": scope["method"],
        "path": scope["path"].removeprefix(scope["root_path"]),
        "query": query if source in ("http-api", "function-url") else parse_qsl(query, keep_blank_values=True),
        "headers": joined,
        "scheme": scope["scheme"],
        "client": tuple(scope["client"]),
        "host": scope["server"][0],
        "body": scope["body"],
    }


# Line breaks and surrogates are in no path or query that reaches a function.
TEXT = st.text(st.characters(min_codepoint=0x20, exclude_categories=("Cs", "Cc")), max_size=6)
VISIBLE = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=8)
TOKEN = st.text("abcdefghijklmnopqrstuvwxyz0123456789-", min_size=1, max_size=6).map(
    lambda name: f"x-{name}".rstrip("-")
)
COOKIE = st.text("abcXYZ019!#$&'*+-.^_`|~", min_size=1, max_size=6)
MEDIA = st.sampled_from(
    ["text/plain", "text/html; charset=utf-8", "application/json", "image/png", "application/octet-stream"]
)


@st.composite
def requests(draw: st.DrawFn, source: str) -> Any:
    segments = draw(st.lists(TEXT, min_size=1, max_size=4))
    # Mangum decodes an HTTP API's path a second time: a percent sign in it is on the list below.
    path = "/" + "/".join(quote(one.replace("%", "") if source == "http-api" else one, safe="") for one in segments)
    query = urlencode(draw(st.lists(st.tuples(TEXT, TEXT), max_size=4)))
    if source in ("rest-api", "alb"):  # these group values by name, so what is left of their order is each name's own
        query = urlencode(sorted(parse_qsl(query, keep_blank_values=True), key=lambda pair: pair[0]))
    headers = [("host", draw(st.sampled_from(["shop.test", "shop.test:8443"])))]
    headers += draw(st.lists(st.tuples(TOKEN, VISIBLE), max_size=4, unique_by=lambda pair: pair[0]))
    cookies = draw(st.lists(st.tuples(COOKIE, COOKIE), max_size=3))
    if cookies:
        headers.append(("cookie", "; ".join(f"{name}={value}" for name, value in cookies)))
    method = draw(st.sampled_from(["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]))
    body = b""
    if method in ("POST", "PUT", "PATCH"):
        headers.append(("content-type", draw(MEDIA)))
        body = draw(st.binary(max_size=40))
    target = path + (f"?{query}" if query else "")
    return make_request(method, target, headers=headers, body=body, client="203.0.113.9", scheme="https")


@st.composite
def answers(draw: st.DrawFn) -> Answer:
    status = draw(st.sampled_from([200, 201, 204, 301, 304, 400, 404, 418, 500, 503]))
    headers = [("content-type", draw(MEDIA))]
    headers += [(f"{name}", value) for name, value in draw(st.lists(st.tuples(TOKEN, VISIBLE), max_size=4))]
    for name, value in draw(st.lists(st.tuples(COOKIE, COOKIE), max_size=3)):
        headers.append(("set-cookie", f"{name}={value}; Path=/"))
    body = b"" if status in (204, 304) else draw(st.one_of(st.binary(max_size=40), TEXT.map(str.encode)))
    return Answer(status, tuple(headers), body)


@pytest.mark.parametrize("source", SOURCES)
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_an_application_sees_and_answers_as_under_mangum(source: str, data: st.DataObject) -> None:
    event = json.loads(json.dumps(SOURCES[source](data.draw(requests(source)))))
    application = Mirror(data.draw(answers()))
    ours, theirs = by_us(application, source, event), by_mangum(application, event)
    here, there = application.seen
    assert asked(here, source) == asked(there, source)
    assert plain(ours) == plain(theirs)


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("name", ["starlette", "fastapi"])
def test_a_framework_answers_as_under_mangum(name: str, source: str, application: Any) -> None:
    mounted = application(name)
    typed = [("content-type", "application/json")]
    form = [("content-type", "application/x-www-form-urlencoded")]
    for method, target, headers, body in [
        ("GET", "/orders/7?verbose=yes", [("cookie", "session=s; other=1")], b""),
        ("GET", "/orders/x", [], b""),
        ("POST", "/orders", typed, b'{"item": "book"}'),
        ("POST", "/orders", typed, b"{"),
        ("POST", "/form", form, b"name=a%26b&size=2"),
        ("GET", "/echo/a%20b?a=1&a=2", [], b""),
        ("GET", "/cookies", [], b""),
        ("GET", "/streamed", [], b""),
        ("GET", "/bytes", [], b""),
        ("GET", "/moved", [], b""),
        ("GET", "/slash", [], b""),
        ("GET", "/none", [], b""),
    ]:
        request = make_request(method, target, headers=[("host", "shop.test"), *headers], body=body, scheme="https")
        event = json.loads(json.dumps(SOURCES[source](request)))
        ours, theirs = plain(by_us(mounted, source, event)), plain(by_mangum(mounted, event))
        if not ours[2] and "content-type" not in ours[1]:  # on the list below
            theirs[1].pop("content-type", None)
        if source == "rest-api":  # the stage, which Mangum does not tell an application
            ours = _without(ours, "/prod")
        assert ours == theirs, (method, target)


def _without(answer: tuple[int, dict[str, list[str]], bytes], stage: str) -> tuple[int, dict[str, list[str]], bytes]:
    status, headers, body = answer
    moved = {name: [value.replace(f".test{stage}/", ".test/") for value in values] for name, values in headers.items()}
    bare = body.replace(f".test{stage}/".encode(), b".test/").replace(f'"{stage}/'.encode(), b'"/')
    bare = bare.replace(f'"root_path":"{stage}"'.encode(), b'"root_path":""')
    if len(bare) != len(body) and "content-length" in moved:
        moved["content-length"] = [str(len(bare))]
    return status, moved, bare


class Difference(NamedTuple):
    """A case where Mangum is wrong. ``of`` reads what differs: of the scope, or of the answer."""

    source: str
    why: str
    event: dict[str, Any]
    of: Any
    ours: Any
    theirs: Any
    answer: Answer = Answer()
    path: str = "/"


def _event(source: str, target: str = "/a", headers: Any = (), method: str = "GET", **fields: Any) -> dict[str, Any]:
    event = SOURCES[source](make_request(method, target, headers=headers, scheme="https", client="203.0.113.9"))
    return {**event, **fields}


def _staged() -> dict[str, Any]:
    event = _event("http-api", "/prod/a")
    event["requestContext"]["stage"] = "prod"
    return event


def _all(name: str) -> Any:
    return lambda scope, _: [value.decode() for key, value in scope["headers"] if key.decode() == name]


def _scope(*keys: str) -> Any:
    return lambda scope, _: tuple(scope[key] for key in keys)


ASGI = "https://asgi.readthedocs.io/en/stable/specs/www.html#http-connection-scope"

DIFFERENCES = [
    Difference(
        "http-api",
        "A stage is no part of the application's paths: root_path holds it. Mangum leaves it in `path` and root_path "
        f"empty, so that no route matches unless the stage is repeated in api_gateway_base_path. {ASGI}",
        _staged(),
        lambda scope, _: (scope["root_path"], scope["path"].removeprefix(scope["root_path"])),
        ("/prod", "/a"),
        ("", "/prod/a"),
    ),
    Difference(
        "rest-api",
        "The URL the caller used has the stage in it. Mangum's application cannot know, and links past the API: "
        f"root_path is to say it. {ASGI}",
        _event("rest-api"),
        _scope("root_path", "path"),
        ("/prod", "/prod/a"),
        ("", "/a"),
    ),
    Difference(
        "http-api",
        "API Gateway decodes the path of an HTTP API (requestContext.http.path, rawPath); Mangum decodes it again, and "
        "`/100%25` fails to be itself",
        _event("http-api", "/a%2541"),
        _scope("path"),
        ("/a%41",),
        ("/aA",),
    ),
    Difference(
        "function-url",
        f"raw_path is the path as it was sent, `%2F` and all; Mangum says None, and the difference is lost. {ASGI}",
        _event("function-url", "/a%2Fb"),
        _scope("raw_path"),
        (b"/a%2Fb",),
        (None,),
    ),
    Difference(
        "rest-api",
        "Cookies of several headers are joined with a semicolon (RFC 9113 8.2.3), not with a comma, which is part of a "
        "value; and an ASGI application takes several headers as they are",
        _event("rest-api", multiValueHeaders={"Cookie": ["a=1", "b=2"]}),
        _all("cookie"),
        ["a=1", "b=2"],
        ["a=1, b=2"],
    ),
    Difference(
        "rest-api",
        "Repeated headers are several entries in a scope; joined, a value that holds a comma cannot be told apart. "
        f"{ASGI}",
        _event("rest-api", multiValueHeaders={"X-Day": ["Mon, 1", "Tue, 2"]}),
        _all("x-day"),
        ["Mon, 1", "Tue, 2"],
        ["Mon, 1, Tue, 2"],
    ),
    Difference(
        "alb",
        "A load balancer appends the address it saw to what the caller sent in X-Forwarded-For. Mangum takes all of it "
        "for the client's address. "
        "https://docs.aws.amazon.com/elasticloadbalancing/latest/application/x-forwarded-headers.html",
        _event("alb", multiValueHeaders={"x-forwarded-for": ["10.0.0.1, 203.0.113.9"]}),
        _scope("client"),
        (("203.0.113.9", 0),),
        (("10.0.0.1, 203.0.113.9", 0),),
    ),
    Difference(
        "alb",
        "The query is as it was sent; Mangum decodes and encodes it, and a signature over it no longer fits",
        _event("alb", "/a?q=a%20b"),
        _scope("query_string"),
        (b"q=a%20b",),
        (b"q=a+b",),
    ),
    Difference(
        "function-url",
        "The port of https is 443 where neither Host nor X-Forwarded-Port says another; Mangum says 80",
        {
            **_event("function-url"),
            "headers": {"host": "shop.test", "x-forwarded-proto": "https"},
        },
        _scope("server"),
        (("shop.test", 443),),
        (("shop.test", 80),),
    ),
    Difference(
        "http-api",
        "An answer to HEAD has no body (RFC 9110 9.3.2)",
        _event("http-api", method="HEAD"),
        lambda _, answer: plain(answer)[2],
        b"",
        b"ok",
    ),
    Difference(
        "http-api",
        "An answer of 204 or 304 has no body (RFC 9110 15.3.5, 15.4.5)",
        _event("http-api"),
        lambda _, answer: plain(answer)[2],
        b"",
        b"ok",
        Answer(304),
    ),
    Difference(
        "http-api",
        "Bytes of no type are no JSON: application/octet-stream says so, which browsers download, not run",
        _event("http-api"),
        lambda _, answer: plain(answer)[1]["content-type"],
        ["application/octet-stream"],
        ["application/json"],
        Answer(headers=()),
    ),
    Difference(
        "http-api",
        "An answer without a body has no type: Mangum calls the nothing of a redirect JSON",
        _event("http-api"),
        lambda _, answer: plain(answer)[1].get("content-type"),
        None,
        ["application/json"],
        Answer(307, (), b""),
    ),
    Difference(
        "http-api",
        "Connection and Transfer-Encoding are the connection's, not the answer's (RFC 9110 7.6.1), and API Gateway "
        "renames them; the gateway writes its own",
        _event("http-api"),
        lambda _, answer: plain(answer)[1].get("connection"),
        None,
        ["close"],
        Answer(headers=(("content-type", "text/plain"), ("connection", "close"))),
    ),
]


@pytest.mark.parametrize("case", DIFFERENCES, ids=lambda case: f"{case.source}: {case.why[:40]}")
def test_where_mangum_is_wrong_we_are_not(case: Difference) -> None:
    application = Mirror(case.answer)
    event = json.loads(json.dumps(case.event))
    ours, theirs = by_us(application, case.source, event, case.path), by_mangum(application, event)
    here, there = application.seen
    assert case.of(here, ours) == case.ours, case.why
    assert case.of(there, theirs) == case.theirs, f"no difference any more: {case.why}"


def test_mangum_begins_and_ends_the_lifespan_with_every_request() -> None:
    log: list[str] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            while True:
                kind = (await receive())["type"]
                log.append(kind)
                await send({"type": f"{kind}.complete"})
                if kind == "lifespan.shutdown":
                    return
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body"})

    wrapped = mangum.Mangum(application, lifespan="auto")
    for _ in range(2):
        wrapped(json.loads(json.dumps(_event("function-url"))), None)
    assert log == ["lifespan.startup", "lifespan.shutdown"] * 2
    log.clear()
    app = App("once")
    app.mount("/", application)
    call = make_function(app.functions()["http"], app)
    call.routes.mounts.start(run_shared)
    for _ in range(2):
        run_shared(call(make_request("GET", "/")))
    call.routes.mounts.stop(run_shared)
    assert log == ["lifespan.startup", "lifespan.shutdown"]


def test_what_an_application_raises_is_a_500_either_way() -> None:
    async def application(scope: Any, receive: Any, send: Any) -> None:
        raise LookupError("a secret")

    event = json.loads(json.dumps(_event("function-url")))
    ours, theirs = by_us(application, "function-url", event), by_mangum(application, event)
    assert ours["statusCode"] == theirs["statusCode"] == 500
    assert ours["headers"]["content-type"] == "application/problem+json"
    assert "a secret" not in ours["body"]
