"""What handlers depend on: called in order, once an invocation, closed when the answer is made; replaced in tests."""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from typing import Annotated, Any

import msgspec
import pytest

from portable import (
    App,
    ConfigError,
    Context,
    Depends,
    Header,
    HTTPError,
    Message,
    Request,
    Response,
    Router,
    Tick,
)
from portable.http.parameters import describe, flatten
from portable.testing import TestClient


class Page(msgspec.Struct):
    limit: int
    after: str


def page(limit: int = 10, after: str = "") -> Page:
    return Page(limit, after)


def test_a_dependencys_parameters_are_bound_like_a_handlers() -> None:
    app = App("shop")

    @app.get("/{shop}/items")
    def items(shop: str, window: Annotated[Page, Depends(page)]) -> Any:
        return {"shop": shop, "limit": window.limit, "after": window.after}

    with TestClient(app) as client:
        assert client.get("/a/items?limit=3&after=x").json() == {"shop": "a", "limit": 3, "after": "x"}
        assert client.get("/a/items").json()["limit"] == 10
        refused = client.get("/a/items?limit=many")
        assert refused.status == 400
        assert refused.json()["errors"][0]["name"] == "limit"


def test_every_misfit_of_the_tree_is_named() -> None:
    app = App("shop")

    @app.get("/items")
    def items(size: int, window: Annotated[Page, Depends(page)]) -> None: ...

    with TestClient(app) as client:
        names = [error["name"] for error in client.get("/items?limit=many&size=big").json()["errors"]]
    assert sorted(names) == ["limit", "size"]


def test_once_an_invocation_however_many_ask() -> None:
    app = App("shop")
    calls: list[str] = []

    def session() -> str:
        calls.append("session")
        return "s"

    def user(session: Annotated[str, Depends(session)]) -> str:
        calls.append("user")
        return f"user of {session}"

    @app.get("/", dependencies=[Depends(user)])
    def home(user: Annotated[str, Depends(user)], session: Annotated[str, Depends(session)]) -> str:
        return f"{user} {session}"

    with TestClient(app) as client:
        assert client.get("/").text() == "user of s s"
        assert calls == ["session", "user"]
        client.get("/")
        assert calls == ["session", "user"] * 2


def test_routers_dependencies_come_first_and_from_the_outside_in() -> None:
    order: list[str] = []

    def note(name: str) -> Depends:
        def call() -> None:
            order.append(name)

        return Depends(call)

    inner = Router("/inner", dependencies=[note("inner")])
    outer = Router("/outer", dependencies=[note("outer")])

    @inner.get("/x", dependencies=[note("route")])
    def x(own: Annotated[None, note("own")]) -> str:
        return "x"

    @outer.get("/y")
    def y() -> str:
        return "y"

    outer.include(inner)
    app = App("shop", dependencies=[note("app")])
    app.include(outer)
    with TestClient(app) as client:
        assert client.get("/outer/inner/x").text() == "x"
        assert order == ["app", "outer", "inner", "route", "own"]
        order.clear()
        assert client.get("/outer/y").status == 200
        assert order == ["app", "outer"]


def test_what_refuses_a_request_comes_before_what_misfits_behind_it() -> None:
    app = App("shop")

    def login(authorization: Annotated[str | None, Header()] = None) -> None:
        if authorization is None:
            raise HTTPError(401, "Log in")

    @app.post("/items", dependencies=[Depends(login)])
    def create(body: Page) -> None: ...

    with TestClient(app) as client:
        assert client.post("/items", body=b"no json").status == 401
        assert client.post("/items", body=b"no json", headers={"authorization": "x"}).status == 400


KINDS = ("sync", "async")


def resource(kind: str, log: list[str]) -> Callable[..., Any]:
    def sync() -> Iterator[str]:
        log.append("open")
        try:
            yield "value"
        except KeyError:
            log.append("failed")
            raise
        finally:
            log.append("close")

    async def awaited() -> AsyncIterator[str]:
        log.append("open")
        await asyncio.sleep(0)
        try:
            yield "value"
        except KeyError:
            log.append("failed")
            raise
        finally:
            await asyncio.sleep(0)
            log.append("close")

    return sync if kind == "sync" else awaited


@pytest.mark.parametrize("handler_kind", KINDS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_generator_goes_on_when_the_answer_is_made(kind: str, handler_kind: str) -> None:
    app = App("shop")
    log: list[str] = []

    class Late(msgspec.Struct):
        value: str

    opened = resource(kind, log)
    if handler_kind == "sync":

        @app.get("/")
        def home(value: Annotated[str, Depends(opened)]) -> Late:
            log.append("handler")
            return Late(value)

        @app.get("/fails")
        def fails(value: Annotated[str, Depends(opened)]) -> None:
            raise KeyError(value)

    else:

        @app.get("/")
        async def ahome(value: Annotated[str, Depends(opened)]) -> Late:
            log.append("handler")
            await asyncio.sleep(0)
            return Late(value)

        @app.get("/fails")
        async def afails(value: Annotated[str, Depends(opened)]) -> None:
            await asyncio.sleep(0)
            raise KeyError(value)

    with TestClient(app, raise_errors=False) as client:
        assert client.get("/").json() == {"value": "value"}
        assert log == ["open", "handler", "close"]
        log.clear()
        assert client.get("/fails").status == 500
        assert log == ["open", "failed", "close"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_commit_that_fails_fails_the_answer(kind: str) -> None:
    app = App("shop")

    def sync() -> Iterator[None]:
        yield
        raise HTTPError(409, "Somebody else was first")

    async def awaited() -> AsyncIterator[None]:
        yield
        raise HTTPError(409, "Somebody else was first")

    @app.post("/", dependencies=[Depends(sync if kind == "sync" else awaited)])
    def create() -> str:
        return "created"

    with TestClient(app) as client:
        assert client.post("/").status == 409


@pytest.mark.parametrize("kind", KINDS)
def test_a_dependency_hides_no_failure(kind: str) -> None:
    app = App("shop")

    def sync() -> Iterator[None]:
        with contextlib.suppress(ValueError):
            yield

    async def awaited() -> AsyncIterator[None]:
        with contextlib.suppress(ValueError):
            yield

    @app.get("/", dependencies=[Depends(sync if kind == "sync" else awaited)])
    def home() -> str:
        raise ValueError("lost?")

    with TestClient(app) as client, pytest.raises(ValueError, match="lost"):
        client.get("/")


def test_closed_in_the_reverse_order_and_each_of_them() -> None:
    app = App("shop")
    log: list[str] = []

    def first() -> Iterator[int]:
        yield 1
        log.append("first")

    async def second(one: Annotated[int, Depends(first)]) -> AsyncIterator[int]:
        yield one + 1
        log.append("second")
        raise RuntimeError("in the clean-up")

    @app.get("/")
    def home(two: Annotated[int, Depends(second)]) -> int:
        return two

    def third() -> Iterator[int]:
        try:
            yield 3
        finally:
            log.append("third")

    @app.get("/more")
    def more(two: Annotated[int, Depends(second)], three: Annotated[int, Depends(third)]) -> int:
        return two + three

    with TestClient(app, raise_errors=False) as client:
        assert client.get("/").status == 500
        assert log == ["second"]  # first was thrown the error at its yield
        log.clear()
        assert client.get("/more").status == 500
        assert log == ["third", "second"]


def test_a_generator_yields_once() -> None:
    app = App("shop")

    def none() -> Iterator[int]:
        return
        yield

    def twice() -> Iterator[int]:
        yield 1
        yield 2

    @app.get("/none", dependencies=[Depends(none)])
    def a() -> None: ...

    @app.get("/twice", dependencies=[Depends(twice)])
    def b() -> None: ...

    with TestClient(app) as client:
        with pytest.raises(RuntimeError, match="dependency none ended without a yield"):
            client.get("/none")
        with pytest.raises(RuntimeError, match="dependency twice yields twice"):
            client.get("/twice")


def test_a_sync_handler_of_an_async_dependency_leaves_the_shared_loop() -> None:
    app = App("shop")

    async def session() -> str:
        await asyncio.sleep(0)
        return threading.current_thread().name

    @app.get("/")
    def home(session: Annotated[str, Depends(session)], context: Context) -> Any:
        return [session, threading.current_thread().name, context.function]

    with TestClient(app) as client:
        loop, handler, function = client.get("/").json()
    assert loop == "portable-loop"
    assert handler != loop
    assert function == "http"


def test_once_an_instance() -> None:
    app = App("shop")
    log: list[str] = []

    def settings() -> Iterator[dict[str, int]]:
        log.append("open")
        yield {"n": 1}
        log.append("close")

    async def client_of(settings: Annotated[dict[str, int], Depends(settings, scope="instance")]) -> AsyncIterator[str]:
        log.append("connect")
        yield f"client {settings['n']}"
        log.append("disconnect")

    @app.get("/")
    async def home(found: Annotated[str, Depends(client_of, scope="instance")]) -> str:
        return found

    for _ in range(2):
        with TestClient(app) as client:
            assert [client.get("/").text() for _ in range(3)] == ["client 1"] * 3
            assert log == ["open", "connect"]
        assert log == ["open", "connect", "disconnect", "close"]
        log.clear()


def test_made_once_by_many_threads() -> None:
    app = App("shop")
    made: list[int] = []

    def slow() -> int:
        made.append(1)
        threading.Event().wait(0.05)
        return len(made)

    async def slow_too() -> int:
        made.append(1)
        await asyncio.sleep(0.05)
        return len(made)

    @app.get("/sync")
    def a(found: Annotated[int, Depends(slow, scope="instance")]) -> int:
        return found

    @app.get("/async")
    async def b(found: Annotated[int, Depends(slow_too, scope="instance")]) -> int:
        return found

    for path in ("/sync", "/async"):
        with TestClient(app) as client:
            made.clear()
            found: list[int] = []
            ask = partial(ask_and_note, client, path, found)
            threads = [threading.Thread(target=ask) for _ in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert found == [1] * 8


def ask_and_note(client: TestClient, path: str, found: list[int]) -> None:
    found.append(client.get(path).json())


def test_what_is_made_once_takes_nothing_of_a_request() -> None:
    app = App("shop")

    def wrong(tenant: str) -> str:
        return tenant

    @app.get("/")
    def home(found: Annotated[str, Depends(wrong, scope="instance")]) -> str:
        return found

    with pytest.raises(ConfigError, match="wrong is made once an instance, so 'tenant' cannot come from a request"):
        describe(app.collect()[0])  # type: ignore[arg-type]


def test_a_dependency_of_itself_is_refused() -> None:
    app = App("shop")

    def one(two: Any) -> None: ...

    def two(one: Annotated[None, Depends(one)]) -> None: ...

    one.__annotations__["two"] = Annotated[None, Depends(two)]

    @app.get("/")
    def home(one: Annotated[None, Depends(one)]) -> None: ...

    with pytest.raises(ConfigError, match="dependency one depends on itself"):
        describe(app.collect()[0])  # type: ignore[arg-type]


def test_objects_and_classes_serve_too() -> None:
    app = App("shop")

    class Limit:
        def __init__(self, most: int) -> None:
            self.most = most

        def __call__(self, limit: int = 100) -> int:
            return min(limit, self.most)

    class Filter:
        def __init__(self, color: str = "red") -> None:
            self.color = color

    @app.get("/")
    def home(limit: Annotated[int, Depends(Limit(20))], chosen: Annotated[Filter, Depends(Filter)]) -> Any:
        return [limit, chosen.color]

    with TestClient(app) as client:
        assert client.get("/?limit=50&color=blue").json() == [20, "blue"]
        assert client.get("/").json() == [20, "red"]


def test_described_with_its_own_parameters() -> None:
    app = App("shop")

    def user(token: Annotated[str, Header()], page: Annotated[Page, Depends(page)]) -> None: ...

    @app.get("/{shop}")
    def home(shop: str, user: Annotated[None, Depends(user)]) -> None: ...

    found = [(one.place, one.name) for one in flatten(describe(app.collect()[0]))]  # type: ignore[arg-type]
    assert found == [
        ("path", "shop"),
        ("depends", "user"),
        ("header", "token"),
        ("depends", "page"),
        ("query", "limit"),
        ("query", "after"),
    ]


async def _other_async() -> str:
    await asyncio.sleep(0)
    return "other"


def _other_generator() -> Iterator[str]:
    yield "other"


@pytest.mark.parametrize("other", [lambda: "other", _other_async, _other_generator])
def test_replaced_in_a_test(other: Callable[..., Any]) -> None:
    app = App("shop")

    def real(authorization: Annotated[str, Header()]) -> str:
        return authorization

    @app.get("/")
    def home(user: Annotated[str, Depends(real)]) -> str:
        return user

    @app.on_schedule(cron="0 8 * * *")
    def report(tick: Tick, user: Annotated[str, Depends(_other_generator)]) -> None:
        ticks.append(user)

    ticks: list[str] = []
    with TestClient(app, overrides={real: other}) as client:
        assert client.get("/").text() == "other"
    with TestClient(app) as client:
        assert client.get("/").status == 400
        assert client.get("/", headers={"authorization": "me"}).text() == "me"
    with TestClient(app, overrides={_other_generator: lambda: "replaced"}) as client:
        client.tick(report)
    assert ticks == ["replaced"]
    with pytest.raises(ConfigError, match="what replaces dependency"):
        TestClient(app, overrides={real: "me"})


@pytest.mark.parametrize("kind", KINDS)
def test_event_handlers_depend_too(kind: str) -> None:
    app = App("shop")
    log: list[str] = []
    dependency_orders = app.queue("dependency-orders", str)

    def sender(message: Message[str], context: Context) -> str:
        return f"{message.body} in {context.function}"

    opened = resource(kind, log)

    @app.on_message(dependency_orders)
    def pack(
        message: Message[str], value: Annotated[str, Depends(opened)], sender: Annotated[str, Depends(sender)]
    ) -> None:
        log.append(f"{value}: {sender}")
        if message.body == "bad" and message.attempt == 1:
            raise KeyError("bad")

    @app.function()
    async def recount(payload: int, value: Annotated[str, Depends(opened)]) -> str:
        return f"{payload} {value}"

    @app.on_schedule(cron="0 8 * * *")
    def report(value: Annotated[str, Depends(opened)]) -> None:
        log.append(value)

    with TestClient(app) as client:
        client.send(dependency_orders, "good")
        client.settle()
        assert log == ["open", "value: good in pack", "close"]
        log.clear()
        client.send(dependency_orders, "bad")
        client.settle()
        assert log == [*["open", "value: bad in pack", "failed", "close"], *["open", "value: bad in pack", "close"]]
        log.clear()
        assert client.call(recount, 3) == "3 value"
        assert log == ["open", "close"]
        log.clear()
        client.tick(report)
        assert log == ["open", "value", "close"]


def test_an_event_has_no_query() -> None:
    app = App("shop")

    @app.on_schedule(cron="0 8 * * *")
    def report(tick: Tick, page: Annotated[Page, Depends(page_of)]) -> None: ...

    with pytest.raises(ConfigError, match="dependency page_of of an event handler takes the event, a Context"):
        TestClient(app)


def page_of(limit: int) -> Page:
    return Page(limit, "")


def test_what_is_no_dependency_is_refused() -> None:
    with pytest.raises(ConfigError, match="Depends takes a callable, got 3"):
        Depends(3)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="scope is 'request' or 'instance'"):
        Depends(page, scope="app")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"dependencies are Depends\(…\)"):
        Router(dependencies=[page])  # type: ignore[list-item]
    app = App("shop")

    @app.get("/")
    def home(page: Page = Depends(page)) -> None: ...  # type: ignore[assignment]  # noqa: B008 - refused below

    with pytest.raises(ConfigError, match=r"write page: Annotated\[…, Depends\(\)\]"):
        describe(app.collect()[0])  # type: ignore[arg-type]


def test_a_dependency_may_take_the_request_and_answer_with_any_response() -> None:
    app = App("shop")

    def address(request: Request) -> str:
        return request.path

    @app.get("/where")
    def where(found: Annotated[str, Depends(address)]) -> Response:
        return Response(found, 203, {"x-found": found})

    with TestClient(app) as client:
        answer = client.get("/where")
        assert (answer.status, answer.headers["x-found"]) == (203, "/where")
        assert client.head("/where").body == b""
