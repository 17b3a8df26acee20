"""A built artifact under AWS's own Runtime Interface Emulator and runtime client, its resources on moto."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from portable import Bucket, Message, Table, Tick
from portable.resources import use_platform
from portable.run.deployment import Deployment, deployed
from portable.run.parts import Found
from portable.run.target import InvocationError, open_artifact
from portable.samples.neutral import make_request
from portable_aws.run import RUNNER

APP = """
import os
import time
from datetime import timedelta
from typing import Any

from portable import App, BlobEvent, Change, Context, Message, Reject, Request, Response, Retry, Tick

app = App("probe")
uploads = app.bucket("uploads")
emails = app.queue("emails", max_attempts=2)
items = app.table("items", key="id", sort="at", indexes={"by-colour": ("colour", "at")}, ttl="ends")


@app.on_change(items, old=True)
def follow(change: Change[dict[str, Any]]) -> None:
    if change.new is not None and change.new.get("colour") == "boom":
        raise ValueError("boom")
    uploads.write(f"changes/{change.kind}", f"{change.key} {change.old} {change.new}")


@app.get("/context")
def context(context: Context) -> dict[str, Any]:
    left = context.remaining()
    return {
        "cold": context.cold_start,
        "function": context.function,
        "left": left is not None and left.total_seconds() > 1,
        "id": len(context.request_id),
        "arn": context.native.invoked_function_arn,
    }


@app.get("/large/{size:int}")
def large(size: int) -> str:
    return "x" * size


@app.get("/modules")
def modules() -> list[str]:
    import sys

    return sorted({name.partition(".")[0] for name in sys.modules})


@app.post("/echo")
async def echo(request: Request) -> Response:
    response = Response(request.body, 201, {"x-query": request.query["q"]}, request.headers["content-type"])
    response.set_cookie("a", "1")
    response.set_cookie("b", "2")
    return response


@app.on_message(emails)
def mail(message: Message[Any]) -> None:
    if message.body == "boom":
        raise ValueError("boom")
    if message.body == "never":
        raise Reject("no attempt will succeed")
    uploads.write("mail", message.body)


@app.on_blob(uploads, prefix="in/")
def thumb(event: BlobEvent) -> None:
    uploads.write("out" + event.key[2:], uploads.read(event.key))


@app.on_schedule(cron="0 8 * * *")
async def daily(tick: Tick) -> None:
    await uploads.awrite("tick", tick.scheduled_at.isoformat())


@app.function(timeout=timedelta(seconds=2))
def act(payload: dict[str, Any]) -> dict[str, Any]:
    if "sleep" in payload:
        time.sleep(payload["sleep"])
    if "deaf" in payload:
        try:
            time.sleep(payload["deaf"])
        except Exception:
            time.sleep(payload["deaf"])
    if "exit" in payload:
        os._exit(payload["exit"])
    if "raise" in payload:
        raise KeyError(payload["raise"])
    return payload
"""


def project(folder: Path, source: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "app.py").write_text(source, "utf-8")
    (folder / "pyproject.toml").write_text('[project]\nname = "probe"\nversion = "0"\ndependencies = []\n', "utf-8")
    return folder


def build(folder: Path) -> Path:
    # In a process of its own: it imports the app.
    command = [sys.executable, "-m", "portable.cli", "build", "--target", "aws", "--for-here", "--python", "3.13"]
    done = subprocess.run([*command, "--project", folder], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "dist" / "aws"


@pytest.fixture(scope="module")
def parts(require_part: Callable[..., Found]) -> None:
    require_part("python", "3.13")
    require_part("aws-lambda-rie")
    require_part("awslambdaric", "3.13")
    require_part("moto")


@pytest.fixture(scope="module")
def deployment(parts: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    with deployed(build(project(tmp_path_factory.mktemp("aws"), APP))) as running:
        yield running


def test_parts_are_named(deployment: Deployment) -> None:
    assert set(deployment.parts) == {"aws-lambda-rie", "awslambdaric", "moto", "python"}
    assert deployment.parts["python"].startswith("3.13.")


def test_http(deployment: Deployment) -> None:
    request = make_request(
        "POST", "/echo?q=a%2Bb", headers=[("content-type", "image/png")], body=bytes(range(256)), scheme="https"
    )
    response = deployment.request(request)
    assert (response.status, response.body) == (201, bytes(range(256)))
    assert (response.headers["content-type"], response.headers["x-query"]) == ("image/png", "a+b")
    assert [cookie.partition(";")[0] for cookie in response.headers.get_all("set-cookie")] == ["a=1", "b=2"]


def test_context(deployment: Deployment) -> None:
    first, second = (json.loads(deployment.request(make_request("GET", "/context")).body) for _ in range(2))
    assert second["cold"] is False
    assert (first["function"], first["left"], first["id"]) == ("http", True, 36)
    assert first["arn"].startswith("arn:aws:lambda:")


def test_an_answer_too_large(deployment: Deployment) -> None:
    assert deployment.request(make_request("GET", "/large/6200000")).status == 200
    response = deployment.request(make_request("GET", "/large/6300000"))
    assert response.status == 500
    assert "is larger than" in response.body.decode()
    assert "put it into a bucket" in deployment.log()


def test_only_the_bundle_can_be_imported(deployment: Deployment) -> None:
    modules = json.loads(deployment.request(make_request("GET", "/modules")).body)
    assert {"app", "portable", "portable_aws", "awslambdaric"} <= set(modules)
    assert {"boto3", "botocore", "msgspec", "pluggy", "pytest"}.isdisjoint(modules)


def test_messages(deployment: Deployment) -> None:
    deployment.reset()
    sent = [Message("1", '"a"'), Message("2", '"boom"'), Message("3", "not JSON")]
    assert deployment.deliver("mail", sent).failed == ["2", "3"]
    assert deployment.deliver("mail", [Message("1", '"never"')]).failed == []
    assert deployment.dead_letters("emails") == ['"never"']
    assert [sorted(blobs) for blobs in deployment.snapshot().buckets.values()] == [["mail"]]


def test_blobs_and_schedules(deployment: Deployment) -> None:
    deployment.reset()
    outcome = deployment.deliver("daily", Tick(datetime(2026, 3, 29, 8, tzinfo=UTC)))
    assert outcome.error is None
    with use_platform(deployment.platform):
        uploads = Bucket("uploads")
        assert uploads.read("tick") == b"2026-03-29T08:00:00+00:00"
        uploads.write("in/a +é.txt", "data")
        settled = deployment.settle()
        assert (settled.delivered, settled.failures) == (1, [])
        assert uploads.read("out/a +é.txt") == b"data"


def test_changes(deployment: Deployment) -> None:
    deployment.reset()
    items = Table("items", key="id", sort="at", indexes={"by-colour": ("colour", "at")}, ttl="ends")
    with use_platform(deployment.platform):
        uploads = Bucket("uploads")
        items.put({"id": "a", "at": "1", "colour": "red", "raw": b"\x00\xff"})
        assert (deployment.settle().delivered, uploads.read("changes/insert").decode()) == (
            1,
            "('a', '1') None " + str({"id": "a", "at": "1", "colour": "red", "raw": b"\x00\xff"}),
        )
        items.delete("a", "1")
        assert deployment.settle().delivered == 1
        assert uploads.read("changes/delete").decode().endswith("} None")
        items.put({"id": "a", "at": "2", "colour": "boom"})
        failures = deployment.settle().failures
        assert [(one.function, one.subject, one.attempt) for one in failures] == [
            ("follow", "items/('a', '2')", attempt) for attempt in (1, 2, 3)
        ]
        assert [item["at"] for item in items.query("boom", index="by-colour")] == ["2"]


def test_a_handler_that_raises(deployment: Deployment) -> None:
    with pytest.raises(InvocationError) as caught:
        deployment.invoke_native("act", {"raise": "why"})
    assert (caught.value.kind, caught.value.message) == ("KeyError", "'why'")
    assert 'raise KeyError(payload["raise"])' in caught.value.trace


def test_a_payload_that_does_not_fit(deployment: Deployment) -> None:
    with pytest.raises(InvocationError, match="HTTPError: 422 the payload does not fit act"):
        deployment.invoke_native("act", [1])


def test_a_handler_over_its_timeout_and_one_that_exits(deployment: Deployment) -> None:
    assert deployment.invoke_native("act", {"a": "é"}) == {"a": "é"}
    start = time.monotonic()
    with pytest.raises(InvocationError, match="act was interrupted: its deadline is near") as caught:
        deployment.invoke_native("act", {"sleep": 30})
    assert caught.value.kind == "DeadlineExceededError"
    with pytest.raises(InvocationError, match=r"timed out after 2\.00 seconds") as caught:
        deployment.invoke_native("act", {"deaf": 30})
    assert caught.value.kind == "Timeout"
    assert time.monotonic() - start < 20
    with pytest.raises(InvocationError, match="exit status 3") as caught:
        deployment.invoke_native("act", {"exit": 3})
    assert caught.value.kind == "Runtime.ExitError"
    assert deployment.invoke_native("act", {"a": 1}) == {"a": 1}


def test_the_callers_own_timeout(deployment: Deployment) -> None:
    with pytest.raises(InvocationError, match=r"longer than 0\.5 s") as caught:
        deployment._running.invoke("act", {"sleep": 1.5}, timeout=0.5)
    assert caught.value.kind == "Timeout"
    assert deployment.invoke_native("act", {"a": 1}) == {"a": 1}


def test_a_malformed_event(deployment: Deployment) -> None:
    with pytest.raises(InvocationError, match=r"ValueError: not an HTTP API event .*: 'requestContext' is missing"):
        deployment.invoke_native("http", {})


@pytest.mark.parametrize(
    ("line", "kind", "words"),
    [
        ("import no_such_module", "ModuleNotFoundError", "No module named 'no_such_module'"),
        ("import sys; sys.no_such_thing", "ImportError", "AttributeError: module 'sys' has no attribute"),
        ("1 / 0", "ZeroDivisionError", "division by zero"),
    ],
)
def test_an_app_that_fails_to_import(parts: None, tmp_path: Path, line: str, kind: str, words: str) -> None:
    source = "from portable import App\napp = App('probe')\napp.function('act')(lambda payload: payload)\n"
    folder = build(project(tmp_path, source))
    module = folder / "bundle" / "app.py"
    module.write_text(source + line + "\n", "utf-8")
    for compiled in (folder / "bundle" / "__pycache__").glob("app.*"):
        compiled.unlink()
    artifact = open_artifact(folder)
    running = RUNNER.start(artifact, {}, tmp_path / "log")
    try:
        with pytest.raises(InvocationError) as caught:
            running.invoke("act", {})
    finally:
        running.close()
    assert (caught.value.kind, words in caught.value.message) == (kind, True)
    assert 'app.py", line 4' in caught.value.trace
    assert words in running.log()


def test_an_unknown_handler(parts: None, tmp_path: Path) -> None:
    source = "from portable import App\napp = App('probe')\napp.function('act')(lambda payload: payload)\n"
    folder = build(project(tmp_path, source))
    (folder / "bundle" / "portable_entry.py").write_text("", "utf-8")
    for compiled in (folder / "bundle" / "__pycache__").glob("portable_entry.*"):
        compiled.unlink()
    running = RUNNER.start(open_artifact(folder), {}, tmp_path / "log")
    try:
        with pytest.raises(InvocationError) as caught:
            running.invoke("act", {})
    finally:
        running.close()
    assert caught.value.kind == "Runtime.HandlerNotFound"


def test_nothing_runs_after_close(parts: None, tmp_path: Path) -> None:
    source = "import os\nfrom portable import App\napp = App('p')\napp.function('act')(lambda: os.getpid())\n"
    running = RUNNER.start(open_artifact(build(project(tmp_path, source))), {}, tmp_path / "log")
    pid = running.invoke("act", None)
    assert Path(f"/proc/{pid}").exists()
    running.close()
    assert not Path(f"/proc/{pid}").exists()
    with pytest.raises(InvocationError, match="runs no more"):
        running.invoke("act", None)
