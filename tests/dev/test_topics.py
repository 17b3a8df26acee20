"""Topics of a real server: every handler's copy, retries and dead letters of its own."""

import pytest

from .conftest import DevServer, make_project, run_dev

APP = """
from typing import Any

from portable import App, Message

app = App("play")
signups = app.topic("signups", dict, max_attempts=2)
seen = app.bucket("seen")


@app.on_message(signups)
def welcome(message: Message[dict[str, Any]]) -> None:
    seen.write(f"welcome-{message.body['n']}-{message.attempt}", "")
    if message.body.get("bad"):
        raise ValueError("no")


@app.on_message(signups, filter={"plan": "pro"})
async def bill(batch: list[Message[dict[str, Any]]]) -> None:
    for message in batch:
        await seen.awrite(f"bill-{message.body['n']}-{message.attempt}", "")


@app.post("/signups/{n}")
def sign_up(n: int, plan: str = "free") -> str:
    return signups.publish({"n": n}, attributes={"plan": plan})
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    root = make_project(tmp_path_factory.mktemp("dev") / "topics", APP)
    server = DevServer(run_dev(root, "--port", "0"), root.parent / "topics.log", root)
    yield server
    server.close()


def test_each_handler_has_a_copy_that_passes_its_filter(server, until):
    assert server.http.post("/signups/1?plan=pro").status_code == 200
    assert server.http.post("/signups/2").status_code == 200
    until(lambda: len(server.keys("seen", "")) == 3)
    assert server.keys("seen", "") == ["bill-1-1", "welcome-1-1", "welcome-2-1"]


def test_a_handler_that_fails_has_dead_letters_of_its_own(server, until):
    assert server.http.post("/_portable/topics/signups/messages", json={"n": 7, "bad": True}).status_code == 201
    until(lambda: server.http.get("/_portable/topics/signups/welcome/dead-letters").json())
    assert server.keys("seen", "welcome-7") == ["welcome-7-1", "welcome-7-2"]
    [letter] = server.http.get("/_portable/topics/signups/welcome/dead-letters").json()
    assert letter["body"] == {"n": 7, "bad": True}
    assert server.http.get("/_portable/topics/signups/bill/dead-letters").json() == []
    [topic] = server.http.get("/_portable/topics").json()
    assert topic["subscriptions"][0] == {"function": "welcome", "filter": None, "depth": 0, "dead_letters": 1}
    page = server.http.get("/_portable/").text
    assert "topics/signups/welcome/redrive" in page
    assert server.call("topics/signups/welcome/redrive").json() == {"moved": 1}
    assert server.http.get("/_portable/topics/other/welcome/dead-letters").status_code == 404
    assert server.http.get("/_portable/topics/signups/nobody/dead-letters").status_code == 404
