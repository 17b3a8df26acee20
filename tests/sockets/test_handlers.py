"""Websocket handlers in this process: what they get, what they answer, and what becomes of groups."""

import asyncio
from datetime import timedelta
from typing import Annotated

import pytest

from portable import App, ConfigError, Context, Depends, HTTPError, NotFoundError, Router, SocketEvent, Sockets
from portable.manifest import describe_app
from portable.resources import sockets as module
from portable.testing import SocketClosedError, SocketRefusedError, TestClient


def make_app(**options):
    app = App("talk")
    rooms = app.sockets("rooms", **options)
    seen = []

    @app.websocket("/chat", sockets=rooms)
    def chat(event: SocketEvent) -> None:
        seen.append(event)
        if event.kind == "connect":
            rooms.join(event.connection, event.query.get("room", "lobby"))
        elif event.kind == "message":
            rooms.broadcast("lobby", event.body, besides=event.connection)

    return app, rooms, seen


def test_a_message_is_broadcast_to_the_others():
    app, rooms, seen = make_app()
    with TestClient(app) as client, client.websocket("/chat") as one, client.websocket("/chat") as other:
        assert sorted(rooms.members("lobby")) == sorted([one.connection, other.connection])
        one.send("hello")
        assert other.receive() == "hello"
        assert one.waiting() == 0
        one.close(1001, "bye")
        assert rooms.members("lobby") == [other.connection]
    assert [event.kind for event in seen] == ["connect", "connect", "message", "disconnect", "disconnect"]
    gone = seen[3]
    assert (gone.connection, gone.code, gone.reason, gone.path) == (one.connection, 1001, "bye", "/chat")


def test_what_is_known_at_connect_is_said_there_alone():
    app = App("facts")
    found = {}

    @app.websocket("/facts")
    def facts(event: SocketEvent, context: Context) -> None:
        assert context.function == "facts"
        if event.kind == "connect":
            found.update(
                query=event.query.get_all("a"),
                header=event.headers["X-Name"],
                cookie=event.cookies["who"],
                client=event.client,
                offered=event.subprotocols,
            )
            event.subprotocol = event.subprotocols[1]
        else:
            with pytest.raises(ConfigError, match=r"event\.query of a .* event: it is known when a client connects"):
                _ = event.query

    with (
        TestClient(app) as client,
        client.websocket(
            "/facts",
            query=[("a", "1"), ("a", "2")],
            headers={"x-name": "Ada"},
            cookies={"who": "ada"},
            subprotocols=["v1", "v2"],
        ) as session,
    ):
        assert session.subprotocol == "v2"
        session.send("x")
    assert found == {
        "query": ["1", "2"], "header": "Ada", "cookie": "ada", "client": "127.0.0.1", "offered": ["v1", "v2"],
    }  # fmt: skip


@pytest.mark.parametrize("wanted", ["error", "false", "bug", "value"])
def test_a_connect_event_is_refused(wanted):
    app = App("door")
    rooms = app.sockets("rooms")

    @app.websocket("/door", sockets=rooms)
    def door(event: SocketEvent):
        if event.kind == "connect":
            rooms.join(event.connection, "in")
            if wanted == "error":
                raise HTTPError(401, "Who are you?")
            if wanted == "bug":
                raise KeyError(wanted)
            return False if wanted == "false" else "yes"
        return None

    with TestClient(app, raise_errors=False) as client:
        with pytest.raises(SocketRefusedError) as caught:
            client.websocket("/door")
        assert rooms.members("in") == []  # it never was
    status = {"error": 401, "false": 403}.get(wanted, 500)
    assert caught.value.status == status
    if wanted == "error":
        assert caught.value.detail == "Who are you?"


def test_a_handler_that_fails_closes_nothing():
    app = App("echo")

    @app.websocket("/echo")
    async def echo(event: SocketEvent) -> None:
        if event.kind == "message":
            await event.asend(event.json())

    with TestClient(app, raise_errors=False) as client, client.websocket("/echo") as session:
        session.send("no JSON")
        session.send([1, "two"])
        assert session.receive_json() == [1, "two"]
    with (
        TestClient(app) as client,
        client.websocket("/echo") as session,
        pytest.raises(ValueError, match="Expecting value"),
    ):
        session.send("no JSON")


def test_a_handler_answers_with_send_and_not_with_a_value():
    app = App("values")

    @app.websocket("/values")
    def values(event: SocketEvent):
        return "pong" if event.kind == "message" else None

    with (
        TestClient(app) as client,
        client.websocket("/values") as session,
        pytest.raises(TypeError, match=r"event\.send"),
    ):
        session.send("ping")


def test_nothing_is_sent_to_a_connection_that_is_not_there_yet():
    app = App("early")
    rooms = app.sockets("rooms")
    errors = []

    @app.websocket("/early", sockets=rooms)
    def early(event: SocketEvent) -> None:
        if event.kind != "connect":
            return
        rooms.join(event.connection, "all")
        assert rooms.broadcast("all", "someone came") == len(rooms.members("all")) - 1
        for send in (event.send, lambda data: rooms.send(event.connection, data)):
            try:
                send("welcome")
            except ConfigError as error:
                errors.append(str(error))

    with TestClient(app) as client, client.websocket("/early") as first, client.websocket("/early"):
        assert first.receive() == "someone came"
        assert len(rooms.members("all")) == 2  # and the one that came is still in it
    assert len(errors) == 4


def test_a_connection_that_is_gone_leaves_its_groups(monkeypatch):
    app, rooms, _ = make_app()
    with TestClient(app) as client, client.websocket("/chat") as one, client.websocket("/chat") as other:
        rooms.join(one.connection, "second")
        one.vanish()
        # It has just joined: elsewhere, it may not be there yet.
        assert rooms.broadcast("lobby", "x") == 1
        assert len(rooms.members("lobby")) == 2
        monkeypatch.setattr(module, "SETTLING", 0)
        assert rooms.broadcast("lobby", "y") == 1
        assert rooms.members("lobby") == [other.connection]
        assert rooms.members("second") == []
        with pytest.raises(NotFoundError, match="gone"):
            rooms.send(one.connection, "z")


def test_a_membership_ends_with_its_time_to_live(monkeypatch):
    app, rooms, _ = make_app(ttl=timedelta(minutes=2))
    with TestClient(app) as client, client.websocket("/chat") as session:
        now = module.time()
        monkeypatch.setattr(module, "time", lambda: now - 119)
        rooms.join(session.connection, "young")
        monkeypatch.setattr(module, "time", lambda: now - 200)
        rooms.join(session.connection, "old")
        assert rooms.members("young") == [session.connection]
        assert rooms.members("old") == []


def test_groups_in_a_table_of_ones_own_and_async():
    app = App("own")
    table = app.table("presence", key="what", sort="who", ttl="until")
    rooms = app.sockets("rooms", table, binary=True)

    @app.websocket("/own", sockets=rooms)
    async def own(event: SocketEvent) -> None:
        if event.kind == "connect":
            await rooms.ajoin(event.connection, "all")
        elif event.kind == "message" and event.body == b"\xff":
            await rooms.aclose(event.connection)
        elif event.kind == "message":
            assert await rooms.amembers("all")
            await rooms.abroadcast("all", event.body)

    with TestClient(app) as client, client.websocket("/own") as one, client.websocket("/own") as other:
        assert {item["what"][:2] for item in table.scan()} == {"c:", "g:"}
        one.send(b"\x00\x01")
        assert one.receive() == other.receive() == b"\x00\x01"
        asyncio.run(rooms.aleave(one.connection, "all"))
        assert rooms.members("all") == [other.connection]
        other.send(b"\xff")
        with pytest.raises(SocketClosedError, match="1000"):
            other.receive()
        assert list(table.scan()) == []


def test_sends_from_other_handlers():
    app = App("news")
    rooms = app.sockets("rooms")

    @app.websocket("/news", sockets=rooms)
    def news(event: SocketEvent) -> None:
        if event.kind == "connect":
            rooms.join(event.connection, "readers")

    @app.post("/publish")
    def publish(text: str) -> int:
        return rooms.broadcast("readers", {"text": text})

    with TestClient(app) as client, client.websocket("/news") as session:
        assert client.post("/publish", query={"text": "hi"}).json() == 1
        assert session.receive_json() == {"text": "hi"}


def test_the_sockets_of_a_handler_bear_its_name():
    router = Router("/v1")

    @router.websocket("/live")
    def live_feed(event: SocketEvent) -> None:
        if event.kind == "connect":
            event.sockets.join(event.connection, "all")

    app = App("named")
    app.include(router, prefix="/api")
    with TestClient(app) as client:
        with client.websocket("/api/v1/live") as session:
            assert Sockets("live-feed").members("all") == [session.connection]
        with pytest.raises(ConfigError, match="no websocket '/other'; it has /api/v1/live"):
            client.websocket("/other")


def test_bytes_need_a_declaration():
    app, rooms, _ = make_app()
    with TestClient(app) as client, client.websocket("/chat") as session:
        with pytest.raises(TypeError, match=r"bytes need binary=True at .*test_handlers\.py:\d+"):
            rooms.send(session.connection, b"x")
        with pytest.raises(TypeError, match="binary=True"):
            session.send(b"x")


@pytest.mark.parametrize(
    ("declare", "message"),
    [
        (lambda app: app.websocket("/a/{room}")(print), "no parameters"),
        (lambda app: app.websocket("chat")(print), "must start with"),
        (lambda app: app.websocket("/a", sockets="rooms")(print), "app.sockets"),
        (lambda app: app.sockets("a" * 33), "32 characters"),
        (lambda app: app.sockets(7), "sockets name 7 is not allowed"),
        (lambda app: app.sockets("a", ttl=timedelta(seconds=1)), "a minute or more"),
        (lambda app: app.sockets("a", binary=1), "True or False"),
        (lambda app: app.sockets("a", app.table("t", key="k")), "sort key of str, a ttl"),
    ],
)
def test_what_is_declared_wrongly_is_said_at_once(declare, message):
    with pytest.raises(ConfigError, match=message):
        declare(App("wrong"))


def test_two_websockets_share_nothing(tmp_path):
    app = App("two")
    rooms = app.sockets("rooms")

    @app.websocket("/a", sockets=rooms)
    def one(event: SocketEvent) -> None: ...

    @app.websocket("/b", sockets=rooms)
    def two(event: SocketEvent) -> None: ...

    with pytest.raises(ConfigError, match=r"one at .*test_handlers.py:\d+ and two at .* sockets 'rooms'"):
        describe_app(app, "app:app", tmp_path)


def test_a_handler_of_another_event_is_refused(tmp_path):
    app = App("other")

    @app.websocket("/a")
    def one(event: Context, other: int) -> None: ...

    with pytest.raises(ConfigError):
        describe_app(app, "app:app", tmp_path)


def test_a_group_is_a_short_string():
    app, rooms, _ = make_app()
    with TestClient(app):
        for wrong in ("", "x" * 201, 7):
            with pytest.raises(ValueError, match="1 to 200 bytes"):
                rooms.join("c", wrong)


def test_dependencies_and_middleware_go_around_a_websocket():
    app = App("around")
    order = []

    def who(event: SocketEvent) -> str:
        return event.query.get("who", "nobody") if event.kind == "connect" else "somebody"

    @app.middleware(events=("socket",))
    def note(event, call_next):
        order.append(f"before {event.kind}")
        try:
            return call_next(event)
        finally:
            order.append("after")

    @app.websocket("/around")
    def around(event: SocketEvent, name: Annotated[str, Depends(who)]):
        order.append(name)
        return False if name == "eve" else None

    with TestClient(app) as client:
        with pytest.raises(SocketRefusedError):
            client.websocket("/around", query={"who": "eve"})
        with client.websocket("/around", query={"who": "ann"}) as session:
            session.send("x")
    assert order == [
        *("before connect", "eve", "after"),
        *("before connect", "ann", "after"),
        *("before message", "somebody", "after"),
        *("before disconnect", "somebody", "after"),
    ]
    with TestClient(app, {who: lambda: "eve"}) as client, pytest.raises(SocketRefusedError):
        client.websocket("/around")
