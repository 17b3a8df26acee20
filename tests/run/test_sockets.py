"""`portable run` holds real websockets in front of a built artifact."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from portable.build.artifact import Wanted, build
from portable.build.project import find_project
from portable.plugins import adapter
from portable.run.deployment import deployed
from portable.run.front import front

APP = """
from portable import App, HTTPError, SocketEvent

app = App("talk")
rooms = app.sockets("rooms", binary=True)
texts = app.sockets("texts")


@app.websocket("/chat", sockets=rooms)
def chat(event: SocketEvent) -> None:
    if event.kind == "connect":
        if event.query.get("token") == "wrong":
            raise HTTPError(401, "Say the token")
        if event.subprotocols:
            event.subprotocol = event.subprotocols[-1]
        rooms.join(event.connection, "lobby")
    elif event.body == "leave":
        rooms.close(event.connection)
    elif event.kind == "message":
        rooms.broadcast("lobby", event.body)


@app.websocket("/texts", sockets=texts)
def only_text(event: SocketEvent) -> None: ...


@app.get("/members")
def members() -> int:
    return len(rooms.members("lobby"))
"""


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder: Path = tmp_path_factory.mktemp("run-sockets")
    (folder / "app.py").write_text(APP, "utf-8")
    (folder / "pyproject.toml").write_text('[project]\nname = "talk"\nversion = "1"\ndependencies = []\n', "utf-8")
    artifact = build(find_project(folder), adapter("local").build, Wanted(for_here=True)).folder
    with deployed(artifact) as deployment, front(deployment) as url:
        yield url


@pytest.fixture
def dial(address: str) -> Callable[..., Any]:
    def dial(path: str, **options: Any) -> Any:
        url = f"{address.replace('http', 'ws')}{path}"
        return connect(url, proxy=None, close_timeout=5, open_timeout=30, max_size=None, **options)

    return dial


def members(address: str) -> int:
    return int(httpx.get(f"{address}/members", trust_env=False, timeout=30).json())


def test_a_broadcast(address: str, dial: Callable[..., Any]) -> None:
    with dial("/chat") as one, dial("/chat", subprotocols=["v1", "v2"]) as other:
        assert other.subprotocol == "v2"
        assert members(address) == 2
        for sent in ("hello €", b"\x00\xff", "x" * 300_000):
            one.send(sent)
            assert one.recv(timeout=20) == other.recv(timeout=20) == sent
        one.send(["in ", "pieces"])
        assert other.recv(timeout=20) == "in pieces"
        other.send("leave")
        with pytest.raises(ConnectionClosed) as caught:
            other.recv(timeout=20)
        assert caught.value.rcvd is not None
        assert caught.value.rcvd.code == 1000


def test_a_refusal(address: str, dial: Callable[..., Any]) -> None:
    for path, status in (("/chat?token=wrong", 401), ("/nowhere", 404)):
        with pytest.raises(InvalidStatus) as caught, dial(path):
            pass
        assert caught.value.response.status_code == status
    answer = httpx.get(
        f"{address}/chat", headers={"upgrade": "websocket", "connection": "upgrade"}, trust_env=False, timeout=30
    )
    assert answer.status_code == 400  # no websocket after all: what is missing is said
    assert "Sec-WebSocket-Key" in answer.text
    assert members(address) == 0


def test_bytes_where_there_are_none(dial: Callable[..., Any]) -> None:
    with dial("/texts") as one:
        one.send(b"bytes")
        with pytest.raises(ConnectionClosed) as caught:
            one.recv(timeout=20)
        assert caught.value.rcvd is not None
        assert caught.value.rcvd.code == 1003
