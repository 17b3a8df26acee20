"""Events: plain classes, cheap to make, costly fields computed on first use."""

from __future__ import annotations

import copy
import inspect
import threading
import time
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from portable import BlobEvent, ConfigError, Context, Headers, HTTPError, Message, Request, Response, Tick, events
from portable.events import Query, current_context
from portable.events.lazy import Lazy

NOON = datetime(2026, 3, 29, 12, tzinfo=UTC)
NAIVE = datetime(2026, 3, 29, 12)  # noqa: DTZ001 - what is refused


# --- Query and Headers


def test_query_keeps_order_case_and_repeats() -> None:
    query = Query([("a", "1"), ("B", "2"), ("a", "3"), ("b", "")])
    assert query["a"] == "3"
    assert query.get("a") == "3"
    assert query.get_all("a") == ["1", "3"]
    assert query.get("missing") is None
    assert query.get("missing", "else") == "else"
    assert query.get_all("missing") == []
    assert query["b"] == ""
    assert query["B"] == "2"
    assert list(query) == ["a", "B", "b"]
    assert len(query) == 3
    assert query.items() == [("a", "1"), ("B", "2"), ("a", "3"), ("b", "")]
    assert "A" not in query
    assert 1 not in query
    with pytest.raises(KeyError):
        query["missing"]


def test_what_query_gives_out_is_a_copy() -> None:
    query = Query([("a", "1")])
    query.get_all("a").append("2")
    query.items().append(("b", "2"))
    assert query == Query({"a": "1"})


def test_queries_are_equal_by_their_pairs_and_not_to_headers() -> None:
    assert Query({"a": "1"}) == Query([("a", "1")])
    assert Query([("a", "1"), ("b", "2")]) != Query([("b", "2"), ("a", "1")])
    assert Query({"a": "1"}) != Headers({"a": "1"})
    assert Query({"a": "1"}) != {"a": "1"}
    with pytest.raises(TypeError):
        hash(Query())


def test_headers_know_no_case_and_join_repeats() -> None:
    headers = Headers([("X-Tag", "a"), ("x-tag", "b"), ("Cookie", "a=1"), ("COOKIE", "b=2"), ("Accept", "*/*")])
    assert headers["X-TAG"] == "a,b"
    assert headers.get("x-Tag") == "a,b"
    assert headers.get_all("X-Tag") == ["a", "b"]
    assert headers["cookie"] == "a=1; b=2"
    assert headers["accept"] == "*/*"
    assert "ACCEPT" in headers
    assert list(headers) == ["x-tag", "cookie", "accept"]
    assert headers.items()[0] == ("x-tag", "a")


def test_headers_add_set_and_default() -> None:
    headers = Headers({"X-A": "1"})
    headers.add("x-a", "2")
    headers.setdefault("X-A", "3")
    headers.setdefault("X-B", "4")
    assert headers.get_all("x-a") == ["1", "2"]
    headers["X-a"] = "5"
    assert headers.items() == [("x-b", "4"), ("x-a", "5")]
    assert headers["x-a"] == "5"


def test_headers_are_made_of_headers() -> None:
    first = Headers([("a", "1"), ("a", "2")])
    second = Headers(first)
    second.add("a", "3")
    assert first.get_all("a") == ["1", "2"]
    assert second.get_all("a") == ["1", "2", "3"]
    assert repr(first) == "Headers([('a', '1'), ('a', '2')])"


# --- Request


@pytest.mark.parametrize(
    ("sent", "cookies"),
    [
        ([], {}),
        ([""], {}),
        (["a=1"], {"a": "1"}),
        (["a=1; b=2"], {"a": "1", "b": "2"}),
        (["a=1;b=2;"], {"a": "1", "b": "2"}),
        (["a=1", "b=2"], {"a": "1", "b": "2"}),
        ([' a = 1 ; b = "2 3" '], {"a": "1", "b": "2 3"}),
        (['a=""'], {"a": ""}),
        (['a="'], {"a": '"'}),
        (["a="], {"a": ""}),
        (["a"], {}),
        (["=1; a=2"], {"a": "2"}),
        (["a=1=2=="], {"a": "1=2=="}),
        (["a=first; a=second"], {"a": "first"}),
        (["A=1; a=2"], {"A": "1", "a": "2"}),
        (["a=%20é"], {"a": "%20é"}),
    ],
    ids=str,
)
def test_cookies(sent: list[str], cookies: dict[str, str]) -> None:
    assert Request("GET", "/", headers=[("Cookie", line) for line in sent]).cookies == cookies


def test_a_request_as_a_test_makes_it() -> None:
    request = Request("get", "/a b/é", query={"q": "1"}, headers={"Host": "example.org", "Content-Type": "a/b"})
    assert (request.method, request.path, request.raw_path) == ("GET", "/a b/é", "/a%20b/%C3%A9")
    assert (request.host, request.scheme, request.client, request.root_path) == ("example.org", "https", None, "")
    assert request.content_type == "a/b"
    assert request.params == {}
    assert request.query.get("q") == "1"
    assert request.native is None
    assert Request("GET", "/", host="else").host == "else"
    assert Request("GET", "/x", raw_path="/%78").raw_path == "/%78"


def test_the_path_is_read_from_the_raw_path_when_it_is_asked_for() -> None:
    class Native(Request):
        __slots__ = ()
        _lazy = {**Request._lazy, "raw_path": lambda request: request.native}

    request = Native.__new__(Native)
    request.native = "/a%2Fb/%C3%A9%zz%ff"
    assert request.path == "/a/b/é%zz\N{REPLACEMENT CHARACTER}"


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"NaN", b"[" * 200_000, b'"\\ud800"'], ids=lambda b: ascii(b[:9]))
def test_a_body_that_is_not_json_is_a_400(body: bytes) -> None:
    with pytest.raises(HTTPError, match="not JSON") as caught:
        Request("POST", "/", body=body).json()
    assert caught.value.status == 400


def test_json_is_read_from_what_was_sent() -> None:
    assert Request("POST", "/", body='{"a":"é"}'.encode()).json() == {"a": "é"}
    request = Request("POST", "/")
    request.sent_body = "[1]"
    assert request.json() == [1]


@pytest.mark.parametrize(
    ("content_type", "body", "text"),
    [
        (None, "é".encode(), "é"),
        ("text/plain", "é".encode(), "é"),
        ("text/plain; charset=latin-1", b"\xe9", "é"),
        ('text/plain; a=b; Charset="UTF-16"', "é".encode("utf-16"), "é"),
        ("text/plain; charset=", b"a", "a"),
    ],
)
def test_text(content_type: str | None, body: bytes, text: str) -> None:
    headers = {} if content_type is None else {"content-type": content_type}
    assert Request("POST", "/", headers=headers, body=body).text() == text


@pytest.mark.parametrize("charset", ["utf-8", "nonsense", "hex", "undefined", "idna", "a\0b", "../x"])
def test_a_body_that_is_not_text_in_its_charset_is_a_400(charset: str) -> None:
    with pytest.raises(HTTPError, match="not text") as caught:
        Request("POST", "/", headers={"content-type": f"text/plain; charset={charset}"}, body=b"\xff").text()
    assert caught.value.status == 400


def test_forms() -> None:
    headers = {"content-type": "application/x-www-form-urlencoded; charset=utf-8"}
    form = Request("POST", "/", headers=headers, body=b"a=1&b=&a=2+%C3%A9&c").form()
    assert form.items() == [("a", "1"), ("b", ""), ("a", "2 é"), ("c", "")]
    assert Request("POST", "/", body=b"a=1").form()["a"] == "1"
    with pytest.raises(HTTPError, match="text/plain") as caught:
        Request("POST", "/", headers={"content-type": "text/plain"}).form()
    assert caught.value.status == 415
    with pytest.raises(HTTPError) as caught:
        Request("POST", "/", body=b"a=\xff").form()
    assert caught.value.status == 400


# --- Response


def test_header_pairs_put_the_media_type_first_unless_a_header_says_it() -> None:
    assert Response().header_pairs() == []
    assert Response(media_type="a/b").header_pairs() == [("content-type", "a/b")]
    given = Response(headers={"X-A": "1"}, media_type="a/b")
    assert given.header_pairs() == [("content-type", "a/b"), ("x-a", "1")]
    given.header_pairs().clear()
    assert len(given.header_pairs()) == 2
    said = Response(headers={"Content-Type": "c/d"}, media_type="a/b")
    assert said.header_pairs() == [("content-type", "c/d")]


def test_cookies_are_set_with_the_safe_attributes() -> None:
    response = Response()
    response.set_cookie("a", "1")
    response.set_cookie(
        "b",
        "x=y",
        max_age=60,
        expires=datetime(2026, 3, 29, 14, tzinfo=timezone(timedelta(hours=2))),
        path="/p",
        domain="example.org",
        secure=False,
        httponly=False,
        samesite="strict",
    )
    response.set_cookie("c", path=None, samesite=None)
    assert response.headers.get_all("Set-Cookie") == [
        "a=1; Path=/; Secure; HttpOnly; SameSite=Lax",
        "b=x=y; Max-Age=60; Expires=Sun, 29 Mar 2026 12:00:00 GMT; Path=/p; Domain=example.org; SameSite=Strict",
        "c=; Secure; HttpOnly",
    ]


@pytest.mark.parametrize(
    "options",
    [
        {"name": ""},
        {"name": "a b"},
        {"name": "a=b"},
        {"name": "a;b"},
        {"name": "a\r\nx"},
        {"name": "é"},
        {"value": "1; Domain=evil.example"},
        {"value": "1\r\nSet-Cookie: b=2"},
        {"value": "1\nx"},
        {"value": "a b"},
        {"value": 'a"b'},
        {"value": "a,b"},
        {"value": "a\\b"},
        {"value": "é"},
        {"value": "\x7f"},
        {"value": "\x00"},
        {"path": "/; Secure"},
        {"path": "/\r\nx: y"},
        {"path": "/é"},
        {"domain": "example.org\nx"},
        {"domain": "a;b"},
        {"samesite": "lax; Domain=evil.example"},
        {"samesite": "lax\r\nX-Evil: 1"},
        {"samesite": ""},
        {"expires": NAIVE},
    ],
    ids=str,
)
def test_a_cookie_cannot_smuggle_anything(options: dict[str, Any]) -> None:
    response = Response()
    with pytest.raises(ValueError, match=r"cookie|samesite|expires"):
        response.set_cookie(**{"name": "a", "value": "1", **options})
    assert response.header_pairs() == []


# --- Message, BlobEvent, Tick


def test_a_message_as_a_test_makes_it() -> None:
    message = Message("1", {"a": 1})
    assert (message.id, message.body, message.attributes, message.attempt) == ("1", {"a": 1}, {}, 1)
    assert message.sent_at is None
    assert message.group is None
    assert message.native is None
    assert message.failed is False
    assert repr(message) == "<Message 1>"
    message.fail()
    assert message.failed is True
    message.fail(ValueError("why"))
    assert isinstance(message.failed, ValueError)


def test_attributes_of_two_messages_are_not_one_dict() -> None:
    Message("1", None).attributes["a"] = "b"
    assert Message("2", None).attributes == {}


def test_a_message_is_typed_without_typing() -> None:
    assert Message[int]("1", 5).body == 5
    assert Message[int].__origin__ is Message

    class Special(Message[int]):
        __slots__ = ()

    assert isinstance(Special("1", 5), Message)


def test_a_blob_event_happened_now_when_nobody_says() -> None:
    before = datetime.now(UTC)
    event = BlobEvent("created", "uploads", "in/é.png")
    assert before <= event.time <= datetime.now(UTC)
    assert (event.size, event.version, event.native) == (None, None, None)
    assert repr(event) == "<BlobEvent created uploads 'in/é.png'>"


@pytest.mark.parametrize(
    "make",
    [
        lambda: Message("1", None, sent_at=NAIVE),
        lambda: BlobEvent("created", "uploads", "key", time=NAIVE),
        lambda: Tick(NAIVE),
    ],
    ids=["Message", "BlobEvent", "Tick"],
)
def test_instants_are_aware(make: Any) -> None:
    with pytest.raises(ValueError, match="aware"):
        make()


def test_a_tick() -> None:
    assert Tick(NOON).scheduled_at is NOON
    assert repr(Tick(NOON)) == "<Tick 2026-03-29T12:00:00+00:00>"


# --- Context


def test_a_context_without_a_deadline() -> None:
    context = Context("work", "id-1")
    assert context.deadline is None
    assert context.remaining() is None
    assert (context.cold_start, context.target, context.stage, context.native) == (False, "local", "", None)


def test_the_deadline_is_aware_and_what_remains_is_never_negative() -> None:
    context = Context("work", "id-1", deadline_at=time.time() + 10)
    assert context.deadline is not None
    assert context.deadline.utcoffset() == timedelta(0)
    assert timedelta(seconds=9) < (context.remaining() or timedelta()) <= timedelta(seconds=10)
    assert Context("work", "id-1", deadline_at=time.time() - 10).remaining() == timedelta(0)


def test_the_current_context_is_the_invocations_own() -> None:
    with pytest.raises(ConfigError, match="outside an invocation"):
        Context.current()
    context = Context("work", "id-1")
    token = current_context.set(context)
    try:
        assert Context.current() is context
        seen: list[Any] = []
        thread = threading.Thread(target=lambda: seen.append(current_context.get()))
        thread.start()
        thread.join()
        assert seen == [None]
    finally:
        current_context.reset(token)


# --- all of them

CLASSES = [found for name in events.__all__ if inspect.isclass(found := getattr(events, name))]


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_events_have_slots_and_nothing_else(kind: type) -> None:
    assert "__slots__" in vars(kind)
    one = kind.__new__(kind)
    assert not hasattr(one, "__dict__")
    with pytest.raises(AttributeError):
        one.anything = 1


@pytest.mark.parametrize("kind", [found for found in CLASSES if issubclass(found, Lazy)], ids=lambda k: k.__name__)
def test_a_field_nobody_set_says_so(kind: type) -> None:
    with pytest.raises(AttributeError, match=f"'{kind.__name__}' object has no attribute 'nothing'"):
        kind.__new__(kind).nothing  # noqa: B018


def test_a_lazy_field_is_computed_once() -> None:
    computed: list[str] = []

    class Native(Message[str]):
        __slots__ = ()
        _lazy = {**Message._lazy, "id": lambda message: computed.append("id") or f"id of {message.native}"}

    message = Native.__new__(Native)
    message.native = "record"
    assert message.id == message.id == "id of record"
    assert computed == ["id"]
    message.id = "other"
    assert message.id == "other"


def test_events_can_be_copied() -> None:
    message = copy.copy(Message("1", [1], {"a": "b"}))
    assert (message.id, message.body) == ("1", [1])
    assert copy.deepcopy(Request("GET", "/a")).raw_path == "/a"
