"""Websockets that a container holds, under real clients, and those that a gateway holds for it."""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Callable
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
from portable.run.verify import verify

CHAT = Path(__file__).parents[3] / "examples" / "chat" / "app.py"
APP = """
from portable import App, HTTPError, SocketEvent

app = App("talk")
rooms = app.sockets("rooms", binary=True)

@app.websocket("/chat", sockets=rooms)
def chat(event: SocketEvent) -> None:
    if event.kind == "connect":
        if event.query.get("token") == "wrong":
            raise HTTPError(401, "Say the token")
        if event.subprotocols:
            event.subprotocol = event.subprotocols[-1]
        rooms.join(event.connection, event.client or "nobody")
    elif event.kind == "message":
        assert event.body != "break"
        rooms.send(event.connection, event.body)
    else:
        rooms.leave(event.connection, "all")

@app.get("/members/{room}")
def members(room: str) -> list[str]:
    return rooms.members(room)
"""


def dial(address: str, path: str, **options: Any) -> Any:
    url = f"{address.replace('http', 'ws', 1)}{path}"
    return connect(url, proxy=None, close_timeout=5, open_timeout=60, max_size=None, **options)


def project(folder: Path) -> Any:
    shutil.copy(CHAT, folder)
    declared = 'name = "chat"\nversion = "1"\ndependencies = ["msgspec>=0.19"]'
    (folder / "pyproject.toml").write_text(f"[project]\n{declared}\n")
    return find_project(folder)


def test_the_chat_under_portable_run(tmp_path: Path) -> None:
    folder = build(project(tmp_path), adapter("container").build, Wanted(for_here=True)).folder
    with deployed(folder) as deployment, front(deployment) as address:
        with dial(address, "/chat?who=ann&room=a") as ann, dial(address, "/chat?who=bob&room=a") as bob:
            assert json.loads(ann.recv(60)) == {"came": "bob"}
            bob.send("hello €" * 20_000)
            for one in (ann, bob):
                assert json.loads(one.recv(60)) == {"who": "bob", "text": ("hello €" * 20_000)[:1000]}
            bob.close()
            assert json.loads(ann.recv(60)) == {"gone": "bob"}
        with pytest.raises(InvalidStatus) as refused:
            dial(address, "/chat?who=no+body")
        assert refused.value.response.status_code == 403
        said = httpx.get(f"{address}/rooms/a", trust_env=False, timeout=60).json()
        assert [one["who"] for one in said] == ["bob"]


@pytest.mark.slow
def test_the_chat_answers_as_this_machine_does(tmp_path: Path) -> None:
    report = verify(project(tmp_path), ["local", "container"])
    assert report.status == 0, report.text()


def test_a_process_holds_them(start: Callable[..., Any]) -> None:
    container = start(APP, PORTABLE_CONNECTIONS="3")
    address = f"http://127.0.0.1:{container.port}"
    with dial(address, "/chat", subprotocols=["v1", "v2"]) as one:
        assert one.subprotocol == "v2"
        for sent in ("a €", b"\x00\xff", "x" * 300_000):
            one.send(sent)
            assert one.recv(60) == sent
        assert len(json.loads(container.get("/members/127.0.0.1")[1])) == 1
        with dial(address, "/chat"), dial(address, "/chat"):
            with pytest.raises(InvalidStatus) as full:
                dial(address, "/chat")
            assert full.value.response.status_code == 503
        for path, status in (("/chat?token=wrong", 401), ("/nothing", 404)):
            with pytest.raises(InvalidStatus) as refused:
                dial(address, path)
            assert refused.value.response.status_code == status
        container.tell()
        with pytest.raises(ConnectionClosed) as closed:
            one.recv(60)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1012
    assert container.end() == 0


def test_a_gateway_holds_them_and_posts_what_happens(start: Callable[..., Any]) -> None:
    container = start(APP)

    def happens(data: Any) -> tuple[int, Any]:
        status, body, _ = container.event("chat", "dev.portable.socket", data)
        return status, json.loads(body)

    asked = {"query": [["token", "right"]], "headers": [["sec-websocket-protocol", "v1, v2"]], "client": "203.0.113.9"}
    status, answer = happens({"kind": "connect", "connection": "abc", **asked})
    assert (status, answer["status"]) == (200, 200)
    assert ["sec-websocket-protocol", "v2"] in answer["headers"]
    assert json.loads(container.get("/members/203.0.113.9")[1]) == ["abc"]
    status, answer = happens({"kind": "connect", "connection": "def", "query": [["token", "wrong"]]})
    assert (status, answer["status"]) == (200, 401)
    assert b"Say the token" in base64.b64decode(answer["body"])
    assert happens({"kind": "message", "connection": "abc", "body": "break"})[1]["status"] == 500
    assert happens({"kind": "disconnect", "connection": "abc", "code": 1001})[1]["status"] < 300
    for wrong in (
        {"kind": "other", "connection": "abc"},
        {"kind": "message", "body": "a"},
        {"kind": "message", "connection": "abc", "body": "%", "base64": True},
        {"kind": "message", "connection": "abc", "body": {}},
        {"kind": "connect", "connection": "abc", "query": [["a"]]},
    ):
        assert happens(wrong)[0] == 400, wrong
    assert container.post("/-/events/chat", {"kind": "connect"})[0] == 401
