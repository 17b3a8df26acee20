"""Cross-origin requests: by the fetch standard's rules, and beside Starlette's."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portable import CORS, ConfigError, Request, Response

starlette_cors = pytest.importorskip("starlette.middleware.cors")

SHOP = "https://shop.example"


def preflight(method: str = "PUT", origin: str = SHOP, **headers: str) -> Request:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Request("OPTIONS", "/", headers={"origin": origin, "access-control-request-method": method, **named})


def answered(cors: CORS, request: Request) -> Response:
    response = cors.before(request)
    assert response is not None
    return response


def test_a_preflight_is_answered_without_the_handler() -> None:
    cors = CORS([SHOP], headers=["X-Token"], credentials=True, max_age=timedelta(hours=1), expose=["X-Total", "X-B"])
    response = answered(cors, preflight(access_control_request_headers="x-token, Content-Type"))
    assert response.status == 204
    assert dict(response.headers.items()) == {
        "access-control-allow-origin": SHOP,
        "access-control-allow-credentials": "true",
        "access-control-max-age": "3600",
        "access-control-allow-methods": "DELETE, GET, HEAD, PATCH, POST, PUT",
        "access-control-allow-headers": "x-token, Content-Type",
        "vary": "Origin, Access-Control-Request-Method, Access-Control-Request-Headers",
    }


@pytest.mark.parametrize(
    ("request_", "says"),
    [
        (preflight(origin="https://evil.example"), "origin https://evil.example"),
        (preflight(origin="null"), "origin null"),
        (preflight(origin=f"{SHOP}.evil.example"), "origin"),
        (preflight("TRACE"), "method TRACE"),
        (preflight(access_control_request_headers="content-type,x-other"), "header x-other"),
        (preflight(access_control_request_private_network="true"), "private network"),
    ],
)
def test_a_preflight_for_what_is_not_allowed_says_so(request_: Request, says: str) -> None:
    response = answered(CORS([SHOP]), request_)
    assert (response.status, says in str(response.body)) == (403, True)
    assert not [name for name in response.headers if name.startswith("access-control-allow")]
    assert "Origin" in response.headers["vary"]


def test_what_is_no_preflight_goes_to_its_handler() -> None:
    cors = CORS([SHOP])
    assert cors.before(Request("OPTIONS", "/")) is None
    assert cors.before(Request("OPTIONS", "/", headers={"origin": SHOP})) is None
    assert cors.before(Request("GET", "/", headers={"origin": SHOP, "access-control-request-method": "GET"})) is None


def after(cors: CORS, origin: str | None, response: Response | None = None) -> dict[str, str]:
    request = Request("GET", "/", headers={} if origin is None else {"origin": origin})
    return dict(cors.after(request, response or Response("x")).headers.items())


def test_an_answer_says_which_page_may_read_it() -> None:
    cors = CORS([SHOP], credentials=True, expose=["X-Total"])
    assert after(cors, SHOP) == {
        "vary": "Origin",
        "access-control-allow-origin": SHOP,
        "access-control-allow-credentials": "true",
        "access-control-expose-headers": "X-Total",
    }
    # Without an origin too, or a cache would hand one page's answer to another.
    assert after(cors, None) == after(cors, "https://evil.example") == {"vary": "Origin"}
    assert after(cors, SHOP, Response("x", headers={"vary": "Accept"}))["vary"] == "Accept, Origin"
    assert after(cors, SHOP, Response("x", headers={"vary": "accept, origin"}))["vary"] == "accept, origin"
    assert after(cors, SHOP, Response("x", headers={"vary": "*"}))["vary"] == "*"


def test_any_origin() -> None:
    cors = CORS("*", methods="*", headers="*", private_network=True)
    # The same for all, without an origin too: a cache may give it to any page.
    assert after(cors, "null") == after(cors, None) == {"access-control-allow-origin": "*"}
    response = answered(
        cors,
        preflight("PURGE", access_control_request_headers="x-a,x-b", access_control_request_private_network="true"),
    )
    assert response.headers["access-control-allow-origin"] == "*"
    assert response.headers["access-control-allow-methods"] == "PURGE"
    assert response.headers["access-control-allow-headers"] == "x-a,x-b"
    assert response.headers["access-control-allow-private-network"] == "true"


def test_origins_by_an_expression_match_whole() -> None:
    cors = CORS(origin_regex=r"https://[a-z]+\.shop\.example")
    assert after(cors, "https://a.shop.example")["access-control-allow-origin"] == "https://a.shop.example"
    for other in ("https://a.shop.example.evil", "http://a.shop.example", "https://a.b.shop.example", "x"):
        assert "access-control-allow-origin" not in after(cors, other)


def test_the_handlers_own_answer_is_not_changed() -> None:
    kept = Response("x", headers={"vary": "Accept"})
    CORS([SHOP]).after(Request("GET", "/", headers={"origin": SHOP}), kept)
    assert kept.headers.items() == [("vary", "Accept")]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({}, "needs origins"),
        ({"origins": "*", "credentials": True}, "name the origins"),
        ({"origins": ["shop.example"]}, "https://shop.example:8443"),
        ({"origins": ["https://shop.example/"]}, "https://shop.example:8443"),
        ({"origins": ["https://*.shop.example"]}, "origin_regex"),
        ({"origin_regex": "("}, "does not compile"),
    ],
)
def test_what_cannot_be_meant_is_refused(options: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        CORS(**options)


# --- beside Starlette's

origins = st.sampled_from([SHOP, "https://a.example", "https://b.example", "null", "https://evil.example"])
methods = st.sampled_from(["GET", "POST", "PUT", "DELETE", "PURGE"])
names = st.sampled_from(["X-Token", "X-Trace", "Content-Type", "accept", "x-other"])


def theirs(options: dict[str, Any], method: str, headers: dict[str, str]) -> tuple[int, dict[str, str]]:
    """What Starlette's middleware answers around an application that says 200."""
    sent: list[dict[str, Any]] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"x"})

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.request"}

    scope = {
        "type": "http",
        "method": method,
        "path": "/",
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
    }
    asyncio.run(starlette_cors.CORSMiddleware(app, **options)(scope, receive, send))
    return sent[0]["status"], {name.decode(): value.decode() for name, value in sent[0]["headers"]}


def listed(text: str) -> set[str]:
    return {part.strip().lower() for part in text.split(",") if part.strip()}


@settings(max_examples=300, deadline=None)
@given(
    allowed=st.lists(origins, min_size=1, max_size=3) | st.just(["*"]),
    verbs=st.lists(methods, min_size=1, max_size=3, unique=True) | st.just(["*"]),
    headers=st.lists(names, max_size=2, unique=True) | st.just(["*"]),
    expose=st.lists(names, max_size=2, unique=True),
    credentials=st.booleans(),
    age=st.integers(0, 1000),
    origin=origins,
    method=methods,
    asked=st.lists(names, max_size=2, unique=True),
)
def test_starlette_lets_the_same_pages_in(
    allowed: list[str],
    verbs: list[str],
    headers: list[str],
    expose: list[str],
    credentials: bool,
    age: int,
    origin: str,
    method: str,
    asked: list[str],
) -> None:
    credentials = credentials and "*" not in allowed  # which is refused here
    cors = CORS(
        allowed,
        methods=verbs,
        headers=headers,
        expose=expose,
        credentials=credentials,
        max_age=timedelta(seconds=age),
    )
    options = {
        "allow_origins": allowed,
        "allow_methods": verbs,
        "allow_headers": headers,
        "expose_headers": expose,
        "allow_credentials": credentials,
        "max_age": age,
    }
    sent = {"origin": origin, "access-control-request-method": method}
    if asked:
        sent["access-control-request-headers"] = ", ".join(asked)
    if "*" in verbs and method == "PURGE":
        return  # "*" is every method there is here, and Starlette's own list there
    status, other = theirs(options, "OPTIONS", sent)
    response = answered(cors, Request("OPTIONS", "/", headers=sent))
    assert (response.status == 204) == (status == 200)
    ours = dict(response.headers.items())
    if status == 200:
        for name in ("access-control-allow-origin", "access-control-max-age", "access-control-allow-credentials"):
            assert ours.get(name) == other.get(name), name
        assert method.lower() in listed(ours["access-control-allow-methods"])
        assert {name.lower() for name in asked} <= listed(ours.get("access-control-allow-headers", ""))

    _, other = theirs(options, "GET", {"origin": origin})
    ours = after(cors, origin)
    assert ours.get("access-control-allow-origin") == other.get("access-control-allow-origin")
    if "access-control-allow-origin" in ours:
        for name in ("access-control-allow-credentials", "access-control-expose-headers"):
            assert listed(ours.get(name, "")) == listed(other.get(name, "")), name
    if "*" not in allowed:
        assert listed(other.get("vary", "")) <= listed(ours.get("vary", ""))
