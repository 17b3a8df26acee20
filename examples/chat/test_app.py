"""One test file for every target: in this process by default, else `pytest --target aws|azure|local`."""

from __future__ import annotations

import pytest

from portable.testing import Client, SocketRefusedError, SocketSession


def sit(client: Client, who: str, room: str) -> SocketSession:
    return client.websocket("/chat", query={"who": who, "room": room})


def test_a_conversation(client: Client) -> None:
    with sit(client, "ann", "red") as ann, sit(client, "bob", "red") as bob, sit(client, "eve", "blue") as eve:
        assert ann.receive_json() == {"came": "bob"}
        bob.send("hello")
        assert ann.receive_json() == bob.receive_json() == {"who": "bob", "text": "hello"}
        ann.send("  ")
        ann.send("hi, bob")
        assert bob.receive_json() == {"who": "ann", "text": "hi, bob"}
        assert eve.waiting() == 0
        assert client.post("/rooms/red", query={"text": "closing soon"}).json() == 2
        assert bob.receive_json() == {"announcement": "closing soon"}
        ann.close()
        assert bob.receive_json() == {"gone": "ann"}
    assert client.get("/rooms/red").json() == [{"who": "bob", "text": "hello"}, {"who": "ann", "text": "hi, bob"}]
    assert client.get("/rooms/red?limit=1").json() == [{"who": "ann", "text": "hi, bob"}]
    assert client.post("/rooms/red", query={"text": "anybody?"}).json() == 0


@pytest.mark.parametrize("who", ["", "an n", "<script>"])
def test_nobody_comes_without_a_name(client: Client, who: str) -> None:
    with pytest.raises(SocketRefusedError) as refused:
        sit(client, who, "green")
    assert refused.value.status == 403


def test_the_page(client: Client) -> None:
    answer = client.get("/")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "new WebSocket" in answer.text()
