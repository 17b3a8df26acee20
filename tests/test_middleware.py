"""What an app puts around its handlers: order, sync and async, before and after, events; answers to what is raised."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from portable import App, BlobEvent, ConfigError, HTTPError, Message, Request, Response, Tick
from portable.invoke import make_function, run, run_shared
from portable.testing import TestClient

KINDS = ("sync", "async")
Next = Callable[[Any], Any]


def shop(kind: str) -> App:
    app = App("shop")
    if kind == "sync":

        @app.get("/")
        def home() -> str:
            return "home"

        @app.get("/fails")
        def fails() -> None:
            raise LookupError("inside")

    else:

        @app.get("/")
        async def ahome() -> str:
            await asyncio.sleep(0)
            return "home"

        @app.get("/fails")
        async def afails() -> None:
            await asyncio.sleep(0)
            raise LookupError("inside")

    return app


def around(kind: str, name: str, log: list[str]) -> Any:
    """A middleware of a kind, which notes when it is entered and left."""

    def sync(request: Request, call_next: Next) -> Response:
        log.append(f"{name} in")
        response = call_next(request)
        log.append(f"{name} out")
        response.headers.add("x-around", name)
        return response

    async def awaited(request: Request, call_next: Next) -> Response:
        log.append(f"{name} in")
        response = await call_next(request)
        log.append(f"{name} out")
        response.headers.add("x-around", name)
        return response

    class Looks:
        def before(self, request: Request) -> None:
            log.append(f"{name} in")

        def after(self, request: Request, response: Response) -> Response:
            log.append(f"{name} out")
            response.headers.add("x-around", name)
            return response

    return {"sync": sync, "async": awaited, "looks": Looks()}[kind]


@pytest.mark.parametrize("handler", KINDS)
@pytest.mark.parametrize("inner", [*KINDS, "looks"])
@pytest.mark.parametrize("outer", [*KINDS, "looks"])
def test_the_first_is_outermost(outer: str, inner: str, handler: str) -> None:
    app = shop(handler)
    log: list[str] = []
    app.middleware(around(outer, "outer", log))
    app.middleware(around(inner, "inner", log))
    with TestClient(app) as client:
        answer = client.get("/")
        assert (answer.text(), answer.headers.get_all("x-around")) == ("home", ["inner", "outer"])
        assert log == ["outer in", "inner in", "inner out", "outer out"]
        log.clear()
        assert client.get("/nowhere").status == 404
        assert log == ["outer in", "inner in", "inner out", "outer out"]


@pytest.mark.parametrize("middle", [*KINDS, "looks"])
@pytest.mark.parametrize("runner", [run, run_shared])
def test_outside_of_any_loop_an_entrys_own_way_is_used(runner: Any, middle: str) -> None:
    """As an adapter's entry calls it: a Response, or a coroutine that the entry runs."""
    from portable.invoke import loops

    app = shop("async")
    log: list[str] = []
    app.middleware(around(middle, "one", log))
    function = make_function(app.functions()["http"], app)
    before = loops._run
    loops.prefer(runner)
    try:
        found = function(Request("GET", "/"))
        response = found if isinstance(found, Response) else runner(found)
    finally:
        loops.prefer(before)
    assert (response.body, log) == ("home", ["one in", "one out"])


@pytest.mark.parametrize("kind", KINDS)
def test_a_middleware_may_answer_itself(kind: str) -> None:
    app = shop("sync")

    def closed(request: Request, call_next: Next) -> Response:
        return Response({"closed": True}, 503) if request.path == "/" else call_next(request)

    async def aclosed(request: Request, call_next: Next) -> Response:
        return Response({"closed": True}, 503) if request.path == "/" else await call_next(request)

    app.middleware(closed if kind == "sync" else aclosed)
    with TestClient(app) as client:
        answer = client.get("/")
        assert (answer.status, answer.json()) == (503, {"closed": True})
        assert answer.headers["content-type"] == "application/json"
        assert client.get("/else").status == 404
        head = client.head("/")
        assert (head.body, head.headers["content-length"]) == (b"", "15")


def test_before_may_answer_and_nothing_inside_runs() -> None:
    app = shop("sync")
    log: list[str] = []

    class Closed:
        def before(self, request: Request) -> Response | None:
            if request.query.get("key") is None:
                raise HTTPError(401, "Whose key?")
            return Response("early") if request.query["key"] == "early" else None

    app.middleware(Closed())
    app.middleware(around("looks", "inner", log))
    with TestClient(app) as client:
        assert client.get("/").status == 401
        assert client.get("/?key=early").text() == "early"
        assert log == []
        assert client.get("/?key=x").text() == "home"


@pytest.mark.parametrize("kind", [*KINDS, "before", "after"])
@pytest.mark.parametrize("handler", KINDS)
def test_a_middlewares_mistake_is_a_500(kind: str, handler: str) -> None:
    app = shop(handler)

    def sync(request: Request, call_next: Next) -> Response:
        call_next(request)
        raise RuntimeError("mistake")

    async def awaited(request: Request, call_next: Next) -> Response:
        await call_next(request)
        raise RuntimeError("mistake")

    class Before:
        def before(self, request: Request) -> None:
            raise RuntimeError("mistake")

    class After:
        def after(self, request: Request, response: Response) -> Response:
            raise RuntimeError("mistake")

    app.middleware({"sync": sync, "async": awaited, "before": Before(), "after": After()}[kind])
    with TestClient(app, raise_errors=False) as client:
        answer = client.get("/")
        assert (answer.status, "mistake" in answer.text()) == (500, False)
        assert answer.headers["content-type"] == "application/problem+json"


def test_what_is_no_response_is_a_500_that_says_so(caplog: pytest.LogCaptureFixture) -> None:
    app = shop("sync")

    @app.middleware
    def forgets(request: Request, call_next: Next) -> Any:
        call_next(request)

    with TestClient(app, raise_errors=False) as client:
        assert client.get("/").status == 500
    assert "a middleware gave NoneType, which is no Response; return call_next(request)" in caplog.text


def test_a_header_a_middleware_sets_is_checked_like_a_handlers() -> None:
    app = shop("sync")

    @app.middleware
    def splits(request: Request, call_next: Next) -> Response:
        response = call_next(request)
        response.headers["x-split"] = "a\r\nset-cookie: b"
        return response

    with TestClient(app, raise_errors=False) as client:
        answer = client.get("/")
        assert (answer.status, "set-cookie" in answer.headers) == (500, False)


def test_the_shared_loop_is_never_blocked_by_what_is_sync() -> None:
    app = App("shop")
    threads: dict[str, str] = {}

    @app.get("/")
    def home() -> str:
        threads["handler"] = threading.current_thread().name
        return "home"

    @app.middleware
    async def outer(request: Request, call_next: Next) -> Response:
        threads["outer"] = threading.current_thread().name
        return await call_next(request)

    @app.middleware
    def inner(request: Request, call_next: Next) -> Response:
        threads["inner"] = threading.current_thread().name
        return call_next(request)

    with TestClient(app) as client:
        assert client.get("/").text() == "home"
    assert threads["outer"] == "portable-loop"
    assert threads["inner"] != "portable-loop"
    assert threads["handler"] != "portable-loop"


# --- exception handlers


class OutOfStock(Exception):
    pass


class Gone(OutOfStock):
    pass


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("handler", KINDS)
def test_the_nearest_class_answers(kind: str, handler: str) -> None:
    app = App("shop")
    if handler == "sync":

        @app.get("/{what}")
        def fails(what: str) -> None:
            raise {"stock": OutOfStock, "gone": Gone, "value": ValueError}[what]("x")

    else:

        @app.get("/{what}")
        async def afails(what: str) -> None:
            await asyncio.sleep(0)
            raise {"stock": OutOfStock, "gone": Gone, "value": ValueError}[what]("x")

    if kind == "sync":

        @app.exception_handler(OutOfStock)
        def sold_out(request: Request, error: OutOfStock) -> Response:
            return Response({"sold out": request.path, "error": str(error)}, 409)

    else:

        @app.exception_handler(OutOfStock)
        async def asold_out(request: Request, error: OutOfStock) -> Response:
            await asyncio.sleep(0)
            return Response({"sold out": request.path, "error": str(error)}, 409)

    with TestClient(app, raise_errors=False) as client:
        for what in ("stock", "gone"):
            answer = client.get(f"/{what}")
            assert (answer.status, answer.json()) == (409, {"sold out": f"/{what}", "error": "x"})
        assert client.get("/value").status == 500
        assert client.head("/gone").body == b""


def test_http_errors_go_through_it_too() -> None:
    app = shop("sync")

    @app.exception_handler(HTTPError)
    def plain(request: Request, error: HTTPError) -> str:
        return f"{error.status} {request.path}"

    with TestClient(app) as client:
        missing = client.get("/nowhere")
        assert (missing.status, missing.text()) == (404, "404 /nowhere")
        assert client.post("/").status == 405
        assert client.options("/").status == 204


def test_a_handlers_own_mistake_is_a_500(caplog: pytest.LogCaptureFixture) -> None:
    app = shop("sync")

    @app.exception_handler(LookupError)
    def worse(request: Request, error: LookupError) -> Response:
        raise RuntimeError("worse")

    with TestClient(app, raise_errors=False) as client:
        assert client.get("/fails").status == 500
    assert "worse" in caplog.text


def test_what_a_middleware_raises_is_answered_too() -> None:
    app = shop("sync")

    @app.middleware
    def guard(request: Request, call_next: Next) -> Response:
        raise OutOfStock

    @app.exception_handler(OutOfStock)
    def sold_out(request: Request, error: OutOfStock) -> Response:
        return Response("sold out", 409)

    with TestClient(app) as client:
        assert client.get("/").status == 409


# --- events


def event_middleware(kind: str, log: list[str]) -> Any:
    def sync(event: Any, call_next: Next) -> Any:
        log.append("in Message" if isinstance(event, Message) else "in Tick")
        try:
            return call_next(event)
        finally:
            log.append("out")

    async def awaited(event: Any, call_next: Next) -> Any:
        log.append("in Message" if isinstance(event, Message) else "in Tick")
        try:
            return await call_next(event)
        finally:
            log.append("out")

    return sync if kind == "sync" else awaited


def add_handlers(app: App, kind: str, orders: Any, log: list[str]) -> None:
    def take(message: Message[str]) -> None:
        log.append(message.body)
        if message.body == "bad" and message.attempt == 1:
            raise KeyError("bad")

    if kind == "sync":

        @app.on_message(orders)
        def pack(message: Message[str]) -> None:
            take(message)

        @app.on_schedule(cron="0 8 * * *")
        def report(tick: Tick) -> None:
            log.append("tick")

    else:

        @app.on_message(orders)
        async def apack(message: Message[str]) -> None:
            await asyncio.sleep(0)
            take(message)

        @app.on_schedule(cron="0 8 * * *", function="report")
        async def areport(tick: Tick) -> None:
            await asyncio.sleep(0)
            log.append("tick")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("handler", KINDS)
def test_around_events_of_a_kind(kind: str, handler: str) -> None:
    app = App("shop")
    middleware_orders = app.queue("middleware-orders", str)
    middleware_photos = app.bucket("middleware-photos")
    log: list[str] = []
    app.middleware(events=("message", "schedule"))(event_middleware(kind, log))
    add_handlers(app, handler, middleware_orders, log)

    @app.on_blob(middleware_photos)
    def shrink(event: BlobEvent) -> None:
        log.append(event.key)

    with TestClient(app) as client:
        client.send(middleware_orders, "bad")
        client.settle()
        assert log == ["in Message", "bad", "out"] * 2
        log.clear()
        client.tick("report")
        assert log == ["in Tick", "tick", "out"]
        log.clear()
        middleware_photos.write("a.png", b"")
        client.settle()
        assert log == ["a.png"]


def test_a_batch_is_one_event() -> None:
    app = App("shop")
    middleware_lots = app.queue("middleware-lots", str)
    sizes: list[int] = []

    @app.middleware(events="all")
    def count(event: Any, call_next: Next) -> Any:
        sizes.append(len(event))
        return call_next(event)

    @app.on_message(middleware_lots)
    def pack(messages: list[Message[str]]) -> None:
        messages[0].fail()

    batch: list[Message[Any]] = [Message(str(number), f'"{number}"') for number in range(3)]
    function = make_function(app.functions()["pack"], app)
    outcomes = function(batch)
    assert (sizes, [outcome is None for outcome in outcomes]) == ([3], [False, True, True])


def test_what_is_no_middleware_is_refused() -> None:
    app = App("shop")
    with pytest.raises(ConfigError, match="there are no events of kind 'http'; there are message, "):
        app.middleware(events=("http",))  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="middleware is a function, or an object with before or after, got 3"):
        app.middleware(3)
    with pytest.raises(ConfigError, match=r"middleware is a function \(event, call_next\), got"):
        app.middleware(events="all")(around("looks", "x", []))
    with pytest.raises(ConfigError, match="takes a class of exceptions"):
        app.exception_handler(3)  # type: ignore[type-var]
    app.exception_handler(OutOfStock)(lambda request, error: None)
    with pytest.raises(ConfigError, match="OutOfStock has an exception handler"):
        app.exception_handler(OutOfStock)(lambda request, error: None)
