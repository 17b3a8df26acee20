"""Websockets of a real server, spoken to by a client that others wrote."""

import contextlib

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

APP = """
from typing import Any

from portable import App, HTTPError, SocketEvent

app = App("talk")
rooms = app.sockets("rooms")
raw = app.sockets("raw", binary=True)


@app.websocket("/chat", sockets=rooms)
def chat(event: SocketEvent) -> None:
    if event.kind == "connect":
        if event.query.get("token") != "open":
            raise HTTPError(401, "Say the token")
        if event.subprotocols:
            event.subprotocol = event.subprotocols[-1]
        rooms.join(event.connection, "lobby")
    elif event.kind == "disconnect":
        rooms.broadcast("lobby", f"gone {event.code}")
    elif event.body == "leave":
        rooms.close(event.connection)
    elif event.body == "boom":
        raise KeyError("a mistake of the handler")
    else:
        rooms.broadcast("lobby", event.text())


@app.websocket("/echo", sockets=raw)
async def echo(event: SocketEvent) -> None:
    if event.kind == "message":
        await event.asend(event.body)


@app.get("/members")
def members() -> int:
    return len(rooms.members("lobby"))


@app.post("/tell")
def tell(text: str) -> int:
    return rooms.broadcast("lobby", text)
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory, dev_server):
    root = tmp_path_factory.mktemp("sockets") / "talk"
    root.mkdir()
    (root / "app.py").write_text(APP, "utf-8")
    with contextlib.closing(dev_server(root)) as running:
        yield running


@pytest.fixture
def dial(server):
    """``dial(path)``: a connection, closed with the test."""
    with contextlib.ExitStack() as stack:

        def dial(path, **options):
            url = server.url.replace("http://", "ws://") + path
            return stack.enter_context(connect(url, proxy=None, close_timeout=5, **options))

        yield dial


def test_a_broadcast_reaches_everyone(server, dial, until):
    one, other = dial("/chat?token=open"), dial("/chat?token=open")
    assert server.http.get("/members").json() == 2
    one.send("hello €")
    assert one.recv(timeout=20) == other.recv(timeout=20) == "hello €"
    assert server.http.post("/tell", params={"text": "from a route"}).json() == 2
    assert one.recv(timeout=20) == other.recv(timeout=20) == "from a route"
    other.close(code=4001)
    assert one.recv(timeout=20) == "gone 4001"
    until(lambda: server.http.get("/members").json() == 1)
    one.close()
    until(lambda: server.http.get("/members").json() == 0)


def test_a_refusal_is_the_handlers_answer(server, dial):
    with pytest.raises(InvalidStatus) as caught:
        dial("/chat?token=wrong")
    assert caught.value.response.status_code == 401
    assert b"Say the token" in caught.value.response.body
    with pytest.raises(InvalidStatus) as caught:
        dial("/nowhere")
    assert caught.value.response.status_code == 404
    assert server.http.get("/members").json() == 0


def test_the_subprotocol_is_the_one_chosen(dial):
    assert dial("/chat?token=open", subprotocols=["v1", "v2"]).subprotocol == "v2"
    assert dial("/chat?token=open").subprotocol is None


def test_a_handler_that_fails_closes_nothing(server, dial, until):
    one = dial("/chat?token=open")
    one.send("boom")
    until(lambda: "a mistake of the handler" in server.log())
    one.send("still here")
    assert one.recv(timeout=20) == "still here"


def test_the_app_closes_a_connection(dial):
    one = dial("/chat?token=open")
    one.send("leave")
    with pytest.raises(ConnectionClosed) as caught:
        one.recv(timeout=20)
    assert caught.value.rcvd.code == 1000


def test_bytes_where_they_are_declared(dial):
    echo = dial("/echo")
    echo.send(b"\x00\xff")
    echo.send("text")
    assert echo.recv(timeout=20) == b"\x00\xff"
    assert echo.recv(timeout=20) == "text"
    chat = dial("/chat?token=open")
    chat.send(b"bytes")
    with pytest.raises(ConnectionClosed) as caught:
        chat.recv(timeout=20)
    assert caught.value.rcvd.code == 1003


def test_what_is_too_long_closes_the_connection(dial):
    echo = dial("/echo", max_size=None)
    echo.send(b"x" * (1 << 20))
    assert len(echo.recv(timeout=20)) == 1 << 20
    echo.send(b"x" * ((1 << 20) + 1))
    with pytest.raises(ConnectionClosed) as caught:
        echo.recv(timeout=20)
    assert caught.value.rcvd.code == 1009


def test_messages_keep_their_order(dial):
    echo = dial("/echo")
    for number in range(300):
        echo.send(str(number))
    assert [echo.recv(timeout=20) for _ in range(300)] == [str(number) for number in range(300)]


def test_a_server_that_stops_says_so(tmp_path, dev_server):
    root = tmp_path / "talk"
    root.mkdir()
    (root / "app.py").write_text(APP, "utf-8")
    with contextlib.closing(dev_server(root)) as running:
        url = running.url.replace("http://", "ws://") + "/chat?token=open"
        with connect(url, proxy=None, close_timeout=5) as one:
            assert running.http.get("/members").json() == 1
            assert running.stop() == 0
            with pytest.raises(ConnectionClosed) as caught:
                one.recv(timeout=20)
            assert caught.value.rcvd.code == 1012
    with contextlib.closing(dev_server(root)) as running:
        assert running.http.get("/members").json() == 0  # the disconnect was handled before the end
