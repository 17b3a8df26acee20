"""Artifacts under Microsoft's worker: what it indexes, calls and answers, and how failures look."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import portable
import portable_azure
from portable.build.artifact import Wanted, build
from portable.build.project import find_project
from portable.events import BlobEvent, Message, Request, Response, Tick
from portable.manifest import FunctionRecord, Manifest, TriggerRecord
from portable.run.deployment import Deployment, deployed
from portable.run.parts import Found
from portable.run.target import Artifact, InvocationError
from portable_azure.build import TARGET
from portable_azure.run import AzureRunning
from portable_azure.samples import SAMPLES

APP = """
import asyncio, os, sys, time
from datetime import timedelta
from typing import Any

from portable import App, BlobEvent, Context, Message, Reject, Request, Response, Retry, Tick

app = App("azure-test")
uploads = app.bucket("uploads")
emails = app.queue("emails", max_attempts=3)
lists = app.queue("lists", max_attempts=3)
started = []

@app.on_start
async def warm() -> None:
    started.append(id(asyncio.get_running_loop()))

@app.get("/context")
async def show_context(context: Context) -> dict[str, Any]:
    same_loop = started == [id(asyncio.get_running_loop())]
    return {"target": context.target, "function": context.function, "same_loop": same_loop,
            "seconds": context.remaining().total_seconds()}

@app.get("/echo/{name}")
def echo(name: str, request: Request, context: Context) -> dict[str, Any]:
    assert Context.current() is context
    return {"name": name, "query": request.query.items(), "cookies": request.cookies, "id": context.request_id}

@app.post("/reverse")
async def reverse(request: Request) -> Response:
    await asyncio.sleep(0)
    return Response(request.body[::-1], 201, [("x-one", "1"), ("x-one", "2"), ("content-type", "image/png")])

@app.get("/partitioned")
def partitioned():
    answer = Response("ok")
    answer.set_cookie("a", "1", partitioned=True)
    return answer

@app.get("/cookies")
def cookies() -> Response:
    response = Response("ok")
    response.set_cookie("a", "1", max_age=60)
    response.set_cookie("b", "x/y=", path=None)
    return response

@app.delete("/nothing")
def nothing() -> None: ...

@app.get("/fails")
def fails() -> None:
    raise ValueError("a secret")

@app.on_message(emails)
def send(message: Message[Any]) -> None:
    uploads.write(f"sent/{message.id}/{message.attempt}", repr(message.attributes))
    if message.body == "later":
        raise Retry(after=timedelta(seconds=1))
    if message.body == "never":
        raise Reject("never")
    if message.body == "broken":
        raise ValueError("boom")

@app.on_message(lists, function="both")
async def send_list(messages: list[Message[Any]]) -> None:
    for message in messages:
        await uploads.awrite(f"list/{message.id}", str(len(messages)))
        if message.body == "later":
            message.fail(Retry(after=timedelta(seconds=1)))

@app.on_message(app.queue("others"), function="both")
def send_other(message: Message[Any]) -> None:
    uploads.write(f"other/{message.id}", b"")

@app.on_blob(uploads, prefix="in/", suffix=".png")
def thumb(event: BlobEvent) -> None:
    uploads.write("out/" + event.key, repr((event.size, event.version)))

@app.on_blob(uploads, prefix="in/", kinds=["deleted"])
def gone(event: BlobEvent) -> None:
    uploads.write("gone/" + event.key, b"")

@app.on_schedule(cron="0 8 * * 1")
async def report(tick: Tick) -> None:
    await uploads.awrite("report", tick.scheduled_at.isoformat())

@app.on_schedule(cron="0 8 13 * 5", timezone="Europe/Paris")
async def friday(tick: Tick) -> None:
    await uploads.awrite(f"friday/{tick.scheduled_at:%m-%dT%H}", b"")

@app.function()
def recount(payload: dict[str, int]) -> dict[str, Any]:
    return {"n": 10 // payload["n"]}
"""

NOW = datetime(2026, 3, 29, 8, tzinfo=UTC)


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory, require_part: Callable[..., Found]) -> Iterator[Deployment]:
    for part, version in (("azure-functions-runtime", "3.13"), ("python", "3.13"), ("node", None), ("azurite", None)):
        require_part(part, version)
    folder = tmp_path_factory.mktemp("azure")
    (folder / "app.py").write_text(APP)
    (folder / "pyproject.toml").write_text('[project]\nname = "azure-test"\nversion = "0"\ndependencies = []\n')
    here = Path.cwd()
    try:
        built = build(find_project(folder), TARGET, Wanted(for_here=True))
    finally:
        os.chdir(here)
    with deployed(built.folder) as running:
        yield running


@pytest.fixture(autouse=True)
def _clean(request: pytest.FixtureRequest) -> None:
    if "deployment" in request.fixturenames:
        request.getfixturevalue("deployment").reset()


def blobs(deployment: Deployment, prefix: str = "") -> list[str]:
    return [key for key in deployment.snapshot().buckets["uploads"] if key.startswith(prefix)]


# --- HTTP


def test_request(deployment: Deployment) -> None:
    response = deployment.request(
        Request("GET", "/echo/é x", query=[("a", "1"), ("a", ""), ("b", "x&y")], headers=[("cookie", "s=a%2Fb; t=1")])
    )
    document = json.loads(response.body)
    assert (response.status, response.headers["content-type"]) == (200, "application/json")
    assert document["name"] == "é x"
    assert document["query"] == [["a", "1"], ["a", ""], ["b", "x&y"]]
    assert document["cookies"] == {"s": "a/b", "t": "1"}
    assert len(document["id"]) == 36


def test_async_handler_and_start_hook_share_the_workers_loop(deployment: Deployment) -> None:
    document = json.loads(deployment.request(Request("GET", "/context")).body)
    assert (document["target"], document["function"], document["same_loop"]) == ("azure", "http", True)
    assert 1700 < document["seconds"] <= 1800


def test_bytes_status_and_repeated_headers(deployment: Deployment) -> None:
    response = deployment.request(Request("POST", "/reverse", body=b"\x00\xffab"))
    assert (response.status, response.body) == (201, b"ba\xff\x00")
    assert (response.headers["x-one"], response.headers["content-type"]) == ("1,2", "image/png")


def test_cookies_each_reach_the_client_and_come_back(deployment: Deployment) -> None:
    response = deployment.request(Request("GET", "/cookies"))
    cookies = response.headers.get_all("set-cookie")
    assert cookies == [
        "a=1; Max-Age=60; Path=/; Secure; HttpOnly; SameSite=Lax",
        "b=x%2Fy%3D; Secure; HttpOnly; SameSite=Lax",
    ]
    back = "; ".join(cookie.partition(";")[0] for cookie in cookies)
    again = deployment.request(Request("GET", "/echo/x", headers=[("cookie", back)]))
    assert json.loads(again.body)["cookies"] == {"a": "1", "b": "x/y="}


def test_a_cookie_the_worker_would_lose_is_a_500_that_says_so(deployment: Deployment) -> None:
    response = deployment.request(Request("GET", "/partitioned"))
    assert (response.status, response.headers["content-type"]) == (500, "application/problem+json")
    assert json.loads(response.body)["detail"] == (
        "the cookie 'a' has attributes that the Azure worker cannot send: Partitioned"
    )


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("DELETE", "/nothing", 204), ("GET", "/nowhere", 404), ("PUT", "/nothing", 405), ("GET", "/fails", 500)],
)
def test_statuses(deployment: Deployment, method: str, path: str, status: int) -> None:
    response = deployment.request(Request(method, path))
    assert response.status == status
    assert "a secret" not in str(response.body)
    if status == 204:
        assert (response.body, response.header_pairs()) == (None, [])
    if status == 405:
        assert response.headers["allow"] == "DELETE, OPTIONS"


def test_head(deployment: Deployment) -> None:
    response = deployment.request(Request("HEAD", "/cookies"))
    assert (response.status, response.body, response.headers["content-length"]) == (200, None, "2")


# --- messages


def give(deployment: Deployment, body: str, attempt: int = 1, attributes: dict[str, str] | None = None) -> Any:
    message = Message(f"m-{body}", json.dumps(body), attributes or {}, attempt, NOW)
    return deployment.deliver("send", [message])


def test_a_message_with_attributes(deployment: Deployment) -> None:
    outcome = give(deployment, "now", attributes={"lang": "é"})
    assert (outcome.error, outcome.failed) == (None, [])
    assert blobs(deployment) == ["sent/m-now/1"]


def test_a_handler_that_raises_leaves_the_message_to_the_host(deployment: Deployment) -> None:
    outcome = give(deployment, "broken")
    assert outcome.error == "ValueError: boom"
    assert deployment.dead_letters("emails") == []


def test_a_rejected_message_is_dead_at_once(deployment: Deployment) -> None:
    assert give(deployment, "never").error is None
    assert [json.loads(one) for one in deployment.dead_letters("emails")] == ["never"]


def test_a_message_to_be_retried_later_is_sent_again_until_its_attempts_end(deployment: Deployment) -> None:
    assert give(deployment, "later").error is None
    limit = time.monotonic() + 20
    while not deployment.dead_letters("emails"):
        assert time.monotonic() < limit
        deployment.settle()
        time.sleep(0.2)
    # Under one id; each copy is a message of the queue's own, which the entry counts on from the last.
    assert blobs(deployment) == ["sent/m-later/1", "sent/m-later/2", "sent/m-later/3"]
    assert [json.loads(one) for one in deployment.dead_letters("emails")] == ["later"]


def test_a_list_of_messages_holds_one(deployment: Deployment) -> None:
    function = deployment.manifest.function("both")
    for trigger in function.triggers:
        queue = trigger.options["queue"]
        narrowed = FunctionRecord("both", "message", [trigger], None, None, [], [], True)
        native = SAMPLES.native(narrowed, [Message(f"m-{queue}", '"x"', {}, 1, NOW)])
        assert deployment.invoke_native("both", native) == {"return": None}
    assert blobs(deployment) == ["list/m-lists", "other/m-others"]


# --- the others


def test_blob_events(deployment: Deployment) -> None:
    for key in ("in/a.png", "in/a.txt"):
        assert deployment.deliver("thumb", BlobEvent("created", "uploads", key, 5, "0x1", NOW)).error is None
    assert blobs(deployment) == ["out/in/a.png"]


def test_deletions_come_through_event_grid(deployment: Deployment) -> None:
    assert deployment.artifact.sources["gone"] == "event-grid"
    for kind in ("created", "deleted"):
        event = BlobEvent(kind, "uploads", f"in/{kind}", None, None, NOW)  # type: ignore[arg-type]
        assert deployment.deliver("gone", event).error is None
    assert blobs(deployment) == ["gone/in/deleted"]


def test_schedule(deployment: Deployment) -> None:
    assert deployment.deliver("report", Tick(NOW)).error is None
    assert blobs(deployment) == ["report"]


def test_a_schedule_in_a_zone_is_two_timers_and_dropped_where_it_is_not_due(deployment: Deployment) -> None:
    due = ["03-13T07", "03-20T07", "07-10T06", "08-13T06"]
    ticks = {hour: Tick(datetime.fromisoformat(f"2026-{hour}:00+00:00")) for hour in (*due, "07-10T07", "03-20T06")}
    # Both fire on Friday the 13th, and the first delivers it.
    both = SAMPLES.native(deployment.manifest.function("friday"), ticks["03-13T07"])
    deployment.invoke_native("friday", {**both, "resource": "weekdays"})
    assert blobs(deployment) == []
    for tick in ticks.values():
        assert deployment.deliver("friday", tick).error is None
    assert blobs(deployment) == [f"friday/{hour}" for hour in due]


def test_direct(deployment: Deployment) -> None:
    assert deployment.deliver("recount", {"n": 5}).value == {"n": 2}
    assert deployment.deliver("recount", {"n": 0}).error.startswith("ZeroDivisionError: ")  # type: ignore[union-attr]
    assert deployment.deliver("recount", {"n": "x"}).error.startswith("HTTPError: 422 ")  # type: ignore[union-attr]


def test_the_real_parts_are_named(deployment: Deployment) -> None:
    assert {"azure-functions-runtime", "azurite", "node", "python"} <= set(deployment.parts)


# --- how the worker is run: bundles laid out by hand, without dependencies

Start = Callable[..., AzureRunning]


@pytest.fixture
def start(tmp_path: Path, require_part: Callable[..., Found]) -> Iterator[Start]:
    require_part("azure-functions-runtime", "3.13")
    require_part("python", "3.13")
    opened: list[AzureRunning] = []

    def lay_out(app: str, entry: str | None = None, **options: Any) -> AzureRunning:
        trigger = TriggerRecord("http", "app:f", "app.py:1", {"auth": "public", "method": "GET", "path": "/"})
        function = FunctionRecord("http", "http", [trigger], None, None, [], [], options.get("is_async", False))
        manifest = Manifest("test", "app:app", [function], [], False)
        bundle = tmp_path / "bundle"
        bundle.mkdir()
        for package in (portable, portable_azure):
            source = Path(package.__file__ or "").parent
            (bundle / source.name).symlink_to(source)
        (bundle / "app.py").write_text("from portable import *\napp = App('test')\n" + app)
        for name, content in TARGET.bundles(manifest, {})[0].files.items():
            (bundle / name).write_bytes(content)
        if entry is not None:
            (bundle / "function_app.py").write_text(entry)
        artifact = Artifact(tmp_path, "azure", "3.13", manifest, {"": bundle}, {"http": ""}, {"http": "http"})
        running = AzureRunning(artifact, {"GIVEN": "yes"}, tmp_path / "log")
        opened.append(running)
        return running

    yield lay_out
    for running in opened:
        running.close()


def call(running: AzureRunning, path: str = "/", timeout: float | None = 30) -> Response:
    function = FunctionRecord("http", "http", [], None, None, [], [], False)
    request = Request("GET", path)
    answer = running.invoke("http", SAMPLES.native(function, request), timeout=timeout)
    response = SAMPLES.outcome(function, request, answer).response
    assert response is not None
    return response


def test_what_handlers_print_is_logged_and_corrupts_nothing(start: Start) -> None:
    running = start(
        "import os, sys\n@app.get('/')\ndef f() -> str:\n"
        "    print('{\"id\": 1}'); os.write(1, b'raw\\n'); print('to stderr', file=sys.stderr)\n    return 'ok'\n"
    )
    assert call(running).body == b"ok"
    running.close()
    assert all(text in running.log() for text in ('{"id": 1}', "raw", "to stderr"))


def test_the_environment_is_clean(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEAKED", "yes")
    running = start(
        "import os, sys\n@app.get('/')\ndef f() -> list[str]:\n"
        "    return [os.environ.get('GIVEN', ''), os.environ.get('LEAKED', ''), '%d.%d' % sys.version_info[:2]]\n"
    )
    assert json.loads(call(running).body) == ["yes", "", "3.13"]


def test_an_app_that_cannot_be_imported_fails_with_its_traceback(start: Start) -> None:
    running = start("import nowhere_to_be_found\n")
    for _ in range(2):
        with pytest.raises(InvocationError) as caught:
            call(running)
        assert caught.value.kind == "ModuleNotFoundError"
        assert "import nowhere_to_be_found" in caught.value.trace
        assert "serve_sync" in caught.value.trace  # the app was indexed: only its functions fail


@pytest.mark.parametrize(
    ("entry", "kind"),
    [("1 / 0\n", "ZeroDivisionError"), ("import nowhere\n", "ModuleNotFoundError"), ("app = 1\n", "ValueError")],
)
def test_an_entry_that_cannot_be_indexed_says_why(start: Start, entry: str, kind: str) -> None:
    with pytest.raises(InvocationError) as caught:
        call(start("", entry))
    assert caught.value.kind == kind
    assert "Traceback" in caught.value.trace


def test_no_functions_is_an_error(start: Start) -> None:
    with pytest.raises(InvocationError, match="0 functions"):
        call(start("", "import azure.functions as func\napp = func.FunctionApp()\n"))


@pytest.mark.parametrize(
    ("is_async", "body"),
    [(False, "def f() -> str:\n    time.sleep(0.4)"), (True, "async def f() -> str:\n    await asyncio.sleep(0.4)")],
)
def test_invocations_overlap(start: Start, is_async: bool, body: str) -> None:
    running = start(f"import asyncio, time\n@app.get('/')\n{body}\n    return 'ok'\n", is_async=is_async)
    call(running)
    begun = time.monotonic()
    with ThreadPoolExecutor(4) as callers:
        assert [one.body for one in callers.map(lambda _: call(running), range(4))] == [b"ok"] * 4
    assert time.monotonic() - begun < 1.2


def test_a_sync_handler_does_not_stop_async_ones(start: Start) -> None:
    running = start(
        "import time\n@app.get('/slow')\ndef slow() -> str:\n    time.sleep(1)\n    return 'slow'\n"
        "@app.get('/')\nasync def fast() -> str:\n    return 'fast'\n",
        is_async=True,
    )
    call(running)
    with ThreadPoolExecutor(1) as callers:
        slow = callers.submit(call, running, "/slow")
        time.sleep(0.1)
        begun = time.monotonic()
        assert call(running).body == b"fast"
        assert time.monotonic() - begun < 0.7
        assert slow.result().body == b"slow"


def test_an_invocation_past_its_time_ends_the_worker_and_the_next_gets_a_new_one(start: Start) -> None:
    running = start(
        "import os, time\n@app.get('/pid')\ndef pid() -> str:\n    return str(os.getpid())\n"
        "@app.get('/')\ndef f() -> None:\n    time.sleep(60)\n"
    )
    first = int(call(running, "/pid").body)
    with pytest.raises(InvocationError) as caught:
        call(running, timeout=0.5)
    assert caught.value.kind == "Timeout"
    assert not Path(f"/proc/{first}/cmdline").exists()
    assert int(call(running, "/pid").body) != first


def test_a_worker_that_dies_is_said_and_replaced(start: Start) -> None:
    running = start(
        "import os\n@app.get('/')\ndef f() -> None:\n    os._exit(3)\n"
        "@app.get('/ok')\ndef ok() -> str:\n    return 'ok'\n"
    )
    with pytest.raises(InvocationError) as caught:
        call(running)
    assert caught.value.kind == "WorkerExited"
    assert call(running, "/ok").body == b"ok"


@pytest.mark.parametrize("native", [None, [], {"method": "GET"}, {"data": "x"}])
def test_an_event_that_is_none_is_refused(start: Start, native: Any) -> None:
    running = start("@app.get('/')\ndef f() -> None: ...\n")
    with pytest.raises(InvocationError) as caught:
        running.invoke("http", native)
    assert caught.value.kind == "BadEvent"
