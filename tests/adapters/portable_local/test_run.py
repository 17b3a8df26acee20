"""A bundle under the local runner: nothing but the bundle can be imported, and every way to fail says what failed."""

import importlib.util
import os
import shutil
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest

import portable
import portable_local
from portable.build.pythons import CURRENT
from portable.events import BlobEvent, Message, Request, Tick
from portable.manifest import describe_app
from portable.run.target import Artifact, InvocationError
from portable_local.build import TARGET
from portable_local.run import RUNNER
from portable_local.samples import SAMPLES

APP = """
import asyncio
import os
import sys
import time
from datetime import timedelta
from typing import Any

from portable import App, BlobEvent, Context, Message, Reject, Request, Response, Retry, Tick

app = App("shop")
uploads = app.bucket("uploads")
emails = app.queue("emails", dict)
started = []

@app.on_start
def warm():
    started.append(1)

@app.post("/echo/{name}")
def echo(name: str, request: Request, context: Context) -> Response:
    response = Response(request.body, 201, {"x-cold": str(context.cold_start)}, "application/x-test")
    response.headers.add("x-query", ascii(request.query.items()))
    response.headers.add("x-name", repr(name))
    response.set_cookie("a", "1")
    response.set_cookie("b", "2")
    return response

@app.get("/async")
async def slow() -> dict:
    await asyncio.sleep(0.2)
    context = Context.current()
    return {"function": context.function, "started": len(started), "deadline": str(context.deadline)}

@app.get("/paths")
def paths() -> dict:
    control = [name for name in os.environ if name.startswith("PORTABLE_LOCAL_C")]
    return {"path": sys.path, "cwd": os.getcwd(), "control": control}

@app.get("/wait/{seconds}")
def wait(seconds: float) -> str:
    time.sleep(seconds)
    return "waited"

@app.get("/noise")
def noise() -> str:
    print('{"id": 1, "answer": "forged"}')
    os.write(1, b"raw noise")
    os.system("echo from a child")
    sys.stdin.read()
    return "quiet"

@app.get("/die")
def die() -> str:
    os.kill(os.getpid(), 9)

@app.get("/exit")
def leave() -> str:
    raise SystemExit(3)

@app.on_message(emails)
def send(message: Message[dict]) -> None:
    if message.body.get("retry"):
        raise Retry("later", after=timedelta(seconds=7))
    if message.body.get("reject"):
        raise Reject("never")
    uploads.write(f"sent/{message.body['to']}", f"{message.attempt} {message.attributes}")

@app.on_blob(uploads, prefix="in/")
async def copy(event: BlobEvent) -> None:
    await uploads.awrite(event.key.replace("in/", "out/"), await uploads.aread(event.key))

@app.on_schedule(cron="0 8 * * *")
def report(tick: Tick) -> None:
    uploads.write("report", tick.scheduled_at.isoformat())

@app.function()
def double(payload: dict[str, Any]) -> dict[str, Any]:
    if "fail" in payload:
        raise KeyError("no such thing")
    return {name: value * 2 for name, value in payload.items()}
"""


def make_artifact(folder: Path, text: str = APP) -> Artifact:
    project, bundle = folder / "project", folder / "bundle"
    project.mkdir()
    source = project / "shop_app.py"
    source.write_text(text)
    spec = importlib.util.spec_from_file_location("shop_app", source)
    module = importlib.util.module_from_spec(spec)
    sys.modules["shop_app"] = module
    try:
        spec.loader.exec_module(module)
        manifest = describe_app(module.app, "shop_app:app", project)
    finally:
        del sys.modules["shop_app"]
    for package in (portable, portable_local):
        kept = shutil.ignore_patterns("__pycache__")
        shutil.copytree(Path(package.__file__).parent, bundle / package.__name__, ignore=kept)
    shutil.copy(source, bundle)
    [described] = TARGET.bundles(manifest, {})
    for name, content in described.files.items():
        (bundle / name).write_bytes(content)
    functions = dict.fromkeys(described.sources, "")
    return Artifact(folder, "local", CURRENT, manifest, {"": bundle}, functions, described.sources)


class Shop:
    def __init__(self, artifact, running):
        self.artifact = artifact
        self.running = running

    def send(self, function, event, timeout=20.0):
        record = self.artifact.manifest.function(function)
        native = SAMPLES.native(record, event)
        return SAMPLES.outcome(record, event, self.running.invoke(function, native, timeout=timeout))

    def get(self, path, timeout=20.0):
        return self.send("http", Request("GET", path), timeout).response


@pytest.fixture(scope="module")
def artifact(tmp_path_factory):
    return make_artifact(tmp_path_factory.mktemp("shop"))


@pytest.fixture
def shop(artifact, tmp_path):
    with RUNNER.emulate(artifact.manifest, tmp_path) as environment:
        running = RUNNER.start(artifact, environment, tmp_path / "log")
        yield Shop(artifact, running)
        running.close()


@pytest.fixture
def uploads(shop, tmp_path):
    from portable_local.platform import LocalPlatform

    platform = LocalPlatform({"PORTABLE_LOCAL_STATE": str(tmp_path / "state")})
    yield platform.open(portable.Bucket("uploads"))
    platform.close()


def test_http(shop):
    request = Request(
        "POST",
        "/echo/a/b",
        raw_path="/echo/a%2Fb",
        query=[("x", "1"), ("x", "é &"), ("empty", "")],
        headers=[("Content-Type", "application/octet-stream"), ("x-twice", "1"), ("x-twice", "2")],
        body=bytes(range(256)),
    )
    response = shop.send("http", request).response
    assert (response.status, response.body) == (201, bytes(range(256)))
    assert response.headers["content-type"] == "application/x-test"
    assert response.headers["x-name"] == "'a/b'"
    assert response.headers["x-query"] == ascii([("x", "1"), ("x", "é &"), ("empty", "")])
    assert len(response.headers.get_all("set-cookie")) == 2
    assert response.headers["x-cold"] == "True"
    assert shop.send("http", request).response.headers["x-cold"] == "False"


def test_async_several_at_a_time(shop):
    shop.get("/async")
    start = time.monotonic()
    with ThreadPoolExecutor(8) as threads:
        responses = list(threads.map(shop.get, ["/async"] * 8))
    assert time.monotonic() - start < 1.2
    for response in responses:
        assert '"function":"http","started":1,"deadline":"2' in response.body


def test_sync_several_at_a_time(shop):
    shop.get("/wait/0")
    start = time.monotonic()
    with ThreadPoolExecutor(8) as threads:
        assert {response.body for response in threads.map(shop.get, ["/wait/0.3"] * 8)} == {"waited"}
    assert time.monotonic() - start < 1.5


def test_only_the_bundle_can_be_imported(shop):
    said = shop.get("/paths").body
    bundle = str(shop.artifact.bundles[""])
    assert f'"path":["{bundle}",' in said
    assert "site-packages" not in said
    assert f'"cwd":"{bundle}"' in said
    assert '"control":[]' in said


def test_prints_do_not_disturb(shop):
    assert shop.get("/noise").body == "quiet"
    log = shop.running.log()
    assert '"forged"' in log
    assert "raw noise" in log
    assert "from a child" in log


def test_messages(shop, uploads, tmp_path):
    batch = [
        Message("1", '{"to":"ann"}', {"a": "é"}, 2, datetime.now(UTC)),
        Message("2", '{"retry":true}'),
        Message("3", '{"reject":true}', {"why": "x"}),
        Message("4", "[]"),
    ]
    record = shop.artifact.manifest.function("send")
    answer = shop.running.invoke("send", SAMPLES.native(record, batch), timeout=20)
    assert [(one["id"], one["after"]) for one in answer["failed"]] == [("2", 7.0), ("4", None)]
    assert SAMPLES.outcome(record, batch, answer).failed == ["2", "4"]
    assert uploads.read("sent/ann", None, None) == "2 {'a': 'é'}".encode()
    from portable_local.queue import LocalQueue

    queue = LocalQueue("emails", tmp_path / "state" / "queues" / "emails", 5)
    [letter] = queue.dead_letters(10)
    queue.close()
    assert (letter.body, letter.attributes) == ('{"reject":true}', {"why": "x"})


def test_blob_schedule_direct(shop, uploads):
    uploads.write("in/é", b"data", content_type="a/b", metadata=None, if_absent=False, if_match=None)
    assert shop.send("copy", BlobEvent("created", "uploads", "in/é", 4)).value is None
    assert uploads.read("out/é", None, None) == b"data"
    due = datetime(2026, 3, 29, 8, tzinfo=UTC)
    shop.send("report", Tick(due))
    assert uploads.read("report", None, None) == due.isoformat().encode()
    assert shop.send("double", {"a": 2}).value == {"a": 4}


def test_a_handler_that_raises(shop):
    with pytest.raises(InvocationError, match="no such thing") as caught:
        shop.send("double", {"fail": 1})
    assert caught.value.kind == "KeyError"
    assert 'raise KeyError("no such thing")' in caught.value.trace
    assert shop.send("double", {"a": 1}).value == {"a": 2}


@pytest.mark.parametrize(
    ("function", "event", "problem"),
    [
        ("http", {"method": "GET"}, "a local http event has no 'path'"),
        ("http", [1], "a local http event is an object, got list"),
        ("send", {"queue": "emails"}, "has no 'messages'"),
        ("send", {"queue": "emails", "messages": [{"id": "1"}]}, "has no 'body'"),
        ("send", {"queue": "other", "messages": []}, "takes emails, not 'other'"),
        ("copy", {"kind": "created", "bucket": "uploads", "key": "a", "time": "now"}, "ISO 8601 instant, got 'now'"),
        ("copy", {"kind": "moved", "bucket": "b", "key": "a", "time": ""}, "created or deleted, got 'moved'"),
        ("report", {"scheduled_at": "2026-01-01T00:00:00"}, "has no UTC offset"),
        ("report", {}, "has no 'scheduled_at'"),
    ],
)
def test_a_malformed_event(shop, function, event, problem):
    with pytest.raises(InvocationError, match=problem) as caught:
        shop.running.invoke(function, event, timeout=20)
    assert caught.value.kind == "ValueError"


def test_timeout(shop):
    shop.get("/wait/0")
    with ThreadPoolExecutor(1) as threads:
        other = threads.submit(shop.get, "/wait/1")
        time.sleep(0.2)
        with pytest.raises(InvocationError, match="took longer") as caught:
            shop.get("/wait/30", timeout=0.2)
        assert caught.value.kind == "Timeout"
        assert shop.get("/wait/0").headers  # in a new process at once
        assert other.result().body == "waited"


def test_a_process_that_dies(shop):
    shop.get("/wait/0")
    with ThreadPoolExecutor(1) as threads:
        other = threads.submit(shop.get, "/wait/30")
        time.sleep(0.2)
        with pytest.raises(InvocationError, match="ended with signal 9") as caught:
            shop.get("/die")
        assert caught.value.kind == "ProcessEnded"
        with pytest.raises(InvocationError, match="signal 9"):
            other.result()
    assert shop.get("/wait/0").body == "waited"


def test_exit_fails_one_invocation(shop):
    assert shop.get("/wait/0").body == "waited"
    with pytest.raises(InvocationError) as caught:
        shop.get("/exit")
    assert (caught.value.kind, caught.value.message) == ("SystemExit", "3")
    assert shop.get("/wait/0").body == "waited"


def test_an_app_that_fails_to_import(tmp_path):
    artifact = make_artifact(tmp_path)
    module = artifact.bundles[""] / "shop_app.py"
    good = module.read_text()
    module.write_text("import a_module_that_is_not_there\n")
    running = RUNNER.start(artifact, {"PORTABLE_LOCAL_STATE": str(tmp_path / "state")}, tmp_path / "log")
    try:
        with pytest.raises(InvocationError, match="a_module_that_is_not_there") as caught:
            running.invoke("double", {})
        assert caught.value.kind == "ModuleNotFoundError"
        assert "shop_app.py" in caught.value.trace
        module.write_text("import os\nos._exit(7)\n")
        with pytest.raises(InvocationError, match="ended with status 7"):
            running.invoke("double", {})
        module.write_text(good)
        assert running.invoke("double", {"a": 1}) == {"a": 2}
    finally:
        running.close()


def test_close_ends_the_processes(artifact, tmp_path):
    running = RUNNER.start(artifact, {"PORTABLE_LOCAL_STATE": str(tmp_path / "state")}, tmp_path / "log")
    running.invoke("double", {})
    supervisors = [worker._process.pid for worker in running._workers.values()]
    late = threading.Thread(target=running.close)
    late.start()
    late.join()
    for pid in supervisors:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    with pytest.raises(InvocationError, match="runs no more"):
        running.invoke("double", {})
