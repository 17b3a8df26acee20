"""Routes: what a path finds, what is refused, and that a thousand routes cost what one does."""

from __future__ import annotations

import gc
import re
import sys
from collections.abc import Callable
from functools import partial
from types import FrameType
from typing import Any
from urllib.parse import quote, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portable import App, ConfigError, Request, Response
from portable.http import routing
from portable.http.routing import Routes, parse_path
from portable.invoke.http import HTTPFunction
from portable.triggers import HTTPRoute, Settings


def nothing() -> None: ...


def table(*declared: str) -> Routes:
    """Routes from ``"GET /path"``."""
    return Routes([HTTPRoute(*one.split(" ", 1), nothing, Settings()) for one in declared])


def found(routes: Routes, method: str, raw_path: str) -> tuple[str, dict[str, str]] | None:
    hit = routes.find(method, raw_path)
    return hit and (f"{hit[0].method} {hit[0].path}", hit[1])


@pytest.mark.parametrize(
    ("declared", "raw_path", "path", "params"),
    [
        (["/"], "/", "/", {}),
        (["/a"], "/a", "/a", {}),
        # static before parameter, at every depth, whatever the order of declaration
        (["/users/{user}", "/users/me"], "/users/me", "/users/me", {}),
        (["/users/me", "/users/{user}"], "/users/you", "/users/{user}", {"user": "you"}),
        (["/{a}/b", "/a/{b}"], "/a/b", "/a/{b}", {"b": "b"}),
        # stepping back: the static choice leads nowhere
        (["/a/b", "/{x}/c"], "/a/c", "/{x}/c", {"x": "a"}),
        (["/a/b/c/d", "/a/{x}/c/e", "/{p:path}"], "/a/b/c/e", "/a/{x}/c/e", {"x": "b"}),
        (["/a/b/c/d", "/a/{x}/c/e", "/{p:path}"], "/a/b/c/f", "/{p:path}", {"p": "a/b/c/f"}),
        (["/{n:int}/a", "/{s}/b"], "/1/b", "/{s}/b", {"s": "1"}),
        # narrower converters first
        (["/{s}", "/{n:int}", "/{f:float}", "/{p:path}"], "/1", "/{n:int}", {"n": "1"}),
        (["/{s}", "/{n:int}", "/{f:float}", "/{p:path}"], "/1.5", "/{f:float}", {"f": "1.5"}),
        (["/{s}", "/{n:int}", "/{f:float}", "/{p:path}"], "/a", "/{s}", {"s": "a"}),
        (["/{s}", "/{n:int}", "/{f:float}", "/{p:path}"], "/a/b", "/{p:path}", {"p": "a/b"}),
        (
            ["/{s}", "/{u:uuid}"],
            "/7F9C24e8-3b12-4fef-91e0-56a2d5a1b0c3",
            "/{u:uuid}",
            {"u": "7F9C24e8-3b12-4fef-91e0-56a2d5a1b0c3"},
        ),
        (["/{s}", "/{u:uuid}"], "/7f9c24e83b124fef91e056a2d5a1b0c3", "/{s}", {"s": "7f9c24e83b124fef91e056a2d5a1b0c3"}),
        (["/{a}/{b:int}/{c}"], "/x/2/z", "/{a}/{b:int}/{c}", {"a": "x", "b": "2", "c": "z"}),
        # the rest of a path
        (["/files/{p:path}"], "/files/a", "/files/{p:path}", {"p": "a"}),
        (["/files/{p:path}"], "/files/a/", "/files/{p:path}", {"p": "a/"}),
        (["/files/{p:path}"], "/files//a", "/files/{p:path}", {"p": "/a"}),
        (["/files/{p:path}"], "/files/a%2Fb/c", "/files/{p:path}", {"p": "a/b/c"}),
        (["/{p:path}"], "/a//b/", "/{p:path}", {"p": "a//b/"}),
        (["/{p:path}", "/"], "/", "/", {}),
        # the raw path is split before it is decoded
        (["/files/{name}"], "/files/a%2Fb", "/files/{name}", {"name": "a/b"}),
        (["/files/{name}"], "/files/a%252Fb", "/files/{name}", {"name": "a%2Fb"}),
        (["/files/{name}"], "/files/a+b%20c", "/files/{name}", {"name": "a+b c"}),
        (["/{x}/b", "/a/b"], "/%61/b", "/a/b", {}),
        (["/a b"], "/a%20b", "/a b", {}),
        (["/café/{x}"], "/caf%C3%A9/%E2%98%95", "/café/{x}", {"x": "☕"}),
        (["/café"], "/café", "/café", {}),
        # percent signs that encode nothing, bytes that are not UTF-8
        (["/{x}"], "/%", "/{x}", {"x": "%"}),
        (["/{x}"], "/%zz%4", "/{x}", {"x": "%zz%4"}),
        (["/{x}"], "/%ff", "/{x}", {"x": "\N{REPLACEMENT CHARACTER}"}),
        (["/{x}"], "/%00", "/{x}", {"x": "\0"}),
        # slashes are counted
        (["/a/"], "/a/", "/a/", {}),
        (["/a//b"], "/a//b", "/a//b", {}),
        (["//"], "//", "//", {}),
    ],
)
def test_what_a_path_finds(declared: list[str], raw_path: str, path: str, params: dict[str, str]) -> None:
    for order in (declared, declared[::-1]):
        routes = table(*(f"GET {one}" for one in order))
        assert found(routes, "GET", raw_path) == (f"GET {path}", params)
        assert routes.methods(raw_path) == ["GET", "HEAD", "OPTIONS"]


@pytest.mark.parametrize(
    ("declared", "raw_path"),
    [
        ("/", "//"),
        ("/", ""),
        ("/a", "/a/"),
        ("/a", "//a"),
        ("/a", "/A"),
        ("/a", "a"),
        ("/a", "x/a"),
        ("/a", "https://example.org/a"),
        ("/a/", "/a"),
        ("/a/b", "/a%2Fb"),
        ("/a", "*"),
        ("/{x}", "/"),
        ("/{x}", "/a/"),
        ("/{x}/b", "//b"),
        ("/files/{p:path}", "/files"),
        ("/files/{p:path}", "/files/"),
        ("/{p:path}", "/"),
        ("/{n:int}", "/"),
        ("/{n:int}", "/-"),
        ("/{n:int}", "/+1"),
        ("/{n:int}", "/1.0"),
        ("/{n:int}", "/1_0"),
        ("/{n:int}", "/%D9%A1"),  # ARABIC-INDIC DIGIT ONE
        ("/{n:int}", "/--1"),
        ("/{f:float}", "/."),
        ("/{f:float}", "/1.2.3"),
        ("/{f:float}", "/1e5"),
        ("/{f:float}", "/nan"),
        ("/{u:uuid}", "/7f9c24e8-3b12-4fef-91e0-56a2d5a1b0cg"),
        ("/{u:uuid}", "/7f9c24e8-3b12-4fef-91e0-56a2d5a1b0c"),
        ("/{u:uuid}", "/7f9c24e83-b12-4fef-91e0-56a2d5a1b0c3"),
    ],
)
def test_what_a_path_does_not_find(declared: str, raw_path: str) -> None:
    routes = table(f"GET {declared}")
    assert routes.find("GET", raw_path) is None
    assert routes.find("HEAD", raw_path) is None
    assert routes.methods(raw_path) == []


@pytest.mark.parametrize("text", ["0", "-1", "007", "9" * 50])
def test_int_segments(text: str) -> None:
    assert found(table("GET /{n:int}"), "GET", f"/{text}") == ("GET /{n:int}", {"n": text})


@pytest.mark.parametrize("text", ["0", "-1", "1.", ".5", "-0.25"])
def test_float_segments(text: str) -> None:
    assert found(table("GET /{f:float}"), "GET", f"/{text}") == ("GET /{f:float}", {"f": text})


# --- what may be declared


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("a", "start with '/'"),
        ("", "start with '/'"),
        ("/{", "whole segment"),
        ("/}", "whole segment"),
        ("/{}", "whole segment"),
        ("/{a", "whole segment"),
        ("/a{b}", "whole segment"),
        ("/{a}b", "whole segment"),
        ("/{a}{b}", "whole segment"),
        ("/{a b}", "whole segment"),
        ("/{1}", "whole segment"),
        ("/{a-b}", "whole segment"),
        ("/{a:}b", "whole segment"),
        ("/{:int}", "whole segment"),
        ("/{a:number}", "unknown converter 'number'; there are int, float, uuid, str, path"),
        ("/{p:path}/b", "must come last"),
        ("/{a}/{a}", "'a' appears twice"),
        ("/{a:int}/b/{a}", "'a' appears twice"),
        ("/a%20b", "'%', '?' or '#'"),
        ("/a?b=1", "'%', '?' or '#'"),
        ("/a#b", "'%', '?' or '#'"),
    ],
)
def test_a_malformed_path_is_refused(path: str, says: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(says)):
        table(f"GET {path}")


def test_segments_of_a_path() -> None:
    assert parse_path("/a/{b}/{c:int}/") == [("", "a"), ("str", "b"), ("int", "c"), ("", "")]
    assert parse_path("/") == [("", "")]


@pytest.mark.parametrize(
    ("first", "second"),
    [("/a", "/a"), ("/{a}", "/{b}"), ("/x/{a:int}", "/x/{b:int}"), ("/{a:path}", "/{b:path}"), ("/é", "/é")],
)
def test_two_routes_for_the_same_requests_are_refused_naming_both_places(first: str, second: str) -> None:
    app = App("twice")

    @app.get(first)
    def one() -> None: ...

    @app.get(second)
    def two() -> None: ...

    with pytest.raises(ConfigError) as caught:
        Routes(app.triggers)
    message = str(caught.value)
    for handler in (one, two):
        assert f"{__file__}:{handler.__code__.co_firstlineno}" in message


def test_the_same_path_bears_several_methods_and_converters() -> None:
    routes = table("GET /a", "POST /a", "GET /{x}", "GET /{x:int}", "DELETE /{x}")
    assert found(routes, "POST", "/a") == ("POST /a", {})
    assert found(routes, "DELETE", "/a") == ("DELETE /{x}", {"x": "a"})
    assert routes.methods("/a") == ["DELETE", "GET", "HEAD", "OPTIONS", "POST"]
    assert found(routes, "DELETE", "/5") == ("DELETE /{x}", {"x": "5"})
    assert found(routes, "PUT", "/a") is None


# --- HEAD, OPTIONS, 404, 405


def answered(app: App, method: str, path: str) -> Response:
    response = HTTPFunction(app.triggers)(Request(method, path))
    assert isinstance(response, Response)
    return response


@pytest.fixture
def app() -> App:
    app = App("methods")
    for method in ("GET", "POST", "PUT", "DELETE"):
        app.route("/a", methods=[method])(lambda method=method: f"{method} /a")
    app.post("/only-post")(lambda: "POST")
    app.get("/users/me")(lambda: "GET me")
    app.route("/users/{user}", methods=["HEAD"])(lambda user: Response(f"HEAD {user}"))
    app.get("/users/{user}")(lambda user: f"GET {user}, which is longer")
    app.route("/options", methods=["OPTIONS", "PATCH"])(lambda: Response("mine", status=200))
    return app


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("PATCH", "/a", "DELETE, GET, HEAD, OPTIONS, POST, PUT"),
        ("GET", "/only-post", "OPTIONS, POST"),
        ("HEAD", "/only-post", "OPTIONS, POST"),
        ("TRACE", "/a", "DELETE, GET, HEAD, OPTIONS, POST, PUT"),
        ("POST", "/users/me", "GET, HEAD, OPTIONS"),
        ("DELETE", "/users/7", "GET, HEAD, OPTIONS"),
        ("GET", "/options", "OPTIONS, PATCH"),
    ],
)
def test_a_method_that_is_not_there_is_a_405_that_says_which_are(app: App, method: str, path: str, allow: str) -> None:
    response = answered(app, method, path)
    assert response.status == 405
    assert response.headers["allow"] == allow
    assert response.headers.get("content-type", response.media_type) == "application/problem+json"
    assert (response.body is None) is (method == "HEAD")


@pytest.mark.parametrize("method", ["GET", "POST", "HEAD", "OPTIONS", "TRACE", ""])
def test_an_unknown_path_is_a_404(app: App, method: str) -> None:
    response = answered(app, method, "/nowhere")
    assert response.status == 404
    assert "allow" not in response.headers
    assert (response.body is None) is (method == "HEAD")


def test_options_are_answered_unless_the_app_does(app: App) -> None:
    response = answered(app, "OPTIONS", "/a")
    assert (response.status, response.body) == (204, None)
    assert response.headers["allow"] == "DELETE, GET, HEAD, OPTIONS, POST, PUT"
    assert answered(app, "OPTIONS", "/options").body == "mine"


def test_head_runs_the_handler_of_get_and_no_other(app: App) -> None:
    assert answered(app, "HEAD", "/a").headers["content-length"] == str(len("GET /a"))
    # The one declared for HEAD serves its own path, and not the narrower one that GET has.
    assert answered(app, "HEAD", "/users/7").headers["content-length"] == str(len("HEAD 7"))
    assert answered(app, "HEAD", "/users/me").headers["content-length"] == str(len("GET me"))
    for path in ("/a", "/users/7", "/users/me"):
        assert answered(app, "HEAD", path).body is None


@pytest.mark.parametrize("order", [["GET", "HEAD"], ["HEAD", "GET"]])
def test_head_may_be_declared_before_or_after_get(order: list[str]) -> None:
    routes = table(*(f"{method} /a/{{x}}" for method in order))
    assert found(routes, "HEAD", "/a/1") == ("HEAD /a/{x}", {"x": "1"})
    assert found(routes, "GET", "/a/1") == ("GET /a/{x}", {"x": "1"})
    with pytest.raises(ConfigError, match="the same requests"):
        routes.add(HTTPRoute("HEAD", "/a/{y}", nothing, Settings()))


# --- against a naive model

STATIC = ["a", "b", "é", "a b", "", "1", "a+"]
CONVERTERS = ["str", "int", "float", "uuid"]
RANK = ["", "int", "float", "uuid", "str", "path"]
ACCEPTS: dict[str, Callable[[str], Any]] = {
    "str": lambda text: text != "",
    "int": lambda text: re.fullmatch(r"-?[0-9]+", text),
    "float": lambda text: re.fullmatch(r"-?([0-9]+\.?[0-9]*|\.[0-9]+)", text),
    "uuid": lambda text: re.fullmatch(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", text),
}
UUID = "7f9c24e8-3b12-4fef-91e0-56a2d5a1b0c3"


@st.composite
def declared_paths(draw: st.DrawFn) -> str:
    kinds = draw(st.lists(st.sampled_from(["", "", *CONVERTERS]), min_size=1, max_size=4))
    parts = [f"{{p{at}:{kind}}}" if kind else draw(st.sampled_from(STATIC)) for at, kind in enumerate(kinds)]
    if draw(st.booleans()):
        parts.append("{rest:path}")
    return "/" + "/".join(parts)


declarations = st.lists(st.tuples(st.sampled_from(["GET", "POST", "HEAD"]), declared_paths()), max_size=10)
segments = st.one_of(st.sampled_from([*STATIC, "1.5", "-2", UUID, "c/d", "%", "-", "."]), st.text("ab1/%é", max_size=3))
paths = st.lists(segments, min_size=1, max_size=5)


def naive(declared: list[tuple[str, str]], method: str, decoded: list[str]) -> tuple[str, dict[str, str]] | None:
    """Match every route, and take the one whose first segment is narrowest, then its second, and so on."""
    best = None
    for own, path in declared:
        rank, params = [], {}
        parts = parse_path(path)
        for at, (converter, name) in enumerate(parts):
            rest = decoded[at:]
            if converter == "path":
                fits = rest not in ([], [""])
                text = "/".join(rest)
            else:
                text = rest[0] if rest else ""
                fits = bool(rest) and (ACCEPTS[converter](text) if converter else text == name)
            if not fits:
                break
            rank.append(RANK.index(converter))
            if converter:
                params[name] = text
        else:
            whole = parts[-1][0] == "path" or len(parts) == len(decoded)
            if whole and (own == method or (method == "HEAD" and own == "GET")):
                key = (rank, own != method)
                if best is None or key < best[0]:
                    best = (key, f"{own} {path}", params)
    return best and (best[1], best[2])


@given(declarations, st.sampled_from(["GET", "HEAD", "POST", "PUT"]), paths)
def test_find_agrees_with_a_naive_model(declared: list[tuple[str, str]], method: str, decoded: list[str]) -> None:
    routes = Routes()
    taken = []
    for own, path in declared:
        try:
            routes.add(HTTPRoute(own, path, nothing, Settings()))
        except ConfigError:
            continue
        taken.append((own, path))
    raw_path = "/" + "/".join(quote(segment, safe="") for segment in decoded)
    expected = naive(taken, method, decoded)
    assert found(routes, method, raw_path) == expected
    if expected is not None:
        assert {method, "OPTIONS"} <= set(routes.methods(raw_path))
    assert bool(routes.methods(raw_path)) is any(naive(taken, own, decoded) for own in ("GET", "HEAD", "POST"))


@given(declarations, st.sampled_from(["GET", "HEAD", "POST"]), paths)
def test_the_quick_way_down_agrees_with_the_whole_walk(
    declared: list[tuple[str, str]], method: str, decoded: list[str]
) -> None:
    routes = Routes()
    for own, path in declared:
        try:
            routes.add(HTTPRoute(own, path, nothing, Settings()))
        except ConfigError:
            continue
    quick: list[str] = []
    hit = routing._stride(routes._root, decoded, quick, method)
    if hit is not None:
        whole: list[str] = []
        assert routing._walk(routes._root, decoded, 0, whole, method) is hit
        assert whole == quick


@given(st.text(max_size=20).filter(lambda text: "/" not in text and text != ""))
def test_any_text_comes_through_a_segment(text: str) -> None:
    try:
        raw = quote(text, safe="")
    except UnicodeEncodeError:  # half a surrogate pair is in no request
        return
    assert found(table("GET /{x}"), "GET", f"/{raw}") == ("GET /{x}", {"x": text})


@given(st.text("/ab%2F{}", max_size=30))
def test_no_raw_path_breaks_it(raw_path: str) -> None:
    routes = table("GET /a/{x}", "GET /{p:path}", "POST /a/b", "GET /")
    hit = found(routes, "GET", raw_path)
    if hit is not None and hit[0] == "GET /{p:path}":
        assert hit[1]["p"] == "/".join(unquote(part) for part in raw_path.split("/")[1:])
    assert (hit is not None) is ("GET" in routes.methods(raw_path))


# --- cost


def steps(call: Callable[[], Any]) -> int:
    """How many instructions of the interpreter a call takes."""
    count = 0

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal count
        frame.f_trace_opcodes = True
        count += event == "opcode"
        return trace

    before = sys.gettrace()
    gc.disable()  # what it calls would be counted
    sys.settrace(trace)
    try:
        call()
    finally:
        sys.settrace(before)
        gc.enable()
    return count


def many(count: int) -> Routes:
    return table(
        *(f"GET /things{at}/list" for at in range(count)),
        *(f"GET /things{at}/{{id}}" for at in range(count)),
        *(f"POST /things{at}/{{id:int}}/parts/{{part}}" for at in range(count)),
    )


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/things0/list"),
        ("GET", "/things0/17"),
        ("POST", "/things0/17/parts/x"),
        ("HEAD", "/things0/17"),
        ("GET", "/nowhere"),
        ("GET", "/things0/17/nowhere"),
    ],
)
def test_a_thousand_routes_take_as_many_steps_as_one(method: str, path: str) -> None:
    one, thousand = many(1), many(1000)
    for name in ("things0", "things999"):
        target = path.replace("things0", name)
        assert steps(partial(thousand.find, method, target)) == steps(partial(one.find, method, path)) > 0


def test_a_very_long_path_costs_its_length_and_no_stack() -> None:
    routes = table("GET /{a}/{b}/{c}", "GET /x/{p:path}")
    assert routes.find("GET", "/a" * 100_000) is None
    assert found(routes, "GET", "/x" + "/a" * 100_000) == ("GET /x/{p:path}", {"p": "/".join("a" * 100_000)})
    assert found(routes, "GET", "/1/2/" + "%41" * 100_000) == (
        "GET /{a}/{b}/{c}",
        {"a": "1", "b": "2", "c": "A" * 100_000},
    )


def test_many_ways_back_are_walked_once_each() -> None:
    depth = 12
    routes = table(
        *(f"GET /{'/'.join('a' if at >> bit & 1 else f'{{p{bit}}}' for bit in range(depth))}/end" for at in range(256))
    )
    assert routes.find("GET", "/a" * depth + "/other") is None
    # Each node of the tree is visited once at most, however the choices combine.
    assert steps(lambda: routes.find("GET", "/a" * depth + "/other")) < 256 * depth * 100
