"""The bridge, message by message: what https://asgi.readthedocs.io/en/stable/specs/ asks of a server."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from portable import App, Context, Request
from portable.events import current_context
from portable.http.pieces import BrokenStreamError, Pieces
from portable.invoke import make_function, run_shared
from portable.testing import TestClient

START = {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]}
END = {"type": "http.response.body"}


def mount(application: Any, **options: Any) -> App:
    app = App("asgi")
    app.mount("/in", application, kind="asgi", **options)
    return app


def test_the_scope(serve: Any) -> None:
    seen: list[dict[str, Any]] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope)
        await send(START)
        await send(END)

    request = Request(
        "PUT",
        "",
        raw_path="/in/a%2Fb/%C3%A9",
        root_path="/prod",
        query=[("a", "1 2")],
        headers=[("X-One", "1"), ("x-one", "2"), ("cookie", "a=b"), ("transfer-encoding", "chunked")],
        body=b"12345",
        client="192.0.2.7",
        scheme="https",
        host="shop.test:8443",
    )
    request.raw_query = "a=1+2&&b"
    serve(mount(application, lifespan=False))(request)
    (scope,) = seen
    assert scope.pop("asgi") == {"version": "3.0", "spec_version": "2.4"}
    assert scope.pop("portable.request") is request
    assert scope == {
        "type": "http",
        "http_version": "1.1",
        "method": "PUT",
        "scheme": "https",
        "path": "/prod/in/a/b/é",
        "raw_path": b"/prod/in/a%2Fb/%C3%A9",
        "query_string": b"a=1+2&&b",
        "root_path": "/prod/in",
        "headers": [
            (b"host", b"shop.test:8443"),
            (b"x-one", b"1"),
            (b"x-one", b"2"),
            (b"cookie", b"a=b"),
            (b"content-length", b"5"),
        ],
        "client": ("192.0.2.7", 0),
        "server": ("shop.test", 8443),
        "extensions": {},
    }


@pytest.mark.parametrize(
    ("host", "scheme", "headers", "server"),
    [
        ("shop.test", "https", {}, ("shop.test", 443)),
        ("shop.test", "http", {}, ("shop.test", 80)),
        ("shop.test", "https", {"x-forwarded-port": "8443"}, ("shop.test", 8443)),
        ("[::1]:81", "http", {}, ("::1", 81)),
        ("[::1]", "http", {}, ("::1", 80)),
        ("", "http", {}, ("localhost", 80)),
    ],
)
def test_the_server_is_what_the_caller_wrote(
    host: str, scheme: str, headers: dict[str, str], server: tuple[str, int]
) -> None:
    from portable.http.mounted import server_of

    assert server_of(Request("GET", "/", headers=headers, scheme=scheme, host=host)) == server


def test_a_body_comes_in_bounded_messages_and_the_disconnect_after_the_answer(serve: Any) -> None:
    sizes: list[int] = []
    after: list[str] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        more = True
        while more:
            message = await receive()
            sizes.append(len(message["body"]))
            more = message["more_body"]
        waiting = asyncio.ensure_future(receive())
        await asyncio.sleep(0)
        assert not waiting.done()
        await send(START)
        await send({"type": "http.response.body", "body": b"a", "more_body": True})
        await asyncio.sleep(0)
        assert not waiting.done()
        await send({"type": "http.response.body", "body": memoryview(b"b")})
        after.append((await waiting)["type"])
        after.append((await receive())["type"])

    ask = serve(mount(application, lifespan=False))
    assert ask(Request("POST", "/in", body=b"x" * (2 * 1024 * 1024 + 1))).body == b"ab"
    assert sizes == [1024 * 1024, 1024 * 1024, 1]
    assert after == ["http.disconnect", "http.disconnect"]
    sizes.clear()
    assert ask(Request("POST", "/in")).body == b"ab"
    assert sizes == [0]


async def nothing(scope: Any, receive: Any, send: Any) -> None: ...


async def half(scope: Any, receive: Any, send: Any) -> None:
    await send(START)


async def headless(scope: Any, receive: Any, send: Any) -> None:
    await send(END)


async def twice(scope: Any, receive: Any, send: Any) -> None:
    await send(START)
    await send(START)


async def unknown(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.trailers", "headers": []})


async def too_long(scope: Any, receive: Any, send: Any) -> None:
    await send({**START, "headers": [(b"Content-Length", b"3")]})
    await send({"type": "http.response.body", "body": b"1234"})


async def no_header(scope: Any, receive: Any, send: Any) -> None:
    await send({**START, "headers": [(b"x-name", "né".encode())]})
    await send(END)


@pytest.mark.parametrize(
    ("application", "said"),
    [
        (nothing, "returned without an answer"),
        (half, "returned within an answer"),
        (headless, "sent 'http.response.body' before its answer"),
        (twice, "sent 'http.response.start' in its answer"),
        (unknown, "sent 'http.response.trailers' before its answer"),
        (too_long, "sent 4 bytes under a content-length of 3"),
        (no_header, "header 'x-name'"),
    ],
)
def test_an_answer_that_is_none_is_a_500_that_says_why_in_the_log(
    application: Any, said: str, serve: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        assert serve(mount(application, lifespan=False))(Request("GET", "/in")).status == 500
    assert said in caplog.text


def test_what_fails_after_its_answer_is_logged_and_the_answer_given(
    serve: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async def application(scope: Any, receive: Any, send: Any) -> None:
        await send({**START, "headers": [(b"connection", b"close"), (b"transfer-encoding", b"chunked")]})
        await send({"type": "http.response.body", "body": b"good"})
        await send(END)

    with caplog.at_level(logging.ERROR):
        found = serve(mount(application, lifespan=False))(Request("GET", "/in"))
    assert (found.status, found.body, found.header_pairs()) == (200, b"good", [("content-type", BYTES)])
    assert "failed after its answer" in caplog.text
    assert "sent 'http.response.body' after its answer" in caplog.text


BYTES = "application/octet-stream"


def test_the_invocation_is_known_inside(serve: Any) -> None:
    seen: list[str] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        seen.append(Context.current().request_id)
        await send(START)
        await send(END)

    ask = serve(mount(application, lifespan=False))
    token = current_context.set(Context("http", "request-7"))
    try:
        ask(Request("GET", "/in"))
    finally:
        current_context.reset(token)
    assert seen == ["request-7"]


# --- lifespans


def lasting(log: list[Any]) -> Any:
    async def application(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            log.append((await receive())["type"])
            scope["state"]["pool"] = [asyncio.get_running_loop()]
            await send({"type": "lifespan.startup.complete"})
            log.append((await receive())["type"])
            await send({"type": "lifespan.shutdown.complete"})
            return
        assert scope["state"]["pool"] == [asyncio.get_running_loop()]
        scope["state"]["mine"] = scope["state"].get("mine", 0) + 1
        await send(START)
        await send({"type": "http.response.body", "body": b"%d" % scope["state"]["mine"]})

    return application


def test_a_lifespan_is_an_instances_and_each_request_has_a_copy_of_its_state() -> None:
    log: list[Any] = []
    application = lasting(log)
    app = mount(application)
    app.mount("/again", application)
    app.on_start(lambda: log.append("hook up"))
    app.on_stop(lambda: log.append("hook down"))
    for _ in range(2):
        with TestClient(app) as client:
            assert log == ["hook up", "lifespan.startup"]
            assert [client.get(path).text() for path in ("/in", "/in", "/again")] == ["1", "1", "1"]
        assert log == ["hook up", "lifespan.startup", "lifespan.shutdown", "hook down"]
        log.clear()


def test_an_application_without_a_lifespan_is_served_all_the_same() -> None:
    for application in (half, nothing):
        with TestClient(mount(application), raise_errors=False) as client:
            assert client.get("/in").status == 500
    log: list[Any] = []
    app = mount(lasting(log), lifespan=False)
    with TestClient(app, raise_errors=False) as client:
        assert client.get("/in").status == 500  # it misses its state
    assert log == []


def test_a_start_that_fails_fails_the_instance() -> None:
    async def says(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no database"})

    async def says_and_raises(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no database"})
        raise LookupError("the cause")

    async def raises(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        raise LookupError("no database")

    for application in (says, says_and_raises, raises):
        with pytest.raises(RuntimeError, match=r"test_asgi.py:\d+: the application failed to start: .*no database"):
            TestClient(mount(application)).__enter__()
    first: list[Any] = []
    app = App("second-fails")
    app.mount("/one", lasting(first))
    app.mount("/two", raises)
    with pytest.raises(RuntimeError, match="failed to start"):
        TestClient(app).__enter__()
    assert first == ["lifespan.startup", "lifespan.shutdown"]


def test_a_stop_that_fails_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def fails(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        raise LookupError("cannot close")

    async def says(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.failed", "message": "will not close"})

    for application in (fails, says):
        with caplog.at_level(logging.ERROR), TestClient(mount(application)):
            pass
    assert "cannot close" in caplog.text
    assert "will not close" in caplog.text


# --- streaming


def test_a_stream_is_handed_over_as_it_is_made() -> None:
    taken: list[str] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        await send(START)
        taken.append("start")
        try:
            for number in range(1000):
                await send({"type": "http.response.body", "body": b"%d" % number, "more_body": True})
                taken.append(str(number))
            await send(END)
        except (OSError, asyncio.CancelledError):
            taken.append("gone")
            raise

    with TestClient(mount(application, stream=True, lifespan=False)) as client:
        assert client.get("/in", chunks=3).text() == "012"
        assert taken[-1] == "gone"
        assert len(taken) < 8  # no further than asked, and one ahead
        assert client.get("/in").text() == "".join(map(str, range(1000)))
        assert client.head("/in").body == b""


def test_a_stream_that_breaks_off_is_seen_to() -> None:
    async def fails(scope: Any, receive: Any, send: Any) -> None:
        await send(START)
        await send({"type": "http.response.body", "body": b"begun", "more_body": True})
        raise LookupError("midway")

    async def stops(scope: Any, receive: Any, send: Any) -> None:
        await send(START)
        await send({"type": "http.response.body", "body": b"begun", "more_body": True})

    for application, said in ((fails, "midway"), (stops, "returned within an answer")):
        client = TestClient(mount(application, stream=True, lifespan=False), raise_errors=False)
        with client, pytest.raises(ConnectionError, match=said):
            client.get("/in")


def test_a_stream_without_a_head_is_a_500() -> None:
    with TestClient(mount(nothing, stream=True, lifespan=False), raise_errors=False) as client:
        assert client.get("/in").status == 500


def test_an_instance_stops_what_it_started(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from portable.instance import Instance
    from portable.invoke import run

    (tmp_path / "app_of_an_instance.py").write_text(
        "from portable import App\n"
        "app = App('lived')\n"
        "log = []\n"
        "async def asgi(scope, receive, send):\n"
        "    for kind in ('startup', 'shutdown'):\n"
        "        log.append((await receive())['type'])\n"
        "        await send({'type': f'lifespan.{kind}.complete'})\n"
        "app.mount('/in', asgi)\n"
        "app.on_stop(lambda: log.append('hook'))\n"
        "app.function('other')(lambda payload: payload)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    instance = Instance("app_of_an_instance:app", "http")
    import app_of_an_instance as module

    other = Instance("app_of_an_instance:app", "other")
    other.start(run)
    assert module.log == []  # another function of the app starts nothing that it does not hold
    for _ in range(2):
        instance.start(run)
        instance.start(run)
        assert module.log == ["lifespan.startup"]
        instance.app.life.stop(run)
        assert module.log == ["lifespan.startup", "lifespan.shutdown", "hook"]
        module.log.clear()


def test_requests_at_once_share_no_data() -> None:
    from concurrent.futures import ThreadPoolExecutor

    async def application(scope: Any, receive: Any, send: Any) -> None:
        body = b""
        while True:
            message = await receive()
            body += message["body"]
            await asyncio.sleep(0)
            if not message["more_body"]:
                break
        await send({**START, "headers": [(b"x-query", scope["query_string"])]})
        for letter in body:
            await asyncio.sleep(0)
            await send({"type": "http.response.body", "body": bytes([letter]), "more_body": True})
        await send(END)

    app = mount(application, lifespan=False)
    call = make_function(app.functions()["http"], app)

    def ask(number: int) -> tuple[Any, str]:
        request = Request("POST", "/in", query={"n": str(number)}, body=b"%d" % number * 20)
        response = run_shared(call(request))
        return response.body, response.headers["x-query"]

    with ThreadPoolExecutor(16) as pool:
        for number, found in enumerate(pool.map(ask, range(200))):
            assert found == (b"%d" % number * 20, f"n={number}")


MESSAGES: dict[str, Any] = {
    "start": START,
    "more": {"type": "http.response.body", "body": b"x", "more_body": True},
    "end": END,
    "odd": {"type": "websocket.accept"},
}


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sent=st.lists(st.sampled_from(sorted(MESSAGES)), max_size=6), stream=st.booleans())
def test_whatever_is_sent_the_answer_is_whole_or_a_failure(sent: list[str], stream: bool) -> None:
    async def application(scope: Any, receive: Any, send: Any) -> None:
        for name in sent:
            await send(MESSAGES[name])

    def expected() -> tuple[int, bytes] | None:
        """The answer that the messages before the first wrong one make, if that is all of one."""
        if sent[:1] != ["start"]:
            return None
        body = b""
        for name in sent[1:]:
            if name == "end":
                return 200, body
            if name != "more":
                return None
            body += b"x"
        return None

    app = mount(application, lifespan=False, stream=stream)
    call = make_function(app.functions()["http"], app)
    wanted = expected()
    with caught_logs():
        found = run_shared(call(Request("GET", "/in")))
        body = found.body or b""
        if found.streamed:
            try:
                body = b"".join(Pieces(found, run_shared))
            except BrokenStreamError:  # begun, and no good end
                assert wanted is None
                assert sent[0] == "start"
                return
    if wanted is None:
        assert found.status == 500
    else:
        assert (found.status, body) == wanted


@contextlib.contextmanager
def caught_logs() -> Iterator[None]:
    logger = logging.getLogger("portable")
    before, logger.propagate = logger.propagate, False
    yield
    logger.propagate = before


def test_headers_that_a_cloud_read_as_utf_8_are_sent_as_that() -> None:
    from portable.http.asgi import make_scope

    for value, sent in (("é", "é".encode("latin-1")), ("€", "€".encode())):
        scope = make_scope(Request("GET", "/", headers=[("x-name", value)], host="h"), "", None)
        assert scope["headers"] == [(b"host", b"h"), (b"x-name", sent)]
