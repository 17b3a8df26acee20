"""An app as data."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from portable import ConfigError
from portable.app import load_app
from portable.manifest import Manifest, describe_app, place

APP = """
    from dataclasses import dataclass
    from datetime import timedelta
    from typing import Any
    from portable import App, BlobEvent, Bucket, Context, Message, Queue, Tick

    app = App("whole")
    uploads = app.bucket("uploads")
    logs = Bucket("logs")
    emails = Queue("emails", dict[str, Any], max_attempts=3)
    app.include("whole_users:router", prefix="/v1")

    @app.get("/", memory=256, timeout=timedelta(seconds=5))
    def home() -> str: return "home"

    @app.post("/", memory=512, status=201, auth="cloud", max_body=1000)
    async def save(body: bytes) -> None:
        await uploads.awrite("a", body)

    @app.on_message(emails, batch_size=3, timeout=timedelta(minutes=2))
    async def send(message: Message[dict[str, Any]]) -> None: ...

    @app.on_blob(uploads, prefix="in/", suffix=".png", kinds=["created", "deleted"])
    def shrink(event: BlobEvent) -> None: ...

    @app.on_schedule(cron="0 8 * * *", timezone="Europe/Paris")
    def daily(tick: Tick) -> None: ...

    @app.on_schedule(every=timedelta(hours=2))
    def often() -> None: ...

    @app.function()
    def recount(payload: dict[str, Any], context: Context) -> int: return 1

    @app.on_start
    def warm() -> None:
        logs.write("started", b"")
"""
USERS = """\
    from portable import Router
    router = Router("/users", tags=["users"])

    @router.get("/{user}")
    def get(user: int) -> int: return user
"""


@pytest.fixture
def described(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Manifest]]:
    """Writes modules and describes the app in the first."""
    root = tmp_path.resolve()
    monkeypatch.syspath_prepend(str(root))

    def describe(**modules: str) -> Manifest:
        for name, source in modules.items():
            (root / f"{name}.py").write_text(textwrap.dedent(source))
        spec = f"{next(iter(modules))}:app"
        return describe_app(load_app(spec), spec, root)

    yield describe
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", None)).startswith(str(root)):
            del sys.modules[name]


def test_a_whole_app(described: Any) -> None:
    manifest = described(whole=APP, whole_users=USERS)
    assert msgspec.to_builtins(manifest) == {
        "app": "whole",
        "spec": "whole:app",
        "functions": [
            function(
                "http",
                [
                    http("whole:home", "whole.py:13", "GET", "/"),
                    http("whole:save", "whole.py:16", "POST", "/", status=201, auth="cloud", max_body=1000),
                    http("whole_users:get", "whole_users.py:4", "GET", "/v1/users/{user}"),
                ],
                memory=512,
                timeout=5.0,
                modules=["whole_users:router"],
                uses=["bucket:logs", "bucket:uploads"],
                grants={"bucket:logs": ["write"], "bucket:uploads": ["write"]},
                is_async=True,
            ),
            function(
                "send",
                [trigger("message", "whole:send", "whole.py:20", queue="emails", batch_size=3)],
                timeout=120.0,
                uses=["bucket:logs", "queue:emails"],
                is_async=True,
            ),
            function(
                "shrink",
                [
                    trigger(
                        "blob",
                        "whole:shrink",
                        "whole.py:23",
                        bucket="uploads",
                        prefix="in/",
                        suffix=".png",
                        kinds=["created", "deleted"],
                    )
                ],
                uses=["bucket:logs", "bucket:uploads"],
            ),
            function(
                "daily",
                [
                    trigger(
                        "schedule", "whole:daily", "whole.py:26", cron="0 8 * * *", every=None, timezone="Europe/Paris"
                    )
                ],
                uses=["bucket:logs"],
            ),
            function(
                "often",
                [trigger("schedule", "whole:often", "whole.py:29", cron=None, every=7200.0, timezone="UTC")],
                uses=["bucket:logs"],
            ),
            function("recount", [trigger("direct", "whole:recount", "whole.py:32")], uses=["bucket:logs"]),
        ],
        "resources": [
            {"kind": "bucket", "name": "logs", "options": {}, "where": "whole.py:9"},
            {"kind": "bucket", "name": "uploads", "options": {}, "where": "whole.py:8"},
            {"kind": "queue", "name": "emails", "options": {"max_attempts": 3}, "where": "whole.py:10"},
        ],
        "models": False,
        "forms": False,
        "guards": [],
    }
    assert msgspec.json.decode(msgspec.json.encode(manifest), type=Manifest) == manifest


def function(name: str, triggers: list[Any], **given: Any) -> dict[str, Any]:
    usual = {"memory": None, "timeout": None, "modules": [], "uses": [], "is_async": False}
    usual |= {"grants": {"bucket:logs": ["write"]}, "unseen": []}  # a hook of the life writes there
    return {"name": name, "kind": triggers[0]["kind"], "triggers": triggers, **usual, **given}


def trigger(kind: str, handler: str, where: str, **options: Any) -> dict[str, Any]:
    # A handler's line is that of its first decorator.
    return {"kind": kind, "handler": handler, "where": where, "options": options}


def http(handler: str, where: str, method: str, path: str, **given: Any) -> dict[str, Any]:
    usual = {"status": None, "auth": "public", "max_body": None, "stream": False, "background": False}
    return trigger("http", handler, where, method=method, path=path, **{**usual, **given})


def test_what_is_asked_for_by_name(described: Any) -> None:
    manifest = described(whole=APP, whole_users=USERS)
    assert manifest.function("send").asks("queue") == ["emails"]
    assert manifest.function("http").asks("max_body") == [1000]
    assert manifest.resource("queue", "emails").options == {"max_attempts": 3}
    assert [one.name for one in manifest.of_kind("bucket")] == ["logs", "uploads"]
    with pytest.raises(ConfigError, match="'whole' has no function 'nothing'; it has http, send, shrink, daily"):
        manifest.function("nothing")
    with pytest.raises(ConfigError, match="'whole' declares no bucket 'emails'"):
        manifest.resource("bucket", "emails")


def test_a_part_keeps_the_functions_asked_for_and_their_resources(described: Any) -> None:
    manifest = described(whole=APP, whole_users=USERS)
    part = manifest.only(["send", "recount", "nothing"])
    assert [one.name for one in part.functions] == ["send", "recount"]
    assert [one.name for one in part.resources] == ["logs", "emails"]
    assert manifest.only([]).functions == []


@pytest.mark.parametrize(
    ("handler", "models"),
    [
        ("@app.post('/')\ndef f(body: Item): ...", True),
        ("@app.post('/')\ndef f(body: list[Item] | None): ...", True),
        ("@app.post('/')\ndef f(body: dict[str, int]): ...", True),
        ("@app.get('/')\ndef f(day: date): ...", True),
        ("@app.function()\ndef f(payload: Item): ...", True),
        ("@app.on_message(app.queue('q', Item))\ndef f(message): ...", True),
        ("app.queue('q', Item)", True),
        ("@app.post('/')\ndef f(body: dict): ...", False),
        ("@app.post('/')\ndef f(body: bytes, n: int, x: list[str]): ...", False),
        ("@app.post('/')\ndef f(body: Model): ...", False),
        ("@app.post('/')\ndef f(body: list[Model]): ...", False),
        ("@app.function()\ndef f(payload: dict[str, object], context: Context): ...", False),
        ("app.queue('q')", False),
        ("@app.get('/')\ndef f() -> Item: ...", True),
        ("@app.get('/', response_model=list[Item])\ndef f(): ...", True),
        ("@app.get('/', response_model=None)\ndef f() -> Item: ...", False),
        ("@app.get('/')\ndef f() -> Model | None: ...", False),
        ("@app.get('/')\ndef f() -> dict[str, int]: ...", False),
    ],
)
def test_whether_an_app_needs_msgspec(described: Any, handler: str, models: bool) -> None:
    head = """
from dataclasses import dataclass
from datetime import date
from pydantic import BaseModel
from portable import App, Context
app = App("models")
@dataclass
class Item:
    id: int
class Model(BaseModel):
    id: int
"""
    assert described(models=head + handler).models is models


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("@app.get('/a/{x}')\ndef f(x): ...\n@app.get('/a/{y}')\ndef g(y): ...", "wrong.py:5.*wrong.py:3"),
        ("@app.get('/')\ndef f(body: Nowhere): ...", "wrong.py:3.*'Nowhere'"),
        ("@app.post('/')\ndef f(body: A | B): ...", "wrong.py:3.*A \\| wrong_types.B cannot be read"),
        ("@app.function()\ndef f(body: A | B): ...", "wrong.py:3.*cannot be read"),
        ("q = app.queue('q', A | B)\n@app.on_message(q)\ndef f(message): ...", "wrong.py:3.*cannot be read"),
        (
            "a = app.on_schedule(every=one, function='s')(lambda: 1)\nb = app.on_schedule(every=two, function='s')(id)",
            "two schedules.*wrong.py:3",
        ),
        ("app.function('x')(lambda p: 1)\napp.function('x')(lambda p: 2)", "'x': a direct function has one handler"),
    ],
)
def test_what_could_not_be_called_in_a_cloud_is_refused(described: Any, source: str, says: str) -> None:
    head = "from __future__ import annotations\nfrom wrong_types import *; app = App('wrong')\n"
    types = """
from dataclasses import dataclass
from datetime import timedelta
from portable import App
one, two = timedelta(minutes=1), timedelta(minutes=2)
@dataclass
class A:
    a: int
@dataclass
class B:
    b: int
"""
    with pytest.raises(ConfigError, match=f"(?s){says}"):
        described(wrong=head + source, wrong_types=types)


def test_places_are_relative_to_the_project_where_they_lie_in_it(tmp_path: Path) -> None:
    root = tmp_path.resolve()
    assert place((str(root / "a" / "b.py"), 7), root) == "a/b.py:7"
    assert place((str(root.parent / "c.py"), 7), root) == f"{(root.parent / 'c.py').as_posix()}:7"
    assert place(("<unknown>", 0), root) == "<unknown>:0"
    (root / "real").mkdir()
    (root / "link").symlink_to(root / "real")
    assert place((str(root / "link" / "b.py"), 1), root) == "real/b.py:1"
