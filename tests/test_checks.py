"""The commonest mistakes of a new user: each is refused when the app is described, and the message says what to do."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from portable.build.description import describe_project
from portable.build.project import Project
from portable.errors import PortableError

HEAD = """
from datetime import timedelta
from typing import Annotated, TypedDict
from portable import App, BlobEvent, Change, Message, Query, Queue, Request, Tick
app = App("shop")
box = app.bucket("box")
jobs = app.queue("jobs", int)
class Thing: ...
"""

MISTAKES = {
    "no event": ("@app.on_message(jobs)\ndef f() -> None: ...", "the handler takes no event; give it one parameter"),
    "two events": ("@app.on_blob(box)\ndef f(event: BlobEvent, key: str) -> None: ...", "takes the event first"),
    "body instead of message": (
        "@app.on_message(jobs)\ndef f(job: int) -> None: ...",
        "a message handler takes Message[…] or list[Message[…]], not int",
    ),
    "another event": ("@app.on_blob(box)\ndef f(event: Tick) -> None: ...", "handler takes BlobEvent, not Tick"),
    "batch of bodies": ("@app.on_message(jobs)\ndef f(batch: list[int]) -> None: ...", "not list[int]"),
    "event for a payload": ("@app.function()\ndef f(event: Request) -> None: ...", "takes its payload"),
    "body of no model": ("@app.post('/')\ndef f(body: Thing) -> None: ...", "make it a dataclass, TypedDict"),
    "body with no model in it": ("@app.post('/')\ndef f(body: list[Thing]) -> None: ...", "Thing cannot be read"),
    "queue of no model": (
        "things = app.queue('things', Thing)\n@app.on_message(things)\ndef f(m: Message[Thing]) -> None: ...",
        "queue things at",
    ),
    "two bodies": ("@app.post('/')\ndef f(a: dict, b: dict) -> None: ...", "make them one model"),
    "parameter of no scalar": ("@app.get('/{x}')\ndef f(x: Thing) -> None: ...", "which is str, int, float, bool"),
    "unknown annotation": ("@app.get('/')\ndef f(x: 'Datum') -> None: ...", "its names must be importable"),
    "marker as default": ("@app.get('/')\ndef f(x: str = Query()) -> None: ...", "write x: Annotated[…, Query()]"),
    "unclosed parameter": ("@app.get('/a/{id')\ndef f() -> None: ...", "f at app.py:9|GET /a/{id at"),
    "part of a segment": ("@app.get('/a-{id}')\ndef f() -> None: ...", "must be a whole segment like {name}"),
    "relative path": ("@app.get('users')\ndef f() -> None: ...", "path 'users' must start with '/'"),
    "one route twice": (
        "@app.get('/a/{x}')\ndef f(x: str) -> None: ...\n@app.get('/a/{y}')\ndef g(y: str) -> None: ...",
        "answers the same requests as /a/{x}",
    ),
    "one route in two functions": (
        "@app.get('/a', function='one')\ndef f() -> None: ...\n@app.get('/a', function='two')\ndef g() -> None: ...",
        "answers the same requests",
    ),
    "one queue twice": (
        "\n".join(f"@app.on_message(jobs)\ndef {name}(m: Message[int]) -> None: ..." for name in "fg"),
        "both take the messages of queue jobs",
    ),
    "no such hour": (
        "@app.on_schedule(cron='0 25 * * *')\ndef f(tick: Tick) -> None: ...",
        "'25' is no hour; there are 0 to 23",
    ),
    "no such weekday": ("@app.on_schedule(cron='0 8 * * mon-xyz')\ndef f() -> None: ...", "or sun, mon, tue"),
    "no step": ("@app.on_schedule(cron='*/0 8 * * *')\ndef f() -> None: ...", "a step is a whole number above 0"),
    "range backwards": ("@app.on_schedule(cron='0 18-8 * * *')\ndef f() -> None: ...", "ends before it begins"),
    "four fields": ("@app.on_schedule(cron='0 8 * *')\ndef f() -> None: ...", "cron has five fields"),
    "no such zone": (
        "@app.on_schedule(cron='0 8 * * *', timezone='Europe/Pariss')\ndef f() -> None: ...",
        "did you mean 'Europe/Paris'?",
    ),
    "seconds": ("@app.on_schedule(every=timedelta(seconds=30))\ndef f() -> None: ...", "every is whole minutes"),
    "options that differ": ("other = Queue('jobs', int, max_attempts=9)", "differs from its declaration at app.py"),
    "upper case": ("app.bucket('My_Photos')", "use 1 to 40 lower-case letters, digits and dashes"),
    "not importable": ("import nothing_here", "No module named 'nothing_here'"),
    "another name": ("shop = app\ndel app", "app:app is not there; there is app:shop"),
    "no app": ("app = None", "app:app is no App: None"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_refused_with_a_way_out(mistake: str, tmp_path: Path) -> None:
    source, expected = MISTAKES[mistake]
    tmp_path.joinpath("app.py").write_text(HEAD + source + "\n", "utf-8")
    with pytest.raises(PortableError) as caught:
        describe_project(Project(tmp_path, "app:app"))
    message = str(caught.value)
    assert any(part in message for part in expected.split("|")), message
    if "cannot" in message or "takes" in message:
        assert "app.py:" in message, message


def test_what_is_right_is_let_through(tmp_path: Path) -> None:
    tmp_path.joinpath("app.py").write_text(
        HEAD
        + textwrap.dedent("""
        from typing import Any
        class Order(TypedDict):
            id: int
            more: dict[str, dict[str, object]]
        orders = app.queue("orders", Order)
        @app.on_message(jobs)
        def a(batch: list[Message[int]]) -> None: ...
        @app.on_message(orders)
        def b(message) -> None: ...
        @app.on_schedule(cron="*/5,59 8-18/2 1,15 jan-jun 7", timezone="America/Argentina/Buenos_Aires")
        def c() -> None: ...
        @app.on_blob(box)
        def d(event: Any) -> None: ...
        @app.function()
        def e(payload: Order | None = None) -> None: ...
        @app.post("/orders")
        def f(body: list[Order] | None = None, tag: Annotated[list[str], Query()] = []) -> None: ...
        @app.get("/orders/{id:int}")
        def g(id: int) -> None: ...
        @app.get("/orders/{name}")
        def h(name: str) -> None: ...
        """),
        "utf-8",
    )
    functions = describe_project(Project(tmp_path, "app:app")).manifest.functions
    assert [function.name for function in functions] == ["a", "b", "c", "d", "e", "http"]
